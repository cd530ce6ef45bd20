//! Views in words: what is, what it means for the key, and what to do.

use jiff::Timestamp;

use super::console::Tone;
use super::view::{CauseView, CredentialView, HoldView, RotationView, Standing};
use super::words::{distance, moment, relative};

/// A credential's state in one word, how much it wants to be seen, and since when.
pub(super) fn state(credential: &CredentialView) -> (String, Tone, Option<Timestamp>) {
    if let Some(rotation) = &credential.current_rotation {
        let since = rotation.cause.as_ref().and_then(|cause| cause.since_time).or(rotation.create_time);
        return match (&credential.hold, rotation.standing) {
            (_, Standing::PersonNeeded | Standing::Unknown) => (rotation.state.clone(), Tone::Alarm, since),
            (Some(hold), _) => {
                (format!("{}, held", rotation.state), Tone::Caution, hold.since_time.or(since))
            }
            (None, _) => (rotation.state.clone(), Tone::Strong, since),
        };
    }
    if let Some(hold) = &credential.hold {
        return ("held".to_owned(), Tone::Caution, hold.since_time);
    }
    if !credential.loaded {
        return ("loading".to_owned(), Tone::Faint, None);
    }
    if let Some(pause) = &credential.pause {
        return ("paused".to_owned(), Tone::Caution, pause.since_time);
    }
    match &credential.last_rotation {
        Some(last) if last.standing == Standing::Rotated => {
            ("rotated".to_owned(), Tone::Plain, last.end_time)
        }
        Some(last) => (last.state.clone(), Tone::Caution, last.end_time),
        None => ("not rotated yet".to_owned(), Tone::Plain, credential.adopt_time),
    }
}

/// What stands beside a credential in its one line.
pub(super) fn note(credential: &CredentialView, now: Timestamp) -> String {
    let mut notes = Vec::new();
    if credential.follower {
        notes.push("driven by another replica".to_owned());
    }
    if let Some(retry) = &credential.retry {
        let when = retry.next_try_time.map(|time| relative(time, now)).unwrap_or_default();
        notes.push(format!("{} failed, next try {when}", times(retry.failures)));
    }
    let codes = credential.hold.iter().map(|hold| &hold.reason);
    let codes = codes.chain(credential.current_rotation.iter().filter_map(cause_code));
    notes.extend(codes.chain(credential.conditions.iter().map(|condition| &condition.reason)).cloned());
    notes.join(", ")
}

fn cause_code(rotation: &RotationView) -> Option<&String> {
    rotation.cause.as_ref().map(|cause| &cause.reason)
}

fn times(count: u32) -> String {
    if count == 1 { "1 try".to_owned() } else { format!("{count} tries") }
}

/// Everything about a credential that somebody should know, in sentences.
pub(super) fn remarks(credential: &CredentialView, now: Timestamp) -> Vec<(Tone, String)> {
    let name = &credential.name;
    let mut remarks = Vec::new();
    if let Some(rotation) = &credential.current_rotation
        && let Some(cause) = &rotation.cause
    {
        let tone = if rotation.standing == Standing::PersonNeeded { Tone::Alarm } else { Tone::Caution };
        remarks.push((tone, format!("{name}: {}", cause_in_words(cause))));
        remarks.extend(way_out(rotation, cause).into_iter().map(|line| (Tone::Plain, line)));
    }
    if let Some(hold) = &credential.hold {
        remarks.push((Tone::Caution, format!("{name}: {}", hold_in_words(hold, now))));
    }
    if let Some(pause) = &credential.pause {
        let since =
            pause.since_time.map(|time| format!(" since {}", distance(time, now))).unwrap_or_default();
        let reason = if pause.reason.is_empty() { "no reason was given" } else { pause.reason.as_str() };
        let what = format!("{name} is paused{since}: {reason}. `keyturn resume {name}` ends the pause.");
        remarks.push((Tone::Caution, what));
    }
    if credential.current_rotation.is_none()
        && let Some(last) =
            credential.last_rotation.as_ref().filter(|last| last.standing == Standing::NotRotated)
        && let Some(cause) = &last.cause
    {
        remarks.push((Tone::Caution, format!("{name}: the last rotation failed. {}", cause_in_words(cause))));
    }
    let conditions = credential.conditions.iter();
    remarks.extend(
        conditions.map(|condition| {
            (Tone::Caution, format!("{name}: {} [{}]", condition.message, condition.reason))
        }),
    );
    remarks
}

/// Why a rotation failed, is unknown or halted.
pub(super) fn cause_in_words(cause: &CauseView) -> String {
    let news = |said: &&String| !said.is_empty() && !cause.message.contains(said.as_str());
    let said = cause.provider_said.as_ref().filter(news);
    let said = said.map(|said| format!(" The provider said: {said}.")).unwrap_or_default();
    format!("{} [{}]{said}", cause.message, cause.reason)
}

/// What a person can do about a rotation, a line each.
pub(super) fn way_out(rotation: &RotationView, cause: &CauseView) -> Vec<String> {
    let mut lines: Vec<String> = cause.way_out.iter().map(|way_out| format!("  {way_out}")).collect();
    let name = &rotation.credential;
    lines.extend(cause.decisions.iter().map(|decision| format!("  keyturn resolve {name} --as {decision}")));
    lines
}

/// What holds a credential up.
pub(super) fn hold_in_words(hold: &HoldView, now: Timestamp) -> String {
    let since = hold.since_time.map(|time| format!("held for {}: ", distance(time, now))).unwrap_or_default();
    let next =
        hold.next_try_time.map(|time| format!(" Next try {}.", relative(time, now))).unwrap_or_default();
    format!("{since}{} [{}]{next}", hold.message, hold.reason)
}

/// How a rotation ended, or what it waits for.
pub(super) fn verdict(rotation: &RotationView, now: Timestamp) -> String {
    let name = &rotation.credential;
    let cause = rotation.cause.as_ref().map(cause_in_words).unwrap_or_default();
    match (rotation.standing, rotation.state.as_str()) {
        (Standing::Rotated, _) => rotated(rotation, now),
        (Standing::NotRotated, "cancelled") => {
            format!("cancelled: nothing was changed; {name} keeps its key")
        }
        (Standing::NotRotated, "resolved") => {
            let decision = rotation.decision.as_deref().unwrap_or("a person's decision");
            format!("resolved as {decision}: this rotation put no new key into Vault")
        }
        (Standing::NotRotated, _) => format!("not rotated: {cause}"),
        (Standing::PersonNeeded, _) => format!("halted, a person must decide: {cause}"),
        (Standing::Unknown, _) => format!("unknown: {cause}"),
        (Standing::Open, state) => format!("{name}: {state}"),
    }
}

fn rotated(rotation: &RotationView, now: Timestamp) -> String {
    let version = rotation.entry_version.map(|version| format!(" version {version}")).unwrap_or_default();
    let accepted = if rotation.verified { "; the provider accepts it" } else { "" };
    format!("rotated: the new key is in {}{version}{accepted}; {}", rotation.store, old_key(rotation, now))
}

fn old_key(rotation: &RotationView, now: Timestamp) -> String {
    match rotation.previous_expire_time {
        Some(time) if time > now => format!("the old key dies {} ({})", relative(time, now), moment(time)),
        Some(time) => format!("the old key died {}", relative(time, now)),
        None => "take the old key as dead".to_owned(),
    }
}
