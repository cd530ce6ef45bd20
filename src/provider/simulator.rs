//! A provider on this machine, derived from a definition: it does what the definition declares, and one thing wrong.
//!
//! It knows a caller by building the request again with every key that lives: whatever the scheme, the one whose
//! secret headers are the received ones has signed. So it shares the clock of whoever calls it.

mod asked;
mod beside;
mod caller;
mod document;
mod exchange;
mod keys;
mod supply;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;

pub(crate) use self::asked::Asked;
use self::caller::is_sent;
use self::document::{element, put, put_secret, written};
pub(crate) use self::exchange::{Received, Reply};
use super::bind::BoundDefinition;
use super::wire::{ReadCall, Wire};
use crate::clock::Clock;
use crate::ids::RotationId;
use crate::secret::{Secret, SecretValue};

/// What goes wrong with the first regenerate call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// Nothing.
    None,
    /// The connection breaks before the provider acts.
    RequestLost,
    /// The provider acts, and the connection breaks before its answer.
    AnswerLost,
    /// The provider acts, and answers 500.
    ServerError,
    /// The provider acts, and half of its answer arrives.
    AnswerCut,
    /// The provider acts, and answers with this success that carries no key.
    NoValue(u16),
    /// The provider asks to come back in a minute, and does not act.
    RateLimited,
    /// The provider does not accept who signs, and does not act.
    Refused,
    /// The provider acts, and never accepts the new key.
    NewKeyRefused,
    /// The provider lets no further key live, and does not act.
    NoPlace,
    /// The provider revokes a key, and the connection breaks before its answer.
    RevocationLost,
}

/// A call that came, and how it was answered; absent: the connection broke.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// What was asked: `token`, `regenerate`, `read`, `marker`, `probe`, `list`, `revoke`, `activate`, `discard`, or
    /// `something else`.
    pub what: &'static str,
    /// The status of the answer.
    pub status: Option<u16>,
}

/// A provider that listens on the loopback for as long as this lives.
#[derive(Debug)]
pub struct Simulator<C> {
    bound: BoundDefinition,
    clock: C,
    trouble: Trouble,
    admin: SecretValue,
    extra: Vec<(String, SecretValue)>,
    state: watch::Sender<State>,
}

#[derive(Debug, Default)]
struct State {
    keys: Vec<Key>,
    answered: Vec<(String, Timestamp, Reply)>,
    heard: Vec<Heard>,
}

#[derive(Debug)]
struct Key {
    value: SecretValue,
    /// The rotation that it was made for.
    rotation: Option<RotationId>,
    /// Which of several named keys it is.
    slot: usize,
    accepted_from: Timestamp,
    dies_at: Timestamp,
}

impl<C: Clock> Simulator<C> {
    /// A provider whose key is number 0, and which `admin` may ask, unless the key signs for itself. Where keys live side
    /// by side, others may be there too.
    pub fn new(
        bound: BoundDefinition,
        clock: C,
        trouble: Trouble,
        admin: SecretValue,
        extra: Vec<(String, SecretValue)>,
    ) -> Self {
        let by_hand = |number| Key {
            value: Self::key_number(number),
            rotation: None,
            slot: number,
            accepted_from: Timestamp::UNIX_EPOCH,
            dies_at: Timestamp::MAX,
        };
        let there = beside::there_before(bound.plan(), trouble);
        let state = State { keys: (0..there).map(by_hand).collect(), ..State::default() };
        Self { bound, clock, trouble, admin, extra, state: watch::Sender::new(state) }
    }

    /// Answers calls until it is dropped.
    pub async fn serve(self: Arc<Self>, listener: TcpListener) {
        while let Ok((mut stream, _)) = listener.accept().await {
            if let Ok(received) = exchange::receive(&mut stream).await {
                let reply = self.answer(received);
                // A caller who has gone has heard enough.
                exchange::send(&mut stream, &reply).await.ok();
            }
        }
    }

    /// The calls so far.
    pub fn heard(&self) -> Vec<Heard> {
        self.state.borrow().heard.clone()
    }

    /// How many keys it has made.
    pub fn made(&self) -> usize {
        self.newest() + 1 - beside::there_before(self.bound.plan(), self.trouble)
    }

    /// The number of its newest key.
    pub fn newest(&self) -> usize {
        self.state.borrow().keys.len() - 1
    }

    /// Whether this is the newest key.
    fn has_newest(&self, key: &SecretValue) -> bool {
        self.state.borrow().keys.last().is_some_and(|newest| newest.value.expose() == key.expose())
    }

    /// Whether it accepts its newest key by now.
    pub fn accepts_newest(&self) -> bool {
        let now = self.clock.now();
        self.state.borrow().keys.last().is_some_and(|key| key.accepted_from <= now)
    }

