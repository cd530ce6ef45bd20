//! Adyen's Management API, as far as rotating API keys and client keys needs it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Path, Request, State};
use axum::http::{HeaderMap, header};
use axum::response::Response;
use axum::routing::{get, post};
use data_encoding::BASE64;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::connection::Connection;
use super::exchange::{self, Bench, serve};
use super::keyring::{Keyring, Slot, random_hex};
use super::ledger::{Ledger, Operation};
use super::reply::Reply;
use super::simulator::Simulator;

/// The slot of the client key, and the member of the answer that holds it.
pub const CLIENT_KEY: &str = "clientKey";

/// The slot of the API key, and the member of the answer that holds it.
pub const API_KEY: &str = "apiKey";

/// The time for which Adyen accepts the key before the newest one.
const OLD_KEY_LIVES: Duration = Duration::from_hours(24);

/// Who asks, what exists, and how the provider behaves all the time.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Which key [`Simulator::current_key`] means: [`CLIENT_KEY`] or [`API_KEY`].
    pub primary: &'static str,
    /// The company account.
    pub company_id: String,
    /// The merchant account.
    pub merchant_id: String,
    /// The API credential whose keys are managed.
    pub api_credential_id: String,
    /// A key with the role that reads and writes API credentials; it is not managed.
    pub admin_key: String,
    /// A key that is accepted and lacks that role.
    pub reader_key: String,
    /// The user name and password of HTTP Basic, with that role.
    pub basic: (String, String),
    /// How long a new key is refused at first.
    pub propagation: Duration,
    /// How long a read shows the old client key.
    pub read_lag: Duration,
    /// Whether every success is a 204.
    pub answers_no_content: bool,
    /// What every minted key contains, so that a leak is recognised.
    pub canary: String,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            primary: CLIENT_KEY,
            company_id: "TestCompany".to_owned(),
            merchant_id: "TestMerchant".to_owned(),
            api_credential_id: "S2-6262224667".to_owned(),
            admin_key: "adyen-admin-key".to_owned(),
            reader_key: "adyen-reader-key".to_owned(),
            basic: ("ws@Company.TestCompany".to_owned(), "adyen-basic-password".to_owned()),
            propagation: Duration::ZERO,
            read_lag: Duration::ZERO,
            answers_no_content: false,
            canary: "CANARY".to_owned(),
        }
    }
}

/// Starts the simulator with the usual setup: client key, usable at once.
pub async fn start() -> io::Result<Simulator> {
    start_with(Setup::default()).await
}

/// Starts the simulator.
pub async fn start_with(setup: Setup) -> io::Result<Simulator> {
    let slot = |name, prefix: &str| Slot {
        name,
        prefix: format!("{prefix}{}", setup.canary),
        propagation: setup.propagation,
        read_lag: setup.read_lag,
    };
    let keys = Keyring::new([slot(CLIENT_KEY, "test_"), slot(API_KEY, "AQE")]);
    let bench = Bench::new(Ledger::new(keys), error, false);
    let primary = setup.primary;
    let adyen = Arc::new(Adyen { setup, bench: Arc::clone(&bench) });
    let routes = Router::new()
        .route("/v3/{level}/{account}/apiCredentials/{credential}/{verb}", post(generate))
        .route("/v3/{level}/{account}/apiCredentials/{credential}", get(credential))
        .route("/v3/me", get(me))
        .with_state(adyen);
    Simulator::start(bench, routes, "/v3", primary).await
}

#[derive(Debug)]
struct Adyen {
    setup: Setup,
    bench: Arc<Bench>,
}

async fn generate(
    State(adyen): State<Arc<Adyen>>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    Path((level, account, credential, verb)): Path<(String, String, String, String)>,
    request: Request,
) -> Response {
    let (parts, _) = request.into_parts();
    let target = exchange::Request::new(&parts, connection);
    let (checker, actor) = (Arc::clone(&adyen), Arc::clone(&adyen));
    let slot = match verb.as_str() {
        "generateClientKey" => Some(CLIENT_KEY),
        "generateApiKey" => Some(API_KEY),
        _ => None,
    };
    let admit = move |ledger: &Ledger, now: Timestamp| {
        checker.may_manage(&parts.headers, ledger, now)?;
        checker.knows(&level, &account, &credential)?;
        slot.map(|_| ()).ok_or_else(|| error(404))
    };
    let act = move |ledger: &mut Ledger, now: Timestamp| {
        let slot = slot.unwrap_or(CLIENT_KEY);
        let key = ledger.keys.regenerate(slot, now, OLD_KEY_LIVES);
        let reply = Reply::minted(json!({ slot: key }), slot);
        if actor.setup.answers_no_content { reply.without_content() } else { reply }
    };
    serve(&adyen.bench, Operation::Regenerate, &target, admit, act).await
}

