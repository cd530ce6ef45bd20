//! What must hold in every reachable world.

use keyturn::rotation::{ClosedAs, Phase, State};

use super::mutation::Rules;
use super::said::{fingerprint, key_id};
use super::world::{Entry, Key, TICK_SECONDS, World, is_halted, number, open_number, replica_id, small};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Property {
    /// The core and the shell agree on what can happen.
    LegalEvents,
    /// P1
    NothingLost,
    /// P2
    NeverTorn,
    /// P3
    NeverTwice,
    /// P4
    NeverGuessed,
    /// P5
    OneHand,
    /// P6
    NoOutage,
    /// P6: no key is revoked that anybody needs.
    NothingNeededRevoked,
    /// P8
    AlwaysResumes,
    /// A person is asked only for what keyturn cannot do itself.
    AsksOnlyWhenItMust,
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
}

type Found = Result<(), Broken>;

/// A key that was received stays somewhere until a newer one is published or kept in its place, or a person is
/// asked.
pub(crate) fn nothing_lost(world: &mut World) -> Found {
    let received = std::mem::take(&mut world.received);
    for key in &received {
        if world.holds(*key) && world.entry.key <= *key {
            world.received.push(*key);
            continue;
        }
        let newer = received.iter().any(|newer| newer > key && world.keeps(*newer));
        let superseded = newer || world.entry.key > *key || is_given_up(world, *key);
        if !superseded && !is_halted(&world.record.state) {
            return Err(Broken::new(
                Property::NothingLost,
                format!("key {key} was received, and is nowhere"),
            ));
        }
    }
    Ok(())
}

/// Where keys live side by side: the key's rotation is closed, so that it is found by its label, or it is revoked.
fn is_given_up(world: &World, key: Key) -> bool {
    let made = world.provider.made[usize::from(key)];
    let closed = world.record.state.history.iter().any(|closed| number(closed.rotation_id) == made.rotation);
    made.revoked.is_some() || world.lives_side_by_side && closed
}

/// Whether a key may be revoked: the entry does not have it, no open rotation is about to publish it, and what was in
/// the entry has had its time.
pub(crate) fn is_not_needed(world: &World, rules: &Rules, key: Key) -> Found {
    let made = world.provider.made[usize::from(key)];
    let open = open_number(&world.record.state).is_some_and(|open| open == made.rotation);
    let creates = rules.plan.creates.as_ref().unwrap();
    let ticks = creates.revoke_after.as_secs().div_ceil(TICK_SECONDS);
    let early = made.left.is_some_and(|left| u64::from(world.tick - left) < ticks);
    if world.entry.key != key && !open && !early {
        return Ok(());
    }
    let what = format!("key {key} was revoked; in the entry {}, early {early}, open {open}", world.entry.key);
    Err(Broken::new(Property::NothingNeededRevoked, what))
}

/// Where keys live side by side, or in slots of their own, the published one lives.
pub(crate) fn published_key_lives(world: &World, rules: &Rules) -> Found {
    if !rules.plan.slots.is_empty() && !world.provider.accepts(&rules.plan, world.entry.key, world.tick) {
        let what = format!("the entry holds key {}, whose slot was made anew", world.entry.key);
        return Err(Broken::new(Property::NoOutage, what));
    }

    match world.provider.made[usize::from(world.entry.key)].revoked {
        None => Ok(()),
        Some(tick) => {
            let what = format!("the entry holds key {}, which was revoked at tick {tick}", world.entry.key);
            Err(Broken::new(Property::NothingNeededRevoked, what))
        }
    }
}

/// Where keys live side by side: at the end only the published key lives, and old ones that are owed.
pub(crate) fn is_cleared_away(world: &World) -> Found {
    let state = &world.record.state;
    let owed = |key: usize| state.revocations.iter().any(|owed| owed.key_id == key_id(small(key)));
    let live = world.provider.made.iter().enumerate().filter(|(_, made)| made.revoked.is_none());
    let mut left = live.filter(|(key, _)| small::<usize>(*key) != world.entry.key && !owed(*key));
    match left.next() {
        Some((key, _)) if world.lives_side_by_side && state.phase == Phase::Idle => Err(Broken::new(
            Property::AlwaysResumes,
            format!("key {key} lives on, and nobody is to revoke it"),
        )),
        _ => Ok(()),
    }
}

