//! What came of a rotation, asked where it cannot be made up: at the provider and in OpenBao.

use std::io;
use std::time::Duration;

use jiff::Timestamp;
use keyturn::api::proto::{Rotation, RotationState};

use super::credentials::Managed;
use super::rotations::Finished;
use super::screen::{Screen, Tone};

/// What was found when a rotation had ended.
#[derive(Debug)]
pub(crate) struct Evidence<'a> {
    pub(crate) managed: &'a Managed<'a>,
    pub(crate) rotation: &'a Rotation,
    /// What OpenBao served before the rotation, and what it serves after it.
    pub(crate) key_before: &'a str,
    pub(crate) served: &'a str,
    /// When regenerate calls reached the provider meanwhile.
    pub(crate) calls: Vec<Timestamp>,
    /// Whether somebody looked in time, and saw the provider refuse the new key and OpenBao serve the old one.
    pub(crate) is_seen_refused: bool,
}

/// One thing that the demo promises, in the words that fit what was found.
#[derive(Debug)]
pub(crate) struct Claim {
    holds: bool,
    text: String,
}

impl Claim {
    fn new(holds: bool, right: &str, wrong: &str) -> Self {
        Self { holds, text: if holds { right } else { wrong }.to_owned() }
    }
}

/// Judges a rotation by what was found.
pub(crate) fn claims(evidence: &Evidence<'_>) -> Vec<Claim> {
    let Evidence { managed, rotation, key_before, served, ref calls, is_seen_refused } = *evidence;
    let provider = managed.provider;
    let is_the_key = served != key_before && served == managed.current_key() && managed.accepts(served);
    let mut claims = vec![
        Claim::new(
            rotation.state() == RotationState::Succeeded && is_the_key,
            &format!("OpenBao serves {provider}'s new key"),
            &format!("OpenBao does not serve the key that {provider} accepts now"),
        ),
        Claim::new(
            calls.len() == 1,
            "1 regenerate call",
            &format!("{} regenerate calls, not 1", calls.len()),
        ),
    ];
    if let Some(propagation) = managed.propagation {
        let right = if is_seen_refused { "seen refused while staged" } else { "staged until usable" };
        let is_held_back =
            calls.last().zip(publish_time(rotation)).is_some_and(|(called_at, published_at)| {
                let waited = Duration::try_from(published_at.duration_since(*called_at));
                waited.is_ok_and(|waited| waited >= propagation)
            });
        claims.push(Claim::new(is_held_back, right, "published before it was usable"));
    }
    if managed.signs_itself {
        // The simulator takes a regenerate call from the newest secret alone.
        let right = if rotation.emergency { "signed by its new secret" } else { "signed by its old secret" };
        claims.push(Claim::new(calls.len() == 1, right, "perhaps not signed by its newest secret"));
    }
    let old_key_lives = managed.accepts(key_before);
    let fate = if old_key_lives { "the old key works on" } else { "the old key is dead" };
    let is_foretold = old_key_lives == rotation.previous_expire_time.is_some();
    claims.push(Claim::new(is_foretold, fate, &format!("{fate}, which keyturn did not foretell")));
    claims
}

fn publish_time(rotation: &Rotation) -> Option<Timestamp> {
    rotation.publish_time.and_then(|time| Timestamp::new(time.seconds, time.nanos).ok())
}

/// Says for each rotation what was found; gives whether all of it is as promised.
pub(crate) fn show(finished: &[Finished<'_>], screen: &mut Screen) -> io::Result<bool> {
    screen.say(
        "\nChecked at the source: what each provider accepts, what OpenBao serves, how often keyturn called.",
    )?;
    let mut all_hold = true;
    for one in finished {
        let holds = one.claims.iter().all(|claim| claim.holds);
        all_hold &= holds;
        let verdict =
            if holds { screen.painted(Tone::Good, "ok  ") } else { screen.painted(Tone::Alarm, "FAIL") };
        let said = one.claims.iter().filter(|claim| claim.holds == holds);
        let texts: Vec<&str> = said.map(|claim| claim.text.as_str()).collect();
        screen.say(&format!("  {verdict}  {:<12}  {}", one.label, texts.join("; ")))?;
    }
    Ok(all_hold)
}
