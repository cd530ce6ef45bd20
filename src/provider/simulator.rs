//! A provider on this machine, derived from a definition: it does what the definition declares, and one thing wrong.
//!
//! It knows a caller by building the request again with every key that lives: whatever the scheme, the one whose
//! secret headers are the received ones has signed. So it shares the clock of whoever calls it.

mod exchange;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use data_encoding::BASE64;
use jiff::Timestamp;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;

use self::exchange::{Received, Reply};
use super::bind::BoundDefinition;
use super::definition::{Expiry, ExpiryForm, SecretEncoding};
use super::request::{Sender, fill};
use super::wire::{Call, KeyPlace, SecretHeader, Signing};
use crate::clock::Clock;
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
}

/// A call that came, and how it was answered; absent: the connection broke.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// What was asked: `token`, `regenerate`, `read`, `probe`, or `something else`.
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
    accepted_from: Timestamp,
    dies_at: Timestamp,
}

impl<C: Clock> Simulator<C> {
    /// A provider whose one key is number 0, and which `admin` may ask, unless the key signs for itself.
    pub fn new(
        bound: BoundDefinition,
        clock: C,
        trouble: Trouble,
        admin: SecretValue,
        extra: Vec<(String, SecretValue)>,
    ) -> Self {
        let first =
            Key { value: Self::key_number(0), accepted_from: Timestamp::UNIX_EPOCH, dies_at: Timestamp::MAX };
        let state = State { keys: vec![first], ..State::default() };
        Self { bound, clock, trouble, admin, extra, state: watch::Sender::new(state) }
    }

