//! A definition as a person reads it: what it needs, what is sent, and what a rotation would do.

use std::collections::BTreeMap;

use serde::Serialize;

use super::request::{Request, in_a_host, requests};
use super::{a_person_is_asked, friendly, if_answer_is_lost, means, old_key, steps};
use crate::mistake::Mistake;
use crate::provider::bind::{Binding, BoundDefinition, bind_loosely};
use crate::provider::definition::{AuthScheme, Creates, Definition, Grace, Pattern, SLOT};

/// A definition as a person reads it.
#[derive(Debug, Clone, Serialize)]
pub struct Portrait {
    /// Its name.
    pub name: String,
    /// What a person calls it.
    pub title: String,
    /// Where the provider is.
    pub environments: Vec<Environment>,
    /// What a credential says about itself.
    pub params: Vec<Parameter>,
    /// The names of the parameters that belong together, where there is a choice.
    pub choices: Vec<Vec<String>>,
    /// Further secrets that are sent along.
    pub secrets: Vec<Secret>,
    /// The names of what is published with the key.
    pub fields: Vec<String>,
    /// What is so whoever signs: a window to ask for, a lock.
    pub limits: Vec<String>,
    /// What is sent, each parameter standing for itself, secrets masked.
    pub requests: Vec<Request>,
    /// What a rotation does, by who signs it.
    pub ways: Vec<Way>,
    /// What the provider's documentation leaves open, and what is assumed instead.
    pub unconfirmed: Vec<String>,
    /// The pages from which it was written.
    pub sources: Vec<String>,
}

/// One place where the provider is.
#[derive(Debug, Clone, Serialize)]
pub struct Environment {
    /// Its name.
    pub name: String,
    /// The address below which all calls are made.
    pub base_url: String,
    /// Whether it counts where a credential names none.
    pub default: bool,
}

/// One thing that a credential says about itself.
#[derive(Debug, Clone, Serialize)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// What it is and where a person finds it.
    pub description: String,
    /// The regular expression that the whole value must match.
    pub pattern: Option<String>,
}

/// One further secret.
#[derive(Debug, Clone, Serialize)]
pub struct Secret {
    /// Its name.
    pub name: String,
    /// What it is and where a person finds it.
    pub description: String,
    /// Whether a credential may do without it.
    pub optional: bool,
}

/// One way to bind a credential, and what a rotation then does.
#[derive(Debug, Clone, Serialize)]
pub struct Way {
    /// What the configuration says.
    pub configured: String,
    /// Who signs the call.
    pub signed_by: String,
    /// The means by which a lost answer is settled, in a few words; none: a person.
    pub means: Vec<String>,
    /// The steps of a rotation, in their order.
    pub steps: Vec<String>,
    /// What happens if the provider's answer is lost.
    pub if_answer_is_lost: String,
    /// When the old key dies.
    pub old_key: String,
    /// What a person is asked about.
    pub a_person_is_asked: Vec<String>,
}

impl Portrait {
    /// Draws a definition with every parameter standing for itself. What cannot be bound is a mistake in it.
    pub fn of(definition: &Definition) -> Result<Self, Vec<Mistake>> {
        let model = Model::new(definition);
        let mut sent = Vec::new();
        for bound in model.bound_in_every_way()? {
            for request in requests(&bound, definition) {
                if !sent.contains(&request) {
                    sent.push(request);
                }
            }
        }
        sent.sort_by_key(|request: &Request| request.purpose);
        let environments = definition.environments.iter().map(|(name, base_url)| Environment {
            name: name.clone(),
            base_url: base_url.to_string(),
            default: *name == definition.default_environment,
        });
        let params = definition.params.iter().map(|(name, param)| Parameter {
            name: name.clone(),
            description: param.description.clone(),
            pattern: param.pattern.as_ref().map(|pattern| pattern.as_str().to_owned()),
        });
        let secrets = definition.extra_secrets.iter().map(|(name, secret)| Secret {
            name: name.clone(),
            description: secret.description.clone(),
            optional: secret.optional,
        });
        Ok(Self {
            name: definition.name.clone(),
            title: definition.title.clone(),
            environments: environments.collect(),
            params: params.collect(),
            choices: choices(definition),
            secrets: secrets.collect(),
            fields: definition.answer.fields.keys().cloned().collect(),
            limits: limits(definition),
            requests: sent,
            ways: model.ways()?,
            unconfirmed: definition.unconfirmed.clone(),
            sources: definition.sources.clone(),
        })
    }
}

fn choices(definition: &Definition) -> Vec<Vec<String>> {
    if definition.resource.len() < 2 {
        return Vec::new();
    }
    let names = definition.resource.iter().map(|resource| resource.names().map(str::to_owned).collect());
    names.collect()
}

