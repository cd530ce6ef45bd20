//! Every state meets every event: what follows is written down in `tests/golden/transitions.txt`.
//!
//! After an intended change of the core, look at the printed difference, then write the new table there.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use std::fmt::Write as _;

use keyturn::ids::KvVersion;
use keyturn::rotation::{Answer, Effect, Event, Holding, Phase, Plan, State, step};
use keyturn::secret::Fingerprint;
use support::rotation::{MINE, answer, effect_name, events, now, plans, states};

#[test]
fn every_state_meets_every_event_as_written_down() {
    let mut table = String::new();
    for (plan_name, plan) in plans() {
        for (state_name, state) in states() {
            for (event_name, event) in events(&state) {
                let line = outcome(&plan, state.clone(), event);
                writeln!(table, "{plan_name:<9} {state_name:<20} {event_name:<26} {line}").unwrap();
            }
        }
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/transitions.txt");
    let golden = std::fs::read_to_string(path).unwrap_or_default();
    if golden != table {
        let produced = concat!(env!("CARGO_TARGET_TMPDIR"), "/transitions.txt");
        std::fs::write(produced, &table).unwrap();
        let changed = table.lines().filter(|line| !golden.lines().any(|known| known == *line)).take(20);
        panic!(
            "the table changed; the first new lines:\n{}\nthe whole new table is in {produced}",
            changed.collect::<Vec<_>>().join("\n")
        );
    }
}

fn outcome(plan: &Plan, state: State, event: Event) -> String {
    match step(plan, state, event) {
        Err(_) => "illegal".to_owned(),
        Ok((next, effects)) => {
            let effects: Vec<_> = effects.iter().map(effect_name).collect();
            format!("{:<10} {}", next.phase.name(), effects.join(", ")).trim_end().to_owned()
        }
    }
}

#[test]
fn a_call_always_follows_a_save_and_nothing_is_erased_before_the_close_is_saved() {
    for (_, plan) in plans() {
        for (_, state) in states() {
            for (_, event) in events(&state) {
                let Ok((next, effects)) = step(&plan, state.clone(), event) else { continue };
                for (index, effect) in effects.iter().enumerate() {
                    let before = index.checked_sub(1).and_then(|index| effects.get(index));
                    match effect {
                        Effect::Call | Effect::Erase { .. } => assert_eq!(before, Some(&Effect::Save)),
                        Effect::Publish => assert!(next.phase.answer().is_some()),
                        Effect::Save => assert_eq!(index, 0, "a save comes first"),
                        _ => {}
                    }
                }
            }
        }
    }
}

#[test]
fn a_rotation_that_was_taken_up_again_goes_on_with_its_very_answer_alone() {
    let other = Answer { fingerprint: Fingerprint::from_text("33ff"), ..answer() };
    for (name, state) in states().into_iter().filter(|(name, _)| name.ends_with("reopened")) {
        for (_, plan) in plans() {
            let goes_on = |holding: Holding, published: Option<&Answer>| {
                let event = Event::Resumed {
                    replica: MINE,
                    lapsed: false,
                    epoch: KvVersion(9),
                    holding,
                    published: published.map(|answer| (answer.clone(), KvVersion(7))),
                    now: now(),
                };
                step(&plan, state.clone(), event).unwrap().0.phase != Phase::Idle
            };
            assert!(goes_on(Holding::Answer(answer()), None), "{name}");
            assert!(goes_on(Holding::Nothing, Some(&answer())), "{name}");
            assert!(!goes_on(Holding::Answer(other.clone()), None), "{name}");
            assert!(!goes_on(Holding::Answer(other.clone()), Some(&other)), "{name}");
            assert!(!goes_on(Holding::Sent, None), "{name}");
        }
    }
}
