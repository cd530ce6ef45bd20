//! A definition bound to one credential: what its owner wrote is checked, its calls and its plan are fixed.

mod answer;
mod body;
mod calls;
mod params;
mod policy;
mod token;
mod usual;

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::header::HeaderName;
use url::Url;

pub use usual::bind_loosely;

use super::base_url;
use super::body::Body;
use super::definition::{Activate, AuthScheme, Definition, SLOT};
use super::template::Template;
use super::wire::{SecretHeader, Signing, Wire};
use crate::ids::KeyId;
use crate::mistake::{Mistake, did_you_mean};
use crate::rotation::schedule::Schedule;
use crate::rotation::{Creates, Plan, Propagation};

/// What an owner says about one credential.
#[derive(Debug, Clone)]
pub struct Binding {
    /// The definition's parameters.
    pub params: BTreeMap<String, String>,
    /// One of the definition's environments; its default, where nothing is said.
    pub environment: Option<String>,
    /// A base URL in place of the environment's.
    pub base_url: Option<String>,
    /// One of the definition's authentication schemes; its first, where nothing is said.
    pub auth_scheme: Option<String>,
    /// The credential signs its own regeneration: no separate credential was given.
    pub self_authenticating: bool,
    /// The owner knows that a lost answer may lock everybody out.
    pub accepts_lock_out: bool,
    /// The grace window to ask for, where the provider lets one ask.
    pub grace: Option<Duration>,
    /// How long the new key takes to become usable, where the owner knows better than the definition.
    pub propagation: Option<Duration>,
    /// How long after its rotation the old key is revoked, where keys live side by side and the owner says it.
    pub revoke_after: Option<Duration>,
    /// The id of the key that was there before the first rotation, where keys live side by side and the owner knows it.
    pub first_key: Option<KeyId>,
    /// The names of the further secrets that are there.
    pub extra_secrets: Vec<String>,
    /// When the credential is due.
    pub schedule: Schedule,
    /// The longest time from the first byte of a call to its answer.
    pub call_timeout: Duration,
    /// How long a sent request may still take effect after its sender gave up.
    pub settle: Duration,
    /// How long a holder may be silent.
    pub claim: Duration,
}

/// A definition bound to one credential.
#[derive(Debug, Clone)]
pub struct BoundDefinition {
    name: String,
    base_url: Url,
    plan: Plan,
    /// Of several named keys, those of the first.
    pub(super) wire: Wire,
    /// The calls for each of several named keys.
    pub(super) slots: Vec<(KeyId, Wire)>,
}

impl BoundDefinition {
    /// The definition's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The facts that the core decides by.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The address below which all calls are made.
    pub fn base_url(&self) -> &Url {
        &self.base_url
    }

    /// All addresses that a call of this credential can go to, the one of the token endpoint included.
    pub fn addresses(&self) -> impl Iterator<Item = &Url> {
        let probe = self.wire.probe.as_ref().map(|probe| &probe.signing);
        let tokens = std::iter::once(&self.wire.signing).chain(probe).filter_map(|signing| match signing {
            Signing::Oauth2(token) => Some(&token.call.url),
            _ => None,
        });
        std::iter::once(&self.base_url).chain(tokens)
    }

    /// The calls for the key of that name, where there are several.
    pub(super) fn wire_of(&self, slot: Option<&KeyId>) -> &Wire {
        let found = self.slots.iter().find(|(name, _)| Some(name) == slot);
        found.map_or(&self.wire, |(_, wire)| wire)
    }

    /// The names of what goes with the key.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        let fields = self.wire.answer.key.iter().flat_map(|place| place.fields.keys());
        fields.map(String::as_str)
    }

    /// The regenerate call as a person reads it: method and address, without secrets.
    pub fn regenerate_call(&self) -> String {
        format!("{} {}", self.wire.regenerate.method, self.wire.regenerate.url)
    }
}

