//! The judge notices a fake that does what no keyturn can help.

use keyturn::testbed::simulation::{Defect, Options, simulate};

use crate::SHORT;

/// Within how many worlds a defect must be noticed.
const WORLDS_MAX: u64 = 60;

/// What the judge says of the first world in which it notices the defect.
fn noticed(defect: Defect) -> String {
    let options = Options { defect: Some(defect), ..SHORT };
    let mut said = (0..WORLDS_MAX).filter_map(|seed| simulate(seed, options).unwrap().broken);
    said.next().unwrap_or_else(|| format!("nobody noticed: {defect:?}"))
}

#[test]
fn an_escrow_that_seals_nothing_is_noticed() {
    let said = noticed(Defect::EscrowSealsNothing);
    assert!(said.contains("P1") || said.contains("P4"), "{said}");
}

#[test]
fn a_provider_that_makes_two_keys_at_a_call_is_noticed() {
    let said = noticed(Defect::ProviderMintsTwice);
    // Where the provider has several named keys, the second one takes the place of the first in its slot.
    let in_its_slot = said.contains("(slots): P6");
    assert!(said.contains("P3") || said.contains("P4") || in_its_slot, "{said}");
}

#[test]
fn a_vault_that_ignores_versions_is_noticed() {
    let said = noticed(Defect::VaultIgnoresVersions);
    // Where a pending key has one place, two rotations at once meet in it.
    let in_its_place = said.contains("(two phases): P6");
    let promises = ["P1", "P2", "P3", "P4", "P5"];
    assert!(promises.iter().any(|promise| said.contains(promise)) || in_its_place, "{said}");
}
