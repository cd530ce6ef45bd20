//! Keys that live side by side: what is owed, what is a stray, and what is left alone.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use jiff::SignedDuration;
use keyturn::ids::{CredentialName, KvVersion, RotationId};
use keyturn::rotation::{
    Answer, Baseline, Closed, ClosedAs, Created, Creates, Decision, Doubt, Effect, Event, HISTORY_MAX,
    NotNow, Phase, Plan, Publication, RefusalClass, Revocation, State, Timings, Verdict, admit,
    is_as_recorded, next_due, shows_the_published, step, strays,
};
use keyturn::secret::Fingerprint;
use support::rotation::{
    MINE, ROTATION, answer, creates, key_id, now, plain_plan, refusal, request, rotation,
};
use uuid::Uuid;

const OLDER: RotationId = RotationId::from_uuid(Uuid::from_u128(3));

fn plan() -> Plan {
    Plan { creates: Some(creates()), ..plain_plan() }
}

fn fingerprint(text: &str) -> Fingerprint {
    Fingerprint::from_text(text)
}

fn closed(rotation_id: RotationId, outcome: ClosedAs) -> Closed {
    Closed {
        rotation_id,
        request: request(),
        intended_at: now(),
        closed_at: now(),
        calls: 1,
        outcome,
        entry: Some(fingerprint("before")),
        timings: Timings::default(),
        reopened: false,
    }
}

fn rotated(key: &str) -> ClosedAs {
    let answer = Answer { fingerprint: fingerprint(key), key_id: Some(key_id(key)), ..answer() };
    let publication = Publication { version: KvVersion(5), published_at: now() };
    ClosedAs::Rotated { answer, publication, verified: false }
}

const fn lost() -> ClosedAs {
    ClosedAs::NotApplied { doubt: Doubt::Timeout }
}

fn after(history: Vec<Closed>) -> State {
    State { history, ..State::adopted(now()) }
}

fn made(key: &str, rotation_id: RotationId) -> Created {
    Created { key_id: key_id(key), rotation_id }
}

/// A rotation from this state, in which the entry holds `entry`, up to its close.
fn rotate(state: State, entry: &str) -> State {
    let baseline = Baseline { entry: Some(fingerprint(entry)), ..Baseline::default() };
    let event = Event::Preflighted {
        rotation_id: ROTATION,
        request: request(),
        replica: MINE,
        epoch: KvVersion(2),
        baseline,
        now: now(),
    };
    let (mut state, _) = step(&plan(), state, event).unwrap();
    let open = state.phase.rotation().unwrap().clone();
    let new = Answer { fingerprint: fingerprint("new"), key_id: Some(key_id("new")), ..answer() };
    let publication = Publication { version: KvVersion(5), published_at: now() };
    state.phase = Phase::Published { rotation: open, answer: new, publication };
    let (state, effects) =
        step(&plan(), state, Event::Probed { verdict: Verdict::NoProbe, now: now() }).unwrap();
    assert_eq!(effects.first(), Some(&Effect::Save), "it is owed by the very write that closes");
    state
}

fn owed(state: &State) -> Vec<&str> {
    state.revocations.iter().map(|owed| owed.key_id.as_str()).collect()
}

#[test]
fn a_close_owes_the_key_that_was_in_the_entry_and_tells_its_end() {
    let state = rotate(after(vec![closed(OLDER, rotated("old"))]), "old");
    let due_at = now().checked_add(SignedDuration::from_hours(1)).unwrap();
    assert_eq!(state.revocations, [Revocation { key_id: key_id("old"), rotation_id: ROTATION, due_at }]);
    assert_eq!(state.grace_until(), Some(due_at));
}

#[test]
fn the_first_close_owes_the_key_that_the_owner_named_unless_another_is_there() {
    assert_eq!(owed(&rotate(State::adopted(now()), "any")), ["first"]);
    let tried = after(vec![closed(OLDER, lost())]);
    assert_eq!(owed(&rotate(tried.clone(), "before")), ["first"]);
    let by_hand = rotate(tried, "by hand");
    assert_eq!((owed(&by_hand), by_hand.grace_until()), (vec![], None));
}

#[test]
fn where_somebody_put_another_key_into_the_entry_keyturns_last_one_is_owed_and_the_others_end_is_not_told() {
    let state = rotate(after(vec![closed(OLDER, rotated("old"))]), "by hand");
    assert_eq!((owed(&state), state.grace_until()), (vec!["old"], None));
}

