//! The properties that `fuzz/` searches for hours, for a moment: any bytes, and the seeds with damage.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

use keyturn::testbed::fuzzing::TARGETS;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

const FUZZ: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz");

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(FUZZ).join("seeds").join(target);
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(|path| fs::read(path).unwrap()).collect()
}

#[test]
fn each_target_has_a_program_and_seeds_of_which_some_are_right_and_some_are_not() {
    let mut programs: Vec<String> = fs::read_dir(Path::new(FUZZ).join("fuzz_targets"))
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    programs.sort();
    assert_eq!(programs, TARGETS.map(|(name, _)| name.to_owned()));
    let manifest = fs::read_to_string(Path::new(FUZZ).join("Cargo.toml")).unwrap();
    for (name, target) in TARGETS {
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "{name} is never built");
        let taken = seeds(name).iter().filter(|seed| target(seed)).count();
        assert!(taken > 0, "no seed of {name} is what it should be");
    }
}

/// Damage to a seed: bytes flipped, cut out, doubled, or put in from elsewhere.
#[derive(Debug, Clone)]
enum Damage {
    Flip(Index, u8),
    Cut(Index, usize),
    Double(Index, usize),
    PutIn(Index, Vec<u8>),
}

impl Damage {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let end = |at: usize, length: usize, bytes: &[u8]| (at + length).min(bytes.len());
        match self {
            Self::Flip(at, with) if !bytes.is_empty() => {
                let at = at.index(bytes.len());
                bytes[at] ^= with;
            }
            Self::Flip(..) => {}
            Self::Cut(at, length) => {
                let at = at.index(bytes.len() + 1);
                bytes.drain(at..end(at, *length, bytes));
            }
            Self::Double(at, length) => {
                let at = at.index(bytes.len() + 1);
                let part = bytes[at..end(at, *length, bytes)].to_vec();
                bytes.splice(at..at, part);
            }
            Self::PutIn(at, part) => {
                let at = at.index(bytes.len() + 1);
                bytes.splice(at..at, part.iter().copied());
            }
        }
    }
}

fn damage() -> impl Strategy<Value = Damage> {
    let words =
        ["{", "}", "\"", ": ", "\n", "..", "/", "%2e", "null", "1e400", "{a}", "\u{200b}", "canary", "\0"];
    let put_in = prop_oneof![
        vec(any::<u8>(), 1..8),
        prop::sample::select(words.to_vec()).prop_map(|word| word.as_bytes().to_vec()),
    ];
    prop_oneof![
        (any::<Index>(), 1_u8..).prop_map(|(at, with)| Damage::Flip(at, with)),
        (any::<Index>(), 1_usize..40).prop_map(|(at, length)| Damage::Cut(at, length)),
        (any::<Index>(), 1_usize..40).prop_map(|(at, length)| Damage::Double(at, length)),
        (any::<Index>(), put_in).prop_map(|(at, part)| Damage::PutIn(at, part)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_keep_every_property(bytes in vec(any::<u8>(), 0..300)) {
        for (_, target) in TARGETS {
            target(&bytes);
        }
    }

    #[test]
    fn damaged_seeds_keep_every_property(which in any::<Index>(), damages in vec(damage(), 1..5)) {
        for (name, target) in TARGETS {
            let seeds = seeds(name);
            let mut bytes = seeds[which.index(seeds.len())].clone();
            for damage in &damages {
                damage.apply(&mut bytes);
            }
            target(&bytes);
        }
    }
}
