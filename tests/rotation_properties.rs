//! Whatever happens in whatever order: the core keeps its promises, and comes to an end once faults stop.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use jiff::{SignedDuration, Timestamp};
use keyturn::ids::{KvVersion, RotationId};
use keyturn::rotation::{
    Answer, Baseline, ClosedAs, Doubt, Effect, Event, Holding, Outcome, Phase, Plan, Problem, Reading,
    RefusalClass, State, Verdict, step,
};
use keyturn::secret::Fingerprint;
use proptest::prelude::*;
use support::rotation::{MINE, OTHER, answer, creates, events, now, plans, refusal, request, states};
use uuid::Uuid;

/// A one-credential world around the core: a record, an entry, an escrow slot, and a provider that may act
/// without being heard.
struct World {
    plan: Plan,
    /// What the record holds, and its version.
    record: State,
    version: u64,
    slot: Slot,
    /// The newest key that the provider made, and the one in the application's entry.
    live_key: u32,
    entry_key: u32,
    entry_rotation: Option<RotationId>,
    /// The key in the shell's hand or in escrow, and the call that brought it.
    held: Option<(u32, u32)>,
    staged: Option<(u32, u32)>,
    clock: Timestamp,
    calls: u32,
    replays: u32,
    rotations: u32,
}

#[derive(Clone, Copy, PartialEq)]
enum Slot {
    Missing,
    Unsent,
    Sent,
    Sealed,
}

/// What goes wrong at one effect.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    None,
    CrashBefore,
    CrashAfter,
    NotApplied,
    AnswerLost,
    NoValue,
    Unavailable,
    Conflict,
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        4 => Just(Fault::None),
        1 => Just(Fault::CrashBefore),
        1 => Just(Fault::CrashAfter),
        1 => Just(Fault::NotApplied),
        1 => Just(Fault::AnswerLost),
        1 => Just(Fault::NoValue),
        1 => Just(Fault::Unavailable),
        1 => Just(Fault::Conflict),
    ]
}

impl World {
    fn new(plan: Plan) -> Self {
        Self {
            plan,
            record: State::adopted(now()),
            version: 1,
            slot: Slot::Missing,
            live_key: 0,
            entry_key: 0,
            entry_rotation: None,
            held: None,
            staged: None,
            clock: now(),
            calls: 0,
            replays: 0,
            rotations: 0,
        }
    }

    fn facts(key: u32, call: u32) -> Answer {
        Answer { fingerprint: Fingerprint::from_text(key.to_string()), call, ..answer() }
    }

    /// What a restarted process finds.
    fn resumed(&mut self, crashed: bool) -> Event {
        let open = self.record.phase.rotation().map(|open| open.rotation_id);
        if crashed && self.slot != Slot::Sealed {
            self.held = None;
        }
        if let Some(staged) = self.staged.filter(|_| self.record.phase.keeps_secret_in_record()) {
            self.held = Some(staged);
        }
        let holding = match (self.held, self.slot) {
            (Some((key, call)), _) => Holding::Answer(Self::facts(key, call)),
            (None, Slot::Sealed | Slot::Sent) => Holding::Sent,
            (None, Slot::Unsent) => Holding::Unsent,
            (None, Slot::Missing) => Holding::Nothing,
        };
        let published = (open.is_some() && self.entry_rotation == open)
            .then(|| (Self::facts(self.entry_key, 1), KvVersion(9)));
        let (epoch, now) = (KvVersion(self.version + 1), self.clock);
        Event::Resumed { replica: MINE, lapsed: false, epoch, holding, published, now }
    }

    /// Runs one event's effects; gives the next event, or `None` at rest.
    fn advance(
        &mut self,
        state: State,
        event: Event,
        faults: &mut dyn Iterator<Item = Fault>,
    ) -> Option<(State, Event)> {
        let (state, effects) = step(&self.plan, state, event).expect("a legal event");
        let mut next = None;
        let mut saved_just_before = false;
        for effect in effects {
            let fault = faults.next().unwrap_or(Fault::None);
            if fault == Fault::CrashBefore {
                return Some(self.restart(true));
            }
            if effect == Effect::Call {
                assert!(saved_just_before, "a call without a save right before it");
            }
            saved_just_before = effect == Effect::Save;
            match self.run(&state, &effect, fault) {
                Ok(event) => next = event,
                Err(()) => return Some(self.restart(false)),
            }
            if fault == Fault::CrashAfter {
                return Some(self.restart(true));
            }
        }
        next.map(|event| (state, event))
    }

