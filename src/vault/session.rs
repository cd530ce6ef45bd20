//! The token: got at a login, renewed in time, replaced when it dies.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::{Mutex, watch};
use tokio_util::task::AbortOnDropHandle;
use zeroize::Zeroizing;

use super::client::{Client, Endpoint};
use super::error::Error;
use super::failure::Failure;
use super::login::{self, Grant};
use super::settings::{Auth, Settings};
use crate::clock::Clock;
use crate::secret::{FingerprintKey, SecretValue};

/// A wait for a renewal is never shorter, whatever lease Vault gives.
const TEND_MIN: Duration = Duration::from_millis(200);
/// Nor longer; a token file is looked at as often as this.
const TEND_MAX: Duration = Duration::from_secs(10);
const BACKOFF_MIN: Duration = Duration::from_secs(1);
const BACKOFF_MAX: Duration = Duration::from_secs(30);

/// A token that is always there, or the reason why not. Its keeper's task ends when it is dropped.
pub(super) struct Session<C> {
    inner: Arc<Inner<C>>,
    keeper: AbortOnDropHandle<()>,
}

impl<C: Clock> Session<C> {
    /// Starts the keeper; must be called inside a tokio runtime. Vault need not be there yet.
    pub(super) fn start(settings: Settings, clock: C) -> Result<Self, Error> {
        let client = Client::new(&settings)?;
        let (ready, _) = watch::channel(false);
        let inner = Arc::new(Inner { client, settings, clock, current: Mutex::default(), ready });
        let keeper = tokio::spawn(keep(Arc::clone(&inner)));
        Ok(Self { inner, keeper: AbortOnDropHandle::new(keeper) })
    }

    /// Whether there is a token that Vault took.
    pub(super) fn ready(&self) -> watch::Receiver<bool> {
        self.inner.ready.subscribe()
    }

    /// Logs in if there is no token.
    pub(super) async fn enter(&self) -> Result<(), Error> {
        self.inner.token().await.map(drop)
    }

    /// Ends the keeper and revokes all tokens that logins gave.
    pub(super) async fn close(&self) {
        self.keeper.abort();
        let mut current = self.inner.current.lock().await;
        self.inner.retire(&mut current);
        let retired = std::mem::take(&mut current.retired);
        drop(current);
        self.inner.ready.send_replace(false);
        self.inner.revoke(retired).await;
    }

    /// Sends one request with the token. A 403 is sent again only if the token turns out to be dead, and then
    /// once: what Vault refused, it has not done.
    pub(super) async fn send<E: Endpoint>(&self, endpoint: &E) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let token = self.inner.token().await.map_err(Failure::NoToken)?;
        let answer = self.inner.client.send(Some(&token.value), endpoint).await;
        match answer {
            Err(failure) if failure.status() == Some(403) => {
                match self.inner.replace_if_dead(&token).await? {
                    Some(fresh) => self.inner.client.send(Some(&fresh.value), endpoint).await,
                    None => Err(failure),
                }
            }
            answer => answer,
        }
    }

    /// Makes sure that the token lasts at least this long, by renewal or a fresh login if need be.
    pub(super) async fn ensure_lifetime(&self, needed: Duration) -> Result<(), Error> {
        let inner = &self.inner;
        let token = inner.token().await?;
        if inner.lasts(&token, needed) {
            return Ok(());
        }
        let renewed = inner.extend(&token).await?;
        if inner.lasts(&renewed, needed) {
            return Ok(());
        }
        if !inner.may_gain(&renewed, needed) {
            let lasts = inner.remaining(&renewed).unwrap_or_default();
            return Err(Error::TokenTooShort { needed, lasts });
        }
        let fresh = inner.replace(&renewed).await?;
        match inner.remaining(&fresh) {
            Some(lasts) if lasts < needed => Err(Error::TokenTooShort { needed, lasts }),
            _ => Ok(()),
        }
    }
}

impl<C> std::fmt::Debug for Session<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("client", &self.inner.client).finish_non_exhaustive()
    }
}

struct Inner<C> {
    client: Client,
    settings: Settings,
    clock: C,
    /// Held over a login, so that all who wait get the one token, or the one refusal.
    current: Mutex<Holding>,
    ready: watch::Sender<bool>,
}

#[derive(Default)]
struct Holding {
    token: Option<Arc<Token>>,
    /// Replaced by a login, and not revoked yet: somebody may still be sending with them.
    retired: Vec<Arc<Token>>,
    /// Why the newest login failed, and when it had.
    refusal: Option<(Duration, Error)>,
}

impl Holding {
    fn is(&self, token: &Arc<Token>) -> bool {
        self.token.as_ref().is_some_and(|held| Arc::ptr_eq(held, token))
    }
}