#[test]
fn a_stray_is_a_key_of_a_closed_rotation_that_is_neither_published_nor_owed() {
    let owes = Revocation { key_id: key_id("old"), rotation_id: ROTATION, due_at: now() };
    let history = vec![closed(ROTATION, rotated("new")), closed(OLDER, lost())];
    let state = State { revocations: vec![owes], ..after(history) };
    let unknown = RotationId::from_uuid(Uuid::from_u128(99));
    let listed = vec![
        made("new", ROTATION),
        made("of-another-call", ROTATION),
        made("lost", OLDER),
        made("old", OLDER),
        made("of-an-unknown-rotation", unknown),
    ];
    assert_eq!(strays(&state, listed), [made("of-another-call", ROTATION), made("lost", OLDER)]);
}

#[test]
fn of_a_rotation_that_published_a_key_without_an_id_nothing_is_a_stray() {
    let publication = Publication { version: KvVersion(5), published_at: now() };
    let nameless = ClosedAs::Rotated { answer: answer(), publication, verified: false };
    assert_eq!(strays(&after(vec![closed(ROTATION, nameless)]), vec![made("any", ROTATION)]), []);
}

#[test]
fn only_a_key_that_was_fenced_off_the_entry_is_due_at_once() {
    let given_up = ClosedAs::Resolved { decision: Decision::KeepCurrent };
    for (outcome, hours) in [(lost(), 0), (given_up, 1)] {
        let state = after(vec![closed(ROTATION, outcome)]);
        let event = Event::Listed {
            keys: vec![made("stray", ROTATION)],
            entry: Some(fingerprint("before")),
            now: now(),
        };
        let (state, effects) = step(&plan(), state, event).unwrap();
        assert_eq!(effects, [Effect::Save], "it is owed before anything is revoked");
        let due_at = now().checked_add(SignedDuration::from_hours(hours)).unwrap();
        assert_eq!(state.revocations[0].due_at, due_at);
    }
}

#[test]
fn an_entry_is_as_recorded_with_keyturns_last_key_or_before_that_with_what_it_had() {
    let tried = closed(ROTATION, lost());
    let rotated = closed(OLDER, rotated("old"));
    for (history, entry) in [
        (vec![rotated.clone()], "old"),
        (vec![tried.clone(), rotated.clone()], "old"),
        (vec![tried.clone()], "before"),
    ] {
        let state = after(history);
        assert!(is_as_recorded(&state, Some(&fingerprint(entry))));
        assert!(!is_as_recorded(&state, Some(&fingerprint("by hand"))));
        assert!(!is_as_recorded(&state, None));
    }
    assert!(
        !is_as_recorded(&State::adopted(now()), Some(&fingerprint("before"))),
        "nothing was ever compared"
    );
}

#[test]
fn a_provider_without_a_free_place_is_asked_for_no_further_key_by_anybody() {
    let owes = Revocation { key_id: key_id("old"), rotation_id: ROTATION, due_at: now() };
    let state = State { revocations: vec![owes], ..after(vec![closed(ROTATION, rotated("new"))]) };
    let name: CredentialName = "a".parse().unwrap();
    let two = Plan { creates: Some(Creates { keys_max: Some(2), ..creates() }), ..plan() };
    for emergency in [false, true] {
        let request = keyturn::rotation::Request { emergency, ..request() };
        let full = NotNow::KeySlotsFull { until: now() };
        let soon = now().checked_add(SignedDuration::from_mins(59)).unwrap();
        assert_eq!(admit(&two, &state, &request, soon), Err(full));
        let later = now().checked_add(SignedDuration::from_hours(2)).unwrap();
        assert_eq!(admit(&plan(), &state, &request, later), Ok(()));
        // By then a person may have made room by hand.
        assert_eq!(admit(&two, &state, &request, later).is_ok(), emergency);
    }
    assert_eq!(next_due(&two, &state, &name, now()), None);
}