/// No key in the entry is followed by an older one, and the stamp beside a key is its own.
pub(crate) fn never_torn(world: &World, before: Entry) -> Found {
    let after = world.entry;
    if after.key < before.key {
        let what = format!("the entry went from key {} to key {}", before.key, after.key);
        return Err(Broken::new(Property::NeverTorn, what));
    }
    let own = after.stamp.is_none_or(|stamp| stamp.rotation == world.provider.maker(after.key));
    if own { Ok(()) } else { Err(Broken::new(Property::NeverTorn, "a stamp beside another rotation's key")) }
}

/// No rotation sends more requests, or makes more keys, than its provider's capabilities allow.
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

/// While no rotation is open, the entry holds the provider's newest key, and what was closed last says so; a person
/// who keeps an older key is believed until the next rotation.
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
    let rotated = matches!(closed, Some(ClosedAs::Rotated { .. }));
    let newest = if world.lives_side_by_side { entry } else { newest };
    if (entry == newest || world.kept_by_hand && !rotated) && said {
        return Ok(());
    }
    let closed = closed.map_or("nothing", |closed| match closed {
        ClosedAs::Rotated { .. } => "rotated",
        ClosedAs::Failed { .. } => "failed",
        ClosedAs::NotApplied { .. } => "not applied",
        ClosedAs::Resolved { .. } => "resolved",
    });
    let what =
        format!("the entry holds key {entry}, the newest is {newest}, and no rotation is open ({closed})");
    Err(Broken::new(Property::NeverGuessed, what))
}

/// What a newer claim has published, an older one does not overwrite.
pub(crate) fn newest_claim_writes_last(world: &World, before: Entry) -> Found {
    let epoch = |entry: Entry| entry.stamp.map_or(0, |stamp| stamp.epoch);
    if epoch(world.entry) >= epoch(before) {
        return Ok(());
    }
    let what = format!("epoch {} wrote over epoch {}", epoch(world.entry), epoch(before));
    Err(Broken::new(Property::OneHand, what))
}

/// A request leaves from the replica that the record names; a replay may come from the one before it.
pub(crate) fn sent_by_the_holder(world: &World, who: usize, state: &State) -> Found {
    let replays = matches!(state.phase, Phase::Unknown { .. });
    let holder = world.record.state.phase.rotation().map(|open| open.holder);
    if replays || holder == Some(replica_id(who)) {
        return Ok(());
    }
    Err(Broken::new(Property::OneHand, format!("replica {who} called the provider, and is not the holder")))
}

/// Where old keys live on, the entry gets no key that the provider does not accept.
pub(crate) fn publishes_what_works(world: &World, rules: &Rules) -> Found {
    let works = world.provider.accepts(&rules.plan, world.entry.key, world.tick);
    if works || rules.plan.grace.is_none() && rules.plan.creates.is_none() {
        return Ok(());
    }
    let what = format!("key {} was published, and the provider does not accept it", world.entry.key);
    Err(Broken::new(Property::NoOutage, what))
}

/// A person is not asked while the provider could still tell, and turned nothing away.
pub(crate) fn asks_only_when_it_must(world: &World, rules: &Rules) -> Found {
    let Phase::Halted { rotation, halt } = &world.record.state.phase else { return Ok(()) };
    let plan = &rules.plan;
    let known = halt.answer.is_some();
    let more_calls =
        !plan.self_authenticating && plan.redo.is_some_and(|calls_max| rotation.calls < calls_max);
    let made_one = world.provider.made.iter().any(|made| made.rotation == number(rotation.rotation_id));
    let tells_the_key = plan.creates.is_some() || plan.replay.is_some() || plan.read.is_some();
    let could_tell = known || tells_the_key || plan.marker.is_some() && !made_one || more_calls;
    if !could_tell || world.provider.turned_away {
        return Ok(());
    }
    Err(Broken::new(Property::AsksOnlyWhenItMust, format!("halted as {}", halt.reason.code())))
}
