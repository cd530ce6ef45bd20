//! The provider adapter over HTTP: sends what was bound, and says what came of it.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use reqwest::header::HeaderMap;
use zeroize::Zeroizing;

use super::account::Account;
use super::answer::{self, BodyEnd, Received};
use super::bind::BoundDefinition;
use super::request::{Filled, Sender};
use super::sent::Sent;
use super::transport::{Error, Transport, innermost};
use super::wire::{Call, Signing};
use super::{Answer, Probe, Provider, Reading, Response, Signer, request, retry_after};
use crate::clock::Clock;
use crate::ids::RotationId;
use crate::rotation::{Doubt, Outcome, Plan, Problem, Refusal, RefusalClass};
use crate::secret::SecretValue;

/// No answer that holds one key is nearly as large.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// One credential's provider, spoken to over HTTP.
#[derive(Debug)]
pub struct HttpProvider<C> {
    bound: BoundDefinition,
    clock: C,
    transport: Transport,
    account: Account,
    /// The provider's clock minus ours, as its last `Date` header showed it, in milliseconds.
    skew_ms: AtomicI64,
}

impl<C: Clock> HttpProvider<C> {
    /// A provider for what was bound; makes no request.
    ///
    /// Refused where the transport's connect may take as long as the whole call: only a connect that fails by
    /// itself proves that nothing was sent. Refused, too, where no certificate is there to know the provider by.
    pub fn new(bound: BoundDefinition, clock: C, transport: Transport) -> Result<Self, Error> {
        if transport.connect_timeout >= bound.plan().call_timeout {
            return Err(Error::ConnectTimeout);
        }
        transport.reaches(bound.base_url())?;
        Ok(Self { bound, clock, transport, account: Account::default(), skew_ms: AtomicI64::new(0) })
    }

    /// The same provider, spoken to by one account together with others.
    #[must_use]
    pub fn with_account(self, account: Account) -> Self {
        Self { account, ..self }
    }

    /// What it speaks for.
    pub const fn bound(&self) -> &BoundDefinition {
        &self.bound
    }

    /// Sends one request, once, on a connection of its own.
    async fn send(&self, call: &Call, filled: Filled) -> Result<Received, Failure> {
        let begun = self.clock.monotonic();
        let client = self.transport.client_for(&call.url);
        let mut request = client
            .request(call.method.clone(), call.url.clone())
            .headers(filled.headers)
            .timeout(self.bound.plan().call_timeout);
        if let Some(body) = filled.body {
            request = request.body(body);
        }
        let sent = request.send().await;
        let result = match sent {
            Ok(response) => Ok(self.receive(response).await),
            Err(error) => Err(Failure::of(&error, &call.url)),
        };
        tracing::debug!(
            method = %call.method,
            path = call.url.path(),
            status = result.as_ref().ok().map(|received| received.status),
            failure = result.as_ref().err().map(Failure::name),
            elapsed_ms = millis(self.clock.monotonic().saturating_sub(begun)),
            "called the provider"
        );
        result
    }

    async fn receive(&self, mut response: reqwest::Response) -> Received {
        let status = response.status().as_u16();
        let headers = std::mem::take(response.headers_mut());
        self.learn_skew(&headers);
        // Its whole size at once: a buffer that grows leaves copies of the secret behind.
        let mut body = Zeroizing::new(Vec::with_capacity(BODY_BYTES_MAX));
        let end = loop {
            match response.chunk().await {
                Ok(None) => break BodyEnd::Whole,
                Ok(Some(chunk)) => {
                    let room = BODY_BYTES_MAX - body.len();
                    body.extend(chunk.iter().take(room));
                    if chunk.len() > room {
                        break BodyEnd::TooLarge;
                    }
                }
                Err(error) if error.is_timeout() => break BodyEnd::TimedOut,
                Err(_) => break BodyEnd::Cut,
            }
        };
        Received { status, headers, body, end, at: self.clock.now() }
    }

    fn learn_skew(&self, headers: &HeaderMap) {
        if let Some(theirs) = retry_after::date(headers) {
            let skew = theirs.duration_since(self.clock.now()).as_millis();
            self.skew_ms.store(i64::try_from(skew).unwrap_or(0), Ordering::Relaxed);
        }
    }

    /// Fills one call's open parts and sends it.
    async fn ask(&self, asked: Asked<'_>) -> Result<Received, Failure> {
        let sender = Sender {
            signing: asked.signing,
            main: asked.main,
            extra: asked.extra,
            rotation: asked.rotation,
            now: self.clock.now(),
            signing_time: self.signing_time(asked.signing),
        };
        let filled = request::fill(&self.bound.wire, asked.call, sender)
            .map_err(|reason| Failure::NotSent(RefusalClass::Invalid, reason))?;
        self.send(asked.call, filled).await
    }

    /// Asks for the account that signs: what a 429 asks for counts for everybody who uses the account.
    async fn ask_for_account(&self, asked: Asked<'_>) -> Result<Received, Failure> {
        let received = self.ask(asked).await?;
        if received.status == 429 {
            let said = retry_after::read(&received.headers, self.clock.now());
            if let Some(wish) = said.or(self.bound.wire.answer.rate_limit_block) {
                self.account.asks(wish, self.clock.monotonic());
            }
        }
        Ok(received)
    }

