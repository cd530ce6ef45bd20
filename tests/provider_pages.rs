//! The generated pages: one for each definition that comes along, an index of them, and the reference of every field.
//!
//! Renew them with `cargo test --test provider_pages; cp -r target/tmp/docs .`, and look at the difference.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use clap::Parser as _;
use keyturn::cli::{Cli, Command, Console, Exit, providers};
use keyturn::provider::describe::{Block, Portrait};
use keyturn::provider::{Catalog, Definition, definition};
use serde_json::Value;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Compares a page with the one in the repository, and leaves a fresh one to be copied where they differ.
fn hold(place: &str, page: &str) -> Option<String> {
    if fs::read_to_string(Path::new(ROOT).join(place)).is_ok_and(|written| written == page) {
        return None;
    }
    let fresh = Path::new(env!("CARGO_TARGET_TMPDIR")).join(place);
    fs::create_dir_all(fresh.parent().unwrap()).unwrap();
    fs::write(fresh, page).unwrap();
    Some(place.to_owned())
}

#[test]
fn every_definition_that_comes_along_has_its_page_and_no_page_is_left_over() {
    let catalog = Catalog::embedded();
    let mut pages = BTreeMap::new();
    let mut index = "# Providers that come along\n\nGenerated from the definitions in `src/provider/catalog`. One of \
                     your own: [docs/providers.md](../providers.md).\n\n| definition | what it rotates | signed by | a \
                     lost answer is settled by |\n|---|---|---|---|\n"
        .to_owned();
    for definition in catalog.names().filter_map(|name| catalog.get(name)) {
        let portrait = Portrait::of(definition).unwrap();
        let file = format!("{}.md", definition.name.replace('/', "-"));
        index.push_str(&row(&portrait, &file));
        pages.insert(format!("docs/providers/{file}"), page(definition, &portrait));
    }
    pages.insert("docs/providers/README.md".to_owned(), index);
    let stale: Vec<String> = pages.iter().filter_map(|(place, page)| hold(place, page)).collect();
    assert!(stale.is_empty(), "renew with `cp -r target/tmp/docs .`: {stale:#?}");
    for entry in fs::read_dir(Path::new(ROOT).join("docs/providers")).unwrap() {
        let place = format!("docs/providers/{}", entry.unwrap().file_name().to_string_lossy());
        assert!(pages.contains_key(&place), "{place} belongs to no definition");
    }
}

fn row(portrait: &Portrait, file: &str) -> String {
    let either = |texts: Vec<String>| texts.join("; ");
    let signers = either(portrait.ways.iter().map(|way| way.signed_by.clone()).collect());
    let means =
        |means: &[String]| if means.is_empty() { "a person".to_owned() } else { means.join(", else ") };
    let mut settled: Vec<String> = portrait.ways.iter().map(|way| means(&way.means)).collect();
    settled.dedup();
    format!("| [`{}`]({file}) | {} | {signers} | {} |\n", portrait.name, portrait.title, either(settled))
}

fn page(definition: &Definition, portrait: &Portrait) -> String {
    let mut page = format!(
        "# {}\n\n`provider: {}`, generated from its definition in `src/provider/catalog`. `keyturn providers show {}` \
         prints the same.\n",
        portrait.title, portrait.name, portrait.name
    );
    for block in portrait.page() {
        page.push_str(&markdown(&block));
    }
    let risks = definition.findings().into_iter().filter(|finding| finding.path != "unconfirmed");
    let risks: Vec<String> =
        risks.map(|finding| format!("`{}`: {}; {}.", finding.path, finding.what, finding.help)).collect();
    if !risks.is_empty() {
        page.push_str(&markdown(&Block::Heading("To know".to_owned())));
        page.push_str(&markdown(&Block::Items(risks)));
    }
    page
}

fn markdown(block: &Block) -> String {
    let lines = match block {
        Block::Heading(text) => return format!("\n## {text}\n"),
        Block::Text(text) => vec![text.clone()],
        Block::Items(items) => items.iter().map(|item| format!("- {item}")).collect(),
        Block::Steps(steps) => (1..).zip(steps).map(|(number, step)| format!("{number}. {step}")).collect(),
        Block::Verbatim(lines) => return format!("\n```text\n{}\n```\n", lines.join("\n")),
    };
    format!("\n{}\n", lines.join("\n"))
}

