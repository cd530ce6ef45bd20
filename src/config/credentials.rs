//! The section `credentials`: each by itself, then all together.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::process::Timeouts;
use super::{Found, binding, raw, schedule, store};
use crate::ids::{CredentialName, FieldPath, VaultPath};
use crate::mistake::Mistake;
use crate::provider::{BoundDefinition, Catalog};

/// One credential, bound to its provider's definition.
#[derive(Debug, Clone)]
pub struct Credential {
    /// Its name.
    pub name: CredentialName,
    /// What is done with its provider, and the plan the core decides by.
    pub definition: BoundDefinition,
    /// What signs the regenerate call.
    pub signer: Signer,
    /// Where the further secrets are that the definition asks for.
    pub secrets: BTreeMap<String, FieldPath>,
    /// Where applications find the secret.
    pub store: FieldPath,
    /// The fields of the same entry for what goes with it, by the definition's names.
    pub fields: BTreeMap<String, String>,
    /// The file with the authorities that may sign the provider's certificate.
    pub ca_file: Option<PathBuf>,
}

impl Credential {
    /// The authorities that may sign the provider's certificate as PEM; the system's, where there are none.
    pub fn ca_pem(&self) -> Result<Option<String>, Mistake> {
        super::process::read_pem(&format!("credentials.{}.ca_file", self.name), self.ca_file.as_deref())
    }
}

/// What signs a credential's regenerate call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signer {
    /// The secret that is rotated.
    Itself,
    /// A credential in Vault.
    Vault(FieldPath),
}

impl Signer {
    /// Where the signing secret lies; `None` where it is the rotated one.
    pub const fn place(&self) -> Option<&FieldPath> {
        match self {
            Self::Itself => None,
            Self::Vault(place) => Some(place),
        }
    }
}

/// What the other sections say.
pub(super) struct Context<'a> {
    pub(super) catalog: &'a Catalog,
    pub(super) own: binding::Own,
    pub(super) timeouts: Timeouts,
    pub(super) record_prefix: Option<&'a VaultPath>,
}

/// All credentials in which no mistake was found.
pub(super) fn check(
    raw: &[raw::Credential],
    context: &Context<'_>,
    found: &mut Found<'_>,
) -> Vec<Credential> {
    if raw.is_empty() {
        found.add(
            Mistake::new("credentials", "there is nothing to rotate").hint("give at least one credential"),
        );
    }
    check_names(raw, found);
    store::check_all(raw, context.catalog, found);
    let mut credentials = Vec::with_capacity(raw.len());
    for (index, credential) in raw.iter().enumerate() {
        credentials.extend(check_one(credential, &format!("credentials[{index}]"), context, found));
    }
    credentials
}

fn check_names(raw: &[raw::Credential], found: &mut Found<'_>) {
    let mut first = BTreeMap::new();
    for (index, credential) in raw.iter().enumerate() {
        if let Some(earlier) = first.insert(credential.name.as_str(), index) {
            first.insert(&credential.name, earlier);
            found.add(
                Mistake::new(
                    format!("credentials[{index}].name"),
                    format!("credentials[{earlier}] has this name already"),
                )
                .hint("give every credential a name of its own"),
            );
        }
    }
}

fn check_one(
    raw: &raw::Credential,
    place: &str,
    context: &Context<'_>,
    found: &mut Found<'_>,
) -> Option<Credential> {
    let at = |name: &str| format!("{place}.{name}");
    let name: Option<CredentialName> = found.parse(&at("name"), &raw.name);
    let store: Option<FieldPath> = found.parse(&at("store"), &raw.store);
    let schedule = schedule::check(raw.schedule.as_ref(), &at("schedule"), found);
    let signer = check_signer(raw.auth.as_ref(), &at("auth"), found);
    let secrets = check_secrets(&raw.secrets, &at("secrets"), found);
    let ca_file = raw.ca_file.as_deref().map(|file| found.place(&at("ca_file"), file));
    let fields = store::fields(raw, context.catalog, &at("fields"), found);
    if let Some(store) = &store {
        let others = store::Others { signer: signer.as_ref(), secrets: &secrets, context };
        store::check(store, &fields, &others, place, found);
    }
    let definition = binding::bind(raw, signer.as_ref(), schedule, context, place, found);
    Some(Credential {
        name: name?,
        definition: definition?,
        signer: signer?,
        secrets,
        store: store?,
        fields,
        ca_file,
    })
}

fn check_signer(raw: Option<&raw::Auth>, place: &str, found: &mut Found<'_>) -> Option<Signer> {
    match raw {
        None => Some(Signer::Itself),
        Some(raw::Auth::Word(word)) if word == "self" => Some(Signer::Itself),
        Some(raw::Auth::Word(_)) => {
            found.add(
                Mistake::new(place, "there is no such word")
                    .hint("write self, or { vault: mount/path#field }"),
            );
            None
        }
        Some(raw::Auth::Vault(auth)) => {
            found.parse(&format!("{place}.vault"), &auth.vault).map(Signer::Vault)
        }
    }
}

fn check_secrets(
    raw: &BTreeMap<String, String>,
    place: &str,
    found: &mut Found<'_>,
) -> BTreeMap<String, FieldPath> {
    raw.iter()
        .filter_map(|(name, text)| Some((name.clone(), found.parse(&format!("{place}.{name}"), text)?)))
        .collect()
}
