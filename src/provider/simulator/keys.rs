//! The keys that a simulated provider makes, each the same whenever it is asked for by its number.

#[cfg(feature = "testbed")]
use jiff::Timestamp;

use super::Simulator;
use super::beside::key_id;
use crate::clock::Clock;
#[cfg(feature = "testbed")]
use crate::ids::RotationId;
use crate::secret::{Secret, SecretValue};

/// A key with all that the provider knows of it.
#[cfg(feature = "testbed")]
#[derive(Debug)]
pub(crate) struct KnownKey {
    pub(crate) secret: Secret,
    pub(crate) rotation: Option<RotationId>,
    pub(crate) accepted_from: Timestamp,
    pub(crate) dies_at: Timestamp,
}

impl<C: Clock> Simulator<C> {
    /// A key that it makes: 32 hexadecimal digits, which are base64 and a header's value too.
    pub fn key_number(number: usize) -> SecretValue {
        SecretValue::new(format!("{:032x}", 0x6b65_7974_7572_6e00_u128 + number as u128))
    }

    /// The same with all that goes with it: its id, and texts of their own.
    pub fn secret_number(&self, number: usize) -> Secret {
        let facts = &self.bound.wire.answer;
        let fields = facts.key.iter().flat_map(|place| &place.fields).zip(1_u128..);
        let fields = fields.map(|((name, at), place)| {
            let is_id = facts.key_id.as_ref() == Some(at);
            let own = || format!("{:032x}", (place << 96) + number as u128);
            (name.clone(), SecretValue::new(if is_id { key_id(number) } else { own() }))
        });
        let made = self.state.borrow().keys.get(number).map(|key| key.value.duplicate());
        Secret { key: made.unwrap_or_else(|| Self::key_number(number)), fields: fields.collect() }
    }

    /// All keys that there ever were, by their numbers.
    #[cfg(feature = "testbed")]
    pub(crate) fn known_keys(&self) -> Vec<KnownKey> {
        let state = self.state.borrow();
        let keys = state.keys.iter().enumerate().map(|(number, key)| KnownKey {
            secret: self.secret_number(number),
            rotation: key.rotation,
            accepted_from: key.accepted_from,
            dies_at: key.dies_at,
        });
        keys.collect()
    }

    /// Where the answer to a regenerate call has the key, as a JSON pointer; nothing where no answer shows it.
    #[cfg(feature = "testbed")]
    pub(crate) fn key_in_an_answer(&self) -> Option<String> {
        let place = self.bound.wire.answer.key.as_ref()?;
        let among =
            place.among.as_ref().map_or_else(String::new, |among| format!("{}/0", among.list.as_str()));
        Some(format!("{among}{}", place.secret.as_str()))
    }
}
