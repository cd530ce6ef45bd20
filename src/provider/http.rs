//! The provider adapter over HTTP: sends what was bound, and says what came of it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use aws_lc_rs::error::Unspecified;
use jiff::Timestamp;
use reqwest::header::HeaderMap;
use zeroize::Zeroizing;

use super::account::Account;
use super::answer::{self, BodyEnd, Received};
use super::bind::BoundDefinition;
use super::failure::{Failure, refusal};
use super::request::{Filled, Sender};
use super::sent::Sent;
use super::token::Tokens;
use super::transport::{Error, Transport};
use super::wire::{Call, SecretHeader, Signing, TokenRequest};
use super::{
    Listing, Probe, Provider, Reading, Regeneration, Response, Revoking, Signer, request, retry_after,
    supply, token,
};
use crate::clock::Clock;
use crate::ids::KeyId;
use crate::rotation::{Plan, Problem, Refusal, RefusalClass};
use crate::secret::SecretValue;

/// No answer that holds one key is nearly as large.
const BODY_BYTES_MAX: usize = 64 * 1024;
/// Nor is one page of a list of keys.
const PAGE_BYTES_MAX: usize = 1024 * 1024;
/// No provider lets so many keys live that they fill more.
const PAGES_MAX: usize = 100;

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
    async fn send(
        &self,
        call: &Call,
        filled: Filled,
        limit: Duration,
        bytes_max: usize,
    ) -> Result<Received, Failure> {
        let (begun, asked_at) = (self.clock.monotonic(), self.clock.now());
        let client = self.transport.client_for(&call.url);
        let mut request =
            client.request(call.method.clone(), call.url.clone()).headers(filled.headers).timeout(limit);
        if let Some(body) = filled.body {
            request = request.body(body);
        }
        let sent = request.send().await;
        let result = match sent {
            Ok(response) => Ok(self.receive(response, asked_at, bytes_max).await),
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

    async fn receive(
        &self,
        mut response: reqwest::Response,
        asked_at: Timestamp,
        bytes_max: usize,
    ) -> Received {
        let status = response.status().as_u16();
        let headers = std::mem::take(response.headers_mut());
        self.learn_time(&headers);
        // Its whole size at once: a buffer that grows leaves copies of the secret behind. More than what is announced is
        // never read.
        let announced = response.content_length().and_then(|length| usize::try_from(length).ok());
        let mut body = Zeroizing::new(Vec::with_capacity(announced.unwrap_or(bytes_max).min(bytes_max)));
        let end = loop {
            match response.chunk().await {
                Ok(None) => break BodyEnd::Whole,
                Ok(Some(chunk)) => {
                    let room = bytes_max - body.len();
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
        let sent = match asked.what.and_then(|what| what.supplied) {
            Some(supplied) => sent.and(supplied),
            None => sent,
        };
        let Signing::Oauth2(request) = asked.signing else {
            let limit = self.bound.plan().call_timeout;
            let received = self.send(asked.call, self.fill(asked)?, limit, asked.bytes_max).await?;
            return Ok(Heard { received, sent });
        };
        let token = self.token(request, asked).await?;
        let filled = self.fill(Asked { main: &token, ..asked })?;
        let left =
            self.bound.plan().call_timeout.saturating_sub(self.clock.monotonic().saturating_sub(begun));
        let received = self.send(asked.call, filled, left, asked.bytes_max).await?;
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
        let client = Asked { call: &request.call, signing: &request.signing, what: None, ..asked };
        let call_timeout = self.bound.plan().call_timeout;
        let filled = self.fill_with(client, &NOTHING_FURTHER)?;
        let received = self.send(client.call, filled, call_timeout / TOKEN_SHARE, BODY_BYTES_MAX).await;
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
            rotation: asked.what.map(|what| what.rotation),
            supplied: asked.what.and_then(|what| what.supplied),
            key_id: asked.key_id,
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
    /// What it is for; only a regenerate call says it.
    what: Option<Regeneration<'a>>,
    key_id: Option<&'a KeyId>,
    bytes_max: usize,
}

impl<'a> Asked<'a> {
    /// A request that belongs to no rotation, and whose answer holds one key at most.
    const fn new(call: &'a Call, signing: &'a Signing, signer: Signer<'a>) -> Self {
        let Signer { main, extra } = signer;
        Self { call, signing, main, extra, what: None, key_id: None, bytes_max: BODY_BYTES_MAX }
    }
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

    fn choose_key(&self) -> Result<Option<SecretValue>, Unspecified> {
        self.bound.wire.supplies.as_ref().map(supply::choose).transpose()
    }

    async fn regenerate(&self, what: Regeneration<'_>, signer: Signer<'_>) -> Response {
        let wire = self.bound.wire_of(what.slot);
        let asked = Asked { what: Some(what), ..Asked::new(&wire.regenerate, &wire.signing, signer) };
        match self.ask_for_account(asked).await {
            Ok(Heard { received, sent }) => match what.supplied {
                Some(supplied) => answer::of_supply(&wire.answer, &received, &sent, supplied),
                None => answer::of_regenerate(&wire.answer, &received, &sent),
            },
            Err(failure) => Response { outcome: failure.into_outcome(), residue: None },
        }
    }

    async fn read(&self, slot: Option<&KeyId>, signer: Signer<'_>) -> Reading {
        let wire = self.bound.wire_of(slot);
        let Some(read) = &wire.read else {
            return Reading::Refused(undeclared("way to read the key back"));
        };
        match self.ask_for_account(Asked::new(&read.call, &wire.signing, signer)).await {
            Ok(Heard { received, sent }) => answer::of_read(&wire.answer, &read.key, &received, &sent),
            Err(failure) => failure.into_reading(),
        }
    }

    async fn marker(&self, signer: Signer<'_>) -> Reading<Option<SecretValue>> {
        let wire = &self.bound.wire;
        let Some(marker) = &wire.marker else {
            return Reading::Refused(undeclared("way to see whether the key has changed"));
        };
        match self.ask_for_account(Asked::new(&marker.call, &wire.signing, signer)).await {
            Ok(Heard { received, sent }) => answer::of_marker(&wire.answer, marker, &received, &sent),
            Err(failure) => failure.into_reading(),
        }
    }

    async fn probe(&self, key: &SecretValue, extra: &[(String, SecretValue)]) -> Probe {
        let wire = &self.bound.wire;
        let Some(probe) = &wire.probe else {
            return Probe::Unavailable(Problem::local("the definition declares no probe"));
        };
        let asked = Asked::new(&probe.call, &probe.signing, Signer { main: key, extra });
        // A token that was given before says nothing about the key now.
        self.tokens.forget().await;
        match self.ask(asked).await {
            Ok(Heard { received, sent }) => answer::of_probe(&wire.answer, probe, &received, &sent),
            Err(failure) => failure.into_probe(),
        }
    }

    async fn list(&self, signer: Signer<'_>) -> Listing {
        let wire = &self.bound.wire;
        let Some(list) = &wire.list else {
            return Listing::Refused(undeclared("way to list the keys"));
        };
        let (mut keys, mut next) = (Vec::new(), None);
        for _ in 0..PAGES_MAX {
            let call = list.page(next.as_deref());
            let asked = Asked { bytes_max: PAGE_BYTES_MAX, ..Asked::new(&call, &wire.signing, signer) };
            let page = match self.ask_for_account(asked).await {
                Ok(Heard { received, sent }) => {
                    answer::of_page(&wire.answer, list, next.as_deref(), &received, &sent)
                }
                Err(failure) => return failure.into_listing(),
            };
            match page {
                Ok(page) => {
                    keys.extend(page.keys);
                    next = page.next;
                }
                Err(listing) => return *listing,
            }
            if next.is_none() {
                return Listing::Keys(keys);
            }
        }
        Listing::Unavailable(Problem::local("the list of the keys has no end"))
    }

    async fn revoke(&self, key: &KeyId, signer: Signer<'_>) -> Revoking {
        let wire = &self.bound.wire;
        let steps = wire.ending(key);
        if steps.is_empty() {
            return Revoking::Refused(undeclared("way to revoke a key"));
        }
        for step in steps {
            let Some(call) = step.of(key) else {
                return Revoking::Refused(undeclared("path in which the key's id could stand"));
            };
            let asked = Asked { key_id: Some(key), ..Asked::new(&call, &wire.signing, signer) };
            let revoking = match self.ask_for_account(asked).await {
                Ok(Heard { received, sent }) => answer::of_revocation(&wire.answer, step, &received, &sent),
                Err(failure) => failure.into_revoking(),
            };
            if !matches!(revoking, Revoking::Revoked) {
                return revoking;
            }
        }
        Revoking::Revoked
    }
}

fn undeclared(what: &str) -> Refusal {
    refusal(RefusalClass::Invalid, format!("the definition declares no {what}"))
}
