//! Whether an owner gave the parameters that the definition needs, and only those.

use std::collections::{BTreeMap, BTreeSet};

use super::Binding;
use crate::mistake::{Mistake, did_you_mean};
use crate::provider::definition::{AuthScheme, Definition, Param};
use crate::provider::template::Template;

/// Checks all parameters and says which of the definition's resources they choose.
pub(super) fn check(
    definition: &Definition,
    scheme: Option<&AuthScheme>,
    binding: &Binding,
    found: &mut Vec<Mistake>,
) -> Option<Template> {
    let given = &binding.params;
    for (name, value) in given {
        match definition.params.get(name) {
            None => found.push(
                Mistake::new(
                    format!("params.{name}"),
                    format!("{} knows no such parameter", definition.name),
                )
                .hint(did_you_mean(name, definition.params.keys().map(String::as_str))),
            ),
            Some(param) => found.extend(value_mistake(name, param, value)),
        }
    }
    let resource = choose_resource(definition, given, found);
    let environment = binding.environment.as_ref().unwrap_or(&definition.default_environment);
    let base_url = definition.environments.get(environment).filter(|_| binding.base_url.is_none());
    let needed = needed(definition, scheme, resource.into_iter().chain(base_url));
    for name in &needed {
        if let Some(param) = definition.params.get(*name).filter(|_| !given.contains_key(*name)) {
            found.push(
                Mistake::new(format!("params.{name}"), "it is missing").hint(param.description.clone()),
            );
        }
    }
    let resource_is_settled = definition.resource.is_empty() || resource.is_some();
    for name in given.keys().filter(|name| resource_is_settled && definition.params.contains_key(*name)) {
        if !needed.contains(name.as_str()) {
            found.push(
                Mistake::new(format!("params.{name}"), "nothing uses it, given the other settings")
                    .hint("leave it out, or look whether another parameter or auth scheme was meant"),
            );
        }
    }
    resource.cloned()
}

fn value_mistake(name: &str, param: &Param, value: &str) -> Option<Mistake> {
    let mistake = |message: String| {
        Some(Mistake::new(format!("params.{name}"), message).hint(param.description.clone()))
    };
    if value.is_empty() || matches!(value, "." | "..") || value.chars().any(char::is_control) {
        return mistake("it is empty, or nothing that can stand in a path".into());
    }
    if value.chars().count() > param.max_length {
        return mistake(format!("it has more than {} characters", param.max_length));
    }
    let items: Vec<&str> = if param.list { Param::items(value).collect() } else { vec![value] };
    if items.contains(&"") {
        return mistake("an item of the list is empty".into());
    }
    let pattern = param.pattern.as_ref()?;
    let fits = items.into_iter().all(|item| pattern.matches(item));
    if fits { None } else { mistake(format!("it does not match {}", pattern.as_str())) }
}

fn choose_resource<'d>(
    definition: &'d Definition,
    given: &BTreeMap<String, String>,
    found: &mut Vec<Mistake>,
) -> Option<&'d Template> {
    let missing = |template: &Template| template.names().filter(|name| !given.contains_key(*name)).count();
    let fewest = definition.resource.iter().map(missing).min()?;
    let mut nearest = definition.resource.iter().filter(|template| missing(template) == fewest);
    let (Some(first), second) = (nearest.next(), nearest.next()) else { return None };
    if second.is_none() {
        return Some(first);
    }
    let alternatives: Vec<String> = definition
        .resource
        .iter()
        .map(|template| template.names().collect::<Vec<_>>().join(" and "))
        .collect();
    let message = if fewest == 0 { "only one may be given" } else { "which one is meant cannot be told" };
    found.push(Mistake::new("params", message).hint(format!("either {}", alternatives.join(", or "))));
    None
}

fn needed<'d>(
    definition: &'d Definition,
    scheme: Option<&'d AuthScheme>,
    chosen: impl Iterator<Item = &'d Template>,
) -> BTreeSet<&'d str> {
    let own_scheme = definition.auth.first().filter(|_| definition.probe.is_some());
    let of_schemes = scheme.into_iter().chain(own_scheme).flat_map(AuthScheme::templates);
    let names = definition.call_templates().chain(chosen).chain(of_schemes).flat_map(Template::names);
    names.filter(|name| definition.params.contains_key(*name)).collect()
}
