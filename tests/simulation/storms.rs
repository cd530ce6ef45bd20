//! Hundreds of sidecars wait for one Vault, and then for one provider, and neither is run over.

use std::time::Duration;

use keyturn::testbed::simulation::storm::{Crowd, storm};

/// A task that is held up waits 5 to 10 seconds between tries, so 500 of them make 67 requests a second on average;
/// the bound is twice that, for they are spread by chance.
const SEALED_PEAK_MAX: usize = 134;

/// What a whole rotation asks of Vault; those that come back within one second run it at once.
const REQUESTS_PER_ROTATION_MAX: usize = 14;

const HUNDREDS: Crowd = Crowd {
    sidecars: 500,
    share_one_credential: false,
    due_after: Duration::from_mins(2),
    sealed_for: Duration::from_mins(3),
    jitter_percent: 0,
};

#[test]
fn a_crowd_of_sidecars_knocks_gently_at_a_sealed_vault_and_is_done_soon_after() {
    let knocks = storm(HUNDREDS).unwrap();
    println!("{HUNDREDS:?}: {knocks:?}");
    assert_eq!((knocks.rotated, knocks.calls), (500, 500), "{knocks:?}");
    assert!(knocks.sealed_peak <= SEALED_PEAK_MAX, "{knocks:?}");
    assert!(knocks.unsealed_peak <= SEALED_PEAK_MAX * REQUESTS_PER_ROTATION_MAX, "{knocks:?}");
    assert!(knocks.done_after <= Duration::from_mins(1), "{knocks:?}");
}

#[test]
fn a_crowd_on_one_credential_makes_one_call_and_everybody_hears_of_it() {
    let crowd = Crowd { share_one_credential: true, ..HUNDREDS };
    let knocks = storm(crowd).unwrap();
    println!("{crowd:?}: {knocks:?}");
    assert_eq!((knocks.rotated, knocks.calls), (1, 1), "{knocks:?}");
    assert!(knocks.sealed_peak <= SEALED_PEAK_MAX, "{knocks:?}");
    assert!(knocks.done_after <= Duration::from_mins(1), "{knocks:?}");
}

#[test]
fn a_herd_with_one_schedule_is_spread_by_its_jitter() {
    let due_after = Duration::from_mins(20);
    let herd = Crowd { sidecars: 300, due_after, sealed_for: Duration::ZERO, jitter_percent: 20, ..HUNDREDS };
    let knocks = storm(herd).unwrap();
    println!("{herd:?}: {knocks:?}");
    assert_eq!((knocks.rotated, knocks.calls), (300, 300), "{knocks:?}");
    // Four minutes for three hundred are 1.3 calls a second on average.
    assert!(knocks.calls_peak <= 8, "{knocks:?}");
}
