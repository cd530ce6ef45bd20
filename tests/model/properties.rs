//! What must hold in every reachable world.

use keyturn::rotation::{ClosedAs, IllegalEvent, Phase};

use super::mutation::Rules;
use super::world::{Entry, World, fingerprint, is_halted};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Property {
    /// The core and the shell agree on what can happen.
    LegalEvents,
    NothingLost,
    NeverTorn,
    NeverTwice,
    NeverGuessed,
    OneHand,
    AlwaysResumes,
}

#[derive(Clone, Debug)]
pub(crate) struct Broken {
    pub(crate) property: Property,
    pub(crate) what: String,
}

impl Broken {
    pub(crate) fn new(property: Property, what: impl Into<String>) -> Self {
        Self { property, what: what.into() }
    }

    #[expect(clippy::needless_pass_by_value, reason = "it stands in a map_err")]
    pub(crate) fn illegal(illegal: IllegalEvent) -> Self {
        Self::new(Property::LegalEvents, illegal.to_string())
    }
}

type Found = Result<(), Broken>;

/// P1: a key that was received stays somewhere until a newer one is published or kept in its place, or a person
/// is asked.
pub(crate) fn nothing_lost(world: &mut World) -> Found {
    let received = std::mem::take(&mut world.received);
    for key in &received {
        if world.holds(*key) && world.entry.key <= *key {
            world.received.push(*key);
            continue;
        }
        let newer = received.iter().any(|newer| newer > key && world.keeps(*newer));
        let superseded = newer || world.entry.key > *key;
        if !superseded && !is_halted(&world.record.state) {
            return Err(Broken::new(
                Property::NothingLost,
                format!("key {key} was received, and is nowhere"),
            ));
        }
    }
    Ok(())
}

/// P2: no key in the entry is followed by an older one, and the stamp beside a key is its own.
pub(crate) fn never_torn(world: &World, before: Entry) -> Found {
    let after = world.entry;
    if after.key < before.key {
        let what = format!("the entry went from key {} to key {}", before.key, after.key);
        return Err(Broken::new(Property::NeverTorn, what));
    }
    let own = after.stamp.is_none_or(|stamp| stamp.rotation == world.provider.maker(after.key));
    if own { Ok(()) } else { Err(Broken::new(Property::NeverTorn, "a stamp beside another rotation's key")) }
}

/// P3: no rotation sends more requests, or makes more keys, than its provider's capabilities allow.
pub(crate) fn never_twice(world: &World, rules: &Rules) -> Found {
    for (id, sent) in world.provider.sent.iter().enumerate().skip(1) {
        let made = world.provider.made.iter().filter(|made| usize::from(made.rotation) == id).count();
        let allowed = rules.plan.redo.unwrap_or(1);
        let sent_too_many = rules.plan.replay.is_none() && u32::from(*sent) > allowed;
        if sent_too_many || made > usize::try_from(allowed).unwrap() {
            let what = format!("rotation {id} sent {sent} requests and made {made} keys; allowed: {allowed}");
            return Err(Broken::new(Property::NeverTwice, what));
        }
    }
    Ok(())
}

/// P4: while no rotation is open, the entry holds the provider's newest key, and what was closed last says so.
pub(crate) fn never_guessed(world: &World) -> Found {
    if world.record.state.phase != Phase::Idle {
        return Ok(());
    }
    let (entry, newest) = (world.entry.key, world.provider.newest());
    let closed = world.record.state.history.first().map(|closed| &closed.outcome);
    let said = match closed {
        Some(ClosedAs::Rotated { answer, .. }) => answer.fingerprint == fingerprint(entry),
        _ => true,
    };
    if entry == newest && said {
        return Ok(());
    }
    let what = format!("the entry holds key {entry}, the provider's newest is {newest}, closed: {closed:?}");
    Err(Broken::new(Property::NeverGuessed, what))
}

/// P5: what a newer claim has published, an older one does not overwrite.
pub(crate) fn one_hand(world: &World, before: Entry) -> Found {
    let epoch = |entry: Entry| entry.stamp.map_or(0, |stamp| stamp.epoch);
    if epoch(world.entry) >= epoch(before) {
        return Ok(());
    }
    let what = format!("epoch {} wrote over epoch {}", epoch(world.entry), epoch(before));
    Err(Broken::new(Property::OneHand, what))
}
