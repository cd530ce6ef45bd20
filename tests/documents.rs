//! The pages for people are held to the code: what they show loads, what they draw is what the core does, and what
//! they name exists.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Parser as _;
use keyturn::cli::Cli;
use keyturn::config::Config;
use keyturn::provider::{Catalog, Definition};
use keyturn::rotation::State;
use keyturn::vault::Stamp;
use regex::Regex;
use serde_json::Value;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const ARCHITECTURE: &str = include_str!("../ARCHITECTURE.md");
const CONTRIBUTING: &str = include_str!("../CONTRIBUTING.md");
const README: &str = include_str!("../README.md");

/// All pages, by their place.
fn pages() -> Vec<(PathBuf, String)> {
    let folders = ["", "docs", "charts/keyturn"].map(|folder| Path::new(ROOT).join(folder));
    let files = folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap());
    let paths = files.map(|file| file.unwrap().path());
    let pages = paths.filter(|path| path.extension().is_some_and(|ending| ending == "md"));
    pages.map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect()
}

fn blocks<'a>(page: &'a str, language: &str) -> Vec<&'a str> {
    let fence = format!("```{language}\n");
    page.split(fence.as_str()).skip(1).filter_map(|rest| rest.split("\n```").next()).collect()
}

fn all_sources() -> String {
    let mut text = String::new();
    for folder in ["src", "tests", "examples"] {
        gather(&Path::new(ROOT).join(folder), &mut text);
    }
    text
}

fn gather(folder: &Path, text: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            gather(&path, text);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            text.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
}

/// Everything in the pages that a pattern's first group finds, with the page's place.
fn cited(pattern: &str) -> Vec<(PathBuf, String)> {
    let pattern = Regex::new(pattern).unwrap();
    let mut found = Vec::new();
    for (place, text) in pages() {
        found.extend(pattern.captures_iter(&text).map(|name| (place.clone(), name[1].to_owned())));
    }
    assert!(!found.is_empty(), "{} finds nothing", pattern.as_str());
    found
}

#[test]
fn the_configuration_on_the_first_page_loads() {
    let configurations: Vec<_> =
        blocks(README, "yaml").into_iter().filter(|block| block.starts_with("vault:")).collect();
    assert_eq!(configurations.len(), 1);
    let config = Config::parse(configurations[0], Path::new("/etc/keyturn"), Catalog::embedded());
    assert!(config.is_ok(), "{:#?}", config.err());
}

#[test]
fn the_definition_in_the_contributors_page_is_a_right_one() {
    for block in blocks(CONTRIBUTING, "yaml") {
        let definition = Definition::parse(block);
        assert!(definition.is_ok(), "{:#?}", definition.err());
    }
}

#[test]
fn the_diagram_has_the_edges_of_the_transition_table_and_no_others() {
    let table = include_str!("golden/transitions.txt");
    let mut real = BTreeSet::new();
    for line in table.lines() {
        // Columns as tests/rotation_table.rs writes them; a state's name is its phase, and perhaps more.
        let from = line.get(10..30).unwrap().split(',').next().unwrap().trim();
        let to = line.get(58..).unwrap().split_whitespace().next().unwrap();
        if to != "illegal" && to != from {
            real.insert((from.to_owned(), to.to_owned()));
        }
    }
    let edge = Regex::new(r"(?m)^\s*(\w+) --> (\w+)").unwrap();
    let diagrams = blocks(ARCHITECTURE, "mermaid");
    let diagram = diagrams.into_iter().find(|diagram| diagram.starts_with("stateDiagram-v2")).unwrap();
    let drawn: BTreeSet<_> =
        edge.captures_iter(diagram).map(|ends| (ends[1].to_owned(), ends[2].to_owned())).collect();
    assert!(real.len() > 10);
    let missing: Vec<_> = real.difference(&drawn).collect();
    let invented: Vec<_> = drawn.difference(&real).collect();
    assert!(missing.is_empty() && invented.is_empty(), "missing: {missing:?}\ninvented: {invented:?}");
}