/// Binds a definition to what an owner wrote; all mistakes at once.
pub fn bind(definition: &Definition, binding: Binding) -> Result<BoundDefinition, Vec<Mistake>> {
    let mut found = Vec::new();
    let base_url = take(choose_base_url(definition, &binding), &mut found);
    let scheme = take(choose_scheme(definition, &binding), &mut found);
    let resource = params::check(definition, scheme, &binding, &mut found);
    let extra = extra_secrets(definition, &binding, &mut found);
    let grace = policy::grace(definition, &binding, &mut found);
    let propagation = policy::propagation(definition, &binding, grace, &mut found);
    let creates = policy::creates(definition, &binding, &mut found);
    policy::lifetime(definition, &binding, &mut found);
    policy::who_signs(definition, &binding, grace, &mut found);
    policy::times(&binding, &mut found);
    let (Some(base_url), Some(scheme), true) = (base_url, scheme, found.is_empty()) else {
        return Err(found);
    };
    let asked_for = Asked { base_url: &base_url, resource: resource.as_ref(), grace, scheme, extra };
    let named = |name: &String| Some((name.parse().ok()?, slot_params(&binding, name)));
    let slots = definition
        .slots
        .iter()
        .filter_map(named)
        .map(|(name, params): (KeyId, _)| Ok((name, asked_for.wire(definition, &binding, &params)?)));
    let slots: Vec<_> = slots.collect::<Result<_, _>>().map_err(|mistake| vec![mistake])?;
    let wire = match slots.first() {
        Some((_, wire)) => wire.clone(),
        None => asked_for.wire(definition, &binding, &binding.params).map_err(|mistake| vec![mistake])?,
    };
    let plan = plan(definition, binding, grace, propagation, creates);
    Ok(BoundDefinition { name: definition.name.clone(), base_url, plan, wire, slots })
}

/// The parameters, and the name of one of several keys.
fn slot_params(binding: &Binding, slot: &str) -> BTreeMap<String, String> {
    let slot = (SLOT.to_owned(), slot.to_owned());
    binding.params.clone().into_iter().chain([slot]).collect()
}

/// What all calls of a credential have in common, whichever of several keys they are about.
struct Asked<'a> {
    base_url: &'a Url,
    resource: Option<&'a Template>,
    grace: Option<Duration>,
    scheme: &'a AuthScheme,
    extra: BTreeMap<String, SecretHeader>,
}

impl Asked<'_> {
    fn wire(
        &self,
        definition: &Definition,
        binding: &Binding,
        params: &BTreeMap<String, String>,
    ) -> Result<Wire, Mistake> {
        let Self { base_url, resource, grace, scheme, extra } = self;
        let site = calls::Site { base_url, resource: *resource, params, headers: &definition.headers };
        let names = body::Names {
            params,
            declared: &definition.params,
            extra_secrets: &binding.extra_secrets,
            grace: *grace,
            lifetime: definition.lifetime,
        };
        wire(definition, &site, &names, scheme, extra.clone())
    }
}

fn take<T>(result: Result<T, Mistake>, found: &mut Vec<Mistake>) -> Option<T> {
    result.map_err(|mistake| found.push(mistake)).ok()
}

fn choose_base_url(definition: &Definition, binding: &Binding) -> Result<Url, Mistake> {
    let environment = binding.environment.as_ref().unwrap_or(&definition.default_environment);
    let of_environment = definition.environments.get(environment).ok_or_else(|| {
        Mistake::new("environment", format!("{} has no such environment", definition.name))
            .hint(did_you_mean(environment, definition.environments.keys().map(String::as_str)))
    })?;
    match &binding.base_url {
        Some(own) => base_url::parse(own).map_err(|mistake| mistake.under("base_url")),
        None => base_url::fill(of_environment, &binding.params),
    }
}

fn choose_scheme<'d>(definition: &'d Definition, binding: &Binding) -> Result<&'d AuthScheme, Mistake> {
    let chosen = match &binding.auth_scheme {
        None => definition.auth.first(),
        Some(id) => definition.auth.iter().find(|scheme| scheme.id() == id),
    };
    chosen.ok_or_else(|| {
        let wanted = binding.auth_scheme.as_deref().unwrap_or_default();
        Mistake::new("auth_scheme", format!("{} has no such authentication scheme", definition.name))
            .hint(did_you_mean(wanted, definition.auth.iter().map(AuthScheme::id)))
    })
}

fn extra_secrets(
    definition: &Definition,
    binding: &Binding,
    found: &mut Vec<Mistake>,
) -> BTreeMap<String, SecretHeader> {
    for name in &binding.extra_secrets {
        if !definition.extra_secrets.contains_key(name) {
            found.push(
                Mistake::new(format!("extra_secrets.{name}"), "the definition knows no such secret")
                    .hint(did_you_mean(name, definition.extra_secrets.keys().map(String::as_str))),
            );
        }
    }
    let mut headers = BTreeMap::new();
    for (name, extra) in &definition.extra_secrets {
        let place = format!("extra_secrets.{name}");
        if binding.extra_secrets.contains(name) {
            let header = extra.header.as_ref();
            let header = header.and_then(|header| take(calls::header_name(&place, header), found));
            headers.extend(
                header.map(|header| {
                    (name.clone(), SecretHeader { name: header, prefix: extra.prefix.clone() })
                }),
            );
        } else if !extra.optional {
            found.push(Mistake::new(place, "it is missing").hint(extra.description.clone()));
        }
    }
    headers
}