#[test]
fn no_emergency_makes_a_key_while_the_one_that_it_replaces_could_not_be_owed() {
    let emergency = keyturn::rotation::Request { emergency: true, ..request() };
    let days_later = now().checked_add(SignedDuration::from_hours(72)).unwrap();
    for (owed_before, is_let_through) in [(18, true), (19, false)] {
        let debt = |number| Revocation {
            key_id: key_id(&format!("old-{number}")),
            rotation_id: OLDER,
            due_at: now(),
        };
        let revocations = (0..owed_before).map(debt).collect();
        let state = State { revocations, ..after(vec![closed(OLDER, rotated("last"))]) };
        for keys_max in [Some(2), None] {
            let plan = Plan { creates: Some(Creates { keys_max, ..creates() }), ..plan() };
            let admitted = admit(&plan, &state, &emergency, days_later).is_ok();
            assert_eq!(admitted, is_let_through, "{owed_before} owed of {keys_max:?}");
        }
        if is_let_through {
            assert_eq!(rotate(state, "last").revocations.len(), owed_before + 1, "none is forgotten");
        }
    }
}

#[test]
fn neither_refused_nor_lost_tries_push_the_last_success_out_and_lost_ones_outlive_refused_ones() {
    let id = |number: usize| RotationId::from_uuid(Uuid::from_u128(number as u128 + 100));
    let mut history = vec![closed(OLDER, rotated("old"))];
    for number in 0..3 * HISTORY_MAX {
        let mut open = rotation(1, MINE);
        open.rotation_id = id(number);
        let outcome = if number % 2 == 0 {
            lost()
        } else {
            ClosedAs::Failed { refusal: refusal(RefusalClass::Forbidden) }
        };
        let phase = match &outcome {
            ClosedAs::Failed { .. } => Phase::Intended { rotation: open },
            _ => Phase::Unknown {
                rotation: open,
                unknown: keyturn::rotation::Unknown::begun(Doubt::Timeout, now()),
            },
        };
        let event = match outcome {
            ClosedAs::Failed { refusal } => {
                Event::Called { outcome: keyturn::rotation::Outcome::NotApplied(refusal), now: now() }
            }
            _ => Event::Fenced { now: now() },
        };
        history = step(&plan(), State { phase, ..after(history) }, event).unwrap().0.history;
    }
    let kept =
        |outcome: fn(&ClosedAs) -> bool| history.iter().filter(|closed| outcome(&closed.outcome)).count();
    assert_eq!(history.len(), HISTORY_MAX);
    assert_eq!(kept(|outcome| matches!(outcome, ClosedAs::Rotated { .. })), 1);
    assert_eq!(kept(|outcome| matches!(outcome, ClosedAs::Failed { .. })), 1);
}

#[test]
fn a_record_from_before_keys_lived_side_by_side_is_read() {
    let text = r#"{"adopted_at":"2026-03-01T12:00:00Z","phase":{"phase":"idle"},"history":[{
        "rotation_id":"00000000-0000-0000-0000-000000000007",
        "request":{"trigger":"manual","emergency":false},
        "intended_at":"2026-03-01T12:00:00Z","closed_at":"2026-03-01T12:00:00Z","calls":1,
        "outcome":{"outcome":"rotated",
            "answer":{"fingerprint":"00ff","previous_expires_at":null,"received_at":"2026-03-01T12:00:00Z","call":1},
            "publication":{"version":5,"published_at":"2026-03-01T12:00:00Z"},"verified":true}}]}"#;
    let state: State = serde_json::from_str(text).unwrap();
    assert_eq!((state.revocations.len(), state.history[0].entry.clone()), (0, None));
    assert_eq!(state.last_rotated().unwrap().outcome.answer().unwrap().key_id, None);
    // And what has nothing to do with it is written as before.
    let written = serde_json::to_string(&state).unwrap();
    assert!(
        !["revocations", "key_id", "entry"].iter().any(|member| written.contains(&format!("\"{member}\"")))
    );
}

#[test]
fn a_list_in_which_the_published_key_is_missing_or_has_another_id_is_not_believed() {
    let state = after(vec![closed(ROTATION, rotated("new")), closed(OLDER, lost())]);
    let (published, stray) = (made("new", ROTATION), made("lost", OLDER));
    assert!(shows_the_published(&state, &[stray.clone(), published]));
    assert!(!shows_the_published(&state, std::slice::from_ref(&stray)), "the list lags");
    assert!(!shows_the_published(&state, &[made("keys-new", ROTATION), stray]), "ids of another kind");
    assert!(shows_the_published(&after(vec![closed(OLDER, lost())]), &[]), "nothing was published yet");
}
