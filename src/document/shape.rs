//! Holds a file against the schema: unknown and missing fields and wrong types, all at once.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::member;
use crate::mistake::{Mistake, did_you_mean};

/// Everything in `value` that does not fit `schema`.
///
/// Whatever does not fit is cut out of `value`, or replaced by an empty stand-in, so that the rest of the file
/// can still be read and checked.
pub(crate) fn fit(value: &mut Value, schema: &Value) -> Misfits {
    let mut misfits = Misfits::default();
    Walk { root: schema, misfits: &mut misfits }.check("", value, schema);
    misfits
}

/// What does not fit, and where.
#[derive(Debug, Default)]
pub(crate) struct Misfits {
    pub(crate) mistakes: Vec<Mistake>,
    places: BTreeSet<String>,
    unknown: BTreeMap<String, String>,
}

impl Misfits {
    /// Whether what is said about a place may only be a consequence of a misfit: it holds a stand-in, or one of
    /// its own fields was taken out.
    pub(crate) fn explain(&self, path: &str) -> bool {
        let ends = path.match_indices(['.', '[']).map(|(end, _)| end).chain([path.len()]);
        let is_below = ends.filter_map(|end| path.get(..end)).any(|above| self.places.contains(above));
        is_below
            || self.places.iter().any(|place| place.rsplit_once('.').is_some_and(|(above, _)| above == path))
    }

    /// What is around a field that the schema does not know, whose name is only the file's.
    pub(crate) fn around_unknown(&self, path: &str) -> Option<&str> {
        self.unknown.get(path).map(String::as_str)
    }

    fn add(&mut self, path: &str, mistake: Mistake) {
        self.places.insert(path.to_owned());
        self.mistakes.push(mistake);
    }
}

struct Walk<'a> {
    root: &'a Value,
    misfits: &'a mut Misfits,
}

impl<'a> Walk<'a> {
    /// Whether the value, as it is now, fits; where it does not, the caller takes it out.
    fn check(&mut self, path: &str, value: &mut Value, schema: &'a Value) -> bool {
        if value.is_null() && self.takes_null(schema) {
            return true;
        }
        let candidates = self.alternatives(schema);
        let of_its_kind: Vec<&'a Value> =
            candidates.iter().copied().filter(|schema| accepts(schema, value)).collect();
        let Some(schema) = chosen(&of_its_kind, value) else {
            let mistake = match value {
                Value::Object(members) if !of_its_kind.is_empty() => {
                    no_such_choice(path, members, &of_its_kind)
                }
                _ => another_kind(path, value, &candidates, description(schema)),
            };
            self.misfits.add(path, mistake);
            // A section of the file itself has no caller that could take it out.
            *value = self.stand_in(candidates.first().copied().unwrap_or(schema));
            return false;
        };
        match value {
            Value::Object(members) => self.check_members(path, members, schema),
            Value::Array(items) => {
                if let Some(schema) = schema.get("items") {
                    for (index, item) in items.iter_mut().enumerate() {
                        self.check(&format!("{path}[{index}]"), item, schema);
                    }
                }
                true
            }
            Value::String(text) => self.check_word(path, text, &of_its_kind, &candidates),
            _ => true,
        }
    }

    fn check_members(&mut self, path: &str, members: &mut Map<String, Value>, schema: &'a Value) -> bool {
        let known = schema.get("properties").and_then(Value::as_object);
        let other = schema.get("additionalProperties").filter(|other| other.is_object());
        // An empty field is one that is left out, unless it may be empty and has to be there.
        members.retain(|name, value| {
            let must_be_there = required(schema).find(|(known, _)| known == name).map(|(_, schema)| schema);
            let own =
                must_be_there.or_else(|| other.filter(|_| known.is_none_or(|it| !it.contains_key(name))));
            !value.is_null() || own.is_some_and(|schema| self.takes_null(schema))
        });
        let names: Vec<String> = members.keys().cloned().collect();
        for name in names {
            let place = member(path, &name);
            let schema = known.and_then(|known| known.get(&name)).or(other);
            let fits = if let (Some(schema), Some(value)) = (schema, members.get_mut(&name)) {
                self.check(&place, value, schema)
            } else {
                let known = known.into_iter().flat_map(Map::keys).map(String::as_str);
                let mistake = Mistake::new(&*place, "there is no such field");
                self.misfits.unknown.insert(place.clone(), path.to_owned());
                self.misfits.add(&place, mistake.hint(did_you_mean(&name, known)));
                false
            };
            if !fits {
                members.remove(&name);
            }
        }
        self.add_missing(path, members, schema);
        true
    }

