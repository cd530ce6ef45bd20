//! A trial: one real regenerate call for who writes a definition, whose key is kept in a file before anything is said.
//!
//! Around the call stand questions that change nothing: before it whether the provider is there and shows its present
//! key, after it whether the provider keeps what the definition says of answer, probe, read and list. Nothing is revoked, and no
//! second call is made, whatever came of the first.

mod afterwards;
mod before;
mod call;
mod interrupts;
mod key_file;
mod material;
mod shown;

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::clock::SystemClock;
use crate::ids::{KeyId, RotationId};
use crate::mistake::{Mistake, did_you_mean};
use crate::provider::definition::AuthScheme;
use crate::provider::{
    self, Binding, BoundDefinition, Definition, HttpProvider, Transport, TransportOptions, bind,
};

pub use afterwards::{Check, Verdict};
pub use before::Before;
pub use call::{Called, Left, Notice};
pub use interrupts::Interrupts;
pub use key_file::KeyFile;
pub use material::{Secrets, Unreadable};
pub use shown::{NewKey, Source};

/// What a person says about the key that is tried.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    /// The definition's parameters.
    pub params: BTreeMap<String, String>,
    /// One of the definition's environments; its default, where nothing is said.
    pub environment: Option<String>,
    /// One of the definition's authentication schemes; where it has several, a separate secret has to say which it is.
    pub auth_scheme: Option<String>,
    /// The secret that signs is the key that is made anew.
    pub signs_itself: bool,
    /// The one of several named keys that is made anew.
    pub slot: Option<String>,
    /// The names of the further secrets that are there.
    pub extra_secrets: Vec<String>,
}

/// Why something is not so, or not known.
#[derive(Debug)]
pub struct Cause {
    /// What happened, in words.
    pub what: String,
    /// Its name in the documentation.
    pub code: &'static str,
}

/// Why there is no trial.
#[derive(Debug)]
pub enum Error {
    /// The definition cannot be bound to what was said.
    Binding(Vec<Mistake>),
    /// There is no way to the provider from here.
    Way(provider::Error),
}

/// One call that can be made, and the questions around it.
#[derive(Debug)]
pub struct Trial {
    provider: HttpProvider<SystemClock>,
    /// The definition with no other key than the one that is made anew.
    definition: Definition,
    slot: Option<KeyId>,
    rotation: RotationId,
    clock: SystemClock,
}

impl Trial {
    /// Binds the definition; makes no request.
    pub fn new(definition: &Definition, wish: Wish) -> Result<Self, Error> {
        let slot =
            chosen_slot(definition, wish.slot.as_deref()).map_err(|mistake| Error::Binding(vec![mistake]))?;
        // Every call, and every request that is shown, is then about this key.
        let slots = slot.iter().map(|slot| slot.as_str().to_owned()).collect();
        let definition = Definition { slots, ..definition.clone() };
        let own = wish.signs_itself || definition.self_signing.ways() == [true];
        if !own && wish.auth_scheme.is_none() && definition.auth.len() > 1 {
            return Err(Error::Binding(vec![no_scheme(&definition)]));
        }
        let binding = Binding {
            params: wish.params,
            environment: wish.environment,
            auth_scheme: wish.auth_scheme,
            extra_secrets: wish.extra_secrets,
            self_authenticating: own,
            ..Binding::usual()
        };
        let bound = bind(&definition, binding).map_err(Error::Binding)?;
        let transport = Transport::new(&TransportOptions::default()).map_err(Error::Way)?;
        let clock = SystemClock::start();
        let provider = HttpProvider::new(bound, clock, transport).map_err(Error::Way)?;
        let rotation = RotationId::from_uuid(Uuid::now_v7());
        Ok(Self { provider, definition, slot, rotation, clock })
    }

    /// What the calls are made for.
    pub const fn bound(&self) -> &BoundDefinition {
        self.provider.bound()
    }

    /// The definition that the calls follow.
    pub const fn definition(&self) -> &Definition {
        &self.definition
    }
}

/// The first scheme is the made key's own; another secret would go out as what it is not.
fn no_scheme(definition: &Definition) -> Mistake {
    let schemes: Vec<&str> = definition.auth.iter().map(AuthScheme::id).collect();
    Mistake::new("auth_scheme", "the provider takes several kinds of secret, and none is named")
        .hint(format!("name what the secret that signs is: {}", schemes.join(" or ")))
}

fn chosen_slot(definition: &Definition, wanted: Option<&str>) -> Result<Option<KeyId>, Mistake> {
    let names = || definition.slots.iter().map(String::as_str);
    match wanted {
        None if definition.slots.is_empty() => Ok(None),
        None => Err(Mistake::new("slot", "the provider has several keys, and none is named")
            .hint(format!("name the one that nobody uses: {}", definition.slots.join(" or ")))),
        Some(wanted) => {
            let known = names().find(|name| *name == wanted).and_then(|name| name.parse().ok());
            let unknown =
                || Mistake::new("slot", "the provider has no such key").hint(did_you_mean(wanted, names()));
            known.map(Some).ok_or_else(unknown)
        }
    }
}
