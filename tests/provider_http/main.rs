//! The HTTP adapter against servers that behave and servers that do not.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a helper of a test fails like the test itself"
)]

mod beside;
mod golden;
mod hostile;
mod reach;
mod resend;
mod server;
mod token;
mod trust;
mod wire;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::LazyLock;
use std::time::Duration;

use jiff::Timestamp;
use keyturn::clock::Clock;
use keyturn::ids::RotationId;
use keyturn::provider::{
    Answer, Binding, Catalog, Definition, HttpProvider, Signer, Transport, TransportOptions, bind,
};
use keyturn::rotation::Outcome;
use keyturn::rotation::schedule::{Cadence, Schedule};
use keyturn::secret::{FingerprintKey, SecretValue};

/// A clock that stands still.
#[derive(Debug, Clone, Copy)]
struct StoppedClock;

impl Clock for StoppedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(1_700_000_000_000).unwrap()
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }

    fn sleep(&self, _: Duration) -> impl Future<Output = ()> + Send {
        std::future::pending()
    }
}

const ADYEN_COMPANY: &[(&str, &str)] = &[("company_id", "Acme"), ("api_credential_id", "S2-6262224667")];
const ADYEN_MERCHANT: &[(&str, &str)] = &[("merchant_id", "Shop"), ("api_credential_id", "S2-6262224667")];
const PUBLICSQUARE: &[(&str, &str)] = &[("id", "key_7Ay5mcUXAxwrN6wQEQUVEHBCJ")];
const SPRITZ: &[(&str, &str)] = &[("integrator_key", "int_123")];

fn binding(base_url: String, params: &[(&str, &str)]) -> Binding {
    Binding {
        params: params.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        environment: None,
        base_url: Some(base_url),
        auth_scheme: None,
        self_authenticating: params == SPRITZ,
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
    }
}

/// One for all, as in the product: it reads the trust store, and that takes its time.
static TRANSPORT: LazyLock<Transport> = LazyLock::new(|| {
    let connect_timeout = Duration::from_secs(1);
    Transport::new(&TransportOptions { connect_timeout, ..TransportOptions::default() }).unwrap()
});

fn provider(name: &str, binding: Binding) -> HttpProvider<StoppedClock> {
    provider_over(&TRANSPORT, name, binding)
}

/// A provider of a definition that is not in the catalogue.
fn provider_of(definition: &Definition, binding: Binding) -> HttpProvider<StoppedClock> {
    let bound = bind(definition, binding).unwrap();
    HttpProvider::new(bound, StoppedClock, TRANSPORT.clone()).unwrap()
}

fn provider_over(transport: &Transport, name: &str, binding: Binding) -> HttpProvider<StoppedClock> {
    static CATALOG: LazyLock<Catalog> = LazyLock::new(Catalog::embedded);
    let bound = bind(CATALOG.get(name).unwrap(), binding).unwrap();
    HttpProvider::new(bound, StoppedClock, transport.clone()).unwrap()
}

fn secret(text: &str) -> SecretValue {
    SecretValue::new(text.to_owned())
}

fn signer<'a>(main: &'a SecretValue, extra: &'a [(String, SecretValue)]) -> Signer<'a> {
    Signer { main, extra }
}

fn rotation() -> RotationId {
    "019360f0-0000-7000-8000-000000000001".parse().unwrap()
}

/// Whether a secret is the expected one; nothing outside the crate may look at it.
fn is(found: &SecretValue, expected: &str) -> bool {
    let key = FingerprintKey::new("a key for these tests".into());
    found.fingerprint(&key) == secret(expected).fingerprint(&key)
}

fn name_of(outcome: &Outcome<Answer>) -> &'static str {
    match outcome {
        Outcome::Applied(_) => "APPLIED",
        Outcome::AppliedNoValue => "APPLIED_WITHOUT_VALUE",
        Outcome::NotApplied(refusal) => refusal.class.code(),
        Outcome::Unknown(doubt) => doubt.code(),
    }
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}
