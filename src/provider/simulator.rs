//! A provider on this machine, derived from a definition: it does what the definition declares, and one thing wrong.
//!
//! It knows a caller by building the request again with every key that lives: whatever the scheme, the one whose
//! secret headers are the received ones has signed. So it shares the clock of whoever calls it.

mod beside;
mod document;
mod exchange;
mod keys;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;

use self::document::{element, put, put_secret, written};
use self::exchange::{Received, Reply};
use super::bind::BoundDefinition;
use super::request::{Sender, fill};
use super::wire::{Call, KeyPlace, SecretHeader, Signing};
use crate::clock::Clock;
use crate::ids::{KeyId, RotationId};
use crate::secret::SecretValue;

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
    /// What was asked: `token`, `regenerate`, `read`, `probe`, `list`, `revoke`, or `something else`.
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
                let reply = self.answer(&received);
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

    /// Whether it accepts its newest key by now.
    pub fn accepts_newest(&self) -> bool {
        let now = self.clock.now();
        self.state.borrow().keys.last().is_some_and(|key| key.accepted_from <= now)
    }

    fn answer(&self, received: &Received) -> Reply {
        let wire = &self.bound.wire;
        let is = |call: &Call| received.is(call.method.as_str(), &call.path_and_query);
        let read = wire.read.as_ref().filter(|read| is(&read.call));
        let probe = wire.probe.as_ref().filter(|probe| is(&probe.call));
        let (what, reply) = if let Some(reply) = self.token(received) {
            ("token", reply)
        } else if is(&wire.regenerate) {
            ("regenerate", self.regenerate(received))
        } else if let Some(read) = read {
            ("read", self.read(received, &read.call, &read.key))
        } else if let Some(probe) = probe {
            let accepted = self.is_accepted(received, &probe.call, &probe.signing);
            let statuses = if accepted { &probe.accepted } else { &probe.not_accepted };
            ("probe", Reply::status(statuses.first().copied().unwrap_or(404)))
        } else if let Some(reply) = self.list(received) {
            ("list", reply)
        } else if let Some(reply) = self.revoke(received) {
            ("revoke", reply)
        } else {
            ("something else", Reply::status(404))
        };
        let status = reply.is_whole().then(|| reply.status_code());
        self.state.send_modify(|state| state.heard.push(Heard { what, status }));
        reply
    }

    fn regenerate(&self, received: &Received) -> Reply {
        let wire = &self.bound.wire;
        if !self.may_ask(received, &wire.regenerate) {
            return Reply::status(401);
        }
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
        let rotation = received.rotation_id();
        let whole = match trouble {
            Trouble::NoValue(status) => {
                self.make_key(rotation, now);
                Reply::status(status)
            }
            _ => self.new_answer(rotation, now),
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

    fn new_answer(&self, rotation: Option<RotationId>, now: Timestamp) -> Reply {
        let facts = &self.bound.wire.answer;
        self.make_key(rotation, now);
        let mut body = self.success();
        let inside = facts.key.as_ref().map_or_else(String::new, |place| {
            let inside = element(&mut body, place);
            put_secret(&mut body, &inside, place, &self.secret_number(self.newest()));
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

    /// Makes a key, and lets the others live on as declared.
    fn make_key(&self, rotation: Option<RotationId>, now: Timestamp) {
        let plan = self.bound.plan();
        let dies_at = match plan.creates {
            Some(_) => Timestamp::MAX,
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
        self.state.send_modify(|state| {
            for key in &mut state.keys {
                key.dies_at = key.dies_at.min(dies_at);
            }
            let value = Self::key_number(number);
            state.keys.push(Key { value, rotation, accepted_from, dies_at: Timestamp::MAX });
        });
    }

    fn read(&self, received: &Received, call: &Call, place: &KeyPlace) -> Reply {
        if !self.may_ask(received, call) {
            return Reply::status(401);
        }
        let mut body = self.success();
        let inside = element(&mut body, place);
        put_secret(&mut body, &inside, place, &self.secret_number(self.newest()));
        Reply::json(200, &body)
    }

    /// The answer to a request for an access token, if it is one.
    fn token(&self, received: &Received) -> Option<Reply> {
        let wire = &self.bound.wire;
        let probe = wire.probe.as_ref().map(|probe| &probe.signing);
        let mut asked = std::iter::once(&wire.signing).chain(probe).filter_map(|signing| match signing {
            Signing::Oauth2(token) => Some(token),
            _ => None,
        });
        let token = asked.find(|it| received.is(it.call.method.as_str(), &it.call.path_and_query))?;
        let state = self.state.borrow();
        let known = state.keys.iter().map(|key| &key.value).chain([&self.admin]);
        let nothing = BTreeMap::new();
        let mut signed = known.filter(|key| {
            is_sent(received, &token.call, self.sender(received, &token.signing, key, &nothing))
        });
        Some(signed.next().map_or_else(
            || Reply::status(401),
            |key| {
                let token = token_for(key);
                Reply::json(200, &serde_json::json!({ "access_token": token.expose(), "expires_in": 3600 }))
            },
        ))
    }

    fn may_ask(&self, received: &Received, call: &Call) -> bool {
        self.may_ask_about(received, call, None)
    }

    fn may_ask_about(&self, received: &Received, call: &Call, key_id: Option<&KeyId>) -> bool {
        let signing = &self.bound.wire.signing;
        if self.bound.plan().self_authenticating {
            self.is_accepted_about(received, call, signing, key_id)
        } else {
            self.is_signed(received, call, signing, &self.admin, key_id)
        }
    }

    /// Whether a key has signed that lives and is accepted by now.
    fn is_accepted(&self, received: &Received, call: &Call, signing: &Signing) -> bool {
        self.is_accepted_about(received, call, signing, None)
    }

    fn is_accepted_about(
        &self,
        received: &Received,
        call: &Call,
        signing: &Signing,
        key_id: Option<&KeyId>,
    ) -> bool {
        let now = self.clock.now();
        let state = self.state.borrow();
        let mut accepted = state.keys.iter().filter(|key| key.accepted_from <= now && now < key.dies_at);
        accepted.any(|key| self.is_signed(received, call, signing, &key.value, key_id))
    }

    fn is_signed(
        &self,
        received: &Received,
        call: &Call,
        signing: &Signing,
        key: &SecretValue,
        key_id: Option<&KeyId>,
    ) -> bool {
        let token = matches!(signing, Signing::Oauth2(_)).then(|| token_for(key));
        let main = token.as_ref().unwrap_or(key);
        let sender = self.sender(received, signing, main, &self.bound.wire.extra);
        is_sent(received, call, Sender { key_id, ..sender })
    }

    /// Who would have sent this with that key.
    fn sender<'a>(
        &'a self,
        received: &Received,
        signing: &'a Signing,
        main: &'a SecretValue,
        extra_headers: &'a BTreeMap<String, SecretHeader>,
    ) -> Sender<'a> {
        Sender {
            signing,
            main,
            extra: &self.extra,
            extra_headers,
            id_header: self.bound.wire.idempotency_header.as_ref(),
            rotation: received.rotation_id(),
            key_id: None,
            now: self.clock.now(),
            signing_time: self.clock.now(),
        }
    }
}

/// Whether this is what that sender would have sent: the same secrets in headers and body.
fn is_sent(received: &Received, call: &Call, sender: Sender<'_>) -> bool {
    let Ok(built) = fill(call, sender) else { return false };
    let mut secret = built.headers.iter().filter(|(_, value)| value.is_sensitive());
    secret.all(|(name, value)| received.header(name.as_str()).is_some_and(|it| it == value))
        && built.body.unwrap_or_default() == received.body()
}

/// The access token that a key is exchanged for.
fn token_for(key: &SecretValue) -> SecretValue {
    SecretValue::new(format!("token-for-{}", key.expose()))
}

fn later(time: Timestamp, delay: Duration) -> Timestamp {
    time.checked_add(delay).unwrap_or(Timestamp::MAX)
}
