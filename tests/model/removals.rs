//! Which property notices that which safeguard is missing.

use keyturn::rotation::Plan;

use super::moves::{Bounds, Happens};
use super::mutation::{Mutation, Rules};
use super::plans;
use super::properties::Property;
use super::search::{Explored, explore};

pub(crate) struct Removal {
    /// What notices; nothing, for a second line.
    pub(crate) property: Option<Property>,
    pub(crate) mutation: Mutation,
    plan: Plan,
    bounds: Bounds,
}

impl Removal {
    pub(crate) fn search(&self) -> Explored {
        explore(&Rules::without(self.plan.clone(), self.mutation, self.property), &self.bounds)
    }

    pub(crate) fn is_as_expected(&self, explored: &Explored) -> bool {
        self.property.is_some() == explored.broken.is_some()
    }
}

const ONE_FAULT: Bounds = Bounds { replicas: 2, requests: 1, faults: 1, ticks: 3, decisions: 0, among: &[] };
const TWO_FAULTS: Bounds = Bounds { faults: 2, among: &[Happens::AnswerLost, Happens::Slow], ..ONE_FAULT };
/// A request that lives on until another rotation has begun.
const LATE: Bounds = Bounds { requests: 2, among: &[Happens::Later], ..ONE_FAULT };
const ASLEEP: Bounds = Bounds { requests: 2, faults: 0, ticks: 2, ..ONE_FAULT };

/// Long enough for a takeover, a listing and a revocation, while the first holder sleeps.
const CLEARED: Bounds = Bounds { faults: 0, ticks: 5, ..ONE_FAULT };

/// What no property misses within the bounds, as long as the check-and-set stands.
pub(crate) fn second_lines() -> Vec<Removal> {
    let lines = [Mutation::PublishesWithoutAskingTheRecord, Mutation::PublishesOverANewerEpoch];
    let removal = |mutation| Removal { property: None, mutation, plan: plans::read(), bounds: ASLEEP };
    let mut removals: Vec<_> = lines.map(removal).into();
    let mutation = Mutation::RevokesWithoutLooking;
    removals.push(Removal { property: None, mutation, plan: plans::created(), bounds: ASLEEP });
    removals
}

