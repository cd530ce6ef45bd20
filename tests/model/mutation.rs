//! The rules of a search: a plan, and at most one safeguard that is taken away.

use std::cell::RefCell;
use std::time::Duration;

use jiff::SignedDuration;
use keyturn::ids::{KeyId, KvVersion};
use keyturn::rotation::{
    Closed, ClosedAs, Creates, Doubt, Effect, Event, Halt, HaltReason, Holding, Outcome, Phase, Plan, State,
    Step, Timings, Verdict, step,
};

use super::book::{Book, Followed, Known};
use super::properties::{self, Broken, Property};
use super::said::Said;
use super::world::{Entry, Key, Number, World, at};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mutation {
    None,
    ActsOnALapsedClaim,
    AsksAtOnce,
    BeginsBeforeItIsQuiet,
    BeginsWithoutRoom,
    BelievesAnUnchangedReadAtOnce,
    BelievesEarlierAnswers,
    BelievesEveryProbe,
    CallsAgainAtOnce,
    CallsBeforeTheIntentIsSaved,
    ChoosesAnotherKeyForEachCall,
    ClosesUnpublished,
    DiscardsAtOnce,
    ErasesWhenSealed,
    GuessesInsteadOfAsking,
    IgnoresAnAnswerThatComesLate,
    NeverFencesTheEntry,
    NeverMarksSent,
    NeverSeals,
    NeverOwesTheOldKey,
    NeverTakesOver,
    NeverWakes,
    PublishesBlindly,
    PublishesOverANewerEpoch,
    PublishesWithoutAskingTheRecord,
    PublishesWithoutCheckAndSet,
    PublishesWithoutStaging,
    RedoesAtOnce,
    RedoesWithoutEnd,
    RegeneratesTheSlotInUse,
    ReleasesWhileItCalls,
    RestsAfterALostWrite,
    RevokesAtOnce,
    RevokesKeysOfOpenRotations,
    RevokesWithoutLooking,
    SavesWithoutCheckAndSet,
    TakesOverAtOnce,
    TakesSentForUnsent,
    TakesWhateverItReads,
}

pub(crate) struct Rules {
    pub(crate) plan: Plan,
    pub(crate) mutation: Mutation,
    /// Look for this property alone.
    pub(crate) only: Option<Property>,
    book: RefCell<Book>,
}

impl Rules {
    pub(crate) fn faithful(plan: Plan) -> Self {
        Self { plan, mutation: Mutation::None, only: None, book: RefCell::default() }
    }

    pub(crate) fn without(plan: Plan, mutation: Mutation, only: Option<Property>) -> Self {
        Self { mutation, only, ..Self::faithful(plan) }
    }

    pub(crate) fn first_world(&self, replicas: usize) -> World {
        let adopted: Known = self.book.borrow_mut().known(State::adopted(at(0)));
        World { lives_side_by_side: self.plan.creates.is_some(), ..World::new(replicas, adopted) }
    }

    /// What the real core says to this, with the safeguard taken away.
    pub(crate) fn next(&self, state: &Known, said: Said, tick: u8) -> Followed {
        if let Some(followed) = self.book.borrow().remembers(state, tick, said) {
            return followed;
        }
        let stepped = self.step(State::clone(state), said.event(&self.plan, at(tick)));
        let mut book = self.book.borrow_mut();
        let followed = match stepped {
            Ok((state, effects)) => Ok((book.known(state), book.todo(effects))),
            Err(illegal) => Err(illegal.to_string()),
        };
        book.remember(state, tick, said, &followed);
        followed
    }

    /// A call takes effect at the provider.
    pub(crate) fn apply(&self, world: &mut World, sent: (Number, u8)) -> Key {
        let supplies = self.plan.supplies && self.mutation != Mutation::ChoosesAnotherKeyForEachCall;
        world.provider.apply(&Plan { supplies, ..self.plan.clone() }, sent, world.tick)
    }

    /// How many different questions the core was asked.
    pub(crate) fn asked(&self) -> usize {
        self.book.borrow().asked()
    }

    fn step(&self, state: State, event: Event) -> Step {
        let event = self.misheard(&state, event);
        let plan = self.misread();
        match self.mutation {
            Mutation::ErasesWhenSealed => erasing(&plan, state, event),
            Mutation::ClosesUnpublished => closing(&plan, state, event),
            Mutation::NeverSeals => unsealed(&plan, state, event),
            Mutation::CallsAgainAtOnce => calling_again(&plan, state, event),
            _ => Ok(self.misdone(step(&plan, state, event)?)),
        }
    }

    /// The plan as a core would see it that does not know a wait or a bound.
    fn misread(&self) -> Plan {
        let plan = self.plan.clone();
        match self.mutation {
            Mutation::RedoesAtOnce => Plan { settle: Duration::ZERO, call_timeout: Duration::ZERO, ..plan },
            Mutation::RedoesWithoutEnd => Plan { redo: Some(9), ..plan },
            Mutation::PublishesWithoutStaging => Plan { propagation: None, ..plan },
            Mutation::RevokesAtOnce => {
                let at_once = |creates| Creates { revoke_after: Duration::ZERO, ..creates };
                Plan { creates: plan.creates.clone().map(at_once), ..plan }
            }
            _ => plan,
        }
    }