struct Token {
    value: SecretValue,
    /// On the monotonic clock, before the request that got it left.
    granted_at: Duration,
    lease: Option<Duration>,
    renewable: bool,
    login: Login,
}

/// What a login gave, however often it was renewed since: what the next would give too.
#[derive(Clone, Copy)]
struct Login {
    at: Duration,
    lease: Option<Duration>,
}

impl Token {
    fn new(grant: Grant, granted_at: Duration) -> Arc<Self> {
        let login = Login { at: granted_at, lease: grant.lease };
        Arc::new(Self::of(grant, granted_at, login))
    }

    fn renewed(&self, grant: Grant, granted_at: Duration) -> Arc<Self> {
        Arc::new(Self::of(grant, granted_at, self.login))
    }

    fn of(grant: Grant, granted_at: Duration, login: Login) -> Self {
        let Grant { token, lease, renewable } = grant;
        Self { value: token, granted_at, lease, renewable, login }
    }

    /// When to see to it: at 60 to 67 per cent of its life, by a hash, so that a thousand sidecars that started
    /// together do not renew together.
    fn tend_at(&self) -> Option<Duration> {
        let lease = self.lease?;
        let mut hasher = DefaultHasher::new();
        self.value.fingerprint(&FingerprintKey::new("renewal".into())).hash(&mut hasher);
        let share = 600 + u32::try_from(hasher.finish() % 67).unwrap_or_default();
        Some(self.granted_at + lease * share / 1000)
    }
}

impl<C: Clock> Inner<C> {
    async fn token(&self) -> Result<Arc<Token>, Error> {
        let came_at = self.clock.monotonic();
        let mut current = self.current.lock().await;
        match &current.token {
            Some(token) if !self.is_over(token) => Ok(Arc::clone(token)),
            _ => self.log_in(&mut current, came_at).await,
        }
    }

    /// Logs in, unless a login has failed since `came_at`: those who waited for it share its failure, and do not
    /// wait for one of their own each.
    async fn log_in(&self, current: &mut Holding, came_at: Duration) -> Result<Arc<Token>, Error> {
        if let Some((_, error)) = current.refusal.as_ref().filter(|(failed_at, _)| *failed_at > came_at) {
            return Err(error.clone());
        }
        current.refusal = None;
        self.retire(current);
        let asked_at = self.clock.monotonic();
        let outcome = login::login(&self.client, &self.settings).await;
        self.ready.send_replace(outcome.is_ok());
        let method = self.settings.auth.method();
        match outcome {
            Ok(grant) => {
                tracing::debug!(
                    method,
                    lease_s = grant.lease.map(|lease| lease.as_secs()),
                    "logged in to Vault"
                );
                let token = Token::new(grant, asked_at);
                current.token = Some(Arc::clone(&token));
                Ok(token)
            }
            Err(error) => {
                tracing::warn!(method, code = error.code(), %error, "cannot log in to Vault");
                current.refusal = Some((self.clock.monotonic(), error.clone()));
                Err(error)
            }
        }
    }

    /// Puts the token aside, to be revoked if a login of ours gave it.
    fn retire(&self, current: &mut Holding) {
        let is_ours = !matches!(self.settings.auth, Auth::TokenFile { .. });
        let token = current.token.take().filter(|token| is_ours && !self.is_over(token));
        current.retired.extend(token);
    }

    /// Revokes the replaced tokens that nobody sends with any more.
    async fn revoke_idle(&self) {
        let mut current = self.current.lock().await;
        let is_idle = |token: &mut Arc<Token>| Arc::strong_count(token) == 1;
        let idle = current.retired.extract_if(.., is_idle).collect();
        drop(current);
        self.revoke(idle).await;
    }

    /// One try for each; a policy need not allow it, and a token that stays ends with its lease.
    async fn revoke(&self, tokens: Vec<Arc<Token>>) {
        for token in tokens {
            if let Err(failure) = login::revoke(&self.client, &token.value).await {
                tracing::debug!(%failure, "a Vault token that is not needed any more could not be revoked");
                if failure.status().is_none() {
                    return;
                }
            }
        }
    }

    /// Whether a fresh login can be expected to give a longer token. Roles change, so one is tried anyway, but
    /// not more often than twice in a lease: each holds up the rotation again, and each is one more token.
    fn may_gain(&self, token: &Token, needed: Duration) -> bool {
        let Login { at, lease } = token.login;
        let age = self.clock.monotonic().saturating_sub(at);
        matches!(self.settings.auth, Auth::TokenFile { .. })
            || lease.is_none_or(|lease| lease >= needed || age >= lease / 2)
    }