pub(crate) fn all() -> Vec<Removal> {
    use Mutation as M;
    use Property as P;
    let removal = |property, mutation, plan, bounds| {
        let property = Some(property);
        Removal { property, mutation, plan, bounds }
    };
    vec![
        removal(P::NothingLost, M::NeverSeals, plans::none(), ONE_FAULT),
        removal(P::NothingLost, M::ErasesWhenSealed, plans::none(), ONE_FAULT),
        removal(P::NeverTorn, M::PublishesBlindly, plans::read(), ASLEEP),
        removal(P::NeverTorn, M::PublishesWithoutCheckAndSet, plans::read(), ASLEEP),
        removal(P::NeverTwice, M::TakesSentForUnsent, plans::none(), ONE_FAULT),
        removal(P::NeverTwice, M::NeverMarksSent, plans::none(), ONE_FAULT),
        removal(P::NeverTwice, M::CallsAgainAtOnce, plans::none(), ONE_FAULT),
        removal(P::NeverTwice, M::RedoesWithoutEnd, plans::redo(), TWO_FAULTS),
        removal(P::NeverGuessed, M::CallsBeforeTheIntentIsSaved, plans::read(), ONE_FAULT),
        removal(P::NeverGuessed, M::BelievesAnUnchangedReadAtOnce, plans::read(), ONE_FAULT),
        removal(P::NeverGuessed, M::BelievesAnUnchangedReadAtOnce, plans::marked(), ONE_FAULT),
        removal(P::NeverGuessed, M::RedoesAtOnce, plans::redo(), ONE_FAULT),
        removal(P::NeverGuessed, M::ClosesUnpublished, plans::none(), ONE_FAULT),
        removal(P::NeverGuessed, M::GuessesInsteadOfAsking, plans::none(), ONE_FAULT),
        removal(P::NeverGuessed, M::BelievesEarlierAnswers, plans::redo(), TWO_FAULTS),
        removal(P::NeverGuessed, M::TakesWhateverItReads, plans::read(), ONE_FAULT),
        removal(P::NeverGuessed, M::TakesOverAtOnce, plans::read(), ONE_FAULT),
        removal(P::NeverGuessed, M::ActsOnALapsedClaim, plans::read(), ONE_FAULT),
        removal(P::NeverGuessed, M::ChoosesAnotherKeyForEachCall, plans::supplied(), ONE_FAULT),
        removal(P::NeverGuessed, M::BeginsBeforeItIsQuiet, plans::supplied(), LATE),
        removal(P::OneHand, M::PublishesBlindly, plans::read(), ASLEEP),
        removal(P::OneHand, M::PublishesWithoutCheckAndSet, plans::read(), ASLEEP),
        removal(P::OneHand, M::TakesOverAtOnce, plans::none(), ONE_FAULT),
        removal(P::OneHand, M::ReleasesWhileItCalls, plans::none(), ONE_FAULT),
        removal(P::OneHand, M::ActsOnALapsedClaim, plans::none(), ONE_FAULT),
        removal(P::OneHand, M::SavesWithoutCheckAndSet, plans::none(), ONE_FAULT),
        removal(P::NoOutage, M::PublishesWithoutStaging, plans::staged(), ONE_FAULT),
        removal(P::NoOutage, M::BelievesEveryProbe, plans::staged_and_probed(), ONE_FAULT),
        removal(P::NoOutage, M::RegeneratesTheSlotInUse, plans::slots(), ONE_FAULT),
        removal(P::NoOutage, M::NeverTakesOver, plans::staged(), ONE_FAULT),
        removal(P::NothingNeededRevoked, M::NeverFencesTheEntry, plans::created(), CLEARED),
        removal(P::NothingNeededRevoked, M::RevokesAtOnce, plans::created(), CLEARED),
        removal(P::NothingNeededRevoked, M::RevokesKeysOfOpenRotations, plans::created(), ASLEEP),
        removal(P::NothingNeededRevoked, M::BeginsWithoutRoom, plans::two_phases(), ASLEEP),
        removal(P::NothingNeededRevoked, M::RevokesAtOnce, plans::two_phases(), CLEARED),
        removal(P::AlwaysResumes, M::NeverOwesTheOldKey, plans::two_phases(), ONE_FAULT),
        removal(P::AlwaysResumes, M::DiscardsAtOnce, plans::two_phases(), ONE_FAULT),
        removal(P::AlwaysResumes, M::NeverOwesTheOldKey, plans::created(), ONE_FAULT),
        removal(P::AlwaysResumes, M::NeverTakesOver, plans::none(), ONE_FAULT),
        removal(P::AlwaysResumes, M::NeverWakes, plans::redo(), ONE_FAULT),
        removal(P::AlwaysResumes, M::RestsAfterALostWrite, plans::none(), ONE_FAULT),
        removal(P::AsksOnlyWhenItMust, M::TakesWhateverItReads, plans::marked(), ONE_FAULT),
        removal(P::AsksOnlyWhenItMust, M::AsksAtOnce, plans::read(), ONE_FAULT),
        removal(P::AsksOnlyWhenItMust, M::IgnoresAnAnswerThatComesLate, plans::none(), ONE_FAULT),
    ]
}

pub(crate) fn line(removal: &Removal, explored: &Explored) -> String {
    let noticed = explored.broken.as_ref().map_or("not noticed", |(broken, _)| broken.what.as_str());
    let property = removal.property.map_or("(second line)".to_owned(), |property| format!("{property:?}"));
    let (mutation, took) = (format!("{:?}", removal.mutation), format!("{:.1?}", explored.took));
    format!("{property:<18} {mutation:<31} {:>8} worlds {took:>8}  {noticed}", explored.worlds)
}