    fn restart(&mut self, crashed: bool) -> (State, Event) {
        let event = self.resumed(crashed);
        (self.record.clone(), event)
    }

    fn run(&mut self, state: &State, effect: &Effect, fault: Fault) -> Result<Option<Event>, ()> {
        let now = self.clock;
        let event = match effect {
            Effect::Preflight { rotation_id, request } => {
                self.slot = Slot::Unsent;
                (self.calls, self.replays) = (0, 0);
                let (rotation_id, request, epoch) =
                    (*rotation_id, request.clone(), KvVersion(self.version + 1));
                let shown = Some(Self::facts(self.live_key, 1).fingerprint);
                let baseline = match self.plan.marker {
                    Some(_) => Baseline { marker: shown, ..Baseline::default() },
                    None => Baseline { provider: shown, ..Baseline::default() },
                };
                Event::Preflighted { rotation_id, request, replica: MINE, epoch, baseline, now }
            }
            Effect::Save => {
                if matches!(fault, Fault::Unavailable | Fault::Conflict) {
                    return Err(());
                }
                self.record = state.clone();
                self.version += 1;
                self.staged = self.held.filter(|_| state.phase.keeps_secret_in_record());
                return Ok(None);
            }
            Effect::Erase { .. } => {
                assert_eq!(self.record.phase, Phase::Idle, "erased before the close was durable");
                (self.slot, self.held) = (Slot::Missing, None);
                return Ok(None);
            }
            Effect::Leave => return Ok(None),
            Effect::Call => return self.call(state, fault).map(Some),
            Effect::Read => Event::Read { reading: self.read(state, fault), now },
            Effect::Seal => {
                if fault != Fault::Unavailable {
                    self.slot = Slot::Sealed;
                }
                Event::Sealed { now }
            }
            Effect::Probe | Effect::Verify => {
                let verdict = match fault {
                    Fault::NotApplied => Verdict::NotAccepted,
                    Fault::Unavailable => Verdict::Unavailable,
                    _ => Verdict::Accepted,
                };
                Event::Probed { verdict, now }
            }
            Effect::Publish => {
                if matches!(fault, Fault::Unavailable | Fault::Conflict) {
                    return Err(());
                }
                self.entry_key = self.held.expect("a key in hand to publish").0;
                self.entry_rotation = state.phase.rotation().map(|open| open.rotation_id);
                Event::Published { version: KvVersion(9), now }
            }
            Effect::Fence => {
                if matches!(fault, Fault::Unavailable | Fault::Conflict) {
                    return Err(());
                }
                Event::Fenced { now }
            }
            Effect::Wait { until } => {
                self.clock = (*until).max(self.clock);
                Event::Woke { now: self.clock }
            }
        };
        Ok(Some(event))
    }

    fn call(&mut self, state: &State, fault: Fault) -> Result<Event, ()> {
        self.slot = Slot::Sent;
        let replay = matches!(state.phase, Phase::Unknown { .. });
        let outcome = match fault {
            Fault::NotApplied => Outcome::NotApplied(refusal(RefusalClass::Invalid)),
            Fault::Unavailable => Outcome::NotApplied(refusal(RefusalClass::Unreachable)),
            Fault::Conflict => Outcome::Unknown(Doubt::Timeout),
            Fault::AnswerLost => {
                self.act(replay);
                Outcome::Unknown(Doubt::ConnectionLost)
            }
            Fault::NoValue => {
                self.act(replay);
                Outcome::AppliedNoValue
            }
            Fault::CrashAfter => {
                self.act(replay);
                return Err(());
            }
            Fault::None | Fault::CrashBefore => {
                self.act(replay);
                let call = calls_of(state);
                self.held = Some((self.live_key, call));
                Outcome::Applied(Self::facts(self.live_key, call))
            }
        };
        Ok(Event::Called { outcome, now: self.clock })
    }

    /// The provider makes a new key; a replay shows the one that it made for this rotation, or makes the first.
    fn act(&mut self, replay: bool) {
        if replay {
            assert!(self.plan.replay.is_some(), "a replay that the provider does not declare");
            self.replays += 1;
        }
        if self.calls == 0 || !replay {
            self.live_key += 1;
            self.calls += 1;
        }
        let calls_max = self.plan.redo.unwrap_or(1);
        assert!(self.calls <= calls_max, "{} calls where {calls_max} are safe", self.calls);
    }