fn limits(definition: &Definition) -> Vec<String> {
    let grace = match definition.grace {
        Grace::Requested(request) => Some(format!(
            "The call asks for a grace window: {:#}, or what the credential says under `grace`, up to {:#}.",
            friendly(request.default),
            friendly(request.max)
        )),
        Grace::None | Grace::Fixed(_) => None,
    };
    let lock = definition.lock.map(|lock| {
        format!("For {:#} after a rotation the provider refuses, or punishes, another.", friendly(lock))
    });
    let lifetime = definition.lifetime.map(|lifetime| {
        format!(
            "A key expires by itself {:#} after it was made; it has to be rotated earlier.",
            friendly(lifetime)
        )
    });
    let block = definition.rate_limit_block.map(|block| {
        format!("A 429 that does not say for how long keeps the account away for {:#}.", friendly(block))
    });
    let creates = definition.creates.iter();
    let beside = creates.flat_map(|creates| [Some(revoked_after(creates)), creates.keys_max.map(places)]);
    let slots = (!definition.slots.is_empty()).then(|| {
        format!(
            "The provider has the keys {}. The one that nobody uses is made anew; the old one is left alone for 24h, or as the \
             credential says under `grace`. A key that has leaked lives on until a second rotation, an emergency or not.",
            definition.slots.join(" and ")
        )
    });
    [grace, lifetime, lock, block, slots].into_iter().chain(beside).flatten().collect()
}

fn revoked_after(creates: &Creates) -> String {
    if creates.activate.is_some() {
        return format!(
            "The new key is pending beside the old one, which dies when the new one is activated: {:#} after its rotation, or as \
             the credential says under `revoke_after`. Until then no other rotation begins, as an emergency neither.",
            friendly(creates.revoke_after)
        );
    }
    format!(
        "Keys live side by side: the old one is revoked {:#} after its rotation, or as the credential says under \
         `revoke_after`. No other rotation but an emergency begins before that.",
        friendly(creates.revoke_after)
    )
}

fn places(keys_max: u32) -> String {
    format!("At most {keys_max} keys live at once; while no place is left, no rotation begins.")
}

/// A definition whose parameters take their own names in braces for a value.
struct Model {
    definition: Definition,
}

impl Model {
    fn new(definition: &Definition) -> Self {
        let mut definition = definition.clone();
        for param in definition.params.values_mut() {
            param.pattern = None::<Pattern>;
            param.max_length = usize::MAX;
        }
        if !definition.slots.is_empty() {
            definition.slots = vec![format!("{{{SLOT}}}")];
        }
        Self { definition }
    }

    fn ways(&self) -> Result<Vec<Way>, Vec<Mistake>> {
        let first = self.definition.resource.first();
        self.definition
            .self_signing
            .ways()
            .iter()
            .map(|own| {
                let bound = self.bind(first, self.definition.auth.first(), *own)?;
                Ok(way(&bound, *own))
            })
            .collect()
    }

    /// For every resource and every scheme; who signs makes no difference to what is sent.
    fn bound_in_every_way(&self) -> Result<Vec<BoundDefinition>, Vec<Mistake>> {
        let own = self.definition.self_signing.ways().iter().all(|own| *own);
        let resources: Vec<_> = match self.definition.resource.as_slice() {
            [] => vec![None],
            several => several.iter().map(Some).collect(),
        };
        let schemes = self.definition.auth.iter().take(if own { 1 } else { usize::MAX });
        let all =
            resources.iter().flat_map(|resource| schemes.clone().map(move |scheme| (*resource, scheme)));
        all.map(|(resource, scheme)| self.bind(resource, Some(scheme), own)).collect()
    }

    fn bind(
        &self,
        resource: Option<&crate::provider::Template>,
        scheme: Option<&AuthScheme>,
        own: bool,
    ) -> Result<BoundDefinition, Vec<Mistake>> {
        let definition =
            Definition { resource: resource.into_iter().cloned().collect(), ..self.definition.clone() };
        let itself = |name: &String| (name.clone(), format!("{{{name}}}"));
        let binding = Binding {
            params: definition.params.keys().map(itself).collect::<BTreeMap<_, _>>(),
            base_url: host_of_names(&definition),
            auth_scheme: scheme.map(|scheme| scheme.id().to_owned()),
            self_authenticating: own,
            extra_secrets: definition.extra_secrets.keys().cloned().collect(),
            ..Binding::usual()
        };
        bind_loosely(&definition, binding)
    }
}

/// The default base URL, in which each parameter stands for itself as a host can write it.
fn host_of_names(definition: &Definition) -> Option<String> {
    let template = definition.environments.get(&definition.default_environment)?;
    template.names().next()?;
    template.render(|name| Some(in_a_host(name))).ok()
}

fn way(bound: &BoundDefinition, own: bool) -> Way {
    let plan = bound.plan();
    let is_safe = plan.grace.is_some() || plan.creates.is_some();
    let (signed_by, configured) = match (own, is_safe) {
        (false, _) => ("a separate credential", "`auth: { vault: mount/path#field }`"),
        (true, true) => ("the key itself", "`auth: self`"),
        (true, false) => ("the key itself", "`auth: self` and `accept_lock_out: NAME`"),
    };
    Way {
        configured: configured.to_owned(),
        signed_by: signed_by.to_owned(),
        means: means(plan),
        steps: steps(plan),
        if_answer_is_lost: if_answer_is_lost(plan),
        old_key: old_key(plan),
        a_person_is_asked: a_person_is_asked(plan),
    }
}