    /// After a 403 with `used`: another token, if that one is dead; nothing, if it is alive and the refusal stands.
    async fn replace_if_dead(&self, used: &Arc<Token>) -> Result<Option<Arc<Token>>, Failure> {
        match login::look_up(&self.client, &used.value).await {
            Ok(_) => Ok(None),
            Err(failure) if failure.status() == Some(403) => {
                self.replace(used).await.map(Some).map_err(Failure::NoToken)
            }
            Err(failure) => Err(failure),
        }
    }

    /// A fresh login, unless somebody else has replaced `used` already.
    async fn replace(&self, used: &Arc<Token>) -> Result<Arc<Token>, Error> {
        let came_at = self.clock.monotonic();
        let mut current = self.current.lock().await;
        match &current.token {
            Some(token) if !Arc::ptr_eq(token, used) => Ok(Arc::clone(token)),
            _ => self.log_in(&mut current, came_at).await,
        }
    }

    /// Renews where that is possible; gives the token as it then is.
    async fn extend(&self, token: &Arc<Token>) -> Result<Arc<Token>, Error> {
        if !token.renewable {
            return Ok(Arc::clone(token));
        }
        let asked_at = self.clock.monotonic();
        match login::renew(&self.client, &token.value).await {
            Ok(grant) => {
                let renewed = token.renewed(grant, asked_at);
                let mut current = self.current.lock().await;
                if current.is(token) {
                    current.token = Some(Arc::clone(&renewed));
                }
                Ok(renewed)
            }
            Err(failure) if matches!(failure.status(), Some(400 | 403)) => Ok(Arc::clone(token)),
            Err(failure) => Err(failure.into_error("update", "auth/token/renew-self")),
        }
    }

    /// One look of the keeper; gives the time until the next.
    async fn tend(&self) -> Result<Duration, Error> {
        let token = self.token().await?;
        if login::has_new_token(&self.settings.auth, &token.value).await {
            return self.replace(&token).await.map(|fresh| self.next_look(&fresh));
        }
        let Some(tend_at) = token.tend_at() else { return Ok(TEND_MAX) };
        if self.clock.monotonic() < tend_at {
            return Ok(self.next_look(&token));
        }
        let renewed = self.extend(&token).await?;
        let gained = self.remaining(&renewed) > self.remaining(&token).map(|left| left + TEND_MIN);
        let worth_keeping = gained && renewed.tend_at() > Some(self.clock.monotonic() + TEND_MIN);
        let token = if worth_keeping { renewed } else { self.replace(&renewed).await? };
        Ok(self.next_look(&token))
    }

    fn next_look(&self, token: &Token) -> Duration {
        let until = token.tend_at().map_or(TEND_MAX, |at| at.saturating_sub(self.clock.monotonic()));
        until.clamp(TEND_MIN, TEND_MAX)
    }

    fn remaining(&self, token: &Token) -> Option<Duration> {
        let lease = token.lease?;
        Some((token.granted_at + lease).saturating_sub(self.clock.monotonic()))
    }

    fn lasts(&self, token: &Token, needed: Duration) -> bool {
        self.remaining(token).is_none_or(|left| left >= needed)
    }

    fn is_over(&self, token: &Token) -> bool {
        self.remaining(token).is_some_and(|left| left.is_zero())
    }
}

async fn keep<C: Clock>(inner: Arc<Inner<C>>) {
    let mut failures = 0_u32;
    let mut is_first = true;
    loop {
        // A mistake of ours ends this look at the token, not all that would follow.
        match AssertUnwindSafe(inner.tend()).catch_unwind().await {
            Ok(Ok(delay)) => {
                if std::mem::take(&mut is_first) {
                    login::warn_of_open_file(&inner.settings.auth).await;
                }
                failures = 0;
                inner.revoke_idle().await;
                inner.clock.sleep(delay).await;
                continue;
            }
            Ok(Err(error)) => tracing::debug!(code = error.code(), "the Vault token could not be seen to"),
            Err(_) => tracing::error!("the Vault token's keeper broke and begins anew; please report it"),
        }
        inner.clock.sleep((BACKOFF_MIN * 2_u32.saturating_pow(failures)).min(BACKOFF_MAX)).await;
        failures = failures.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn tokens_are_seen_to_before_two_thirds_of_their_life_and_not_all_at_once() {
        let granted_at = Duration::from_secs(100);
        let tend_at = |number: u32| {
            let token = SecretValue::new(format!("token-{number}"));
            let lease = Some(Duration::from_secs(1000));
            Token::new(Grant { token, lease, renewable: true }, granted_at).tend_at().unwrap()
        };
        let times: BTreeSet<Duration> = (0..100).map(tend_at).collect();
        let (first, last) = (times.first().unwrap(), times.last().unwrap());
        assert!(*first >= Duration::from_secs(700) && *last < Duration::from_secs(767), "{first:?} {last:?}");
        assert!(times.len() > 30, "only {} different times", times.len());
        assert_eq!(tend_at(7), tend_at(7));
    }
}
