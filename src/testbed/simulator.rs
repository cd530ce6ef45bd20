//! A simulated provider, as a test holds it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use jiff::SignedDuration;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::connection::{BreakableListener, Connection};
use super::exchange::Bench;
use super::fault::Fault;
use super::ledger::{Call, CallOutcome, Operation};

/// A provider on a loopback port; it stops, and breaks all its connections, when it is dropped.
#[derive(Debug)]
pub struct Simulator {
    base_url: String,
    primary_slot: &'static str,
    bench: Arc<Bench>,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl Simulator {
    pub(super) async fn start(
        bench: Arc<Bench>,
        routes: Router,
        base_path: &str,
        primary_slot: &'static str,
    ) -> io::Result<Self> {
        let stop = CancellationToken::new();
        let (ready, bound) = oneshot::channel();
        let stopped = stop.clone();
        // Its own thread and runtime: a test may block, pause its clock, or wait for another process.
        let thread = std::thread::Builder::new()
            .name("simulator".to_owned())
            .spawn(move || run(routes, ready, stopped))?;
        let address = bound.await.map_err(io::Error::other)??;
        let base_url = format!("http://{address}{base_path}");
        Ok(Self { base_url, primary_slot, bench, stop, thread: Some(thread) })
    }

    /// Where a credential's configuration points to, without a trailing slash.
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// All regenerate calls so far, oldest first.
    pub fn calls(&self) -> Vec<Call> {
        self.calls_of(Operation::Regenerate)
    }

    /// All calls of one kind so far, oldest first.
    pub fn calls_of(&self, operation: Operation) -> Vec<Call> {
        self.bench.look(|ledger, _| {
            ledger.calls.iter().filter(|call| call.operation == operation).cloned().collect()
        })
    }

    /// How many keys the provider has minted for calls.
    pub fn minted_count(&self) -> usize {
        self.calls().iter().filter(|call| call.outcome == CallOutcome::Done).count()
    }

    /// Ends when so many regenerate calls have arrived.
    pub async fn called(&self, count: usize) {
        let mut ledger = self.bench.ledger.subscribe();
        let regenerates =
            |calls: &[Call]| calls.iter().filter(|call| call.operation == Operation::Regenerate).count();
        // The sender lives in `self`, so the wait cannot end early.
        ledger.wait_for(|ledger| regenerates(&ledger.calls) >= count).await.ok();
    }

    /// Ends when no call is being worked on any more.
    pub async fn settled(&self) {
        let mut ledger = self.bench.ledger.subscribe();
        let in_flight = |calls: &[Call]| calls.iter().any(|call| call.outcome == CallOutcome::InFlight);
        // The sender lives in `self`, so the wait cannot end early.
        ledger.wait_for(|ledger| !in_flight(&ledger.calls)).await.ok();
    }

    /// Whether the provider accepts the key now.
    pub fn accepts(&self, key: &str) -> bool {
        self.bench.look(|ledger, now| ledger.keys.accepts(key, now))
    }

    /// The newest key, usable yet or not.
    pub fn current_key(&self) -> String {
        self.current_key_of(self.primary_slot)
    }

    /// The newest key of a provider that manages several, by the name of the answer's member.
    pub fn current_key_of(&self, slot: &str) -> String {
        self.bench.look(|ledger, _| ledger.keys.current(slot))
    }

    /// All keys that the provider ever made, oldest first, the one from before the first call included.
    pub fn keys(&self) -> Vec<String> {
        self.bench.look(|ledger, _| ledger.keys.values(self.primary_slot))
    }

    /// Lets the next regenerate call that no other fault awaits go wrong.
    pub fn next_call(&self, fault: Fault) {
        self.next(Operation::Regenerate, fault);
    }

    /// Lets the next call of one kind that no other fault awaits go wrong.
    pub fn next(&self, operation: Operation, fault: Fault) {
        self.bench.change(|ledger, _| ledger.add_fault(operation, fault));
    }

    /// Lets every call go well from now on.
    pub fn no_more_faults(&self) {
        self.bench.change(|ledger, _| ledger.forget_faults());
    }

    /// Moves the provider's clock forward: graces end, new keys become usable.
    pub fn advance(&self, by: Duration) {
        let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
        self.bench.change(|ledger, _| ledger.clock_offset = ledger.clock_offset.saturating_add(by));
    }

    /// Ends all grace windows: of each slot only the newest key lives on.
    pub fn retire_old_keys(&self) {
        self.bench.change(|ledger, now| ledger.keys.retire_old(now));
    }

    /// Rotates at the provider behind everybody's back; the key before dies after `grace`.
    pub fn rotate_by_hand(&self, grace: Duration) -> String {
        let slot = self.primary_slot;
        self.bench.change(|ledger, now| ledger.keys.regenerate(slot, now, grace)).unwrap_or_default()
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

/// Serves until `stop`; dropping the runtime then breaks every connection.
fn run(routes: Router, ready: oneshot::Sender<io::Result<SocketAddr>>, stop: CancellationToken) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return drop(ready.send(Err(error))),
    };
    runtime.block_on(async move {
        let listener = match TcpListener::bind(("127.0.0.1", 0)).await {
            Ok(listener) => listener,
            Err(error) => return drop(ready.send(Err(error))),
        };
        drop(ready.send(listener.local_addr()));
        let service = routes.into_make_service_with_connect_info::<Connection>();
        let serving = IntoFuture::into_future(axum::serve(BreakableListener(listener), service));
        tokio::select! {
            _ = serving => {}
            () = stop.cancelled() => {}
        }
    });
}