    fn read(&mut self, state: &State, fault: Fault) -> Reading {
        let Plan { read, marker, .. } = &self.plan;
        assert!(read.is_some() || marker.is_some(), "a read that the provider does not declare");
        let baseline = state.phase.rotation().map(|open| open.baseline.clone()).unwrap_or_default();
        let baseline = baseline.provider.or(baseline.marker);
        match fault {
            Fault::Unavailable => Reading::Unavailable(Problem::default()),
            Fault::NotApplied => Reading::Refused(refusal(RefusalClass::Forbidden)),
            _ if baseline == Some(Self::facts(self.live_key, 1).fingerprint) => Reading::Unchanged,
            _ if marker.is_some() => Reading::Replaced,
            _ => {
                let call = calls_of(state);
                self.held = Some((self.live_key, call));
                Reading::Changed(Self::facts(self.live_key, call))
            }
        }
    }

    /// One rotation until rest, with the given faults, then without any.
    fn rotate(&mut self, faults: Vec<Fault>) {
        self.rotations += 1;
        let rotation_id = RotationId::from_uuid(Uuid::from_u128(u128::from(self.rotations)));
        let mut faults = faults.into_iter();
        let begin = Event::Requested { rotation_id, request: request(), now: self.clock };
        let mut current = Some((self.record.clone(), begin));
        for _ in 0..500 {
            let Some((state, event)) = current else { return };
            current = self.advance(state, event, &mut faults);
        }
        panic!("a rotation that does not end: {:?}", self.record.phase);
    }
}

fn calls_of(state: &State) -> u32 {
    state.phase.rotation().map_or(0, |open| open.calls)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_rotation_under_any_faults_ends_with_the_live_key_in_vault_or_with_a_person_asked(
        class in 0..5_usize,
        faults in proptest::collection::vec(fault(), 0..24),
    ) {
        let mut world = World::new(plans().swap_remove(class).1);
        world.rotate(faults);
        match &world.record.phase {
            Phase::Halted { .. } => {}
            Phase::Idle => prop_assert_eq!(world.entry_key, world.live_key, "closed without the live key in Vault"),
            open => prop_assert!(false, "at rest while {}", open.name()),
        }
        if world.record.phase == Phase::Idle {
            prop_assert!(world.slot == Slot::Missing || world.record.history.len() <= 1);
        }
    }

    #[test]
    fn where_keys_live_side_by_side_no_fault_asks_a_person_and_the_entry_holds_what_the_record_says(
        faults in proptest::collection::vec(fault(), 0..24),
        calls_max in 1..4_u32,
    ) {
        let plan = Plan { creates: Some(creates()), redo: Some(calls_max), ..plans().swap_remove(0).1 };
        let mut world = World::new(plan);
        world.rotate(faults);
        prop_assert_eq!(&world.record.phase, &Phase::Idle);
        let published = world.record.last_rotated().and_then(|last| last.outcome.answer());
        let published = published.map(|answer| answer.fingerprint.clone());
        let entry = (world.entry_key > 0).then(|| World::facts(world.entry_key, 1).fingerprint);
        prop_assert_eq!(entry, published);
    }

    #[test]
    fn no_event_in_any_order_breaks_the_order_of_effects_or_the_state_codec(
        class in 0..6_usize,
        start in 0..19_usize,
        picks in proptest::collection::vec(0..64_usize, 1..40),
    ) {
        let plan = plans().swap_remove(class).1;
        let samples = events(&State::adopted(now()));
        let mut state = states().swap_remove(start).1;
        for pick in picks {
            let event = samples[pick % samples.len()].1.clone();
            let Ok((next, effects)) = step(&plan, state.clone(), event) else { continue };
            for pair in effects.windows(2) {
                prop_assert!(pair[1] != Effect::Save, "a save that is not first");
            }
            if effects.contains(&Effect::Call) {
                prop_assert_eq!(effects.first(), Some(&Effect::Save));
            }
            let text = serde_json::to_string(&next).unwrap();
            prop_assert_eq!(serde_json::from_str::<State>(&text).unwrap(), next.clone());
            prop_assert!(next.history.len() <= keyturn::rotation::HISTORY_MAX);
            state = next;
        }
    }

    #[test]
    fn a_rotation_of_another_replica_is_left_alone_until_its_claim_has_lapsed(class in 0..6_usize, start in 1..9_usize) {
        let plan = plans().swap_remove(class).1;
        let mut state = states().swap_remove(start).1;
        let late = now().checked_add(SignedDuration::from_hours(1)).unwrap();
        rename_holder(&mut state);
        for holding in [Holding::Nothing, Holding::Sent, Holding::Answer(answer())] {
            // Who has the answer that is missing need not wait; a test of its own says so.
            if matches!((&state.phase, &holding), (Phase::Unknown { .. }, Holding::Answer(_))) {
                continue;
            }
            let resumed = |lapsed| Event::Resumed {
                replica: MINE, lapsed, epoch: KvVersion(9), holding: holding.clone(), published: None, now: late,
            };
            let (next, effects) = step(&plan, state.clone(), resumed(false)).unwrap();
            prop_assert_eq!((&next, effects.len()), (&state, 0));
            let (next, effects) = step(&plan, state.clone(), resumed(true)).unwrap();
            prop_assert_eq!(effects.first(), Some(&Effect::Save), "a claim that is not durable first");
            let holder = next.phase.rotation().map(|open| (open.holder, open.epoch));
            prop_assert!(holder.is_none_or(|claimed| claimed == (MINE, KvVersion(9))));
        }
    }
}

