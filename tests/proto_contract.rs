//! The API is a contract: everything in it is explained, and nothing in it changes its number or name.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use keyturn::api::proto::DESCRIPTOR_SET;
use keyturn::api::{ListenOptions, Listeners};
use keyturn::engine::Rejection;
use prost::Message as _;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{
    DescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet, MessageOptions,
};
use regex::Regex;

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/proto.txt");
const ERRORS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/errors.md");
const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src");

fn files() -> Vec<FileDescriptorProto> {
    let all = FileDescriptorSet::decode(DESCRIPTOR_SET).unwrap().file;
    all.into_iter().filter(|file| file.package() == "keyturn.v1").collect()
}

/// One line for each item of a file, with the path by which its comment is found.
fn items(file: &FileDescriptorProto) -> Vec<(Vec<i32>, String)> {
    let mut items = Vec::new();
    for (m, message) in (0..).zip(&file.message_type) {
        let is_map =
            |nested: &DescriptorProto| nested.options.as_ref().is_some_and(MessageOptions::map_entry);
        assert!(message.nested_type.iter().all(is_map) && message.enum_type.is_empty(), "nothing is nested");
        items.push((vec![4, m], format!("message {}", message.name())));
        for (f, field) in (0..).zip(&message.field) {
            let line = format!("  {}.{} = {} {}", message.name(), field.name(), field.number(), kind(field));
            items.push((vec![4, m, 2, f], line));
        }
    }
    for (e, listed) in (0..).zip(&file.enum_type) {
        items.push((vec![5, e], format!("enum {}", listed.name())));
        for (v, value) in (0..).zip(&listed.value) {
            items.push((vec![5, e, 2, v], format!("  {} = {}", value.name(), value.number())));
        }
    }
    for (s, service) in (0..).zip(&file.service) {
        items.push((vec![6, s], format!("service {}", service.name())));
        for (r, rpc) in (0..).zip(&service.method) {
            let stream = if rpc.server_streaming() { "stream " } else { "" };
            let (asks, answers) = (rpc.input_type(), rpc.output_type());
            items.push((vec![6, s, 2, r], format!("  {}({asks}) returns ({stream}{answers})", rpc.name())));
        }
    }
    items
}

fn kind(field: &FieldDescriptorProto) -> String {
    let repeated = if field.label() == Label::Repeated { "repeated " } else { "" };
    match field.r#type() {
        Type::Message | Type::Enum => format!("{repeated}{}", field.type_name()),
        scalar => format!("{repeated}{}", scalar.as_str_name()),
    }
}

#[test]
fn every_item_is_explained() {
    for file in files() {
        let info = file.source_code_info.as_ref().unwrap();
        let comments: HashMap<_, _> =
            info.location.iter().map(|at| (at.path.clone(), at.leading_comments().trim())).collect();
        for (path, line) in items(&file) {
            let comment = comments.get(&path).copied().unwrap_or_default();
            assert!(comment.ends_with('.'), "{}: {line} has no comment that is a sentence", file.name());
        }
    }
}

#[test]
fn enums_begin_with_a_value_that_means_nothing() {
    for listed in files().iter().flat_map(|file| &file.enum_type) {
        let zero = listed.value.iter().find(|value| value.number() == 0).unwrap();
        assert!(zero.name().ends_with("_UNSPECIFIED"), "{}", zero.name());
    }
}

#[test]
fn no_field_has_room_for_a_secret() {
    let suspicious = Regex::new("secret|password|value|private|credentials_json|identity|answer$").unwrap();
    for message in files().iter().flat_map(|file| &file.message_type) {
        for field in &message.field {
            let bytes = field.r#type() == Type::Bytes;
            assert!(!bytes && !suspicious.is_match(field.name()), "{}.{}", message.name(), field.name());
        }
    }
}

#[test]
fn names_and_numbers_stay() {
    let mut listing = String::new();
    for file in files() {
        writeln!(listing, "# {}", file.name()).unwrap();
        for (_, line) in items(&file) {
            writeln!(listing, "{line}").unwrap();
        }
    }
    if fs::read_to_string(GOLDEN).unwrap_or_default() == listing {
        return;
    }
    let fresh = Path::new(env!("CARGO_TARGET_TMPDIR")).join("proto.txt");
    fs::write(&fresh, listing).unwrap();
    panic!(
        "the API differs from tests/golden/proto.txt. What clients use keeps its name and number; if this change only \
         adds, take it over:\n  cp {} tests/golden/proto.txt",
        fresh.display()
    );
}

#[test]
fn requests_that_change_something_can_be_repeated_safely() {
    let reading = Regex::new("^(Get|List|Watch|Plan)").unwrap();
    for file in files() {
        for rpc in file.service.iter().flat_map(|service| &service.method) {
            let request = rpc.input_type().trim_start_matches(".keyturn.v1.");
            let message = file.message_type.iter().find(|message| message.name() == request).unwrap();
            let has_id = message.field.iter().any(|field| field.name() == "request_id");
            assert_eq!(has_id, !reading.is_match(rpc.name()), "{request}");
        }
    }
}

#[tokio::test]
async fn every_code_is_in_the_documentation_and_nothing_else_is() {
    let documented = documented();
    let in_sources = codes_in_sources();
    let reachable = [
        Rejection::Stopping.code(),
        Listeners::bind(&ListenOptions::default()).await.unwrap_err().code(),
        keyturn::vault::Error::Sealed.code(),
        keyturn::rotation::Doubt::Timeout.code(),
        keyturn::rotation::HaltReason::NewKeyRefused.code(),
        keyturn::rotation::RefusalClass::Conflict.code(),
    ];
    for code in reachable {
        assert!(in_sources.contains(code), "the search misses {code}");
    }
    let missing: Vec<_> = in_sources.difference(&documented).collect();
    assert!(missing.is_empty(), "docs/errors.md does not explain {missing:?}");
    let stale: Vec<_> = documented.iter().filter(|code| !in_sources.contains(*code)).collect();
    assert!(stale.is_empty(), "docs/errors.md explains what is no more: {stale:?}");
}

fn documented() -> BTreeSet<String> {
    let text = fs::read_to_string(ERRORS).unwrap();
    let row = Regex::new(r"(?m)^\| `([A-Z][A-Z0-9_]+)` \|").unwrap();
    row.captures_iter(&text).map(|found| found[1].to_owned()).collect()
}

/// Every literal in the layers that name causes which looks like a name of one.
fn codes_in_sources() -> BTreeSet<String> {
    let literal =
        Regex::new(r#""([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+|CANCELLED|DRIFT|RESIDUE|STOPPING)""#).unwrap();
    let mut codes = BTreeSet::new();
    for layer in
        ["api", "composition", "doctor", "engine", "escrow", "provider", "rotation", "trial", "vault"]
    {
        for text in sources(&Path::new(SOURCES).join(layer)) {
            let production = text.split("#[cfg(test)]").next().unwrap_or_default();
            codes.extend(literal.captures_iter(production).map(|found| found[1].to_owned()));
        }
    }
    // What Cargo sets when it builds.
    codes.retain(|code| !code.starts_with("CARGO_") && code != "OUT_DIR");
    codes
}

/// The texts of all source files below a directory, but those that hold only tests.
fn sources(directory: &Path) -> Vec<String> {
    let mut texts = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            texts.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("tests.rs") {
            texts.push(fs::read_to_string(&path).unwrap());
        }
    }
    texts
}
