//! Who has signed a request: the one for whom the same request, built again, has the same secrets in it.

use std::collections::BTreeMap;

use super::exchange::Received;
use super::{Simulator, token_for};
use crate::clock::Clock;
use crate::ids::KeyId;
use crate::provider::request::{Sender, fill};
use crate::provider::wire::{Call, SecretHeader, Signing};
use crate::secret::SecretValue;

impl<C: Clock> Simulator<C> {
    pub(super) fn may_ask(&self, received: &Received, call: &Call) -> bool {
        self.may_ask_about(received, call, None)
    }

    pub(super) fn may_ask_about(&self, received: &Received, call: &Call, key_id: Option<&KeyId>) -> bool {
        let signing = &self.bound.wire.signing;
        if self.bound.plan().self_authenticating {
            self.is_accepted_about(received, call, signing, key_id)
        } else {
            self.is_signed(received, call, signing, &self.admin, key_id)
        }
    }

    /// Whether a key has signed that lives and is accepted by now.
    pub(super) fn is_accepted(&self, received: &Received, call: &Call, signing: &Signing) -> bool {
        self.is_accepted_about(received, call, signing, None)
    }

    fn is_accepted_about(
        &self,
        received: &Received,
        call: &Call,
        signing: &Signing,
        key_id: Option<&KeyId>,
    ) -> bool {
        let now = self.clock.now();
        let state = self.state.borrow();
        let mut accepted = state.keys.iter().filter(|key| key.accepted_from <= now && now < key.dies_at);
        accepted.any(|key| self.is_signed(received, call, signing, &key.value, key_id))
    }

    fn is_signed(
        &self,
        received: &Received,
        call: &Call,
        signing: &Signing,
        key: &SecretValue,
        key_id: Option<&KeyId>,
    ) -> bool {
        let token = matches!(signing, Signing::Oauth2(_)).then(|| token_for(key));
        let main = token.as_ref().unwrap_or(key);
        let sender = self.sender(received, signing, main, &self.bound.wire.extra);
        is_sent(received, call, Sender { key_id, ..sender })
    }

    /// Who would have sent this with that key.
    pub(super) fn sender<'a>(
        &'a self,
        received: &'a Received,
        signing: &'a Signing,
        main: &'a SecretValue,
        extra_headers: &'a BTreeMap<String, SecretHeader>,
    ) -> Sender<'a> {
        Sender {
            signing,
            main,
            extra: &self.extra,
            extra_headers,
            id_header: self.bound.wire.idempotency_header.as_ref(),
            rotation: received.rotation_id(),
            supplied: received.supplied.as_ref(),
            key_id: None,
            now: self.clock.now(),
            signing_time: self.clock.now(),
        }
    }
}

/// Whether this is what that sender would have sent: the same secrets in headers and body.
pub(super) fn is_sent(received: &Received, call: &Call, sender: Sender<'_>) -> bool {
    let Ok(built) = fill(call, sender) else { return false };
    let mut secret = built.headers.iter().filter(|(_, value)| value.is_sensitive());
    secret.all(|(name, value)| received.header(name.as_str()).is_some_and(|it| it == value))
        && built.body.unwrap_or_default() == received.body()
}
