//! The rules of a search: a plan, and at most one deliberate defect that a property must notice.

use std::time::Duration;

use jiff::SignedDuration;
use keyturn::ids::KvVersion;
use keyturn::rotation::{Effect, Event, Holding, Plan, State, Step, Verdict, step};

use super::properties::{self, Broken, Property};
use super::world::{Entry, World};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mutation {
    None,
    CallsBeforeTheIntentIsSaved,
    TakesSentForUnsent,
    NeverSeals,
    ErasesWhenSealed,
    PublishesBlindly,
    BelievesAnUnchangedReadAtOnce,
    RedoesAtOnce,
    ClosesUnpublished,
    NeverTakesOver,
}

pub(crate) struct Rules {
    pub(crate) plan: Plan,
    pub(crate) mutation: Mutation,
    /// Look for this property alone.
    pub(crate) only: Option<Property>,
}

impl Rules {
    pub(crate) const fn faithful(plan: Plan) -> Self {
        Self { plan, mutation: Mutation::None, only: None }
    }

    pub(crate) fn step(&self, state: State, event: Event) -> Step {
        let plan = &self.plan;
        match self.mutation {
            Mutation::None | Mutation::PublishesBlindly => step(plan, state, event),
            Mutation::CallsBeforeTheIntentIsSaved => {
                let (state, mut effects) = step(plan, state, event)?;
                if effects == [Effect::Save, Effect::Call] {
                    effects.remove(0);
                }
                Ok((state, effects))
            }
            Mutation::NeverSeals => {
                let (state, effects) = step(plan, state, event.clone())?;
                match event {
                    Event::Called { now, .. } if effects == [Effect::Seal] => {
                        step(plan, state, Event::Sealed { now })
                    }
                    _ => Ok((state, effects)),
                }
            }
            Mutation::ErasesWhenSealed => erasing(plan, state, event),
            Mutation::RedoesAtOnce => {
                let hasty = Plan { settle: Duration::ZERO, call_timeout: Duration::ZERO, ..plan.clone() };
                step(&hasty, state, event)
            }
            Mutation::ClosesUnpublished => closing(plan, state, event),
            _ => {
                let event = self.misheard(event);
                step(plan, state, event)
            }
        }
    }

    fn misheard(&self, mut event: Event) -> Event {
        match (self.mutation, &mut event) {
            (Mutation::TakesSentForUnsent, Event::Resumed { holding, .. }) if *holding == Holding::Sent => {
                *holding = Holding::Unsent;
            }
            (Mutation::NeverTakesOver, Event::Resumed { lapsed, .. }) => *lapsed = false,
            (Mutation::BelievesAnUnchangedReadAtOnce, Event::Read { now, .. }) => {
                *now = now.checked_add(SignedDuration::from_hours(1)).unwrap();
            }
            _ => {}
        }
        event
    }

    pub(crate) fn watch(&self, world: &mut World) -> Result<(), Broken> {
        self.of_interest(properties::nothing_lost(world))?;
        self.of_interest(properties::never_twice(world, self))?;
        self.of_interest(properties::never_guessed(world))
    }

    pub(crate) fn watch_entry(&self, world: &World, before: Entry) -> Result<(), Broken> {
        self.of_interest(properties::never_torn(world, before))?;
        self.of_interest(properties::one_hand(world, before))
    }

    fn of_interest(&self, found: Result<(), Broken>) -> Result<(), Broken> {
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
