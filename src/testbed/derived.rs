//! A simulator of any definition: the provider that is derived from it, with the faults that all simulators know.
//!
//! What the answers to its calls look like, who may make them and which keys live is `provider::simulator`'s to say.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::sync::Arc;

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{ConnectInfo, Request, State};
use axum::response::Response;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::connection::Connection;
use super::exchange::{self, Bench, serve};
use super::keyring::{Key, Keyring};
use super::ledger::{Ledger, Operation};
use super::reply::Reply;
use super::simulator::Simulator;
use crate::clock::SystemClock;
use crate::provider::BoundDefinition;
use crate::provider::simulator::{Asked, Received, Simulator as Provider, Trouble};
use crate::secret::SecretValue;

/// What the simulated provider knows beyond what all of them do.
#[derive(Debug, Clone)]
pub struct Derived {
    provider: Arc<Provider<SystemClock>>,
    bench: Arc<Bench>,
}

/// A key at the provider; its number is its place among all of them.
#[derive(Debug, Clone)]
pub struct DerivedKey {
    /// The key.
    pub value: String,
    /// What goes with it, by the definition's names.
    pub fields: BTreeMap<String, String>,
    /// Its id, where keys live side by side.
    pub id: String,
    /// The rotation that it was made for, where the call said so.
    pub rotation_id: Option<String>,
    /// When it died, or will.
    pub dies_at: Option<Timestamp>,
    /// Whether it is none of keyturn's, and was there at first.
    pub is_foreign: bool,
}

/// Starts the provider of a definition. `admin` may ask it, unless the key signs for itself; `extra` are the further secrets.
pub async fn start(
    bound: BoundDefinition,
    admin: &str,
    extra: &[(String, String)],
) -> io::Result<(Simulator, Derived)> {
    let base_path = bound.base_url().path().trim_end_matches('/').to_owned();
    let admin = SecretValue::new(admin.to_owned());
    let extra = extra.iter().map(|(name, secret)| (name.clone(), SecretValue::new(secret.clone()))).collect();
    let provider = Arc::new(Provider::new(bound, SystemClock::start(), Trouble::None, admin, extra));
    let bench = Bench::new(Ledger::new(keyring(&provider)), error, false);
    let derived = Derived { provider, bench: Arc::clone(&bench) };
    let routes = Router::new().fallback(answer).with_state(derived.clone());
    Ok((Simulator::start(bench, routes, &base_path, KEYS).await?, derived))
}

impl Derived {
    /// All keys that there ever were.
    pub fn keys(&self) -> Vec<DerivedKey> {
        let foreign = self.provider.foreign();
        let known = self.provider.known_keys().into_iter().enumerate();
        let keys = known.map(|(number, key)| DerivedKey {
            value: key.secret.key.expose().to_owned(),
            fields: key
                .secret
                .fields
                .iter()
                .map(|(name, value)| (name.clone(), value.expose().to_owned()))
                .collect(),
            id: Provider::<SystemClock>::id_of(number),
            rotation_id: key.rotation.map(|rotation| rotation.to_string()),
            dies_at: ends(key.dies_at),
            is_foreign: foreign.contains(&number),
        });
        keys.collect()
    }

    /// Revokes a key behind everybody's back.
    pub fn revoke_by_hand(&self, number: usize) {
        self.bench.change(|ledger, _| {
            self.provider.kill(number);
            ledger.keys = keyring(&self.provider);
        });
    }
}

/// The one place of a simulator that all keys are in, whatever the definition has.
const KEYS: &str = "keys";

const BODY_BYTES_MAX: usize = 256 * 1024;

async fn answer(
    State(derived): State<Derived>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    // What did not arrive whole is no request.
    let Ok(body) = to_bytes(body, BODY_BYTES_MAX).await else {
        connection.cut();
        return Response::default();
    };
    let headers = parts.headers.iter().map(|(name, value)| {
        (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    });
    let target = parts.uri.path_and_query().map_or_else(String::new, ToString::to_string);
    let received = Received::new(parts.method.to_string(), target, headers.collect(), body.to_vec());
    let provider = Arc::clone(&derived.provider);
    let told = exchange::Request {
        idempotency_key: received.rotation_id().map(|rotation| rotation.to_string()),
        brought: provider.brought_by(&received).map(|key| told_apart(key.expose())),
        ..exchange::Request::new(&parts, connection)
    };
    let operation = operation(provider.asked(&received));
    let act = move |ledger: &mut Ledger, _| {
        let made_before = provider.made();
        let reply = provider.answer(received);
        let secret_at = provider.key_in_an_answer();
        let status = reply.status_code();
        let whole = match reply.value() {
            Some(body) => Reply::new(status, "application/json", body).with_secret_at(secret_at),
            None => Reply::bare(status),
        };
        ledger.keys = keyring(&provider);
        let is_new = operation != Operation::Regenerate || provider.made() > made_before;
        if is_new { whole } else { whole.repeated() }
    };
    serve(&derived.bench, operation, &told, |_, _| Ok(()), act).await
}

const fn operation(asked: Asked) -> Operation {
    match asked {
        Asked::Token => Operation::Token,
        Asked::Regenerate => Operation::Regenerate,
        Asked::Read | Asked::Marker => Operation::Read,
        Asked::Probe => Operation::Probe,
        Asked::List => Operation::List,
        Asked::Revoke | Asked::Activate | Asked::Discard => Operation::Revoke,
        Asked::SomethingElse => Operation::Unknown,
    }
}

/// The keys as every simulator has them: those that are none of keyturn's come first, so that the newest is the credential's.
fn keyring(provider: &Provider<SystemClock>) -> Keyring {
    let foreign = provider.foreign();
    let (others, own): (Vec<_>, Vec<_>) =
        provider.known_keys().into_iter().enumerate().partition(|(number, _)| foreign.contains(number));
    let keys = others.into_iter().chain(own).map(|(_, key)| Key {
        value: key.secret.key.expose().to_owned(),
        minted_at: key.accepted_from,
        usable_at: key.accepted_from,
        dies_at: ends(key.dies_at),
    });
    Keyring::holding(KEYS, keys.collect())
}

fn ends(dies_at: Timestamp) -> Option<Timestamp> {
    (dies_at < Timestamp::MAX).then_some(dies_at)
}

fn told_apart(key: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

fn error(status: u16) -> Reply {
    let body: Value = json!({ "status": status });
    Reply::new(status, "application/json", body)
}
