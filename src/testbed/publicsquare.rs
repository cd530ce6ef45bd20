//! PublicSquare's API keys, with idempotent answers.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Path, Request, State};
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::{get, post};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::connection::Connection;
use super::exchange::{self, Bench, serve};
use super::keyring::{Keyring, Slot};
use super::ledger::{Ledger, Operation};
use super::reply::Reply;
use super::simulator::Simulator;

/// The slot of the managed key, and the member of the answer that holds it.
const KEY: &str = "key";

/// Who asks, what exists, and how the provider behaves all the time.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The id of the managed API key.
    pub key_id: String,
    /// The managed key's name, which every answer shows.
    pub name: String,
    /// A restricted key with `api-key:read` and `api-key:write`; it is not managed.
    pub rotator_key: String,
    /// A restricted key with `api-key:read` alone.
    pub reader_key: String,
    /// Whether the managed key may regenerate itself.
    pub rotates_itself: bool,
    /// How long the old key lives on; PublicSquare says nothing about it.
    pub grace: Duration,
    /// How long a new key is refused at first.
    pub propagation: Duration,
    /// What every minted key contains, so that a leak is recognised.
    pub canary: String,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            key_id: "key_7Ay5mcUXAxwrN6wQEQUVEHBCJ".to_owned(),
            name: "Test Application".to_owned(),
            rotator_key: "publicsquare-rotator-key".to_owned(),
            reader_key: "publicsquare-reader-key".to_owned(),
            rotates_itself: true,
            grace: Duration::ZERO,
            propagation: Duration::ZERO,
            canary: "CANARY".to_owned(),
        }
    }
}

/// Starts the simulator with the usual setup: the old key dies at once.
pub async fn start() -> io::Result<Simulator> {
    start_with(Setup::default()).await
}

/// Starts the simulator.
pub async fn start_with(setup: Setup) -> io::Result<Simulator> {
    let slot = Slot {
        name: KEY,
        prefix: format!("sk_test_{}", setup.canary),
        propagation: setup.propagation,
        read_lag: Duration::ZERO,
    };
    let bench = Bench::new(Ledger::new(Keyring::new([slot])), error, true);
    let square = Arc::new(PublicSquare { setup, bench: Arc::clone(&bench) });
    let routes = Router::new()
        .route("/api-keys/{id}/regenerate", post(regenerate))
        .route("/api-keys/{id}/reveal", get(reveal))
        .route("/api-keys/{id}", get(describe))
        .route("/permissions", get(permissions))
        .with_state(square);
    Simulator::start(bench, routes, "", KEY).await
}

#[derive(Debug)]
struct PublicSquare {
    setup: Setup,
    bench: Arc<Bench>,
}

async fn regenerate(
    State(square): State<Arc<PublicSquare>>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    Path(id): Path<String>,
    request: Request,
) -> Response {
    let (parts, _) = request.into_parts();
    let target = exchange::Request::new(&parts, connection);
    let (checker, actor) = (Arc::clone(&square), Arc::clone(&square));
    let admit = move |ledger: &Ledger, now: Timestamp| {
        checker.require(Scope::Write, &parts.headers, ledger, now)?;
        checker.knows(&id)
    };
    let act = move |ledger: &mut Ledger, now: Timestamp| {
        let key = ledger.keys.regenerate(KEY, now, actor.setup.grace);
        Reply::minted(actor.api_key(ledger, Some(&key)), KEY)
    };
    serve(&square.bench, Operation::Regenerate, &target, admit, act).await
}

async fn reveal(
    State(square): State<Arc<PublicSquare>>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    Path(id): Path<String>,
    request: Request,
) -> Response {
    read(square, connection, id, request, true).await
}

async fn describe(
    State(square): State<Arc<PublicSquare>>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    Path(id): Path<String>,
    request: Request,
) -> Response {
    read(square, connection, id, request, false).await
}

