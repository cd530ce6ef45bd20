//! Spritz's integrator secret: signed requests, a requested grace, no way to read the secret back.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, Method, Uri, header};
use axum::response::Response;
use axum::routing::{get, post};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::connection::Connection;
use super::exchange::{self, Bench, serve};
use super::keyring::{Keyring, Slot, later};
use super::ledger::{Ledger, Operation};
use super::reply::Reply;
use super::simulator::Simulator;
use super::spritz_signature::{Signed, signature};

/// The slot of the secret, and the member of the answer that holds it.
const SECRET: &str = "secret";

/// How far a request's timestamp may be from the provider's clock.
const TIMESTAMP_TOLERANCE: Duration = Duration::from_mins(5);

/// The longest grace that may be asked for.
const GRACE_SECONDS_MAX: f64 = 3600.0;

const BODY_BYTES_MAX: usize = 64 * 1024;

/// Who asks, what exists, and how the provider behaves all the time.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The integrator's public key; it does not rotate.
    pub integrator_key: String,
    /// A user's key that must come as a bearer token, where the provider wants one.
    pub user_key: Option<String>,
    /// Whether an old secret may sign a regeneration while it lives; Spritz says nothing about it.
    pub old_secret_signs: bool,
    /// How long a new secret is refused at first.
    pub propagation: Duration,
    /// What every minted secret contains, so that a leak is recognised.
    pub canary: String,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            integrator_key: "int_123".to_owned(),
            user_key: None,
            old_secret_signs: true,
            propagation: Duration::ZERO,
            canary: "CANARY".to_owned(),
        }
    }
}

/// Starts the simulator with the usual setup.
pub async fn start() -> io::Result<Simulator> {
    start_with(Setup::default()).await
}

/// Starts the simulator.
pub async fn start_with(setup: Setup) -> io::Result<Simulator> {
    let slot = Slot {
        name: SECRET,
        prefix: format!("sk_int_{}", setup.canary),
        propagation: setup.propagation,
        read_lag: Duration::ZERO,
    };
    let bench = Bench::new(Ledger::new(Keyring::new([slot])), error, false);
    let spritz = Arc::new(Spritz { setup, bench: Arc::clone(&bench) });
    let routes = Router::new()
        .route("/v1/integrator/regenerate-secret", post(regenerate))
        .route("/v1/integrator/", get(profile))
        .with_state(spritz);
    Simulator::start(bench, routes, "", SECRET).await
}

#[derive(Debug)]
struct Spritz {
    setup: Setup,
    bench: Arc<Bench>,
}

async fn regenerate(
    State(spritz): State<Arc<Spritz>>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, BODY_BYTES_MAX).await.unwrap_or_default();
    let grace = requested_grace(&parts.headers, &body);
    let (checker, target) = (Arc::clone(&spritz), exchange::Request::new(&parts, connection));
    let admit = move |ledger: &Ledger, now: Timestamp| {
        checker.check_signature(&parts.headers, &parts.method, &parts.uri, &body, ledger, now)?;
        let newest = ledger.keys.current(SECRET);
        let is_newest = is_signed_with(&newest, &parts.headers, &parts.method, &parts.uri, &body);
        if !is_newest && !checker.setup.old_secret_signs {
            return Err(unauthorized("an old secret may not sign a regeneration"));
        }
        grace.map(|_| ()).map_err(invalid)
    };
    let act = move |ledger: &mut Ledger, now: Timestamp| {
        let grace = grace.unwrap_or_default();
        let secret = ledger.keys.regenerate(SECRET, now, grace);
        let mut answer = json!({ "secret": secret });
        if let (false, Some(members)) = (grace.is_zero(), answer.as_object_mut()) {
            let expires_at = format!("{:.3}", later(now, grace));
            members.insert("oldSecretExpiresAt".to_owned(), Value::String(expires_at));
        }
        Reply::minted(answer, SECRET)
    };
    serve(&spritz.bench, Operation::Regenerate, &target, admit, act).await
}

async fn profile(
    State(spritz): State<Arc<Spritz>>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    request: Request,
) -> Response {
    let (parts, _) = request.into_parts();
    let (checker, actor) = (Arc::clone(&spritz), Arc::clone(&spritz));
    let target = exchange::Request::new(&parts, connection);
    let admit = move |ledger: &Ledger, now: Timestamp| {
        checker.check_signature(&parts.headers, &parts.method, &parts.uri, b"", ledger, now)
    };
    let act = move |_: &mut Ledger, _| {
        Reply::ok(json!({
            "id": "6646d8a5d8c2f3a1b2c3d4e5",
            "integratorKey": actor.setup.integrator_key,
            "name": "Test Integrator",
            "email": "integrator@example.com",
            "canSubsidizeUserFees": false,
            "achDebitEnabled": false,
            "billPayEnabled": true,
            "createdAt": "2024-06-30T01:02:29.212Z",
        }))
    };
    serve(&spritz.bench, Operation::Probe, &target, admit, act).await
}

