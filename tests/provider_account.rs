//! What a provider asks of one credential's account, every credential of that account knows.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use keyturn::clock::Clock;
use keyturn::ids::RotationId;
use keyturn::provider::{
    Account, Binding, Catalog, HttpProvider, Provider as _, Signer, Transport, TransportOptions, bind,
};
use keyturn::rotation::schedule::{Cadence, Schedule};
use keyturn::secret::SecretValue;
use keyturn::testbed::{Fault, Operation, Simulator, publicsquare};

/// A clock whose two hands are moved by the test, each on its own.
#[derive(Debug, Clone, Default)]
struct Hands {
    wall_seconds: Arc<AtomicU64>,
    monotonic_seconds: Arc<AtomicU64>,
}

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        let seconds = self.wall_seconds.load(Ordering::Relaxed);
        Timestamp::from_second(1_700_000_000 + i64::try_from(seconds).unwrap()).unwrap()
    }

    fn monotonic(&self) -> Duration {
        Duration::from_secs(self.monotonic_seconds.load(Ordering::Relaxed))
    }

    fn sleep(&self, _: Duration) -> impl Future<Output = ()> + Send {
        std::future::pending()
    }
}

struct Bench {
    simulator: Simulator,
    clock: Hands,
    signer: SecretValue,
}

impl Bench {
    async fn start() -> Self {
        let signer = SecretValue::new(publicsquare::Setup::default().rotator_key);
        Self { simulator: publicsquare::start().await.unwrap(), clock: Hands::default(), signer }
    }

    /// A credential of the account.
    fn credential(&self, account: &Account) -> HttpProvider<Hands> {
        let id = publicsquare::Setup::default().key_id;
        let binding = Binding {
            params: [("id".to_owned(), id)].into(),
            environment: None,
            base_url: Some(self.simulator.base_url().to_owned()),
            auth_scheme: None,
            self_authenticating: false,
            accepts_lock_out: false,
            grace: None,
            propagation: None,
            revoke_after: None,
            first_key: None,
            extra_secrets: Vec::new(),
            schedule: Schedule {
                cadence: Cadence::Manual,
                jitter_percent: 0,
                window: None,
                min_interval: Duration::ZERO,
            },
            call_timeout: Duration::from_secs(20),
            settle: Duration::from_secs(20),
            claim: Duration::from_mins(1),
        };
        let bound = bind(Catalog::embedded().get("publicsquare/api-key").unwrap(), binding).unwrap();
        let transport = Transport::new(&TransportOptions::default()).unwrap();
        HttpProvider::new(bound, self.clock.clone(), transport).unwrap().with_account(account.clone())
    }

    async fn ask(&self, credential: &HttpProvider<Hands>, operation: Operation) {
        let signer = Signer { main: &self.signer, extra: &[] };
        match operation {
            Operation::Regenerate => drop(credential.regenerate(rotation().into(), signer).await),
            Operation::Read => drop(credential.read(None, signer).await),
            Operation::Probe => {
                let key = SecretValue::new(self.simulator.current_key());
                drop(credential.probe(&key, &[]).await);
            }
            other => panic!("this provider has no {other:?}"),
        }
    }

    fn arrived(&self) -> usize {
        OPERATIONS.iter().map(|operation| self.simulator.calls_of(*operation).len()).sum()
    }
}

const OPERATIONS: [Operation; 3] = [Operation::Regenerate, Operation::Read, Operation::Probe];

fn rotation() -> RotationId {
    "019360f0-0000-7000-8000-000000000001".parse().unwrap()
}

#[tokio::test]
async fn a_429_to_the_accounts_own_key_counts_for_every_credential_of_the_account_and_for_no_other() {
    // In seconds, as a date (which is further away than a day), and unsaid: then the definition's time counts.
    let forms = [(Some("90"), 90), (Some("Fri, 01 Jan 2100 00:00:00 GMT"), 24 * 60 * 60), (None, 30)];
    for told in [Operation::Regenerate, Operation::Read] {
        for (retry_after, seconds) in forms {
            let bench = Bench::start().await;
            let account = Account::default();
            let (one, other) = (bench.credential(&account), bench.credential(&account));
            let stranger = bench.credential(&Account::default());
            bench.simulator.next(told, Fault::rate_limits(retry_after));
            bench.ask(&one, told).await;

            // The wall clock jumps far ahead; that is no time that has passed.
            bench.clock.wall_seconds.store(90 * 24 * 60 * 60, Ordering::Relaxed);
            bench.clock.monotonic_seconds.store(seconds - 1, Ordering::Relaxed);
            let left = Some(Duration::from_secs(1));
            assert_eq!((one.quiet_left(), other.quiet_left()), (left, left), "{told:?} {retry_after:?}");
            assert_eq!(stranger.quiet_left(), None);

            bench.clock.monotonic_seconds.store(seconds, Ordering::Relaxed);
            assert_eq!((one.quiet_left(), other.quiet_left()), (None, None));
        }
    }
}

#[tokio::test]
async fn neither_a_503_nor_a_429_to_the_applications_key_counts_for_the_account() {
    let faults = [
        (Operation::Regenerate, Fault::is_busy("86400")),
        (Operation::Read, Fault::is_busy("86400")),
        (Operation::Probe, Fault::is_busy("86400")),
        (Operation::Probe, Fault::rate_limits(Some("86400"))),
    ];
    for (operation, fault) in faults {
        let bench = Bench::start().await;
        let credential = bench.credential(&Account::default());
        bench.simulator.next(operation, fault);
        bench.ask(&credential, operation).await;
        assert_eq!((bench.arrived(), credential.quiet_left()), (1, None), "{operation:?}");
    }
}

#[tokio::test]
async fn what_cannot_wait_goes_out_although_the_account_was_told_to_stay_away() {
    let bench = Bench::start().await;
    let credential = bench.credential(&Account::default());
    bench.simulator.next(Operation::Regenerate, Fault::rate_limits(Some("86400")));
    bench.ask(&credential, Operation::Regenerate).await;
    assert!(credential.quiet_left().is_some());
    for operation in OPERATIONS {
        let arrived = bench.arrived();
        bench.ask(&credential, operation).await;
        assert_eq!(bench.arrived(), arrived + 1, "{operation:?}");
    }
}
