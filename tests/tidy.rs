//! The rules of the house, run instead of only written: who may import whom, how long files and functions may
//! be, who may expose a secret, and that no file lies about unused.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The rooms of the house and what each may import; `secret` stands for the module, fingerprints included.
const ARROWS: &[(&str, &[&str])] = &[
    ("ids", &[]),
    ("mistake", &[]),
    ("document", &["mistake"]),
    ("secret", &[]),
    ("trust", &[]),
    ("clock", &[]),
    ("rotation", &["ids", "secret"]),
    ("escrow", &["ids", "secret"]),
    ("vault", &["ids", "secret", "trust", "clock", "rotation"]),
    ("provider", &["ids", "secret", "trust", "clock", "rotation", "mistake", "document"]),
    ("engine", &["ids", "secret", "clock", "rotation", "escrow", "vault", "provider"]),
    ("api", &["ids", "clock", "rotation", "engine"]),
    ("config", &["ids", "mistake", "document", "rotation", "provider", "vault", "escrow"]),
    ("telemetry", &["ids", "rotation", "engine"]),
    ("doctor", &["mistake", "escrow", "vault", "provider", "config"]),
    (
        "rehearsal",
        &["ids", "mistake", "secret", "clock", "rotation", "escrow", "vault", "provider", "engine"],
    ),
    ("trial", &["ids", "mistake", "secret", "clock", "rotation", "provider"]),
    (
        "cli",
        &[
            "ids",
            "trust",
            "clock",
            "api",
            "config",
            "mistake",
            "provider",
            "escrow",
            "doctor",
            "rehearsal",
            "trial",
        ],
    ),
];

/// The only files that may look into a secret: where it meets the wire, the disk or its fingerprint, and where a
/// rehearsal invents it.
const EXPOSERS: &[&str] = &[
    "src/secret.rs",
    "src/escrow/sealed.rs",
    "src/provider/body.rs",
    "src/provider/request.rs",
    "src/provider/sent.rs",
    "src/provider/signing.rs",
    "src/provider/simulator.rs",
    "src/provider/simulator/document.rs",
    "src/rehearsal/store.rs",
    "src/trial/key_file.rs",
    "src/vault/client.rs",
    "src/vault/entry.rs",
    "src/vault/login.rs",
    "src/vault/record.rs",
];

const FILE_LINES_MAX: usize = 400;
const FUNCTION_LINES_MAX: usize = 70;

struct Source {
    path: String,
    /// The file without its tests.
    production: String,
    all: String,
}

fn sources(folder: &str) -> Vec<Source> {
    let mut found = Vec::new();
    collect(&Path::new(ROOT).join(folder), &mut found);
    found.sort();
    found
        .into_iter()
        .map(|path| {
            let all = fs::read_to_string(&path).unwrap();
            let path = path.strip_prefix(ROOT).unwrap().to_string_lossy().into_owned();
            let is_test = path.ends_with("/tests.rs") || path.ends_with("/sample.rs");
            let production = if is_test { "" } else { all.split("#[cfg(test)]").next().unwrap_or_default() };
            let production = production.to_owned();
            Source { path, production, all }
        })
        .collect()
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

/// Code without comments and texts, so that a rule looks at code alone.
fn code(text: &str) -> String {
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

#[test]
fn rooms_import_only_what_their_arrows_allow() {
    let mut wrong = Vec::new();
    for source in sources("src") {
        let room = source.path.trim_start_matches("src/").split(['/', '.']).next().unwrap().to_owned();
        let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == room) else { continue };
        for target in imports(&code(&source.production)) {
            let own = target == room;
            let known = ARROWS.iter().any(|(name, _)| *name == target);
            if known && !own && !allowed.contains(&target.as_str()) {
                wrong.push(format!("{} imports {target}", source.path));
            }
        }
    }
    assert!(wrong.is_empty(), "arrows that the house does not have:\n{}", wrong.join("\n"));
}

/// The modules named behind `crate::`, alone or in a list.
fn imports(code: &str) -> Vec<String> {
    let mut names = Vec::new();
    for piece in code.split("crate::").skip(1) {
        let listed = piece.strip_prefix('{').and_then(|list| list.split_once(';')).map(|(list, _)| list);
        for item in listed.unwrap_or(piece).split(',') {
            let name: String =
                item.trim().chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            names.push(name);
            if listed.is_none() {
                break;
            }
        }
    }
    names
}

#[test]
fn the_core_has_no_clock_no_input_no_output_and_no_tasks() {
    for source in sources("src/rotation") {
        for banned in
            ["tokio", "tonic", "reqwest", "tracing", "std::fs", "std::net", "async ", "SecretValue", "::now("]
        {
            assert!(!code(&source.production).contains(banned), "{} uses {banned}", source.path);
        }
    }
}

#[test]
fn secrets_are_exposed_only_where_they_meet_the_outside() {
    for source in sources("src") {
        let exposes = code(&source.production).contains(".expose()");
        let allowed = EXPOSERS.contains(&source.path.as_str()) || source.path.starts_with("src/testbed/");
        assert!(!exposes || allowed, "{} exposes a secret", source.path);
    }
}

#[test]
fn files_and_functions_stay_short() {
    let mut wrong = Vec::new();
    for source in sources("src").iter().chain(&sources("examples")) {
        let lines = source.production.lines().count();
        if lines > FILE_LINES_MAX {
            wrong.push(format!("{} has {lines} lines", source.path));
        }
        for (name, length) in functions(&source.production) {
            if length > FUNCTION_LINES_MAX {
                wrong.push(format!("{}: {name} has {length} lines", source.path));
            }
        }
    }
    assert!(wrong.is_empty(), "too long:\n{}", wrong.join("\n"));
}

/// Each function with its length, by indentation: from its `fn` line to the brace at the same depth.
fn functions(text: &str) -> Vec<(String, usize)> {
    let lines: Vec<_> = text.lines().collect();
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let trimmed = line.trim_start();
        let is_function = trimmed.split_whitespace().take(6).any(|word| word == "fn");
        if !is_function || trimmed.starts_with("//") {
            continue;
        }
        let depth = line.len() - trimmed.len();
        let end = lines.iter().skip(start).position(|line| {
            line.trim_end() == format!("{}}}", " ".repeat(depth))
                || line.trim_end().ends_with(';') && depth > 0
        });
        let name = trimmed.split("fn ").nth(1).unwrap_or_default();
        let name = name.split(['(', '<']).next().unwrap_or_default().to_owned();
        found.push((name, end.map_or(0, |length| length + 1)));
    }
    found
}

