//! The keys that a simulated provider makes, each the same whenever it is asked for by its number.

use super::Simulator;
use super::beside::key_id;
use crate::clock::Clock;
use crate::secret::{Secret, SecretValue};

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
}