impl Spritz {
    fn check_signature(
        &self,
        headers: &HeaderMap,
        method: &Method,
        uri: &Uri,
        body: &[u8],
        ledger: &Ledger,
        now: Timestamp,
    ) -> Result<(), Reply> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if text("x-integrator-key") != self.setup.integrator_key {
            return Err(unauthorized("unknown integrator key"));
        }
        if let Some(user_key) = &self.setup.user_key
            && text(header::AUTHORIZATION.as_str()) != format!("Bearer {user_key}")
        {
            return Err(unauthorized("a user's bearer token is required"));
        }
        let sent_at = text("x-timestamp").parse().ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
        let in_time = |sent_at: Timestamp| now.duration_since(sent_at).unsigned_abs() <= TIMESTAMP_TOLERANCE;
        if !sent_at.is_some_and(in_time) {
            return Err(unauthorized("the timestamp is missing or too far from the present"));
        }
        let mut secrets = ledger.keys.accepted(SECRET, now);
        if secrets.any(|secret| is_signed_with(secret, headers, method, uri, body)) {
            return Ok(());
        }
        Err(unauthorized("the signature does not match"))
    }
}

fn is_signed_with(secret: &str, headers: &HeaderMap, method: &Method, uri: &Uri, body: &[u8]) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let timestamp = text("x-timestamp");
    let request = Signed { timestamp, method: method.as_str(), path: uri.path(), query: uri.query(), body };
    signature(secret, &request) == text("x-signature")
}

/// The grace that the body asks for, or what is wrong with it.
fn requested_grace(headers: &HeaderMap, body: &[u8]) -> Result<Duration, &'static str> {
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if !media_type.is_some_and(|media_type| media_type.starts_with("application/json")) {
        return Err("the body must be application/json");
    }
    let body: Value = serde_json::from_slice(body).map_err(|_| "the body must be JSON")?;
    let members = body.as_object().ok_or("the body must be an object")?;
    let Some(seconds) = members.get("oldSecretValidForSeconds") else { return Ok(Duration::ZERO) };
    match seconds.as_f64() {
        Some(seconds) if (0.0..=GRACE_SECONDS_MAX).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err("oldSecretValidForSeconds must be a number between 0 and 3600"),
    }
}

fn invalid(message: &'static str) -> Reply {
    let mut body = problem(400, "urn:problem-type:validation:invalid-fields", "Invalid fields");
    if let Some(members) = body.as_object_mut() {
        let field = json!([{ "field": "oldSecretValidForSeconds", "message": message, "code": "invalid" }]);
        members.insert("errors".to_owned(), field);
    }
    Reply::new(400, PROBLEM_JSON, body)
}

fn unauthorized(detail: &str) -> Reply {
    let mut body = problem(401, "urn:problem-type:auth:unauthorized", "Unauthorized");
    if let Some(members) = body.as_object_mut() {
        members.insert("detail".to_owned(), Value::String(detail.to_owned()));
        members.insert("realm".to_owned(), Value::String("integrator".to_owned()));
    }
    Reply::new(401, PROBLEM_JSON, body)
}

const PROBLEM_JSON: &str = "application/problem+json";

/// The problem of RFC 9457 for a status.
fn error(status: u16) -> Reply {
    let (kind, title) = match status {
        400 => ("validation:invalid-fields", "Invalid fields"),
        401 => ("auth:unauthorized", "Unauthorized"),
        403 => ("auth:forbidden", "Forbidden"),
        404 => ("resource:not-found", "Not found"),
        409 => ("resource:conflict", "Conflict"),
        429 => ("system:rate-limited", "Too many requests"),
        503 => ("system:service-unavailable", "Service unavailable"),
        _ => ("system:internal-error", "Internal error"),
    };
    Reply::new(status, PROBLEM_JSON, problem(status, &format!("urn:problem-type:{kind}"), title))
}

fn problem(status: u16, kind: &str, title: &str) -> Value {
    json!({ "type": kind, "title": title, "status": status, "instance": "/v1/integrator" })
}