    /// Does what a request asks for.
    pub(crate) fn answer(&self, mut received: Received) -> Reply {
        received.supplied = self.brought_by(&received);
        let received = &received;
        let asked = self.asked(received);
        let reply = match asked {
            Asked::Token => self.token(received),
            Asked::Regenerate => self.regenerate(received),
            Asked::Read => self.read(received),
            Asked::Marker => self.marker(received),
            Asked::Probe => self.probe(received),
            Asked::List => self.list(received),
            Asked::Revoke => self.revoke(received),
            Asked::Activate | Asked::Discard => self.end_phase(received, asked),
            Asked::SomethingElse => Reply::status(404),
        };
        let status = reply.is_whole().then(|| reply.status_code());
        self.state.send_modify(|state| state.heard.push(Heard { what: asked.in_words(), status }));
        reply
    }

    /// The key that a request brings, where the caller chooses it.
    pub(crate) fn brought_by(&self, received: &Received) -> Option<SecretValue> {
        supply::brought_by(received, &self.bound.wire.regenerate)
    }

    /// The calls for each of several named keys, or for the one.
    fn slots(&self) -> impl Iterator<Item = &Wire> {
        let alone = self.bound.slots.is_empty().then_some(&self.bound.wire);
        alone.into_iter().chain(self.bound.slots.iter().map(|(_, wire)| wire))
    }

    fn regenerate(&self, received: &Received) -> Reply {
        let is_meant = |wire: &Wire| {
            let call = &wire.regenerate;
            received.is(call.method.as_str(), &call.path_and_query) && self.may_ask(received, call)
        };
        let Some(slot) = self.slots().position(is_meant) else { return Reply::status(401) };
        let now = self.clock.now();
        let replay = self.bound.plan().replay.zip(self.idempotency_key(received));
        if let Some((window, key)) = &replay
            && let Some(reply) = self.answered_before(key, *window, now)
        {
            return reply;
        }
        let is_first = self.state.borrow().heard.iter().all(|heard| heard.what != "regenerate");
        let trouble = if is_first { self.trouble } else { Trouble::None };
        match trouble {
            Trouble::RequestLost => return Reply::nothing(),
            Trouble::RateLimited => return Reply::status(429).with("retry-after", "60"),
            Trouble::Refused => return Reply::status(401),
            _ if !self.has_a_place() => return Reply::status(400),
            _ => {}
        }
        let whole = match trouble {
            Trouble::NoValue(status) => {
                self.make_key(received, slot, now);
                Reply::status(status)
            }
            _ => self.new_answer(received, slot, now),
        };
        if let Some((_, key)) = replay {
            self.state.send_modify(|state| state.answered.push((key, now, whole.clone())));
        }
        match trouble {
            Trouble::AnswerLost => Reply::nothing(),
            Trouble::ServerError => Reply::status(500),
            Trouble::AnswerCut => whole.cut(),
            _ => whole,
        }
    }

    /// The rotation's id, wherever the definition sends it.
    fn idempotency_key(&self, received: &Received) -> Option<String> {
        let header = self.bound.wire.idempotency_header.as_ref();
        let in_header = header.and_then(|name| received.header(name.as_str()));
        in_header.map(str::to_owned).or_else(|| received.rotation_id().map(|id| id.to_string()))
    }

    fn answered_before(&self, key: &str, window: Duration, now: Timestamp) -> Option<Reply> {
        let state = self.state.borrow();
        let (_, at, reply) = state.answered.iter().find(|(known, _, _)| known == key)?;
        (now < later(*at, window)).then(|| reply.clone())
    }

    fn new_answer(&self, received: &Received, slot: usize, now: Timestamp) -> Reply {
        let facts = &self.slots().nth(slot).unwrap_or(&self.bound.wire).answer;
        let secret = self.make_key(received, slot, now);
        let mut body = self.success();
        let inside = facts.key.as_ref().map_or_else(String::new, |place| {
            let inside = element(&mut body, place.among.as_ref(), 0);
            put_secret(&mut body, &inside, place, &secret);
            inside
        });
        if let Some(expiry) = &facts.previous_expires_at {
            let dies_at = later(now, facts.grace.unwrap_or_default());
            put(&mut body, &format!("{inside}{}", expiry.at.as_str()), written(expiry, dies_at, now));
        }
        if let Some(at) = &facts.key_id {
            let id = beside::key_id(self.newest());
            put(&mut body, &format!("{inside}{}", at.as_str()), id.into());
        }
        Reply::json(facts.statuses.first().copied().unwrap_or(200), &body)
    }