#[test]
fn every_source_file_is_reached_from_its_module() {
    for source in sources("src") {
        let path = Path::new(&source.path);
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        if ["main", "lib"].contains(&name.as_str()) && path.parent() == Some(Path::new("src")) {
            continue;
        }
        let folder = path.parent().unwrap();
        let (parent, module) = if name == "mod" {
            (folder.parent().unwrap(), folder.file_name().unwrap().to_string_lossy().into_owned())
        } else {
            (folder, name)
        };
        let fronts = [
            parent.join("mod.rs"),
            parent.with_extension("rs"),
            parent.join("lib.rs"),
            parent.join("main.rs"),
        ];
        let declared = fronts.iter().filter_map(|front| fs::read_to_string(Path::new(ROOT).join(front)).ok());
        let needle = format!("mod {module};");
        assert!(declared.into_iter().any(|text| text.contains(&needle)), "{} is an orphan", source.path);
    }
}

#[test]
fn no_test_is_switched_off_and_nothing_is_left_undone() {
    let banned = ["#[igno", "#[should_pa", "TODO", "FIXME", "XXX", "unimplemen", "thread::sle"];
    let endings = ["re]", "nic", "", "", "", "ted!", "ep"];
    for source in sources("src")
        .iter()
        .chain(&sources("tests"))
        .chain(&sources("examples"))
        .chain(&sources("fuzz/fuzz_targets"))
    {
        if source.path == "tests/tidy.rs" {
            continue;
        }
        for (start, end) in banned.iter().zip(endings) {
            let word = format!("{start}{end}");
            assert!(!source.all.contains(&word), "{} has {word}", source.path);
        }
    }
}

#[test]
fn providers_are_data_and_no_code_knows_their_names() {
    let names = provider_names();
    for source in sources("src") {
        if source.path.starts_with("src/testbed/") || source.path.starts_with("src/provider/catalog") {
            continue;
        }
        let code = code(&source.production).to_lowercase();
        let words: BTreeSet<&str> = code.split(|c: char| !c.is_ascii_alphanumeric()).collect();
        for name in &names {
            assert!(!words.contains(name.as_str()), "{} names {name}", source.path);
        }
    }
}

/// The providers in the catalogue, by the first word of their files.
fn provider_names() -> BTreeSet<String> {
    let folder = Path::new(ROOT).join("src/provider/catalog");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    let names: BTreeSet<String> =
        files.map(|file| file.to_string_lossy().split('-').next().unwrap().to_owned()).collect();
    assert!(names.len() > 10);
    names
}

#[test]
fn most_files_are_small() {
    let mut lengths: Vec<_> = sources("src").iter().map(|source| source.production.lines().count()).collect();
    lengths.sort_unstable();
    let median = lengths[lengths.len() / 2];
    assert!(median <= 200, "the median file has {median} lines");
}

#[test]
fn rooms_of_the_list_exist() {
    let rooms: BTreeMap<_, _> = ARROWS.iter().copied().collect();
    for room in rooms.keys() {
        let file = Path::new(ROOT).join("src").join(format!("{room}.rs"));
        let folder = Path::new(ROOT).join("src").join(room).join("mod.rs");
        assert!(file.exists() || folder.exists(), "there is no room {room}");
    }
}
