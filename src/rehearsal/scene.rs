//! What can go wrong, what a plan promises then, and whether it was kept.

use serde::Serialize;

use super::clock::StageClock;
use super::death::Moment;
use super::store::Ended;
use crate::provider::simulator::{Heard, Simulator, Trouble};
use crate::provider::{BoundDefinition, Definition};
use crate::rotation::{ClosedAs, Creates, HaltReason, Phase, Plan, State};
use crate::secret::{FingerprintKey, Secret};

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

/// What goes wrong in a scene.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mishap {
    /// Something at the provider, or on the way to it.
    Outside(Trouble),
    /// keyturn dies, and starts again.
    Death(Moment),
}

impl Mishap {
    /// What happens outside.
    pub(super) const fn trouble(self) -> Trouble {
        match self {
            Self::Outside(trouble) => trouble,
            Self::Death(Moment::AfterDoubt) => Trouble::AnswerLost,
            Self::Death(_) => Trouble::None,
        }
    }

    /// When keyturn dies.
    pub(super) const fn death(self) -> Option<Moment> {
        match self {
            Self::Outside(_) => None,
            Self::Death(moment) => Some(moment),
        }
    }

    /// What it is like for the key, where it goes wrong outside.
    const fn comes_to(self) -> Trouble {
        match self {
            Self::Outside(trouble) => trouble,
            Self::Death(Moment::BeforeSending) => Trouble::RequestLost,
            Self::Death(Moment::AfterAnswer | Moment::AfterDoubt) => Trouble::AnswerLost,
            Self::Death(
                Moment::AfterIntent | Moment::AfterSealing | Moment::AfterStaging | Moment::AfterPublishing,
            ) => Trouble::None,
        }
    }
}

/// What can go wrong with a definition.
pub(super) fn mishaps(definition: &Definition, plan: &Plan) -> Vec<Mishap> {
    let outside = troubles(definition, plan).into_iter().map(Mishap::Outside);
    outside.chain(deaths(plan).map(Mishap::Death)).collect()
}

fn deaths(plan: &Plan) -> impl Iterator<Item = Moment> {
    // Without any means there is no doubt to go on with; a person is asked at once.
    let shows = plan.read.is_some() || plan.marker.is_some();
    let has_means = plan.replay.is_some() || shows || plan.redo.is_some() || plan.creates.is_some();
    let doubt = has_means.then_some(Moment::AfterDoubt);
    let staging = plan.propagation.map(|_| Moment::AfterStaging);
    [Moment::AfterIntent, Moment::BeforeSending, Moment::AfterAnswer, Moment::AfterSealing]
        .into_iter()
        .chain(doubt)
        .chain(staging)
        .chain([Moment::AfterPublishing])
}

fn troubles(definition: &Definition, plan: &Plan) -> Vec<Trouble> {
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
    let revocation_lost = plan.creates.as_ref().map(|_| Trouble::RevocationLost);
    let places = plan.creates.as_ref().and_then(|creates| creates.keys_max);
    let no_place = places.filter(|places| *places <= PLACES_MAX).map(|_| Trouble::NoPlace);
    always.into_iter().chain(no_value).chain(new_key_refused).chain(revocation_lost).chain(no_place).collect()
}

/// More keys than these are too many to play with.
const PLACES_MAX: u32 = 1000;

fn situation(mishap: Mishap) -> String {
    let trouble = match mishap {
        Mishap::Outside(trouble) => trouble,
        Mishap::Death(moment) => return died(moment).to_owned(),
    };
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
        Trouble::NoPlace => "as many keys live as may".to_owned(),
        Trouble::RevocationLost => "the answer that ends the old key's life is lost".to_owned(),
    }
}

const fn died(moment: Moment) -> &'static str {
    match moment {
        Moment::AfterIntent => "keyturn dies after its intent",
        Moment::BeforeSending => "keyturn dies before the request leaves",
        Moment::AfterAnswer => "keyturn dies with the answer",
        Moment::AfterSealing => "keyturn dies with a sealed answer",
        Moment::AfterDoubt => "the answer is lost, and keyturn dies",
        Moment::AfterStaging => "keyturn dies while the key waits",
        Moment::AfterPublishing => "keyturn dies after the publication",
    }
}

