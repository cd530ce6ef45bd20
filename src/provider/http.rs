//! The provider adapter over HTTP: sends what was bound, and says what came of it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::HeaderMap;
use zeroize::Zeroizing;

use super::account::Account;
use super::answer::{self, BodyEnd, Received};
use super::bind::BoundDefinition;
use super::request::{Filled, Sender};
use super::sent::Sent;
use super::token::Tokens;
use super::transport::{Error, Transport, innermost};
use super::wire::{Call, SecretHeader, Signing, TokenRequest};
use super::{Answer, Probe, Provider, Reading, Response, Signer, request, retry_after, token};
use crate::clock::Clock;
use crate::ids::RotationId;
use crate::rotation::{Doubt, Outcome, Plan, Problem, Refusal, RefusalClass};
use crate::secret::SecretValue;

/// No answer that holds one key is nearly as large.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// The share of a call's time that getting an access token for it may take.
const TOKEN_SHARE: u32 = 2;

/// The further secrets are for the calls, and not for whoever gives the token.
static NOTHING_FURTHER: BTreeMap<String, SecretHeader> = BTreeMap::new();

/// One credential's provider, spoken to over HTTP.
#[derive(Debug)]
pub struct HttpProvider<C> {
    bound: BoundDefinition,
    clock: C,
    transport: Transport,
    account: Account,
    tokens: Tokens,
    /// The provider's clock as its last `Date` header showed it, less our monotonic one, in milliseconds; 0 before the
    /// first.
    ///
    /// Not less our wall clock: that one may be set right, or wrong, before the next call.
    provider_start_ms: AtomicI64,
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
        for address in bound.addresses() {
            transport.reaches(address)?;
        }
        let (account, tokens) = (Account::default(), Tokens::default());
        Ok(Self { bound, clock, transport, account, tokens, provider_start_ms: AtomicI64::new(0) })
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
    async fn send(&self, call: &Call, filled: Filled, limit: Duration) -> Result<Received, Failure> {
        let (begun, asked_at) = (self.clock.monotonic(), self.clock.now());
        let client = self.transport.client_for(&call.url);
        let mut request =
            client.request(call.method.clone(), call.url.clone()).headers(filled.headers).timeout(limit);
        if let Some(body) = filled.body {
            request = request.body(body);
        }
        let sent = request.send().await;
        let result = match sent {
            Ok(response) => Ok(self.receive(response, asked_at).await),
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

    async fn receive(&self, mut response: reqwest::Response, asked_at: Timestamp) -> Received {
        let status = response.status().as_u16();
        let headers = std::mem::take(response.headers_mut());
        self.learn_time(&headers);
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
        Received { status, headers, body, end, asked_at, at: self.clock.now() }
    }

    fn learn_time(&self, headers: &HeaderMap) {
        if let Some(theirs) = retry_after::date(headers) {
            let start = theirs.as_millisecond().saturating_sub(self.monotonic_ms());
            self.provider_start_ms.store(start, Ordering::Relaxed);
        }
    }

    fn monotonic_ms(&self) -> i64 {
        i64::try_from(self.clock.monotonic().as_millis()).unwrap_or(i64::MAX)
    }

    /// Fills one call's open parts and sends it, with an access token in the secret's place where one is needed.
    async fn ask(&self, asked: Asked<'_>) -> Result<Heard, Failure> {
        let begun = self.clock.monotonic();
        let sent = Sent::new(asked.signing, asked.main, asked.extra);
        let Signing::Oauth2(request) = asked.signing else {
            let received = self.send(asked.call, self.fill(asked)?, self.bound.plan().call_timeout).await?;
            return Ok(Heard { received, sent });
        };
        let token = self.token(request, asked).await?;
        let filled = self.fill(Asked { main: &token, ..asked })?;
        let left =
            self.bound.plan().call_timeout.saturating_sub(self.clock.monotonic().saturating_sub(begun));
        let received = self.send(asked.call, filled, left).await?;
        if received.status == 401 {
            self.tokens.forget().await;
        }
        Ok(Heard { received, sent: sent.and(&token) })
    }

    /// The access token for a call's secret. Whatever fails here, the call itself was not made.
    async fn token(&self, request: &TokenRequest, asked: Asked<'_>) -> Result<SecretValue, Failure> {
        let begun = self.clock.monotonic();
        if let Some(token) = self.tokens.kept(asked.main, begun).await {
            return Ok(token);
        }
        let client = Asked { call: &request.call, signing: &request.signing, rotation: None, ..asked };
        let call_timeout = self.bound.plan().call_timeout;
        let filled = self.fill_with(client, &NOTHING_FURTHER)?;
        let received = self.send(client.call, filled, call_timeout / TOKEN_SHARE).await;
        let received = received.map_err(Failure::before_the_call)?;
        self.heed_rate_limit(&received);
        let sent = Sent::new(client.signing, client.main, client.extra);
        let token = token::of_answer(&received, &sent).map_err(Failure::NotSent)?;
        self.tokens.keep(asked.main, &token, begun, call_timeout.saturating_mul(2)).await;
        Ok(token.value)
    }

    fn fill(&self, asked: Asked<'_>) -> Result<Filled, Failure> {
        self.fill_with(asked, &self.bound.wire.extra)
    }

    fn fill_with(
        &self,
        asked: Asked<'_>,
        extra_headers: &BTreeMap<String, SecretHeader>,
    ) -> Result<Filled, Failure> {
        let sender = Sender {
            signing: asked.signing,
            main: asked.main,
            extra: asked.extra,
            extra_headers,
            id_header: self.bound.wire.idempotency_header.as_ref(),
            rotation: asked.rotation,
            now: self.clock.now(),
            signing_time: self.signing_time(asked.signing),
        };
        request::fill(asked.call, sender)
            .map_err(|reason| Failure::NotSent(Box::new(refusal(RefusalClass::Invalid, reason))))
    }

    /// Asks for the account that signs: what a 429 asks for counts for everybody who uses the account.
    async fn ask_for_account(&self, asked: Asked<'_>) -> Result<Heard, Failure> {
        let heard = self.ask(asked).await?;
        self.heed_rate_limit(&heard.received);
        Ok(heard)
    }

    fn heed_rate_limit(&self, received: &Received) {
        if received.status == 429 {
            let said = retry_after::read(&received.headers, self.clock.now());
            if let Some(wish) = said.or(self.bound.wire.answer.rate_limit_block) {
                self.account.asks(wish, self.clock.monotonic());
            }
        }
    }

    /// Our time, or the provider's where ours is so far off that it would refuse a signature before long.
    ///
    /// `Date` has whole seconds and travels; a clock that is nearly right is better than that.
    fn signing_time(&self, signing: &Signing) -> Timestamp {
        let now = self.clock.now();
        let Signing::Hmac { scheme, .. } = signing else { return now };
        let theirs = match self.provider_start_ms.load(Ordering::Relaxed) {
            0 => return now,
            start => Timestamp::from_millisecond(start.saturating_add(self.monotonic_ms())).unwrap_or(now),
        };
        if theirs.duration_since(now).unsigned_abs() < scheme.skew / 4 { now } else { theirs }
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

/// An answer, and the secrets that went out before it.
struct Heard {
    received: Received,
    sent: Sent,
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
            Ok(Heard { received, sent }) => answer::of_regenerate(&wire.answer, &received, &sent),
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
            Ok(Heard { received, sent }) => answer::of_read(&wire.answer, &read.key, &received, &sent),
            Err(failure) => failure.into_reading(),
        }
    }

    async fn probe(&self, key: &SecretValue, extra: &[(String, SecretValue)]) -> Probe {
        let wire = &self.bound.wire;
        let Some(probe) = &wire.probe else {
            return Probe::Unavailable(Problem::local("the definition declares no probe"));
        };
        let asked = Asked { call: &probe.call, signing: &probe.signing, main: key, extra, rotation: None };
        // A token that was given before says nothing about the key now.
        self.tokens.forget().await;
        match self.ask(asked).await {
            Ok(Heard { received, sent }) => answer::of_probe(&wire.answer, probe, &received, &sent),
            Err(failure) => failure.into_probe(),
        }
    }
}

/// Why there is no answer.
enum Failure {
    /// Certainly no byte of the request left.
    NotSent(Box<Refusal>),
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
            let reason = format!("cannot connect to {site}: {what}");
            Self::NotSent(Box::new(refusal(RefusalClass::Unreachable, reason)))
        } else if error.is_builder() {
            Self::NotSent(Box::new(refusal(RefusalClass::Invalid, "the request cannot be built".to_owned())))
        } else if error.is_timeout() {
            Self::TimedOut
        } else {
            Self::ConnectionLost
        }
    }

