//! One call, from its arrival to as much of an answer as its fault lets through.

use std::sync::Arc;

use axum::http::request::Parts;
use axum::response::Response;
use jiff::Timestamp;
use tokio::sync::watch;

use super::connection::Connection;
use super::fault::{Answer, Fault, Moment};
use super::ledger::{Call, CallOutcome, Idempotency, Ledger, Operation};
use super::reply::Reply;
use crate::clock::{Clock, SystemClock};

/// How a provider words an error of which nothing but the status is known.
pub(super) type ErrorWording = fn(status: u16) -> Reply;

/// What all handlers of one simulator share.
#[derive(Debug)]
pub(super) struct Bench {
    pub(super) ledger: watch::Sender<Ledger>,
    pub(super) clock: SystemClock,
    pub(super) error: ErrorWording,
    /// Whether a success is kept for its idempotency key and given again.
    pub(super) replays: bool,
}

impl Bench {
    pub(super) fn new(ledger: Ledger, error: ErrorWording, replays: bool) -> Arc<Self> {
        let (ledger, _) = watch::channel(ledger);
        Arc::new(Self { ledger, clock: SystemClock::start(), error, replays })
    }

    /// Looks at the ledger, with the simulator's time.
    pub(super) fn look<T>(&self, look: impl FnOnce(&Ledger, Timestamp) -> T) -> T {
        let ledger = self.ledger.borrow();
        look(&ledger, self.time(&ledger))
    }

    /// Changes the ledger, with the simulator's time.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Ledger, Timestamp) -> T) -> Option<T> {
        let mut result = None;
        self.ledger.send_modify(|ledger| {
            let now = self.time(ledger);
            result = Some(change(ledger, now));
        });
        result
    }

    fn time(&self, ledger: &Ledger) -> Timestamp {
        self.clock.now().checked_add(ledger.clock_offset).unwrap_or(Timestamp::MAX)
    }
}

/// Serves one call: `admit` checks who asks, `act` does what is asked.
///
/// The work goes on when the caller goes away, as at a real provider.
pub(super) async fn serve(
    bench: &Arc<Bench>,
    operation: Operation,
    request: &Request,
    admit: impl FnOnce(&Ledger, Timestamp) -> Result<(), Reply> + Send + 'static,
    act: impl FnOnce(&mut Ledger, Timestamp) -> Reply + Send + 'static,
) -> Response {
    let work = work(Arc::clone(bench), operation, request.clone(), admit, act);
    match tokio::spawn(work).await {
        Ok((reply, answer)) => reply.deliver(&answer, &request.connection).await,
        Err(_) => (bench.error)(500).deliver(&Answer::Dropped, &request.connection).await,
    }
}

/// What the exchange needs to know of a request.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) connection: Connection,
    pub(super) target: String,
    pub(super) idempotency_key: Option<String>,
    pub(super) brought: Option<u64>,
}

impl Request {
    pub(super) fn new(parts: &Parts, connection: Connection) -> Self {
        let idempotency_key = parts.headers.get("idempotency-key").and_then(|value| value.to_str().ok());
        Self {
            connection,
            target: format!("{} {}", parts.method, parts.uri),
            idempotency_key: idempotency_key.map(str::to_owned),
            brought: None,
        }
    }
}

async fn work(
    bench: Arc<Bench>,
    operation: Operation,
    request: Request,
    admit: impl FnOnce(&Ledger, Timestamp) -> Result<(), Reply>,
    act: impl FnOnce(&mut Ledger, Timestamp) -> Reply,
) -> (Reply, Answer) {
    let key = request.idempotency_key.clone().filter(|_| bench.replays && operation == Operation::Regenerate);
    let opened = bench.change(|ledger, at| {
        let call = Call {
            operation,
            target: request.target,
            idempotency_key: request.idempotency_key,
            brought: request.brought,
            at,
            outcome: CallOutcome::InFlight,
        };
        ledger.open_call(call)
    });
    let (place, fault) = opened.unwrap_or((usize::MAX, Fault::none()));

    let settled =
        bench.change(|ledger, now| settle_early(&bench, ledger, now, key.as_deref(), admit)).flatten();
    if let Some((reply, outcome)) = settled {
        bench.change(|ledger, _| ledger.close_call(place, outcome));
        return (reply, Answer::AsItIs);
    }

    fault.wait(Moment::BeforeCommit).await;
    let acted = if fault.commits() { bench.change(act) } else { None };
    let done = acted.as_ref().filter(|reply| reply.is_success()).map(Reply::outcome);
    let reply = spoil(&bench, acted, fault.answer());
    let outcome = done.unwrap_or_else(|| CallOutcome::Refused(reply.status()));
    bench.change(|ledger, _| ledger.close_call(place, outcome));
    fault.wait(Moment::AfterCommit).await;
    if let Some(key) = key {
        bench.change(|ledger, now| ledger.end(&key, &reply, now));
    }
    (reply, fault.answer().clone())
}

/// The answer to a call that does nothing new: a stranger's, a repeated one, one too many.
fn settle_early(
    bench: &Bench,
    ledger: &mut Ledger,
    now: Timestamp,
    key: Option<&str>,
    admit: impl FnOnce(&Ledger, Timestamp) -> Result<(), Reply>,
) -> Option<(Reply, CallOutcome)> {
    if let Err(refusal) = admit(ledger, now) {
        let outcome = CallOutcome::Refused(refusal.status());
        return Some((refusal, outcome));
    }
    match ledger.begin(key?, now) {
        Idempotency::New => None,
        Idempotency::InProgress => Some(((bench.error)(409), CallOutcome::Refused(409))),
        Idempotency::Answered(reply) => Some((reply, CallOutcome::Replayed)),
    }
}

/// What the provider says, given what it did and what shall go wrong with saying it.
fn spoil(bench: &Bench, acted: Option<Reply>, answer: &Answer) -> Reply {
    let reply = acted.unwrap_or_else(|| (bench.error)(500));
    match answer {
        Answer::Status { status, retry_after } => (bench.error)(*status).retry_after(retry_after.clone()),
        Answer::NoContent if reply.is_success() => reply.without_content(),
        Answer::NullValue => reply.without_value(),
        _ => reply,
    }
}