    /// A key that it makes: 32 hexadecimal digits, which are base64 and a header's value too.
    pub fn key_number(number: usize) -> SecretValue {
        SecretValue::new(format!("{:032x}", 0x6b65_7974_7572_6e00_u128 + number as u128))
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
            _ => {}
        }
        let whole = match trouble {
            Trouble::NoValue(status) => {
                self.make_key(now);
                Reply::status(status)
            }
            _ => self.new_answer(now),
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

    fn new_answer(&self, now: Timestamp) -> Reply {
        let facts = &self.bound.wire.answer;
        let key = self.make_key(now);
        let mut body = self.success();
        let inside = facts.key.as_ref().map_or_else(String::new, |place| {
            let inside = element(&mut body, place);
            put_key(&mut body, &inside, place, &key);
            inside
        });
        if let Some(expiry) = &facts.previous_expires_at {
            let dies_at = later(now, facts.grace.unwrap_or_default());
            put(&mut body, &format!("{inside}{}", expiry.at.as_str()), written(expiry, dies_at, now));
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

    /// Makes a key, lets the others live for the grace window, and gives its text.
    fn make_key(&self, now: Timestamp) -> String {
        let plan = self.bound.plan();
        let dies_at = later(now, plan.grace.unwrap_or_default());
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
            state.keys.push(Key { value, accepted_from, dies_at: Timestamp::MAX });
        });
        Self::key_number(number).expose().to_owned()
    }

    fn read(&self, received: &Received, call: &Call, place: &KeyPlace) -> Reply {
        if !self.may_ask(received, call) {
            return Reply::status(401);
        }
        let mut body = self.success();
        let newest = self.state.borrow().keys.last().map(|key| key.value.duplicate());
        let inside = element(&mut body, place);
        put_key(&mut body, &inside, place, newest.as_ref().map_or("", SecretValue::expose));
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
        let mut signed =
            known.filter(|key| self.is_sent(received, &token.call, &token.signing, key, &nothing));
        Some(signed.next().map_or_else(
            || Reply::status(401),
            |key| {
                let token = token_for(key);
                Reply::json(200, &serde_json::json!({ "access_token": token.expose(), "expires_in": 3600 }))
            },
        ))
    }

    fn may_ask(&self, received: &Received, call: &Call) -> bool {
        let signing = &self.bound.wire.signing;
        if self.bound.plan().self_authenticating {
            self.is_accepted(received, call, signing)
        } else {
            self.is_signed(received, call, signing, &self.admin)
        }
    }

    /// Whether a key has signed that lives and is accepted by now.
    fn is_accepted(&self, received: &Received, call: &Call, signing: &Signing) -> bool {
        let now = self.clock.now();
        let state = self.state.borrow();
        let mut accepted = state.keys.iter().filter(|key| key.accepted_from <= now && now < key.dies_at);
        accepted.any(|key| self.is_signed(received, call, signing, &key.value))
    }

    fn is_signed(&self, received: &Received, call: &Call, signing: &Signing, key: &SecretValue) -> bool {
        let token = matches!(signing, Signing::Oauth2(_)).then(|| token_for(key));
        self.is_sent(received, call, signing, token.as_ref().unwrap_or(key), &self.bound.wire.extra)
    }

    /// Whether this is what a sender with that key would have sent: the same secrets in headers and body.
    fn is_sent(
        &self,
        received: &Received,
        call: &Call,
        signing: &Signing,
        key: &SecretValue,
        extra_headers: &BTreeMap<String, SecretHeader>,
    ) -> bool {
        let sender = Sender {
            signing,
            main: key,
            extra: &self.extra,
            extra_headers,
            id_header: self.bound.wire.idempotency_header.as_ref(),
            rotation: received.rotation_id(),
            now: self.clock.now(),
            signing_time: self.clock.now(),
        };
        let Ok(built) = fill(call, sender) else { return false };
        let mut secret = built.headers.iter().filter(|(_, value)| value.is_sensitive());
        secret.all(|(name, value)| received.header(name.as_str()).is_some_and(|it| it == value))
            && built.body.unwrap_or_default() == received.body()
    }
}

/// The access token that a key is exchanged for.
fn token_for(key: &SecretValue) -> SecretValue {
    SecretValue::new(format!("token-for-{}", key.expose()))
}

/// Where a key's place begins: in the whole, or in the one element of a list that is meant.
fn element(body: &mut Value, place: &KeyPlace) -> String {
    let Some(among) = &place.among else { return String::new() };
    let inside = format!("{}/0", among.list.as_str());
    put(body, &format!("{inside}{}", among.condition.at.as_str()), among.condition.is.clone());
    inside
}

fn put_key(body: &mut Value, inside: &str, place: &KeyPlace, key: &str) {
    let key = match place.encoding {
        SecretEncoding::Text => key.to_owned(),
        SecretEncoding::Base64 => BASE64.encode(key.as_bytes()),
    };
    put(body, &format!("{inside}{}", place.secret.as_str()), key.into());
}

fn written(expiry: &Expiry, at: Timestamp, now: Timestamp) -> Value {
    match expiry.form {
        ExpiryForm::Rfc3339 => at.to_string().into(),
        ExpiryForm::Date => at.strftime("%Y-%m-%d").to_string().into(),
        ExpiryForm::UnixSeconds => at.as_second().into(),
        ExpiryForm::UnixMilliseconds => at.as_millisecond().into(),
        ExpiryForm::SecondsFromNow => at.duration_since(now).as_secs().into(),
    }
}

fn later(time: Timestamp, delay: Duration) -> Timestamp {
    time.checked_add(delay).unwrap_or(Timestamp::MAX)
}

/// Puts a value where a JSON pointer finds it again, with everything around it that is needed.
fn put(document: &mut Value, pointer: &str, value: Value) {
    let mut place = document;
    for token in pointer.split('/').skip(1) {
        let name = token.replace("~1", "/").replace("~0", "~");
        place = match name.parse::<usize>() {
            Ok(index) if !place.is_object() => {
                if !place.is_array() {
                    *place = Value::Array(Vec::new());
                }
                let Some(items) = place.as_array_mut() else { return };
                while items.len() <= index.min(INDEX_MAX) {
                    items.push(Value::Null);
                }
                let Some(item) = items.get_mut(index) else { return };
                item
            }
            _ => {
                if !place.is_object() {
                    *place = Value::Object(serde_json::Map::new());
                }
                let Some(members) = place.as_object_mut() else { return };
                members.entry(name).or_insert(Value::Null)
            }
        };
    }
    *place = value;
}

/// No answer has its key so far down a list.
const INDEX_MAX: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_found_where_it_was_put() {
        let mut document = Value::Null;
        for pointer in ["/data/0/key", "/data/0/until", "/a~1b/~0c", "/data/2"] {
            put(&mut document, pointer, pointer.into());
        }
        for pointer in ["/data/0/key", "/data/0/until", "/a~1b/~0c", "/data/2"] {
            assert_eq!(document.pointer(pointer), Some(&Value::from(pointer)), "{document}");
        }
        put(&mut document, "", "whole".into());
        assert_eq!(document, "whole");
    }
}