fn rename_holder(state: &mut State) {
    let text = serde_json::to_string(state).unwrap();
    *state = serde_json::from_str(&text.replace(&MINE.to_string(), &OTHER.to_string())).unwrap();
}

#[test]
fn a_rotation_without_faults_takes_one_call_and_ends_rotated() {
    for (name, plan) in plans() {
        let mut world = World::new(plan);
        world.rotate(Vec::new());
        assert_eq!((world.calls, world.entry_key), (1, 1), "{name}");
        let outcome = &world.record.history[0].outcome;
        assert!(matches!(outcome, ClosedAs::Rotated { .. }), "{name}: {outcome:?}");
    }
}

fn resumed(holding: Holding, published: Option<(Answer, KvVersion)>) -> Event {
    let now = now().checked_add(SignedDuration::from_mins(10)).unwrap();
    Event::Resumed { replica: MINE, lapsed: false, epoch: KvVersion(9), holding, published, now }
}

#[test]
fn a_replica_that_has_the_missing_answer_settles_the_doubt_at_once_by_a_claim() {
    for name in ["unknown", "halted"] {
        let (_, mut state) = states().into_iter().find(|(known, _)| *known == name).unwrap();
        rename_holder(&mut state);
        let (next, effects) = step(&plans()[0].1, state, resumed(Holding::Answer(answer()), None)).unwrap();
        assert_eq!(effects, [Effect::Save, Effect::Seal], "{name}");
        let open = next.phase.rotation().unwrap();
        assert_eq!((next.phase.name(), open.holder, open.epoch), ("answered", MINE, KvVersion(9)), "{name}");
    }
}

#[test]
fn an_earlier_calls_answer_is_not_taken_for_the_newest_key() {
    let (_, redo) = plans().into_iter().find(|(name, _)| *name == "redo").unwrap();
    let (_, state) = states().into_iter().find(|(name, _)| *name == "intended, call 2").unwrap();
    let (next, effects) = step(&redo, state, resumed(Holding::Answer(answer()), None)).unwrap();
    assert_ne!(next.phase.name(), "answered");
    assert!(!effects.contains(&Effect::Publish) && !effects.contains(&Effect::Seal), "{effects:?}");
}

#[test]
fn failed_tries_never_push_the_last_success_out_of_the_history() {
    let plan = plans().swap_remove(0).1;
    let mut world = World::new(plan);
    world.rotate(Vec::new());
    for _ in 0..3 * keyturn::rotation::HISTORY_MAX {
        world.rotate(vec![Fault::None, Fault::None, Fault::NotApplied]);
    }
    assert_eq!(world.record.history.len(), keyturn::rotation::HISTORY_MAX);
    assert!(world.record.last_rotated().is_some());
    assert!(matches!(world.record.history[0].outcome, ClosedAs::Failed { .. }));
}