    fn add_missing(&mut self, path: &str, members: &mut Map<String, Value>, schema: &'a Value) {
        for (name, schema) in required(schema) {
            if members.contains_key(name) {
                continue;
            }
            let place = member(path, name);
            if !self.misfits.places.contains(&place) {
                let mistake = Mistake::new(&*place, "it is missing");
                self.misfits.add(&place, with_hint(mistake, description(schema)));
            }
            members.insert(name.to_owned(), self.stand_in(schema));
        }
    }

    fn check_word(
        &mut self,
        path: &str,
        text: &str,
        schemas: &[&'a Value],
        candidates: &[&'a Value],
    ) -> bool {
        let words: Option<Vec<Vec<&str>>> = schemas.iter().map(|schema| words(schema)).collect();
        let Some(words) = words.map(|words| words.concat()).filter(|words| !words.contains(&text)) else {
            return true;
        };
        let fields = candidates.iter().flat_map(|schema| required(schema));
        let fields: Vec<String> = fields.map(|(name, _)| format!("{{ {name}: … }}")).collect();
        let words: Vec<&str> = words.into_iter().chain(fields.iter().map(String::as_str)).collect();
        self.misfits.add(path, Mistake::new(path, "there is no such word").hint(one_of(&words)));
        false
    }

    /// The schemas one of which a value has to fit; an absent value is never asked about.
    fn alternatives(&self, schema: &'a Value) -> Vec<&'a Value> {
        let schema = self.resolve(schema);
        let either = ["anyOf", "oneOf"].iter().find_map(|key| schema.get(*key)?.as_array());
        let is_null = |schema: &&Value| schema.get("type").and_then(Value::as_str) == Some("null");
        match either {
            Some(schemas) => schemas
                .iter()
                .filter(|it| !is_null(it))
                .map(|it| self.resolve(it))
                .flat_map(|it| self.alternatives(it))
                .collect(),
            None => vec![schema],
        }
    }

    fn takes_null(&self, schema: &'a Value) -> bool {
        let schema = self.resolve(schema);
        let either = ["anyOf", "oneOf"].iter().filter_map(|key| schema.get(*key)?.as_array()).flatten();
        types(schema).contains(&"null") || either.into_iter().any(|schema| self.takes_null(schema))
    }

    fn resolve(&self, schema: &'a Value) -> &'a Value {
        let target = schema.get("$ref").and_then(Value::as_str).and_then(|text| text.strip_prefix('#'));
        target.and_then(|pointer| self.root.pointer(pointer)).unwrap_or(schema)
    }

    /// The least value that fits, with everything that is required.
    fn stand_in(&self, schema: &'a Value) -> Value {
        let alternatives = self.alternatives(schema);
        let Some(schema) = alternatives.first() else { return Value::Null };
        if let Some(word) = words(schema).and_then(|words| words.first().copied()) {
            return word.into();
        }
        match types(schema).first() {
            Some(&"object") => {
                required(schema).map(|(name, schema)| (name.to_owned(), self.stand_in(schema))).collect()
            }
            Some(&"array") => Value::Array(Vec::new()),
            Some(&"string") => Value::String(String::new()),
            Some(&"boolean") => Value::Bool(false),
            Some(&"integer") => Value::from(0),
            _ => Value::Null,
        }
    }
}

fn required(schema: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let names = schema.get("required").and_then(Value::as_array).into_iter().flatten();
    names.filter_map(Value::as_str).filter_map(|name| Some((name, schema.get("properties")?.get(name)?)))
}

/// The schema that is meant: of several kinds of fields, the one that has a field of this name.
fn chosen<'a>(schemas: &[&'a Value], value: &Value) -> Option<&'a Value> {
    match (schemas, value) {
        ([_, _, ..], Value::Object(members)) => schemas
            .iter()
            .copied()
            .find(|schema| members.keys().any(|name| required(schema).any(|(tag, _)| tag == name))),
        _ => schemas.first().copied(),
    }
}

/// The words of which a text must be one, where any text will not do.
fn words(schema: &Value) -> Option<Vec<&str>> {
    if let Some(word) = schema.get("const") {
        return Some(word.as_str().into_iter().collect());
    }
    Some(schema.get("enum")?.as_array()?.iter().filter_map(Value::as_str).collect())
}

fn no_such_choice(path: &str, members: &Map<String, Value>, schemas: &[&Value]) -> Mistake {
    let known: Vec<&str> = schemas.iter().flat_map(|schema| required(schema)).map(|(name, _)| name).collect();
    let mistake = Mistake::new(path, "there is no such choice");
    match members.keys().next() {
        Some(name) => mistake.hint(did_you_mean(name, known.into_iter())),
        None => mistake.hint(one_of(&known)),
    }
}

fn another_kind(path: &str, value: &Value, schemas: &[&Value], description: &str) -> Mistake {
    let wanted: BTreeSet<&str> = schemas.iter().map(|schema| in_words(schema)).collect();
    let wanted = wanted.into_iter().collect::<Vec<_>>().join(" or ");
    let mistake = Mistake::new(path, format!("expected {wanted}, found {}", kind(value)));
    let is_plain = matches!(value, Value::Number(_) | Value::Bool(_));
    let words: Vec<&str> = schemas.iter().filter_map(|schema| words(schema)).flatten().collect();
    if !words.is_empty() {
        mistake.hint(one_of(&words))
    } else if is_plain && wanted.contains("text") {
        let is_time = ["How long", "how long", "longest"].iter().any(|word| description.contains(word));
        mistake.hint(if is_time { "write it with its unit, such as 60m" } else { "put it in quotes" })
    } else {
        let fields = schemas.iter().filter_map(|schema| schema.get("properties")?.as_object()).flatten();
        let fields: Vec<&str> = fields.map(|(name, _)| name.as_str()).collect();
        let fields = fields.join(", ");
        match first_sentence(description) {
            said if fields.is_empty() => with_hint(mistake, &said),
            said if said.is_empty() => mistake.hint(format!("its fields are {fields}")),
            said => mistake.hint(format!("{said}; its fields are {fields}")),
        }
    }
}

fn one_of(words: &[&str]) -> String {
    format!("one of: {}", words.join(", "))
}

fn types(schema: &Value) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn accepts(schema: &Value, value: &Value) -> bool {
    let types = types(schema);
    let wanted = match value {
        Value::Object(_) => "object",
        Value::Array(_) => "array",
        Value::String(_) => "string",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::Null => "null",
    };
    types.contains(&wanted) || value.is_i64() && types.contains(&"integer")
}

fn in_words(schema: &Value) -> &'static str {
    match types(schema).first() {
        Some(&"object") => "fields",
        Some(&"array") => "a list",
        Some(&"string") => "text",
        Some(&"boolean") => "true or false",
        _ => "a number",
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Object(_) => "fields",
        Value::Array(_) => "a list",
        Value::String(_) => "text",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::Null => "nothing",
    }
}

fn description(schema: &Value) -> &str {
    schema.get("description").and_then(Value::as_str).unwrap_or_default()
}

fn with_hint(mistake: Mistake, description: &str) -> Mistake {
    match first_sentence(description) {
        said if said.is_empty() => mistake,
        said => mistake.hint(said),
    }
}

/// What a person needs who got the field wrong.
fn first_sentence(description: &str) -> String {
    let text = description.replace('\n', " ");
    let sentence = text.split(". ").next().unwrap_or_default();
    sentence.trim_end_matches('.').to_owned()
}
