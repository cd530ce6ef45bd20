//! One of each: plans, states and events of the core.

use std::time::Duration;

use jiff::Timestamp;
use keyturn::ids::{KeyId, KvVersion, ReplicaId, RotationId};
use keyturn::rotation::schedule::{Cadence, Schedule};
use keyturn::rotation::{
    Answer, Baseline, Closed, ClosedAs, Created, Creates, Decision, Doubt, Effect, Event, Evidence, Halt,
    HaltReason, Holding, Outcome, Phase, Plan, Problem, Propagation, Publication, Reading, Refusal,
    RefusalClass, Request, Revocation, Rotation, State, Timings, Trigger, Unknown, Verdict,
};
use keyturn::secret::Fingerprint;
use uuid::Uuid;

pub const MINE: ReplicaId = ReplicaId::from_uuid(Uuid::from_u128(1));
pub const OTHER: ReplicaId = ReplicaId::from_uuid(Uuid::from_u128(2));
pub const ROTATION: RotationId = RotationId::from_uuid(Uuid::from_u128(7));

/// The time at which every sample state has just come about.
pub fn now() -> Timestamp {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

pub fn plain_plan() -> Plan {
    Plan {
        schedule: Schedule {
            cadence: Cadence::Manual,
            jitter_percent: 0,
            window: None,
            min_interval: Duration::ZERO,
        },
        self_authenticating: false,
        grace: None,
        lock: None,
        replay: None,
        read: None,
        marker: None,
        redo: None,
        supplies: false,
        slots: Vec::new(),
        creates: None,
        propagation: None,
        probe: false,
        call_timeout: Duration::from_secs(30),
        settle: Duration::from_secs(30),
        claim: Duration::from_mins(2),
    }
}

/// One plan of each capability class, as the first providers have them.
pub fn plans() -> Vec<(&'static str, Plan)> {
    let minutes = Duration::from_mins;
    let propagation = Propagation { delay: minutes(5), poll: Duration::from_secs(15), deadline: minutes(10) };
    vec![
        ("none", plain_plan()),
        (
            "read",
            Plan {
                grace: Some(minutes(24 * 60)),
                read: Some(minutes(1)),
                propagation: Some(propagation),
                ..plain_plan()
            },
        ),
        (
            "replay",
            Plan { replay: Some(minutes(24 * 60)), read: Some(minutes(1)), probe: true, ..plain_plan() },
        ),
        (
            "redo",
            Plan {
                grace: Some(minutes(60)),
                redo: Some(3),
                self_authenticating: true,
                probe: true,
                ..plain_plan()
            },
        ),
        ("marked", Plan { marker: Some(minutes(1)), ..plain_plan() }),
        ("created", Plan { creates: Some(creates()), ..plain_plan() }),
    ]
}

pub fn creates() -> Creates {
    Creates {
        revoke_after: Duration::from_hours(1),
        keys_max: None,
        lists: true,
        phases: None,
        first_key: Some(key_id("first")),
    }
}

pub fn key_id(text: &str) -> KeyId {
    text.parse().unwrap()
}

pub fn request() -> Request {
    Request { trigger: Trigger::Manual, emergency: false, request_id: None, caller: None }
}

pub fn rotation(calls: u32, holder: ReplicaId) -> Rotation {
    Rotation {
        rotation_id: ROTATION,
        request: request(),
        holder,
        epoch: KvVersion(2),
        claim_ms: 120_000,
        intended_at: now(),
        first_dispatched_at: now(),
        dispatched_at: now(),
        calls,
        baseline: Baseline { marker: Some(Fingerprint::from_text("33ff")), ..Baseline::default() },
        timings: Timings::default(),
        reopened: false,
        released: false,
    }
}

pub fn answer() -> Answer {
    Answer {
        fingerprint: Fingerprint::from_text("00ff"),
        previous_expires_at: None,
        received_at: now(),
        call: 1,
        key_id: None,
    }
}

fn halt(reason: HaltReason, answer: Option<Answer>, publication: Option<Publication>) -> Phase {
    Phase::Halted { rotation: rotation(1, MINE), halt: Halt { reason, since: now(), answer, publication } }
}

/// A state of every phase, and of every kind that the phase has.
pub fn states() -> Vec<(&'static str, State)> {
    let publication = Publication { version: KvVersion(5), published_at: now() };
    let unknown = |doubt| Unknown::begun(doubt, now());
    let intended = |calls, holder| Phase::Intended { rotation: rotation(calls, holder) };
    let staged = |rotation| Phase::Staged { rotation, answer: answer(), staged_at: now() };
    let phases = vec![
        ("idle", Phase::Idle),
        ("intended", intended(1, MINE)),
        ("intended, call 2", intended(2, MINE)),
        ("intended, other's", intended(1, OTHER)),
        ("unknown", Phase::Unknown { rotation: rotation(1, MINE), unknown: unknown(Doubt::Timeout) }),
        (
            "unknown, no value",
            Phase::Unknown { rotation: rotation(1, MINE), unknown: unknown(Doubt::NoValue) },
        ),
        ("answered", Phase::Answered { rotation: rotation(1, MINE), answer: answer() }),
        ("staged", staged(rotation(1, MINE))),
        ("staged, other's", staged(rotation(1, OTHER))),
        ("staged, released", staged(Rotation { released: true, ..rotation(1, OTHER) })),
        (
            "published",
            Phase::Published {
                rotation: rotation(1, MINE),
                answer: answer(),
                publication: publication.clone(),
            },
        ),
        ("halted", halt(HaltReason::NoWayToTell { doubt: Doubt::Timeout }, None, None)),
        ("halted, unpublished", halt(HaltReason::NewKeyRefused, Some(answer()), None)),
        ("halted, published", halt(HaltReason::NewKeyRefused, Some(answer()), Some(publication))),
    ];
    let mut states: Vec<_> =
        phases.into_iter().map(|(name, phase)| (name, State { phase, ..State::adopted(now()) })).collect();
    states.extend(states_with_a_past());
    states
}

/// After a rotation, after one that a person has given up, and in one that was taken up again.
fn states_with_a_past() -> Vec<(&'static str, State)> {
    let publication = Publication { version: KvVersion(5), published_at: now() };
    let other = Answer { fingerprint: Fingerprint::from_text("11ff"), ..answer() };
    let ended =
        |verified| ClosedAs::Rotated { answer: other.clone(), publication: publication.clone(), verified };
    let rotated = ended(true);
    let with_past = |outcome, phase| {
        let closed = Closed {
            rotation_id: ROTATION,
            request: request(),
            intended_at: now(),
            closed_at: now(),
            calls: 2,
            outcome,
            entry: None,
            timings: Timings::default(),
            reopened: false,
        };
        State { phase, history: vec![closed], ..State::adopted(now()) }
    };
    // Where keys live side by side, the answer was lost, and the entry holds the same key as before.
    let mut lost = with_past(ClosedAs::NotApplied { doubt: Doubt::Timeout }, Phase::Idle);
    lost.history.iter_mut().for_each(|closed| closed.entry = Some(other.fingerprint.clone()));
    let owed = Revocation { key_id: key_id("stray"), rotation_id: ROTATION, due_at: now() };
    let reopened = Rotation { reopened: true, ..rotation(1, MINE) };
    let given_up = ClosedAs::Resolved { decision: Decision::KeepCurrent };
    let answered = Phase::Answered { rotation: reopened.clone(), answer: answer() };
    let published =
        Phase::Published { rotation: reopened, answer: answer(), publication: publication.clone() };
    vec![
        ("idle, rotated", with_past(rotated.clone(), Phase::Idle)),
        ("idle, given up", with_past(given_up, Phase::Idle)),
        ("idle, unverified", with_past(ended(false), Phase::Idle)),
        ("idle, lost", lost.clone()),
        ("idle, owes a key", State { revocations: vec![owed], ..lost }),
        ("answered, reopened", with_past(rotated.clone(), answered)),
        ("published, reopened", with_past(rotated, published)),
    ]
}

pub fn refusal(class: RefusalClass) -> Refusal {
    Refusal { class, problem: Problem::default(), retry_after: None }
}

/// An event of every kind; the time is a minute after the state came about, or a day where it says "late".
pub fn events(state: &State) -> Vec<(&'static str, Event)> {
    let soon = now().checked_add(jiff::SignedDuration::from_mins(1)).unwrap();
    let late = now().checked_add(jiff::SignedDuration::from_hours(23)).unwrap();
    let mut all = person_and_schedule(soon);
    all.extend(calls_and_reads(soon, late));
    all.extend(resumptions(soon));
    all.extend(of_keys_side_by_side(soon));
    let timings = Timings::default();
    all.push(("measured", Event::Measured { timings }));
    all.extend(orphans(state, soon));
    all
}

fn person_and_schedule(now: Timestamp) -> Vec<(&'static str, Event)> {
    let decided = |decision| Event::Resolved { decision, replica: MINE, epoch: KvVersion(9), now };
    let (rotation_id, replica, epoch) = (ROTATION, MINE, KvVersion(9));
    let baseline = Baseline::default();
    vec![
        ("requested", Event::Requested { rotation_id, request: request(), now }),
        (
            "preflighted",
            Event::Preflighted { rotation_id, request: request(), replica, epoch, baseline, now },
        ),
        ("paused", Event::Paused { reason: "audit".into(), now }),
        ("unpaused", Event::Unpaused),
        ("released", Event::Released { replica }),
        ("resolved keep-current", decided(Decision::KeepCurrent)),
        ("resolved publish-anyway", decided(Decision::PublishAnyway)),
        ("resolved try-again", decided(Decision::TryAgain)),
        ("resolved rotate-again", decided(Decision::RotateAgain)),
    ]
}

fn calls_and_reads(now: Timestamp, late: Timestamp) -> Vec<(&'static str, Event)> {
    let called = |outcome| Event::Called { outcome, now };
    let read = |reading, now| Event::Read { reading, now };
    let probed = |verdict, now| Event::Probed { verdict, now };
    vec![
        ("called: applied", called(Outcome::Applied(answer()))),
        ("called: no value", called(Outcome::AppliedNoValue)),
        ("called: unreachable", called(Outcome::NotApplied(refusal(RefusalClass::Unreachable)))),
        ("called: 401", called(Outcome::NotApplied(refusal(RefusalClass::Unauthenticated)))),
        ("called: unknown", called(Outcome::Unknown(Doubt::ConnectionLost))),
        ("read: changed", read(Reading::Changed(answer()), now)),
        ("read: replaced", read(Reading::Replaced, now)),
        ("read: unchanged", read(Reading::Unchanged, now)),
        ("read: unchanged, late", read(Reading::Unchanged, late)),
        ("read: unavailable", read(Reading::Unavailable(Problem::default()), now)),
        ("read: refused", read(Reading::Refused(refusal(RefusalClass::Forbidden)), now)),
        ("sealed", Event::Sealed { now }),
        ("probed: accepted", probed(Verdict::Accepted, now)),
        ("probed: not accepted", probed(Verdict::NotAccepted, now)),
        ("probed: not accepted, late", probed(Verdict::NotAccepted, late)),
        ("probed: unavailable", probed(Verdict::Unavailable, now)),
        ("probed: no probe", probed(Verdict::NoProbe, now)),
        ("published", Event::Published { version: KvVersion(5), now }),
        ("woke", Event::Woke { now }),
        ("woke, late", Event::Woke { now: late }),
    ]
}

fn of_keys_side_by_side(now: Timestamp) -> Vec<(&'static str, Event)> {
    let entry = Some(Fingerprint::from_text("11ff"));
    let keys = vec![Created { key_id: key_id("stray"), rotation_id: ROTATION }];
    let listed = |entry| Event::Listed { keys: keys.clone(), entry, now };
    vec![
        ("fenced", Event::Fenced { now }),
        ("revoked", Event::Revoked { key_id: key_id("stray") }),
        ("listed", listed(entry)),
        ("listed, entry by hand", listed(Some(Fingerprint::from_text("22ff")))),
    ]
}

fn orphans(state: &State, now: Timestamp) -> Vec<(&'static str, Event)> {
    let (orphan, other) = (answer().fingerprint, Fingerprint::from_text("11ff"));
    let hour = Duration::from_hours(1);
    let previous = |until| Answer { previous_expires_at: until, ..answer() };
    let found = |evidence, entry: &Fingerprint, unchanged_for, answer| Event::Orphaned {
        rotation_id: ROTATION,
        answer,
        evidence,
        baseline: Baseline { entry: Some(entry.clone()), ..Baseline::default() },
        unchanged_for,
        replica: MINE,
        epoch: KvVersion(9),
        now,
    };
    let orphaned =
        |evidence, entry: &Fingerprint, unchanged_for| found(evidence, entry, unchanged_for, previous(None));
    // The key before the orphan may still be accepted.
    let graced = |evidence, entry: &Fingerprint| found(evidence, entry, hour, previous(Some(now)));
    let probed = |orphan, published| Evidence::Probed { orphan, published };
    let (yes, no) = (|| Verdict::Accepted, || Verdict::NotAccepted);
    let mut all = vec![
        ("orphaned: shown", orphaned(Evidence::Shown(orphan.clone()), &other, hour)),
        ("orphaned: shown, early", orphaned(Evidence::Shown(orphan.clone()), &other, Duration::from_secs(9))),
        ("orphaned: other shown", orphaned(Evidence::Shown(other.clone()), &other, hour)),
        ("orphaned: third shown", orphaned(Evidence::Shown(Fingerprint::from_text("22ff")), &other, hour)),
        ("orphaned: published shown", orphaned(Evidence::Shown(orphan.clone()), &orphan, hour)),
        ("orphaned: accepted alone", orphaned(probed(yes(), no()), &other, hour)),
        ("orphaned: accepted, graced", graced(probed(yes(), no()), &other)),
        ("orphaned: refused alone", orphaned(probed(no(), yes()), &other, hour)),
        ("orphaned: refused, graced", graced(probed(no(), yes()), &other)),
        ("orphaned: both accepted", orphaned(probed(yes(), yes()), &other, hour)),
        ("orphaned: both, graced", graced(probed(yes(), yes()), &other)),
        ("orphaned: beside", orphaned(Evidence::Beside, &other, hour)),
        ("orphaned: beside, early", orphaned(Evidence::Beside, &other, Duration::from_secs(9))),
        ("orphaned: both refused", orphaned(probed(no(), no()), &other, hour)),
        ("orphaned: nobody asked", orphaned(probed(Verdict::Unavailable, yes()), &other, hour)),
    ];
    // Of a rotation that is open no answer is an orphan; one line says it.
    if state.phase != Phase::Idle {
        all.truncate(1);
    }
    all
}

fn resumptions(now: Timestamp) -> Vec<(&'static str, Event)> {
    let resumed = |holding, lapsed, published| Event::Resumed {
        replica: MINE,
        lapsed,
        epoch: KvVersion(9),
        holding,
        published,
        now,
    };
    vec![
        ("resumed: nothing", resumed(Holding::Nothing, false, None)),
        ("resumed: nothing, lapsed", resumed(Holding::Nothing, true, None)),
        ("resumed: unsent", resumed(Holding::Unsent, false, None)),
        ("resumed: sent", resumed(Holding::Sent, false, None)),
        ("resumed: answer", resumed(Holding::Answer(answer()), false, None)),
        ("resumed: published", resumed(Holding::Sent, false, Some((answer(), KvVersion(5))))),
    ]
}

pub fn effect_name(effect: &Effect) -> String {
    match effect {
        Effect::Wait { until } => format!("wait {}s", until.duration_since(now()).as_secs()),
        Effect::Preflight { .. } => "preflight".into(),
        Effect::Erase { .. } => "erase".into(),
        Effect::Leave => "leave".into(),
        Effect::Save => "save".into(),
        Effect::Call => "call".into(),
        Effect::Read => "read".into(),
        Effect::Seal => "seal".into(),
        Effect::Probe => "probe".into(),
        Effect::Verify => "verify".into(),
        Effect::Publish => "publish".into(),
        Effect::Fence => "fence".into(),
    }
}
