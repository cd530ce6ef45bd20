//! The chart's page knows every value, as `values.yaml` explains it.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::renderings::{Charts, NEWEST};
use crate::{ROOT, tools};

const PAGE: &str = "charts/keyturn/README.md";
const BEGIN: &str = "| value | default | meaning |\n|---|---|---|\n";

/// Renew it with `cp target/tmp/charts/keyturn/README.md charts/keyturn/`.
#[test]
fn every_value_is_on_the_page_with_its_default_and_meaning() {
    let page = fs::read_to_string(Path::new(ROOT).join(PAGE)).unwrap();
    let (before, rest) = page.split_once(BEGIN).expect("the page has no table of values");
    let (_, after) = rest.split_once("\n\n").unwrap();
    let values = fs::read_to_string(Path::new(ROOT).join("charts/keyturn/values.yaml")).unwrap();
    let renewed = format!("{before}{BEGIN}{}\n{after}", table(&values));
    if page != renewed {
        let fresh = Path::new(env!("CARGO_TARGET_TMPDIR")).join(PAGE);
        fs::create_dir_all(fresh.parent().unwrap()).unwrap();
        fs::write(&fresh, renewed).unwrap();
        panic!("renew with `cp target/tmp/{PAGE} charts/keyturn/`");
    }
}

/// A row for each value, made of its key, what it is and the comment above it.
fn table(values: &str) -> String {
    let mut rows = String::new();
    let mut path: Vec<(usize, &str)> = Vec::new();
    let mut meaning = Vec::new();
    for line in values.lines() {
        let text = line.trim_start();
        let depth = line.len() - text.len();
        if let Some(comment) = text.strip_prefix('#') {
            meaning.push(comment.trim());
        } else if let Some((key, value)) = text.split_once(':') {
            path.retain(|(outer, _)| *outer < depth);
            path.push((depth, key));
            let place = path.iter().map(|(_, key)| *key).collect::<Vec<_>>().join(".");
            if !value.is_empty() {
                assert!(!meaning.is_empty() || place.starts_with("resources."), "{place} has no comment");
                writeln!(rows, "| `{place}` | `{}` | {} |", value.trim(), meaning.join(" ")).unwrap();
            }
            if !value.is_empty() || place != "resources" {
                meaning.clear();
            }
        }
    }
    assert!(rows.lines().count() > 40);
    rows
}

#[test]
fn every_installation_on_the_page_for_kubernetes_renders() {
    let page = fs::read_to_string(Path::new(ROOT).join("docs/kubernetes.md")).unwrap().replace("\\\n", " ");
    let mut seen = 0;
    let charts = Charts::prepare();
    for line in page.lines().filter(|line| line.starts_with("helm upgrade --install ")) {
        let words = line.split_whitespace().skip(3).filter(|word| *word != "--wait");
        let words = words.map(|word| {
            // The charts are copies, so that the working copy stays as it is.
            word.replace("charts/", "")
                .replace("\"$IMAGE\"", "registry.example.com/keyturn")
                .replace("\"$APPLICATION_IMAGE\"", "registry.example.com/application:1")
                .replace("\"$VAULT_ADDRESS\"", "https://vault.example.com:8200")
        });
        let arguments: Vec<String> =
            ["template", "--kube-version", NEWEST].map(str::to_owned).into_iter().chain(words).collect();
        let rendered = charts.helm(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        let said = tools::said(&rendered);
        assert!(rendered.status.success(), "{line}: {said}");
        for meant in
            ["registry.example.com/keyturn:", "https://vault.example.com:8200", "name: vault-authority"]
        {
            assert!(said.contains(meant), "{line}: no {meant}");
        }
        seen += 1;
    }
    assert_eq!(seen, 2);
}
