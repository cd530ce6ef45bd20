//! What the core said, remembered: it is a function, so each question is asked once.

use std::collections::HashMap;
use std::fmt::Debug;
use std::ops::Deref;
use std::rc::Rc;

use keyturn::rotation::{ClosedAs, Effect, Phase, State};

use super::said::Said;
use super::world::at;

/// A state of the core, under a number of its own.
pub(crate) type Known = Numbered<State>;
/// A list of effects, under a number of its own.
pub(crate) type Todo = Numbered<Vec<Effect>>;
/// What followed from an event; an error where it was illegal.
pub(crate) type Followed = Result<(Known, Todo), String>;

#[derive(Default)]
pub(crate) struct Book {
    states: Shelf<State>,
    todos: Shelf<Vec<Effect>>,
    steps: HashMap<(u16, u8, Said), Followed>,
}

impl Book {
    pub(crate) fn known(&mut self, state: State) -> Known {
        self.states.number(without_what_decides_nothing(state))
    }

    pub(crate) fn todo(&mut self, effects: Vec<Effect>) -> Todo {
        self.todos.number(effects)
    }

    pub(crate) fn remembers(&self, state: &Known, tick: u8, said: Said) -> Option<Followed> {
        self.steps.get(&(state.number(), tick, said)).cloned()
    }

    pub(crate) fn remember(&mut self, state: &Known, tick: u8, said: Said, followed: &Followed) {
        self.steps.insert((state.number(), tick, said), followed.clone());
    }

    /// How many different questions the core was asked.
    pub(crate) fn asked(&self) -> usize {
        self.steps.len()
    }
}

/// A value that is compared by its number alone.
pub(crate) struct Numbered<T>(Rc<(u16, T)>);

impl<T> Numbered<T> {
    pub(crate) fn number(&self) -> u16 {
        self.0.0
    }
}

impl<T> Clone for Numbered<T> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<T> Deref for Numbered<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.1
    }
}

/// Values by all that they show of themselves, so that no new member can be forgotten.
struct Shelf<T>(HashMap<String, Numbered<T>>);

impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<T: Debug> Shelf<T> {
    fn number(&mut self, value: T) -> Numbered<T> {
        let number = u16::try_from(self.0.len()).unwrap();
        self.0.entry(format!("{value:?}")).or_insert_with(|| Numbered(Rc::new((number, value)))).clone()
    }
}

/// Times and counters that tell a person something, and on which nothing depends here.
fn without_what_decides_nothing(mut state: State) -> State {
    state.retry = None;
    for closed in &mut state.history {
        (closed.intended_at, closed.closed_at) = (at(0), at(0));
        if let ClosedAs::Rotated { answer, publication, .. } = &mut closed.outcome {
            answer.previous_expires_at = None;
            publication.published_at = at(0);
        }
    }
    match &mut state.phase {
        Phase::Idle => {}
        Phase::Halted { rotation, halt } => {
            rotation.intended_at = at(0);
            halt.since = at(0);
        }
        Phase::Intended { rotation }
        | Phase::Unknown { rotation, .. }
        | Phase::Answered { rotation, .. }
        | Phase::Staged { rotation, .. }
        | Phase::Published { rotation, .. } => rotation.intended_at = at(0),
    }
    state
}