fn wire(
    definition: &Definition,
    site: &calls::Site<'_>,
    names: &body::Names<'_>,
    scheme: &AuthScheme,
    extra: BTreeMap<String, SecretHeader>,
) -> Result<Wire, Mistake> {
    let idempotency = definition.idempotency.as_ref();
    let header: Option<HeaderName> = idempotency
        .and_then(|it| it.header.as_ref())
        .map(|header| calls::header_name("idempotency.header", header))
        .transpose()?;
    let own = |(probe, scheme)| site.probe(probe, signing(scheme, site.base_url, site.params)?);
    let regenerate = site.regenerate(&definition.regenerate, names)?;
    let labels = || regenerate.body.as_ref().map(Body::labels).unwrap_or_default();
    let creates = definition.creates.as_ref();
    let revoke = creates.into_iter().flat_map(|creates| &creates.revoke);
    let activate = creates.and_then(|creates| creates.activate.as_ref()).map(Activate::as_revocation);
    let discard = creates.and_then(|creates| creates.discard.as_ref());
    let list = creates.and_then(|creates| creates.list.as_ref());
    Ok(Wire {
        list: list.map(|list| site.list(list, labels())).transpose()?,
        revoke: revoke.map(|revoke| site.revoke(revoke, names)).collect::<Result<_, _>>()?,
        activate: activate.map(|activate| site.revoke(&activate, names)).transpose()?,
        discard: discard.map(|discard| site.revoke(discard, names)).transpose()?,
        regenerate,
        read: definition.read.as_ref().map(|read| site.read(read, names)).transpose()?,
        marker: definition.marker.as_ref().map(|marker| site.marker(marker, names)).transpose()?,
        probe: definition.probe.as_ref().zip(definition.auth.first()).map(own).transpose()?,
        signing: signing(scheme, site.base_url, site.params)?,
        supplies: definition.supplies.clone(),
        extra,
        idempotency_header: header,
        answer: answer::facts(definition, names)?,
    })
}

fn signing(
    scheme: &AuthScheme,
    base_url: &Url,
    params: &BTreeMap<String, String>,
) -> Result<Signing, Mistake> {
    Ok(match scheme {
        AuthScheme::Header(header) => Signing::Header(SecretHeader {
            name: calls::header_name("auth.header", &header.name)?,
            prefix: header.prefix.clone(),
        }),
        AuthScheme::Basic(basic) => {
            let filled = |side: &Option<_>| side.as_ref().map(|side| calls::fill(side, params)).transpose();
            let (username, password) = (filled(&basic.username)?, filled(&basic.password)?);
            Signing::Basic {
                before: username.map_or_else(String::new, |username| format!("{username}:")),
                after: password.map_or_else(String::new, |password| format!(":{password}")),
                encoded: false,
            }
        }
        AuthScheme::Hmac(hmac) => Signing::Hmac { scheme: Box::new(hmac.clone()), params: params.clone() },
        AuthScheme::Body(_) => Signing::Body,
        AuthScheme::Oauth2(oauth2) => Signing::Oauth2(Box::new(token::request(oauth2, base_url, params)?)),
    })
}

fn plan(
    definition: &Definition,
    binding: Binding,
    grace: Option<Duration>,
    propagation: Option<Propagation>,
    creates: Option<Creates>,
) -> Plan {
    // A key that signs for itself and dies at once cannot sign a replay, a read or a second call: after a lost
    // answer the one key it could be done with is the one that nobody has.
    let can_sign_again = !binding.self_authenticating || grace.is_some() || creates.is_some();
    let supplies = definition.supplies.is_some();
    let slots = definition.slots.iter().filter_map(|name| name.parse().ok()).collect();
    let calls_max = if supplies { Some(u32::MAX) } else { definition.redo.map(|redo| redo.max_calls) };
    let replay = definition.idempotency.as_ref().and_then(|idempotency| idempotency.replays_for);
    Plan {
        schedule: binding.schedule,
        self_authenticating: binding.self_authenticating,
        grace,
        lock: definition.lock,
        replay: replay.filter(|_| can_sign_again),
        read: definition.read.as_ref().map(|read| read.lag).filter(|_| can_sign_again),
        marker: definition.marker.as_ref().map(|marker| marker.lag).filter(|_| can_sign_again),
        redo: calls_max.filter(|_| can_sign_again),
        supplies,
        slots,
        creates,
        propagation,
        probe: definition.probe.is_some(),
        call_timeout: binding.call_timeout,
        settle: binding.settle,
        claim: binding.claim,
    }
}

#[cfg(test)]
mod tests;
