//! What can go wrong, what a plan promises then, and whether it was kept.

use std::time::Duration;

use serde::Serialize;

use super::clock::StageClock;
use crate::provider::simulator::{Heard, Simulator, Trouble};
use crate::provider::{BoundDefinition, Definition};
use crate::rotation::{ClosedAs, HaltReason, Phase, Plan, State};
use crate::secret::{FingerprintKey, SecretValue};

/// One rotation with one thing that goes wrong, and how it ended.
#[derive(Debug, Clone, Serialize)]
pub struct Scene {
    /// What goes wrong.
    pub situation: String,
    /// Whether the key signed its own regeneration.
    pub signed_by_itself: bool,
    /// The calls that the provider heard, in their order.
    pub calls: Vec<String>,
    /// How long it would take.
    pub took_ms: u64,
    /// How it ended, in words.
    pub ended: String,
    /// How it has to end by what the definition declares.
    pub promised: Ending,
    /// Whether it ended so, and with the right key in the entry.
    pub is_kept: bool,
}

/// How a rotation ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// The entry has the provider's newest key.
    Rotated,
    /// The provider made no key, and the entry has the old one.
    OldKeyStands,
    /// A person is asked.
    PersonAsked,
}

/// What can go wrong with a definition.
pub(super) fn troubles(definition: &Definition, plan: &Plan) -> Vec<Trouble> {
    let no_value = definition.answer.without_value.first().map(|status| Trouble::NoValue(*status));
    let always = [
        Trouble::None,
        Trouble::RequestLost,
        Trouble::AnswerLost,
        Trouble::ServerError,
        Trouble::AnswerCut,
        Trouble::RateLimited,
        Trouble::Refused,
    ];
    let new_key_refused = plan.probe.then_some(Trouble::NewKeyRefused);
    always.into_iter().chain(no_value).chain(new_key_refused).collect()
}

fn situation(trouble: Trouble) -> String {
    match trouble {
        Trouble::None => "nothing goes wrong".to_owned(),
        Trouble::RequestLost => "the request is lost".to_owned(),
        Trouble::AnswerLost => "the answer is lost".to_owned(),
        Trouble::ServerError => "a key is made, and the answer is 500".to_owned(),
        Trouble::AnswerCut => "the answer is cut".to_owned(),
        Trouble::NoValue(status) => format!("the answer is {status}, without the key"),
        Trouble::RateLimited => "the answer is 429, retry after 60s".to_owned(),
        Trouble::Refused => "the answer is 401".to_owned(),
        Trouble::NewKeyRefused => "the new key is never accepted".to_owned(),
    }
}

/// How a rotation has to end, by the strongest means that is declared.
fn promise(trouble: Trouble, plan: &Plan) -> Ending {
    let (replay, read, redo) = (plan.replay.is_some(), plan.read.is_some(), plan.redo.is_some());
    match trouble {
        Trouble::None => Ending::Rotated,
        Trouble::RateLimited | Trouble::Refused => Ending::OldKeyStands,
        Trouble::NewKeyRefused => Ending::PersonAsked,
        // The lost request never acted, and a read shows just that.
        Trouble::RequestLost if read && !replay => Ending::OldKeyStands,
        // A replay brings the same answer without a key, and no second call follows a replay that was refused.
        Trouble::NoValue(_) if replay && !read => Ending::PersonAsked,
        Trouble::RequestLost
        | Trouble::AnswerLost
        | Trouble::ServerError
        | Trouble::AnswerCut
        | Trouble::NoValue(_) => {
            if replay || read || redo {
                Ending::Rotated
            } else {
                Ending::PersonAsked
            }
        }
    }
}

/// Holds the end of a rotation against what was promised.
pub(super) fn judge(
    trouble: Trouble,
    bound: &BoundDefinition,
    state: Option<&State>,
    simulator: &Simulator<StageClock>,
    value: &SecretValue,
    took: Duration,
) -> Scene {
    let plan = bound.plan();
    let promised = promise(trouble, plan);
    let (ending, words) = state.map_or((None, "it did not end".to_owned()), end);
    let holds = |number: usize| is_same(value, &Simulator::<StageClock>::key_number(number));
    let is_right = match promised {
        Ending::Rotated => holds(simulator.made()) && simulator.accepts_newest(),
        Ending::OldKeyStands => simulator.made() == 0 && holds(0),
        // What is not proven is not published, where the provider needs time.
        Ending::PersonAsked => trouble != Trouble::NewKeyRefused || plan.propagation.is_none() || holds(0),
    };
    let heard = simulator.heard();
    let is_bounded = simulator.made() <= plan.redo.map_or(1, |calls| calls as usize);
    Scene {
        situation: situation(trouble),
        signed_by_itself: plan.self_authenticating,
        calls: told(&heard),
        took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        ended: words,
        promised,
        is_kept: ending == Some(promised) && is_right && is_bounded,
    }
}

fn end(state: &State) -> (Option<Ending>, String) {
    if let Phase::Halted { halt, .. } = &state.phase {
        let why = match &halt.reason {
            HaltReason::NoWayToTell { .. } => "nothing can tell what came of the call",
            HaltReason::MeansExhausted { .. } => "the means are used up",
            HaltReason::ReadRefused { .. } => "the read was refused",
            HaltReason::NewKeyRefused if halt.publication.is_some() => "the published key is refused",
            HaltReason::NewKeyRefused => "the new key is refused, and not published",
            HaltReason::NewKeyNotProven => "the new key could not be proven",
        };
        return (Some(Ending::PersonAsked), format!("a person is asked: {why}"));
    }
    match state.history.first().map(|closed| &closed.outcome) {
        Some(ClosedAs::Rotated { verified: true, .. }) => {
            (Some(Ending::Rotated), "rotated, and seen to work".to_owned())
        }
        Some(ClosedAs::Rotated { .. }) => (Some(Ending::Rotated), "rotated".to_owned()),
        Some(ClosedAs::Failed { .. } | ClosedAs::NotApplied { .. }) => {
            (Some(Ending::OldKeyStands), "failed, the old key stands".to_owned())
        }
        Some(ClosedAs::Resolved { .. }) | None => (None, "it ended in an unknown way".to_owned()),
    }
}

fn is_same(one: &SecretValue, other: &SecretValue) -> bool {
    let key = FingerprintKey::new("rehearsal".to_owned());
    one.fingerprint(&key) == other.fingerprint(&key)
}

/// The calls in words, those that repeat each other once.
fn told(heard: &[Heard]) -> Vec<String> {
    let mut told: Vec<(Heard, usize)> = Vec::new();
    for call in heard {
        match told.last_mut() {
            Some((last, count)) if last == call => *count += 1,
            _ => told.push((call.clone(), 1)),
        }
    }
    told.into_iter()
        .map(|(call, count)| {
            let status = call.status.map_or_else(|| "broken off".to_owned(), |status| status.to_string());
            let times = if count == 1 { String::new() } else { format!("{count} times ") };
            format!("{times}{} {status}", call.what)
        })
        .collect()
}
