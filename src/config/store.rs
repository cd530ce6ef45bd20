//! Where secrets are published: no two of anything go into one field.

use std::collections::BTreeMap;

use super::credentials::{Context, Signer};
use super::{Found, raw};
use crate::document::member;
use crate::ids::{FieldPath, check_field};
use crate::mistake::{Mistake, did_you_mean};
use crate::provider::Catalog;

/// Whether each field of all entries gets one thing.
pub(super) fn check_all(raw: &[raw::Credential], catalog: &Catalog, found: &mut Found<'_>) {
    let mut first: BTreeMap<FieldPath, usize> = BTreeMap::new();
    for (index, credential) in raw.iter().enumerate() {
        let Ok(store) = credential.store.parse::<FieldPath>() else { continue };
        let beside = fields_of(credential, catalog)
            .into_iter()
            .map(|(name, field)| (format!("fields.{name}"), FieldPath { path: store.path.clone(), field }));
        for (what, place) in std::iter::once(("store".to_owned(), store.clone())).chain(beside) {
            let Some(earlier) = first.insert(place.clone(), index) else { continue };
            first.insert(place, earlier);
            found.add(
                Mistake::new(
                    format!("credentials[{index}].{what}"),
                    format!("credentials[{earlier}] is published into this field already, each would overwrite the other"),
                )
                .hint("give every credential a field of its own; several fields of one entry are fine"),
            );
        }
    }
}

/// The field for each thing that goes with the key.
pub(super) fn fields(
    raw: &raw::Credential,
    catalog: &Catalog,
    place: &str,
    found: &mut Found<'_>,
) -> BTreeMap<String, String> {
    let fields = fields_of(raw, catalog);
    for (name, field) in &raw.fields {
        let place = member(place, name);
        if let Err(error) = check_field(field) {
            found.add(Mistake::new(&place, error.to_string()));
        }
        // Of a definition that is not there, nothing is known.
        if !fields.contains_key(name) && catalog.get(&raw.provider).is_some() {
            let known = fields.keys().map(String::as_str);
            found.add(
                Mistake::new(&place, "the definition names no such thing that goes with the key")
                    .hint(did_you_mean(name, known)),
            );
        }
    }
    fields
}

fn fields_of(raw: &raw::Credential, catalog: &Catalog) -> BTreeMap<String, String> {
    let definition = catalog.get(&raw.provider);
    let names = definition.iter().flat_map(|definition| definition.answer.fields.keys());
    names.map(|name| (name.clone(), raw.fields.get(name).unwrap_or(name).clone())).collect()
}

/// What else a credential and its file say of places in Vault.
pub(super) struct Others<'a> {
    pub(super) signer: Option<&'a Signer>,
    pub(super) secrets: &'a BTreeMap<String, FieldPath>,
    pub(super) context: &'a Context<'a>,
}

/// Whether a credential is published where nobody else's is, and is signed by nothing that it renews.
pub(super) fn check(
    store: &FieldPath,
    fields: &BTreeMap<String, String>,
    others: &Others<'_>,
    place: &str,
    found: &mut Found<'_>,
) {
    let record_prefix = others.context.record_prefix;
    let is_below = record_prefix.is_some_and(|prefix| {
        let rest = store.path.as_str().strip_prefix(prefix.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    });
    if is_below {
        found.add(
            Mistake::new(format!("{place}.store"), "keyturn's own records are here, closed to applications")
                .hint("choose a path outside vault.record_prefix"),
        );
    }
    let goes_with_it =
        |field: &FieldPath| field.path == store.path && fields.values().any(|beside| *beside == field.field);
    let is_rotated = |field: &FieldPath| field == store || goes_with_it(field);
    if let Some(field) = others.signer.and_then(Signer::place).filter(|field| is_rotated(field)) {
        let hint = if goes_with_it(field) { SIGNED_BY_A_FIELD } else { SIGNED_BY_ITSELF };
        found
            .add(Mistake::new(format!("{place}.auth.vault"), "this is the field that is rotated").hint(hint));
    }
    for (name, field) in others.secrets.iter().filter(|(_, field)| is_rotated(field)) {
        let hint = if goes_with_it(field) {
            SIGNED_BY_A_FIELD
        } else {
            "name the field that holds the other secret"
        };
        found.add(
            Mistake::new(format!("{place}.secrets.{name}"), "this is the field that is rotated").hint(hint),
        );
    }
}

const SIGNED_BY_ITSELF: &str = "write auth: self, which says that the secret signs its own regeneration";
/// What is signed with must be known to be signed with: a lost answer then is a lock-out.
const SIGNED_BY_A_FIELD: &str =
    "what signs the next call is the key itself: the definition's `answer.secret` says where it is";