async fn credential(
    State(adyen): State<Arc<Adyen>>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    Path((level, account, credential)): Path<(String, String, String)>,
    request: Request,
) -> Response {
    let (parts, _) = request.into_parts();
    let target = exchange::Request::new(&parts, connection);
    let (checker, actor) = (Arc::clone(&adyen), Arc::clone(&adyen));
    let admit = move |ledger: &Ledger, now: Timestamp| {
        checker.may_manage(&parts.headers, ledger, now)?;
        checker.knows(&level, &account, &credential)
    };
    let act = move |ledger: &mut Ledger, now: Timestamp| Reply::ok(actor.credential(ledger, now));
    serve(&adyen.bench, Operation::Read, &target, admit, act).await
}

async fn me(
    State(adyen): State<Arc<Adyen>>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    request: Request,
) -> Response {
    let (parts, _) = request.into_parts();
    let target = exchange::Request::new(&parts, connection);
    let (checker, actor) = (Arc::clone(&adyen), Arc::clone(&adyen));
    let admit = move |ledger: &Ledger, now: Timestamp| match checker.caller(&parts.headers, ledger, now) {
        Caller::Stranger => Err(error(401)),
        Caller::Reader | Caller::Manager => Ok(()),
    };
    let act = move |ledger: &mut Ledger, now: Timestamp| Reply::ok(actor.credential(ledger, now));
    serve(&adyen.bench, Operation::Probe, &target, admit, act).await
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Caller {
    Stranger,
    Reader,
    Manager,
}

impl Adyen {
    fn caller(&self, headers: &HeaderMap, ledger: &Ledger, now: Timestamp) -> Caller {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        if let Some(key) = text("x-api-key") {
            return match key {
                key if key == self.setup.admin_key => Caller::Manager,
                key if key == self.setup.reader_key => Caller::Reader,
                key if ledger.keys.accepted(API_KEY, now).any(|accepted| accepted == key) => Caller::Manager,
                _ => Caller::Stranger,
            };
        }
        let (user, password) = &self.setup.basic;
        let expected = format!("Basic {}", BASE64.encode(format!("{user}:{password}").as_bytes()));
        match text(header::AUTHORIZATION.as_str()) {
            Some(given) if given == expected => Caller::Manager,
            _ => Caller::Stranger,
        }
    }

    fn may_manage(&self, headers: &HeaderMap, ledger: &Ledger, now: Timestamp) -> Result<(), Reply> {
        match self.caller(headers, ledger, now) {
            Caller::Stranger => Err(error(401)),
            Caller::Reader => Err(error(403)),
            Caller::Manager => Ok(()),
        }
    }

    fn knows(&self, level: &str, account: &str, credential: &str) -> Result<(), Reply> {
        let expected = match level {
            "companies" => &self.setup.company_id,
            "merchants" => &self.setup.merchant_id,
            _ => return Err(error(404)),
        };
        if account != expected {
            return Err(error(403));
        }
        if credential != self.setup.api_credential_id {
            return Err(invalid("apiCredentialId", "no such API credential"));
        }
        Ok(())
    }

    fn credential(&self, ledger: &Ledger, now: Timestamp) -> Value {
        json!({
            "id": self.setup.api_credential_id,
            "username": self.setup.basic.0,
            "clientKey": ledger.keys.shown(CLIENT_KEY, now),
            "allowedIpAddresses": [],
            "roles": ["Management API—API credentials read and write"],
            "active": true,
        })
    }
}

/// `RestServiceError`, as all of Adyen's errors.
fn error(status: u16) -> Reply {
    let (title, detail) = match status {
        400 => ("Bad Request", "A problem reading or understanding the request."),
        401 => ("Unauthorized", "Authentication required."),
        403 => ("Forbidden", "Insufficient permissions to process the request."),
        404 => ("Not Found", "There is nothing at this path."),
        422 => ("Unprocessable Entity", "A request validation error."),
        429 => ("Too Many Requests", "Slow down."),
        _ => ("Internal Server Error", "The server could not process the request."),
    };
    Reply::new(status, "application/json", rest_service_error(status, title, detail))
}

fn invalid(name: &str, message: &str) -> Reply {
    let mut body = rest_service_error(422, "Unprocessable Entity", "A request validation error.");
    if let Some(members) = body.as_object_mut() {
        members.insert("invalidFields".to_owned(), json!([{ "name": name, "message": message }]));
    }
    Reply::new(422, "application/json", body)
}

fn rest_service_error(status: u16, title: &str, detail: &str) -> Value {
    json!({
        "type": "https://docs.adyen.com/errors/general",
        "errorCode": format!("00_{status}"),
        "title": title,
        "detail": detail,
        "status": status,
        "requestId": random_hex().to_uppercase().get(..16),
    })
}