    /// The same before a call: however the request for a token ended, the call itself was not made.
    fn before_the_call(self) -> Self {
        let reason = match self {
            Self::NotSent(refusal) => return Self::NotSent(refusal),
            Self::TimedOut => "no access token: the provider did not answer in time",
            Self::ConnectionLost => "no access token: the connection broke before an answer",
        };
        Self::NotSent(Box::new(refusal(RefusalClass::Unreachable, reason.to_owned())))
    }

    const fn name(&self) -> &'static str {
        match self {
            Self::NotSent(refusal) => refusal.class.code(),
            Self::TimedOut => Doubt::Timeout.code(),
            Self::ConnectionLost => Doubt::ConnectionLost.code(),
        }
    }

    fn into_outcome(self) -> Outcome<Answer> {
        match self {
            Self::NotSent(refusal) => Outcome::NotApplied(*refusal),
            Self::TimedOut => Outcome::Unknown(Doubt::Timeout),
            Self::ConnectionLost => Outcome::Unknown(Doubt::ConnectionLost),
        }
    }

    fn into_reading(self) -> Reading {
        match self {
            Self::NotSent(refusal) if !refusal.class.is_passing() => Reading::Refused(*refusal),
            other => Reading::Unavailable(other.into_problem()),
        }
    }

    /// A key that gives no access token is not accepted.
    fn into_probe(self) -> Probe {
        match self {
            Self::NotSent(refusal) if refusal.class == RefusalClass::Unauthenticated => {
                Probe::NotAccepted(refusal.problem)
            }
            other => Probe::Unavailable(other.into_problem()),
        }
    }

    fn into_problem(self) -> Problem {
        match self {
            Self::NotSent(refusal) => refusal.problem,
            Self::TimedOut => Problem::local("the provider did not answer in time"),
            Self::ConnectionLost => Problem::local("the connection to the provider broke before an answer"),
        }
    }
}

/// A refusal that did not come from the provider.
fn refusal(class: RefusalClass, reason: String) -> Refusal {
    Refusal { class, problem: Problem::local(reason), retry_after: None }
}