#[test]
fn the_arrows_on_the_page_are_those_that_are_enforced() {
    let row = Regex::new(r"(?m)^\| `(\w+)` \| ([^|]+) \|$").unwrap();
    let enforced = Regex::new(r#"(?s)\(\s*"(\w+)",\s*&\[([^\]]*)\],?\s*\)"#).unwrap();
    let names = |text: &str| -> BTreeSet<String> {
        Regex::new(r"[a-z]+").unwrap().find_iter(text).map(|name| name.as_str().to_owned()).collect()
    };
    let tidy = include_str!("tidy.rs").split("const EXPOSERS").next().unwrap();
    let enforced: BTreeSet<_> =
        enforced.captures_iter(tidy).map(|arrow| (arrow[1].to_owned(), names(&arrow[2]))).collect();
    let section = ARCHITECTURE.split("## Who may import whom").nth(1).unwrap().split("\n## ").next().unwrap();
    let written: BTreeSet<_> = row
        .captures_iter(section)
        .map(|arrow| (arrow[1].to_owned(), names(arrow[2].replace("nothing", "").as_str())))
        .collect();
    assert_eq!(written, enforced);
}

#[test]
fn the_examples_of_record_and_entry_are_what_keyturn_reads() {
    let [record, entry] = blocks(ARCHITECTURE, "json")[..] else { panic!("not two examples") };
    let record: Value = serde_json::from_str(record).unwrap();
    let state: State = serde_json::from_value(record["state"].clone()).unwrap();
    assert_eq!(serde_json::to_value(&state).unwrap(), record["state"]);
    let known: BTreeSet<&str> =
        ["format", "credential", "state", "fingerprint_key", "identities", "staged", "nonce"].into();
    assert_eq!(record.as_object().unwrap().keys().map(String::as_str).collect::<BTreeSet<_>>(), known);
    let entry: Value = serde_json::from_str(entry).unwrap();
    let stamp: Stamp = serde_json::from_value(entry["_keyturn"]["client_key"].clone()).unwrap();
    assert_eq!(serde_json::to_value(&stamp).unwrap(), entry["_keyturn"]["client_key"]);
    assert!(entry["client_key"].is_string());
}

#[test]
fn every_link_leads_to_a_file() {
    for (place, target) in cited(r"\]\(([^)\s]+)\)") {
        if target.starts_with("https://") || target.starts_with('#') {
            continue;
        }
        let path = place.parent().unwrap().join(target.split('#').next().unwrap());
        assert!(path.exists(), "{} links to {target}", place.display());
    }
}

#[test]
fn every_path_that_is_named_exists() {
    let pattern =
        r"`((?:src|tests|docs|examples|proto|charts|\.ci|\.cargo)/[\w./-]+|[\w-]+\.toml|justfile|build\.rs)`";
    for (place, path) in cited(pattern) {
        assert!(Path::new(ROOT).join(&path).exists(), "{} names {path}", place.display());
    }
}

#[test]
fn every_test_that_is_named_exists() {
    let sources = all_sources();
    // A name of at least five words is a test's.
    for (place, name) in cited(r"`([a-z0-9]+(?:_[a-z0-9]+){4,})`") {
        assert!(sources.contains(&format!("fn {name}(")), "{} names {name}", place.display());
    }
}

#[test]
fn each_known_failure_has_its_row_and_each_test_in_it_exists() {
    let page = fs::read_to_string(Path::new(ROOT).join("docs/reliability.md")).unwrap();
    let row = Regex::new(r"(?m)^\| (\d+) \|.*\|([^|]*)\|$").unwrap();
    let failures = page.split("\n## ").next().unwrap();
    let rows: Vec<(u32, String)> =
        row.captures_iter(failures).map(|row| (row[1].parse().unwrap(), row[2].to_owned())).collect();
    assert_eq!(rows.iter().map(|(number, _)| *number).collect::<Vec<_>>(), (1..=27).collect::<Vec<_>>());
    let named = Regex::new(r"`([\w/.]+)::(\w+)`").unwrap();
    for (number, shown_by) in &rows {
        let waits =
            page.lines().any(|line| line.starts_with(&format!("| {number} |")) && line.contains("*Waits*"));
        assert!(waits || named.is_match(shown_by), "row {number} names no test");
    }
    for test in named.captures_iter(&page) {
        let source = fs::read_to_string(Path::new(ROOT).join(&test[1])).unwrap_or_default();
        assert!(source.contains(&format!("fn {}(", &test[2])), "the page names {}::{}", &test[1], &test[2]);
    }
}

#[test]
fn every_code_that_is_named_is_explained() {
    let explained = fs::read_to_string(Path::new(ROOT).join("docs/errors.md")).unwrap();
    // The pages in docs/ have tests of their own, and name variables that keyturn does not read.
    let on_root_pages = |(place, _): &(PathBuf, String)| place.parent() == Some(Path::new(ROOT));
    let codes =
        cited(r"`((?:VAULT|ESCROW|PROVIDER|ANSWER|ORPHAN|RECORD|ENTRY|NEW_KEY|RESIDUE|DRIFT)(?:_[A-Z_]+)?)`");
    for (place, code) in codes.into_iter().filter(on_root_pages) {
        assert!(explained.contains(&format!("`{code}`")), "{} names {code}", place.display());
    }
}

#[test]
fn every_command_that_is_shown_is_understood() {
    let words = Regex::new(r#""[^"]*"|\S+"#).unwrap();
    for (place, line) in cited(r"(?m)^\$ (keyturn .*)$") {
        let words = words.find_iter(&line).map(|word| word.as_str().trim_matches('"'));
        let parsed = Cli::try_parse_from(words);
        assert!(parsed.is_ok(), "{}: {line}\n{}", place.display(), parsed.unwrap_err());
    }
}

#[test]
fn every_recipe_that_is_named_exists() {
    let recipes = include_str!("../justfile");
    for (place, recipe) in cited(r"`just ([\w-]+)") {
        let begins = recipes
            .lines()
            .any(|line| line.starts_with(&format!("{recipe}:")) || line.starts_with(&format!("{recipe} ")));
        assert!(begins, "{} names the recipe {recipe}", place.display());
    }
}