async fn read(
    square: Arc<PublicSquare>,
    connection: Connection,
    id: String,
    request: Request,
    revealing: bool,
) -> Response {
    let (parts, _) = request.into_parts();
    let target = exchange::Request::new(&parts, connection);
    let (checker, actor) = (Arc::clone(&square), Arc::clone(&square));
    let admit = move |ledger: &Ledger, now: Timestamp| {
        checker.require(Scope::Read, &parts.headers, ledger, now)?;
        checker.knows(&id)
    };
    let act = move |ledger: &mut Ledger, _| {
        let key = ledger.keys.current(KEY);
        Reply::minted(actor.api_key(ledger, revealing.then_some(&key)), KEY)
    };
    serve(&square.bench, Operation::Read, &target, admit, act).await
}

async fn permissions(
    State(square): State<Arc<PublicSquare>>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    request: Request,
) -> Response {
    let (parts, _) = request.into_parts();
    let target = exchange::Request::new(&parts, connection);
    let checker = Arc::clone(&square);
    let admit =
        move |ledger: &Ledger, now: Timestamp| checker.require(Scope::None, &parts.headers, ledger, now);
    let act = |_: &mut Ledger, _| {
        Reply::ok(json!([{ "type": "api-key:write", "description": "Save API key information" }]))
    };
    serve(&square.bench, Operation::Probe, &target, admit, act).await
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Scope {
    None,
    Read,
    Write,
}

impl PublicSquare {
    fn require(
        &self,
        needed: Scope,
        headers: &HeaderMap,
        ledger: &Ledger,
        now: Timestamp,
    ) -> Result<(), Reply> {
        let given = headers.get("x-api-key").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let held = if given == self.setup.rotator_key {
            Scope::Write
        } else if given == self.setup.reader_key {
            Scope::Read
        } else if ledger.keys.accepts(given, now) {
            if self.setup.rotates_itself { Scope::Write } else { Scope::None }
        } else {
            return Err(error(401));
        };
        if held < needed { Err(error(403)) } else { Ok(()) }
    }

    fn knows(&self, id: &str) -> Result<(), Reply> {
        if !is_id(id) {
            return Err(invalid_id());
        }
        if id == self.setup.key_id { Ok(()) } else { Err(error(404)) }
    }

    fn api_key(&self, ledger: &Ledger, key: Option<&String>) -> Value {
        json!({
            "id": self.setup.key_id,
            "account_id": "acc_B518niGwGYKzig6vtrRVZGGGV",
            "environment": "test",
            "key": key,
            "type": "secret",
            "created_at": "2024-06-30T01:02:29.212Z",
            "modified_at": ledger.keys.modified_at(KEY),
            "name": self.setup.name,
            "permissions": ["api-key:read", "api-key:write"],
        })
    }
}

/// `^[a-zA-Z]{2,6}_[1-9A-HJ-NP-Za-km-z]+$`, at most 50 characters.
fn is_id(text: &str) -> bool {
    let base58 = |c: char| c.is_ascii_alphanumeric() && !matches!(c, '0' | 'I' | 'O' | 'l');
    let Some((kind, rest)) = text.split_once('_') else { return false };
    text.len() <= 50
        && (2..=6).contains(&kind.len())
        && kind.chars().all(|c| c.is_ascii_alphabetic())
        && !rest.is_empty()
        && rest.chars().all(base58)
}

/// `ProblemDetails` of RFC 7807.
fn error(status: u16) -> Reply {
    let title = match status {
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        409 => "Conflict",
        422 => "Unprocessable Entity",
        429 => "Too Many Requests",
        _ => "An error occurred while processing your request.",
    };
    let kind = format!("https://httpstatuses.io/{status}");
    let body = json!({ "type": kind, "title": title, "status": status, "detail": null, "instance": null });
    Reply::new(status, "application/json", body)
}

/// `ValidationProblemDetails`.
fn invalid_id() -> Reply {
    let body = json!({
        "type": "https://tools.ietf.org/html/rfc9110#section-15.5.1",
        "title": "One or more validation errors occurred.",
        "status": 400,
        "errors": { "id": ["The field id must match the regular expression '^[a-zA-Z]{2,6}_[1-9A-HJ-NP-Za-km-z]+$'."] },
    });
    Reply::new(400, "application/json", body)
}
