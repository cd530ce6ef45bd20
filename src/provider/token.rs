//! Access tokens: asked for with the secret, kept in memory until shortly before their end.

use std::time::Duration;

use serde_json::Value;
use tokio::sync::Mutex;

use super::answer::{BodyEnd, Received};
use super::definition::ProblemShape;
use super::json::{Found, SecretJson};
use super::sent::Sent;
use super::template::Pointer;
use super::{problem, retry_after};
use crate::rotation::{Problem, Refusal, RefusalClass};
use crate::secret::{Fingerprint, FingerprintKey, SecretValue};

/// The newest access token of one credential.
#[derive(Debug, Default)]
pub(super) struct Tokens(Mutex<Option<Kept>>);

#[derive(Debug)]
struct Kept {
    /// The secret that it was given for.
    secret: Fingerprint,
    token: SecretValue,
    /// The monotonic time from which on it is not used.
    until: Duration,
}

impl Tokens {
    /// The token that was given for this secret, if it is good for a call that begins now.
    pub(super) async fn kept(&self, secret: &SecretValue, now: Duration) -> Option<SecretValue> {
        let mut kept = self.0.lock().await;
        let is_good = |kept: &Kept| kept.until > now && kept.secret == in_memory(secret);
        if kept.as_ref().is_some_and(is_good) {
            kept.as_ref().map(|kept| kept.token.duplicate())
        } else {
            *kept = None;
            None
        }
    }

    /// Keeps a token that was asked for at the monotonic time `asked_at`, until `spare` before its end.
    pub(super) async fn keep(
        &self,
        secret: &SecretValue,
        token: &Token,
        asked_at: Duration,
        spare: Duration,
    ) {
        let Some(length) = token.lifetime.and_then(|lifetime| lifetime.checked_sub(spare)) else { return };
        let until = asked_at.saturating_add(length);
        let kept = Kept { secret: in_memory(secret), token: token.value.duplicate(), until };
        *self.0.lock().await = Some(kept);
    }

    /// Drops the token: the provider no longer accepts it.
    pub(super) async fn forget(&self) {
        *self.0.lock().await = None;
    }
}

/// Tells two secrets apart while this process lives; it is shown nowhere.
fn in_memory(secret: &SecretValue) -> Fingerprint {
    secret.fingerprint(&FingerprintKey::new("access tokens".to_owned()))
}

/// An access token, and how long it is good for, as far as the provider says it.
#[derive(Debug)]
pub(super) struct Token {
    pub(super) value: SecretValue,
    pub(super) lifetime: Option<Duration>,
}

/// What the token endpoint answered. Without a token no call is made, so all else is a refusal.
pub(super) fn of_answer(received: &Received, sent: &Sent) -> Result<Token, Box<Refusal>> {
    let refused = |class| {
        let problem = problem::read(&shape(), received.status, &received.body, sent);
        let title =
            format!("no access token: {}", problem.title.as_deref().unwrap_or("the provider gave none"));
        let retry_after = retry_after::read(&received.headers, received.at);
        Box::new(Refusal { class, problem: Problem { title: Some(title), ..problem }, retry_after })
    };
    match received.status {
        200..=299 => {}
        429 => return Err(refused(RefusalClass::RateLimited)),
        401 => return Err(refused(RefusalClass::Unauthenticated)),
        400..=499 => {
            let mut refusal = refused(RefusalClass::Invalid);
            if refusal.problem.code.as_deref() == Some("invalid_client") {
                refusal.class = RefusalClass::Unauthenticated;
            }
            return Err(refusal);
        }
        _ => return Err(refused(RefusalClass::Unreachable)),
    }
    if received.end != BodyEnd::Whole {
        return Err(refused(RefusalClass::Unreachable));
    }
    let Some(mut json) = SecretJson::parse(&received.body) else {
        return Err(refused(RefusalClass::Invalid));
    };
    let lifetime = json.at(&Pointer::literal("/expires_in")).and_then(seconds);
    match json.take_text(&Pointer::literal("/access_token")) {
        Found::Text(token) => Ok(Token { value: SecretValue::new(token), lifetime }),
        Found::Nothing | Found::SomethingElse => Err(refused(RefusalClass::Invalid)),
    }
}

fn seconds(value: &Value) -> Option<Duration> {
    let seconds = value.as_u64().or_else(|| value.as_str()?.parse().ok())?;
    Some(Duration::from_secs(seconds))
}

/// The members of an error in RFC 6749.
fn shape() -> ProblemShape {
    ProblemShape {
        code: Pointer::literal("/error"),
        title: Pointer::literal("/error_description"),
        ..ProblemShape::default()
    }
}