#[test]
fn the_reference_has_every_field_as_the_types_say_it() {
    let schema = definition::schema();
    let mut fields = BTreeMap::new();
    Walk { root: &schema, fields: &mut fields }.fields("", &schema, &[], false);
    let mut page = "# Provider definitions: every field\n\nGenerated from the types that read a definition. How to write \
                    one: [providers.md](providers.md). For your editor: `keyturn providers schema`.\n\nUnknown fields \
                    are refused. Durations are written `30s`, `5m`, `1h 30m` or `30d`; a day is 24 hours. `[]` stands for each item of a \
                    list, `*` for a name of your own.\n\nA pointer is a JSON pointer (RFC 6901) into an answer, such as `/data/key`; the empty one is the whole \
                    answer. `{name}` in a path, query, header or text of a body stands for a parameter; in a body also for what \
                    keyturn knows, in quotes: "
        .to_owned();
    let names: Vec<String> =
        definition::names_in_bodies().iter().map(|name| format!("`{{{name}}}`")).collect();
    page.push_str(&names.join(", "));
    page.push_str(
        ". A number that stands alone in a text of a JSON body is sent as a number. `{{` and `}}` are plain braces.\n\n\
         | field | value | needed | meaning |\n|---|---|---|---|\n",
    );
    for (place, Field { value, needed, meaning }) in fields {
        writeln!(page, "| `{place}` | {value} | {needed} | {meaning} |").unwrap();
    }
    let stale = hold("docs/provider-reference.md", &page);
    assert_eq!(stale, None, "renew with `cp -r target/tmp/docs .`");
}

struct Field {
    value: String,
    needed: &'static str,
    meaning: String,
}

struct Walk<'a> {
    root: &'a Value,
    fields: &'a mut BTreeMap<String, Field>,
}

impl<'a> Walk<'a> {
    /// All fields of what a schema describes; a type inside of itself is told once.
    fn fields(&mut self, place: &str, schema: &'a Value, above: &[&'a str], is_choice: bool) {
        let name = schema["$ref"].as_str();
        if name.is_some_and(|name| above.contains(&name)) {
            return;
        }
        let above: Vec<&str> = above.iter().copied().chain(name).collect();
        let schema = self.resolve(schema);
        let either = ["anyOf", "oneOf"].iter().filter_map(|key| schema[*key].as_array()).flatten();
        let either: Vec<&Value> = either.filter(|schema| schema["type"] != "null").collect();
        for inner in &either {
            self.fields(place, inner, &above, is_choice || either.len() > 1);
        }
        if schema["items"].is_object() {
            self.fields(&format!("{place}[]"), &schema["items"], &above, false);
        }
        if schema["additionalProperties"].is_object() {
            self.fields(&format!("{place}.*"), &schema["additionalProperties"], &above, false);
        }
        let required: Vec<&str> =
            schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
            let place = if place.is_empty() { name.clone() } else { format!("{place}.{name}") };
            // A choice is described where it is offered, not in what is chosen.
            let meaning = Some(self.meaning(inner)).filter(|meaning| !meaning.is_empty());
            let field = Field {
                value: self.value(inner, &[]),
                needed: match required.contains(&name.as_str()) {
                    true if is_choice => "a choice",
                    true => "yes",
                    false => "no",
                },
                meaning: meaning.unwrap_or_else(|| self.meaning(schema)),
            };
            assert!(!field.meaning.is_empty(), "{place} has no description");
            self.fields.insert(place.clone(), field);
            self.fields(&place, inner, &above, false);
        }
    }

    fn resolve(&self, schema: &'a Value) -> &'a Value {
        let target = schema["$ref"].as_str().map(|target| target.trim_start_matches('#'));
        target.and_then(|pointer| self.root.pointer(pointer)).unwrap_or(schema)
    }

    /// The kinds of value that fit, words in full; a type inside of itself is only named.
    fn value(&self, schema: &'a Value, above: &[&'a str]) -> String {
        let name = schema["$ref"].as_str();
        if name.is_some_and(|name| above.contains(&name)) {
            return "the same".to_owned();
        }
        let above: Vec<&str> = above.iter().copied().chain(name).collect();
        let schema = self.resolve(schema);
        let either = ["anyOf", "oneOf"].iter().find_map(|key| schema[*key].as_array());
        if let Some(either) = either {
            let mut kinds: Vec<String> = either.iter().map(|schema| self.value(schema, &above)).collect();
            kinds.retain(|kind| !kind.is_empty());
            kinds.dedup();
            return kinds.join(" or ");
        }
        if let Some(word) = schema["const"].as_str() {
            return format!("`{word}`");
        }
        if let Some(words) = schema["enum"].as_array() {
            let words: Vec<String> =
                words.iter().filter_map(Value::as_str).map(|word| format!("`{word}`")).collect();
            return words.join(" or ");
        }
        let kind = match &schema["type"] {
            Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null"),
            kind => kind.as_str(),
        };
        match kind {
            Some("object") if schema["additionalProperties"].is_object() => {
                format!("by name: {}", self.value(&schema["additionalProperties"], &above))
            }
            Some("object") => "fields".to_owned(),
            Some("array") => match self.value(&schema["items"], &above).as_str() {
                "number" => "list of numbers".to_owned(),
                items => format!("list of {items}"),
            },
            Some("string") => "text".to_owned(),
            Some("boolean") => "true or false".to_owned(),
            Some("integer" | "number") => "number".to_owned(),
            _ => String::new(),
        }
    }

    /// What the field is; of a choice of words also what each means; what counts if it is left out.
    fn meaning(&self, schema: &'a Value) -> String {
        let described =
            |schema: &Value| schema["description"].as_str().unwrap_or_default().replace('\n', " ");
        let resolved = self.resolve(schema);
        let own = described(schema);
        let mut meaning = if own.is_empty() { described(resolved) } else { own };
        let words = self.words(resolved);
        for (word, description) in words {
            write!(meaning, " `{word}`: {description}").unwrap();
        }
        let default = &schema["default"];
        let is_said = match default {
            Value::Null | Value::Object(_) => false,
            Value::String(text) => !text.is_empty(),
            Value::Array(items) => !items.is_empty(),
            Value::Bool(value) => *value,
            Value::Number(_) => true,
        };
        if is_said {
            write!(meaning, " If left out: `{}`.", default.to_string().trim_matches('"')).unwrap();
        }
        meaning.replace('|', "\\|")
    }

    fn words(&self, schema: &'a Value) -> Vec<(&'a str, &'a str)> {
        let either = ["anyOf", "oneOf"].iter().filter_map(|key| schema[*key].as_array()).flatten();
        either
            .map(|schema| self.resolve(schema))
            .flat_map(|schema| match schema["const"].as_str() {
                Some(word) => vec![(word, schema["description"].as_str().unwrap_or_default())],
                None => self.words(schema),
            })
            .collect()
    }
}

