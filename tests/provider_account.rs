//! What a provider asks of one credential's account, every credential of that account keeps to.
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
    Account, Binding, Catalog, HttpProvider, Probe, Provider as _, Reading, Signer, Transport,
    TransportOptions, bind,
};
use keyturn::rotation::schedule::{Cadence, Schedule};
use keyturn::rotation::{Outcome, RefusalClass};
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

    /// What one operation came to: `None` where it was refused for the rate.
    async fn ask(&self, credential: &HttpProvider<Hands>, operation: Operation) -> Option<()> {
        let signer = Signer { main: &self.signer, extra: &[] };
        let limited = match operation {
            Operation::Regenerate => match credential.regenerate(rotation(), signer).await.outcome {
                Outcome::NotApplied(refusal) => {
                    assert_eq!(refusal.class, RefusalClass::RateLimited);
                    assert!(refusal.retry_after.is_some());
                    true
                }
                _ => false,
            },
            Operation::Read => match credential.read(signer).await {
                Reading::Refused(refusal) => {
                    assert_eq!(refusal.class, RefusalClass::RateLimited);
                    assert!(refusal.retry_after.is_some());
                    true
                }
                _ => false,
            },
            Operation::Probe => {
                let key = SecretValue::new(self.simulator.current_key());
                matches!(credential.probe(&key, &[]).await, Probe::Unavailable(_))
            }
        };
        (!limited).then_some(())
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
async fn whatever_was_told_to_wait_nobody_of_the_account_asks_before_and_others_do() {
    // In seconds, as a date (which is further away than a day), and unsaid: then the definition's time counts.
    let forms = [(Some("90"), 90), (Some("Fri, 01 Jan 2100 00:00:00 GMT"), 24 * 60 * 60), (None, 30)];
    for told in OPERATIONS {
        for (retry_after, seconds) in forms {
            let bench = Bench::start().await;
            let account = Account::default();
            let (one, other) = (bench.credential(&account), bench.credential(&account));
            let stranger = bench.credential(&Account::default());
            bench.simulator.next(told, Fault::rate_limits(retry_after));
            assert_eq!(bench.ask(&one, told).await, None);
            let arrived = bench.arrived();

            // The wall clock jumps far ahead; that is no time that has passed.
            bench.clock.wall_seconds.store(90 * 24 * 60 * 60, Ordering::Relaxed);
            bench.clock.monotonic_seconds.store(seconds - 1, Ordering::Relaxed);
            assert_eq!(other.quiet_left(), Some(Duration::from_secs(1)), "{told:?} {retry_after:?}");
            for operation in OPERATIONS {
                assert_eq!(bench.ask(&one, operation).await, None);
                assert_eq!(bench.ask(&other, operation).await, None);
            }
            assert_eq!(bench.arrived(), arrived, "a request left though the provider had asked for none");
            assert_eq!(bench.ask(&stranger, Operation::Read).await, Some(()));

            bench.clock.monotonic_seconds.store(seconds, Ordering::Relaxed);
            assert_eq!(other.quiet_left(), None);
            assert_eq!(bench.ask(&other, Operation::Read).await, Some(()));
            assert_eq!(bench.ask(&one, Operation::Probe).await, Some(()));
        }
    }
}