    /// What the body of every success says.
    fn success(&self) -> Value {
        let mut body = serde_json::json!({});
        if let Some(condition) = &self.bound.wire.answer.success {
            put(&mut body, condition.at.as_str(), condition.is.clone());
        }
        body
    }

    /// Makes a key, lets the others live on as declared, and gives it; takes the one that the request brings, unless it has it
    /// already.
    fn make_key(&self, received: &Received, slot: usize, now: Timestamp) -> Secret {
        let plan = self.bound.plan();
        if let Some(brought) = &received.supplied
            && self.has_newest(brought)
        {
            return self.secret_number(self.newest());
        }
        let dies_at = match plan.creates {
            Some(_) => Timestamp::MAX,
            None if !plan.slots.is_empty() => now,
            None => later(now, plan.grace.unwrap_or_default()),
        };
        let usable_after = plan.propagation.map_or(Duration::ZERO, |declared| {
            if plan.probe { declared.delay.saturating_add(declared.poll) / 2 } else { declared.delay }
        });
        let accepted_from = match self.trouble {
            Trouble::NewKeyRefused => Timestamp::MAX,
            _ => later(now, usable_after),
        };
        let number = self.state.borrow().keys.len();
        let rotation = received.rotation_id();
        self.state.send_modify(|state| {
            for key in state.keys.iter_mut().filter(|key| key.slot == slot || plan.slots.is_empty()) {
                key.dies_at = key.dies_at.min(dies_at);
            }
            let brought = received.supplied.as_ref().map(SecretValue::duplicate);
            let value = brought.unwrap_or_else(|| Self::key_number(number));
            state.keys.push(Key { value, rotation, slot, accepted_from, dies_at: Timestamp::MAX });
        });
        self.secret_number(number)
    }

    fn probe(&self, received: &Received) -> Reply {
        let Some(probe) = &self.bound.wire.probe else { return Reply::status(404) };
        let accepted = self.is_accepted(received, &probe.call, &probe.signing);
        let statuses = if accepted { &probe.accepted } else { &probe.not_accepted };
        Reply::status(statuses.first().copied().unwrap_or(404))
    }

    /// The keys of all slots that this very request reads.
    fn read(&self, received: &Received) -> Reply {
        let asked = |read: &ReadCall| received.is(read.call.method.as_str(), &read.call.path_and_query);
        let mut asked_for = self.slots().filter_map(|wire| wire.read.as_ref()).filter(|read| asked(read));
        if !asked_for.next().is_some_and(|read| self.may_ask(received, &read.call)) {
            return Reply::status(401);
        }
        let mut body = self.success();
        let newest_of = |slot: usize| {
            let state = self.state.borrow();
            let is_in = |key: &Key| key.slot == slot || self.bound.slots.is_empty();
            state.keys.iter().rposition(is_in).unwrap_or_default()
        };
        let reads = self.slots().enumerate().filter_map(|(slot, wire)| Some((slot, wire.read.as_ref()?)));
        for (index, (slot, read)) in reads.filter(|(_, read)| asked(read)).enumerate() {
            let inside = element(&mut body, read.key.among.as_ref(), index);
            put_secret(&mut body, &inside, &read.key, &self.secret_number(newest_of(slot)));
        }
        Reply::json(200, &body)
    }

    /// What changes with the key, and does not show it.
    fn marker(&self, received: &Received) -> Reply {
        let Some(marker) = &self.bound.wire.marker else { return Reply::status(404) };
        if !self.may_ask(received, &marker.call) {
            return Reply::status(401);
        }
        let mut body = self.success();
        let inside = element(&mut body, marker.among.as_ref(), 0);
        put(&mut body, &format!("{inside}{}", marker.at.as_str()), format!("mark-{}", self.newest()).into());
        Reply::json(200, &body)
    }

    fn token(&self, received: &Received) -> Reply {
        let Some(token) = self.token_request(received) else { return Reply::status(404) };
        let state = self.state.borrow();
        let known = state.keys.iter().map(|key| &key.value).chain([&self.admin]);
        let nothing = BTreeMap::new();
        let mut signed = known.filter(|key| {
            is_sent(received, &token.call, self.sender(received, &token.signing, key, &nothing))
        });
        signed.next().map_or_else(
            || Reply::status(401),
            |key| {
                let token = token_for(key);
                Reply::json(200, &serde_json::json!({ "access_token": token.expose(), "expires_in": 3600 }))
            },
        )
    }
}

/// The access token that a key is exchanged for.
fn token_for(key: &SecretValue) -> SecretValue {
    SecretValue::new(format!("token-for-{}", key.expose()))
}

fn later(time: Timestamp, delay: Duration) -> Timestamp {
    time.checked_add(delay).unwrap_or(Timestamp::MAX)
}