    /// Our time, or the provider's where ours is so far off that it would refuse a signature before long.
    ///
    /// `Date` has whole seconds and travels; a clock that is nearly right is better than that.
    fn signing_time(&self, signing: &Signing) -> Timestamp {
        let now = self.clock.now();
        let Signing::Hmac { scheme, .. } = signing else { return now };
        let skew = SignedDuration::from_millis(self.skew_ms.load(Ordering::Relaxed));
        if skew.unsigned_abs() < scheme.skew / 4 { now } else { now.checked_add(skew).unwrap_or(now) }
    }
}

/// One call, and whose it is.
#[derive(Clone, Copy)]
struct Asked<'a> {
    call: &'a Call,
    signing: &'a Signing,
    main: &'a SecretValue,
    extra: &'a [(String, SecretValue)],
    rotation: Option<RotationId>,
}

impl Asked<'_> {
    /// The secrets that the request carries.
    fn sent(&self) -> Sent {
        Sent::new(self.signing, self.main, self.extra)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl<C: Clock> Provider for HttpProvider<C> {
    fn plan(&self) -> &Plan {
        self.bound.plan()
    }

    fn quiet_left(&self) -> Option<Duration> {
        self.account.quiet_left(self.clock.monotonic())
    }

    async fn regenerate(&self, rotation: RotationId, signer: Signer<'_>) -> Response {
        let wire = &self.bound.wire;
        let asked = Asked {
            call: &wire.regenerate,
            signing: &wire.signing,
            main: signer.main,
            extra: signer.extra,
            rotation: Some(rotation),
        };
        match self.ask_for_account(asked).await {
            Ok(received) => answer::of_regenerate(&wire.answer, &received, &asked.sent()),
            Err(failure) => Response { outcome: failure.into_outcome(), residue: None },
        }
    }

    async fn read(&self, signer: Signer<'_>) -> Reading {
        let wire = &self.bound.wire;
        let Some(read) = &wire.read else {
            let reason = "the definition declares no way to read the key back";
            return Reading::Refused(refusal(RefusalClass::Invalid, reason.to_owned()));
        };
        let asked = Asked {
            call: &read.call,
            signing: &wire.signing,
            main: signer.main,
            extra: signer.extra,
            rotation: None,
        };
        match self.ask_for_account(asked).await {
            Ok(received) => answer::of_read(&wire.answer, &read.secret, &received, &asked.sent()),
            Err(failure) => failure.into_reading(),
        }
    }

    async fn probe(&self, key: &SecretValue, extra: &[(String, SecretValue)]) -> Probe {
        let wire = &self.bound.wire;
        let Some(probe) = &wire.probe else {
            return Probe::Unavailable(Problem::local("the definition declares no probe"));
        };
        let asked = Asked { call: &probe.call, signing: &probe.signing, main: key, extra, rotation: None };
        match self.ask(asked).await {
            Ok(received) => answer::of_probe(&wire.answer, probe, &received, &asked.sent()),
            Err(failure) => Probe::Unavailable(failure.into_problem()),
        }
    }
}

/// Why there is no answer.
enum Failure {
    /// Certainly no byte of the request left.
    NotSent(RefusalClass, String),
    /// It may have been sent; no answer came in time.
    TimedOut,
    /// It may have been sent; the connection broke before an answer.
    ConnectionLost,
}

impl Failure {
    /// Only a connection that never came about counts as "not sent"; every other failure may have come after
    /// the last byte.
    fn of(error: &reqwest::Error, url: &url::Url) -> Self {
        let site = format!("{}:{}", url.host_str().unwrap_or("?"), url.port_or_known_default().unwrap_or(0));
        if error.is_connect() {
            let what = if error.is_timeout() { "no answer in time".to_owned() } else { innermost(error) };
            Self::NotSent(RefusalClass::Unreachable, format!("cannot connect to {site}: {what}"))
        } else if error.is_builder() {
            Self::NotSent(RefusalClass::Invalid, "the request cannot be built".to_owned())
        } else if error.is_timeout() {
            Self::TimedOut
        } else {
            Self::ConnectionLost
        }
    }

    const fn name(&self) -> &'static str {
        match self {
            Self::NotSent(class, _) => class.code(),
            Self::TimedOut => Doubt::Timeout.code(),
            Self::ConnectionLost => Doubt::ConnectionLost.code(),
        }
    }

    fn into_outcome(self) -> Outcome<Answer> {
        match self {
            Self::NotSent(class, reason) => Outcome::NotApplied(refusal(class, reason)),
            Self::TimedOut => Outcome::Unknown(Doubt::Timeout),
            Self::ConnectionLost => Outcome::Unknown(Doubt::ConnectionLost),
        }
    }

    fn into_reading(self) -> Reading {
        match self {
            Self::NotSent(RefusalClass::Invalid, reason) => {
                Reading::Refused(refusal(RefusalClass::Invalid, reason))
            }
            other => Reading::Unavailable(other.into_problem()),
        }
    }

    fn into_problem(self) -> Problem {
        match self {
            Self::NotSent(_, reason) => Problem::local(reason),
            Self::TimedOut => Problem::local("the provider did not answer in time"),
            Self::ConnectionLost => Problem::local("the connection to the provider broke before an answer"),
        }
    }
}

/// A refusal that did not come from the provider.
fn refusal(class: RefusalClass, reason: String) -> Refusal {
    Refusal { class, problem: Problem::local(reason), retry_after: None }
}