    fn misheard(&self, state: &State, mut event: Event) -> Event {
        match (self.mutation, &mut event) {
            (Mutation::TakesSentForUnsent, Event::Resumed { holding, .. }) if *holding == Holding::Sent => {
                *holding = Holding::Unsent;
            }
            (Mutation::BelievesAnUnchangedReadAtOnce, Event::Read { now, .. }) => {
                *now = now.checked_add(SignedDuration::from_hours(1)).unwrap();
            }
            (Mutation::BelievesEarlierAnswers, Event::Resumed { holding: Holding::Answer(answer), .. }) => {
                answer.call = state.phase.rotation().map_or(1, |open| open.calls);
            }
            (Mutation::IgnoresAnAnswerThatComesLate, Event::Resumed { holding, .. })
                if matches!(state.phase, Phase::Unknown { .. } | Phase::Halted { .. }) =>
            {
                *holding = Holding::Nothing;
            }
            _ => {}
        }
        event
    }

    fn misdone(&self, (state, mut effects): (State, Vec<Effect>)) -> (State, Vec<Effect>) {
        match self.mutation {
            Mutation::CallsBeforeTheIntentIsSaved if effects == [Effect::Save, Effect::Call] => {
                effects.remove(0);
                (state, effects)
            }
            Mutation::GuessesInsteadOfAsking => guessing(state, effects),
            Mutation::AsksAtOnce => asking(state, effects),
            Mutation::DiscardsAtOnce => {
                let mut state = state;
                let pending = KeyId::of_the_pending_key();
                let owed = state.revocations.iter_mut().filter(|owed| owed.key_id == pending);
                owed.for_each(|owed| owed.due_at = at(0));
                (state, effects)
            }
            Mutation::NeverOwesTheOldKey => (State { revocations: Vec::new(), ..state }, effects),
            Mutation::ReleasesWhileItCalls => (releasing(state), effects),
            _ => (state, effects),
        }
    }

    pub(crate) fn watch(&self, world: &mut World) -> Result<(), Broken> {
        self.of_interest(properties::nothing_lost(world))?;
        self.of_interest(properties::never_twice(world, self))?;
        self.of_interest(properties::never_guessed(world))?;
        self.of_interest(properties::published_key_lives(world, self))?;
        self.of_interest(properties::asks_only_when_it_must(world, self))
    }

    pub(crate) fn watch_entry(&self, world: &World, before: Entry) -> Result<(), Broken> {
        self.of_interest(properties::never_torn(world, before))?;
        self.of_interest(properties::newest_claim_writes_last(world, before))?;
        self.of_interest(properties::publishes_what_works(world, self))
    }

    pub(crate) fn of_interest(&self, found: Result<(), Broken>) -> Result<(), Broken> {
        found.or_else(|broken| match self.only {
            Some(only) if only != broken.property => Ok(()),
            _ => Err(broken),
        })
    }
}

fn erasing(plan: &Plan, state: State, event: Event) -> Step {
    let was_sealed = matches!(event, Event::Sealed { .. });
    let (state, mut effects) = step(plan, state, event)?;
    if let (true, Some(open)) = (was_sealed, state.phase.rotation()) {
        effects.insert(0, Effect::Erase { rotation_id: open.rotation_id });
    }
    Ok((state, effects))
}

fn closing(plan: &Plan, state: State, event: Event) -> Step {
    let Event::Sealed { now } = event else { return step(plan, state, event) };
    let (state, _) = step(plan, state, event)?;
    let (state, _) = step(plan, state, Event::Published { version: KvVersion(1), now })?;
    step(plan, state, Event::Probed { verdict: Verdict::Accepted, now })
}

fn unsealed(plan: &Plan, state: State, event: Event) -> Step {
    let called = matches!(event, Event::Called { .. }).then(|| event.clone());
    let (state, effects) = step(plan, state, event)?;
    match called {
        Some(Event::Called { now, .. }) if effects == [Effect::Seal] => {
            step(plan, state, Event::Sealed { now })
        }
        _ => Ok((state, effects)),
    }
}

fn calling_again(plan: &Plan, state: State, event: Event) -> Step {
    let lost = matches!(event, Event::Called { outcome: Outcome::Unknown(_), .. });
    if lost { Ok((state, vec![Effect::Call])) } else { step(plan, state, event) }
}

fn guessing(mut state: State, effects: Vec<Effect>) -> (State, Vec<Effect>) {
    let Phase::Halted { rotation, halt: Halt { answer: None, .. } } = state.phase.clone() else {
        return (state, effects);
    };
    let rotation_id = rotation.rotation_id;
    let closed = Closed {
        rotation_id,
        request: rotation.request,
        intended_at: at(0),
        closed_at: at(0),
        calls: rotation.calls,
        outcome: ClosedAs::NotApplied { doubt: Doubt::Timeout },
        entry: None,
        timings: Timings::default(),
        reopened: false,
    };
    state.history.insert(0, closed);
    state.phase = Phase::Idle;
    (state, vec![Effect::Save, Effect::Erase { rotation_id }])
}

/// The claim is let go with a call under way, or about to be.
fn releasing(mut state: State) -> State {
    if let Phase::Intended { rotation } = &mut state.phase {
        rotation.released = true;
    }
    state
}

fn asking(mut state: State, effects: Vec<Effect>) -> (State, Vec<Effect>) {
    let Phase::Unknown { rotation, unknown } = state.phase.clone() else { return (state, effects) };
    let reason = HaltReason::NoWayToTell { doubt: unknown.doubt };
    let halt = Halt { reason, since: at(0), answer: None, publication: None };
    state.phase = Phase::Halted { rotation, halt };
    (state, vec![Effect::Save])
}