#[tokio::test]
async fn the_worked_example_says_what_the_page_says() {
    let page = fs::read_to_string(Path::new(ROOT).join("docs/providers.md")).unwrap();
    let blocks = page.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let whole: Vec<&str> = blocks.filter(|block| block.starts_with("name:")).collect();
    let [draft, definition] = whole[..] else { panic!("not a draft and what becomes of it") };
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("example-api-key.yaml");
    let run = async |yaml: &str, line: &str| {
        fs::write(&file, yaml).unwrap();
        let line = format!("keyturn providers {line}").replace("FILE", &file.display().to_string());
        let Command::Providers(arguments) = Cli::parse_from(line.split_whitespace()).command else {
            panic!("{line} is about something else");
        };
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut console = Console::new(&mut out, &mut err);
        assert_eq!(providers(&arguments, &Catalog::embedded(), &mut console).await, Exit::Done, "{line}");
        String::from_utf8(out).unwrap()
    };
    let shows = |part: &str| assert!(page.contains(part), "the page does not show:\n{part}");
    let to_know = |checked: &str| format!("To know{}", checked.split("To know").nth(1).unwrap());
    shows(to_know(&run(draft, "check FILE").await).split("\n\n").next().unwrap());
    let known = to_know(&run(definition, "check FILE").await);
    assert_eq!(known.lines().filter(|line| line.starts_with("  ") && !line.starts_with("    ")).count(), 1);
    assert!(known.contains("statements that are assumed and not confirmed: 1"), "{known}");
    let test = "test FILE --param key_id=key_17";
    shows(run(draft, test).await.split("\n\n").nth(1).unwrap());
    shows(run(definition, test).await.split("\n\n").next().unwrap());
}

#[test]
fn the_examples_of_other_styles_are_right_ones() {
    let page = fs::read_to_string(Path::new(ROOT).join("docs/providers.md")).unwrap();
    let blocks = page.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let parts = blocks.filter(|block| block.contains("regenerate:") && !block.contains("name: example/"));
    let mut styles = Vec::new();
    for part in parts {
        let used = ["label", "account", "endpoint_id"]
            .into_iter()
            .filter(|name| part.contains(&format!("{{{name}}}")));
        let params: Vec<_> = used.map(|name| format!("{name}: {{ description: of one's own }}")).collect();
        // The key stands in the body of that call itself.
        let signing = if part.contains("{secret}") {
            "auth: [{ body: {} }]\nself: always\n"
        } else {
            "auth: [{ header: { name: X-Key } }]\nself: never\n"
        };
        let above = "name: example/api-key\ntitle: Example\nenvironments: { live: https://api.example.com }\n\
                     default_environment: live\n";
        let params = format!("params: {{ {} }}\n", params.join(", "));
        let definition = Definition::parse(&format!("{above}{signing}{params}{part}"));
        let definition = definition.unwrap_or_else(|found| panic!("{found:#?}"));
        let creates = definition.creates.as_ref();
        styles.push((
            definition.supplies.is_some(),
            definition.slots.len(),
            creates.map(|it| it.list.is_some()),
            definition.answer.fields.len(),
        ));
    }
    assert_eq!(styles, STYLES);
}

/// Whether the caller chooses the key, how many named keys there are, whether those side by side are listed, and what goes with
/// the key.
const STYLES: [(bool, usize, Option<bool>, usize); 5] = [
    (false, 0, Some(true), 0),
    (false, 0, None, 2),
    (false, 0, Some(false), 0),
    (false, 2, None, 0),
    (true, 0, None, 0),
];