/// How a rotation has to end, by the strongest means that is declared.
fn promise(trouble: Trouble, plan: &Plan) -> Ending {
    if let Some(creates) = &plan.creates {
        return promise_beside(trouble, plan, creates);
    }
    let (replay, read, redo) = (plan.replay.is_some(), plan.read.is_some(), plan.redo.is_some());
    match trouble {
        Trouble::None | Trouble::RevocationLost => Ending::Rotated,
        Trouble::RateLimited | Trouble::Refused | Trouble::NoPlace => Ending::OldKeyStands,
        Trouble::NewKeyRefused => Ending::PersonAsked,
        // The lost request never acted, and a read shows just that.
        Trouble::RequestLost if (read || plan.marker.is_some()) && !replay && !plan.supplies => {
            Ending::OldKeyStands
        }
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

/// The same where keys live side by side, and another try follows by itself if its keys can be found again.
fn promise_beside(trouble: Trouble, plan: &Plan, creates: &Creates) -> Ending {
    match trouble {
        Trouble::None | Trouble::RevocationLost | Trouble::RateLimited => Ending::Rotated,
        Trouble::Refused | Trouble::NoPlace => Ending::OldKeyStands,
        Trouble::NewKeyRefused => Ending::PersonAsked,
        Trouble::NoValue(_) if !creates.clears_strays() => Ending::OldKeyStands,
        _ if creates.clears_strays() || plan.replay.is_some() => Ending::Rotated,
        _ => Ending::OldKeyStands,
    }
}

/// Whether those keys live that should, where keys live side by side: what is none of keyturn's, and the one that
/// applications have; a stray only where nobody can find it.
fn leaves_no_other(ending: Ending, plan: &Plan, simulator: &Simulator<StageClock>) -> bool {
    let Some(creates) = &plan.creates else { return true };
    let mut living = simulator.living();
    let foreign = simulator.foreign();
    if !foreign.iter().all(|number| living.contains(number)) {
        return false;
    }
    living.retain(|number| !foreign.contains(number));
    match ending {
        Ending::Rotated => living == [simulator.newest()],
        Ending::OldKeyStands if creates.clears_strays() => living == [0],
        Ending::OldKeyStands | Ending::PersonAsked => living.contains(&0),
    }
}

/// Holds the end of a rotation against what was promised.
pub(super) fn judge(
    mishap: Mishap,
    bound: &BoundDefinition,
    ended: Option<&Ended>,
    simulator: &Simulator<StageClock>,
    secret: &Secret,
) -> Scene {
    let plan = bound.plan();
    let trouble = mishap.comes_to();
    let promised = promise(trouble, plan);
    let (ending, words) = ended.map_or((None, "it did not end".to_owned()), |ended| end(&ended.state));
    let holds = |number: usize| is_same(secret, &simulator.secret_number(number));
    let is_right = match promised {
        Ending::Rotated => holds(simulator.newest()) && simulator.accepts_newest(),
        Ending::OldKeyStands => holds(0) && (simulator.made() == 0 || plan.creates.is_some()),
        // What is not proven is not published, where the provider needs time.
        Ending::PersonAsked => trouble != Trouble::NewKeyRefused || plan.propagation.is_none() || holds(0),
    };
    let heard = simulator.heard();
    let keys_max = match plan.redo {
        _ if plan.creates.is_some() => 2,
        // However often it is made, the call brings the same key.
        _ if plan.supplies => 1,
        calls => calls.map_or(1, |calls| calls as usize),
    };
    let is_bounded = simulator.made() <= keys_max;
    let is_cleared = leaves_no_other(promised, plan, simulator);
    let took = ended.map(|ended| ended.at).unwrap_or_default();
    Scene {
        situation: situation(mishap),
        signed_by_itself: plan.self_authenticating,
        calls: told(&heard),
        took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        ended: words,
        promised,
        is_kept: ending == Some(promised) && is_right && is_bounded && is_cleared,
    }
}

fn end(state: &State) -> (Option<Ending>, String) {
    if let Phase::Halted { halt, .. } = &state.phase {
        let why = match &halt.reason {
            HaltReason::NoWayToTell { .. } => "nothing can tell what came of the call",
            HaltReason::MeansExhausted { .. } => "the means are used up",
            HaltReason::AnswerLost { .. } => "a key was made that nobody got",
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

fn is_same(one: &Secret, other: &Secret) -> bool {
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
