//! RotateService: what it shows, asks, and follows.

use keyturn::api::proto::{self, RotationState};
use keyturn::engine::scripted::{Asked, Said};
use keyturn::engine::{Activity, Finding, Hold, PlanReport, RotateRequest, Withdrawn};
use keyturn::rotation::{
    ClosedAs, Decision, Doubt, Halt, HaltReason, Phase, Problem, Refusal, RefusalClass, Unknown,
};
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::bench::{
    Fake, NOW, Served, answer, closed, fleet, id, idle, in_phase, open, publication, request, rotated,
    with_history,
};

async fn get(served: &Served, number: u16) -> proto::Rotation {
    let request = proto::GetRotationRequest { rotation_id: id(number).to_string(), ..Default::default() };
    served.rotations().await.get_rotation(request).await.unwrap().into_inner().rotation.unwrap()
}

#[tokio::test]
async fn rotate_answers_at_once_and_says_who_asked() {
    let mut fake = Fake::new(idle("adyen"), |_| Ok(Said::Rotation(id(1))));
    let served = Served::start(fleet([&fake])).await;
    let request =
        proto::RotateRequest { credential: "adyen".into(), emergency: true, request_id: "deploy-7".into() };
    let rotation = served.rotations().await.rotate(request).await.unwrap().into_inner().rotation.unwrap();
    assert_eq!((rotation.state(), rotation.rotation_id), (RotationState::Queued, id(1).to_string()));
    assert!(rotation.emergency && rotation.create_time.is_none());
    let caller = format!("uid {}", rustix::process::getuid().as_raw());
    assert_eq!((rotation.request_id.as_str(), &rotation.caller), ("deploy-7", &caller));
    let request_id = Some("deploy-7".to_owned());
    let asked = RotateRequest { emergency: true, request_id, caller: Some(caller) };
    assert_eq!(fake.asked.recv().await, Some(Asked::Rotate(asked)));
}

#[tokio::test]
async fn a_rotation_is_found_in_every_phase() {
    let doubt = Doubt::Timeout;
    let unknown = Unknown::begun(doubt.clone(), NOW);
    let halt =
        Halt { reason: HaltReason::NoWayToTell { doubt }, since: NOW, answer: None, publication: None };
    let table = [
        (Phase::Intended { rotation: open(1) }, RotationState::Intended),
        (Phase::Unknown { rotation: open(1), unknown }, RotationState::Unknown),
        (Phase::Answered { rotation: open(1), answer: answer() }, RotationState::Answered),
        (Phase::Staged { rotation: open(1), answer: answer(), staged_at: NOW }, RotationState::Staged),
        (
            Phase::Published { rotation: open(1), answer: answer(), publication: publication() },
            RotationState::Published,
        ),
        (Phase::Halted { rotation: open(1), halt }, RotationState::Halted),
    ];
    for (phase, state) in table {
        let fake = Fake::showing(in_phase("adyen", phase));
        let served = Served::start(fleet([&fake])).await;
        let rotation = get(&served, 1).await;
        assert_eq!(rotation.state(), state);
        assert_eq!((rotation.calls, rotation.epoch), (1, 4));
        assert_eq!(rotation.unknown.is_some(), state == RotationState::Unknown);
        assert_eq!(rotation.halt.is_some(), state == RotationState::Halted);
        let known =
            matches!(state, RotationState::Answered | RotationState::Staged | RotationState::Published);
        assert_eq!(rotation.fingerprint.is_empty(), !known);
        assert_eq!(rotation.entry_version, if state == RotationState::Published { 9 } else { 0 });
    }
}

#[tokio::test]
async fn a_rotation_is_found_in_the_history() {
    let refusal = Refusal {
        class: RefusalClass::Forbidden,
        problem: Problem {
            status: Some(403),
            code: Some("00_403".into()),
            request_id: Some("psp-1".into()),
            ..Problem::default()
        },
        retry_after: None,
    };
    let history = vec![
        closed(4, ClosedAs::Resolved { decision: Decision::KeepCurrent }),
        closed(3, ClosedAs::NotApplied { doubt: Doubt::ConnectionLost }),
        closed(2, ClosedAs::Failed { refusal }),
        rotated(1),
    ];
    let fake = Fake::showing(with_history("adyen", history));
    let served = Served::start(fleet([&fake])).await;

    let succeeded = get(&served, 1).await;
    assert_eq!((succeeded.state(), succeeded.verified), (RotationState::Succeeded, true));
    assert_eq!((succeeded.fingerprint.as_str(), succeeded.entry_version), ("0123456789abcdef", 9));
    assert_eq!(succeeded.previous_expire_time.unwrap().seconds, NOW.as_second());
    let provider = succeeded.timings.unwrap().provider.unwrap();
    assert_eq!((provider.seconds, provider.nanos), (1, 500_000_000));

    let failed = get(&served, 2).await;
    assert_eq!(failed.state(), RotationState::Failed);
    let failure = failed.failure.unwrap();
    assert_eq!(failure.reason, "PROVIDER_FORBIDDEN");
    assert!(failure.message.contains("the old key still stands"), "{}", failure.message);
    let problem = failure.problem.unwrap();
    assert_eq!(
        (problem.http_status, problem.code.as_str(), problem.request_id.as_str()),
        (403, "00_403", "psp-1")
    );

    let not_applied = get(&served, 3).await;
    assert_eq!(not_applied.state(), RotationState::Failed);
    assert_eq!(not_applied.failure.unwrap().reason, "ANSWER_CONNECTION_LOST");

    let resolved = get(&served, 4).await;
    assert_eq!(
        (resolved.state(), resolved.decision()),
        (RotationState::Resolved, proto::Decision::KeepCurrent)
    );
}

#[tokio::test]
async fn every_way_out_explains_every_decision_that_it_offers() {
    let problem = Problem::local("cut after 12 bytes");
    let refusal = Refusal { class: RefusalClass::Forbidden, problem: problem.clone(), retry_after: None };
    let reasons = [
        (HaltReason::NoWayToTell { doubt: Doubt::Timeout }, None),
        (HaltReason::MeansExhausted { doubt: Doubt::Unreadable { problem } }, None),
        (HaltReason::AnswerLost { doubt: Doubt::Timeout }, None),
        (HaltReason::AnswerLost { doubt: Doubt::NoValue }, None),
        (HaltReason::ReadRefused { refusal }, None),
        (HaltReason::NewKeyRefused, Some(answer())),
    ];
    let halted = |(reason, answer): (HaltReason, _)| {
        let halt = Halt { reason, since: NOW, answer, publication: None };
        Phase::Halted { rotation: open(1), halt }
    };
    let unknown = Unknown::begun(Doubt::HolderLost, NOW);
    let phases = reasons.into_iter().map(halted).chain([Phase::Unknown { rotation: open(1), unknown }]);
    let fake = Fake::showing(idle("adyen"));
    let served = Served::start(fleet([&fake])).await;
    for phase in phases {
        fake.shows.send_replace(in_phase("adyen", phase));
        let rotation = get(&served, 1).await;
        let way_out = match (rotation.unknown, rotation.halt) {
            (Some(unknown), None) => unknown.way_out.unwrap(),
            (None, Some(halt)) => halt.way_out.unwrap(),
            both => panic!("{both:?}"),
        };
        assert!(way_out.message.contains("`keyturn resolve adyen`"), "{}", way_out.message);
        assert!(!way_out.decisions.is_empty());
        for decision in way_out.decisions() {
            let short = decision.as_str_name().trim_start_matches("DECISION_");
            assert!(way_out.message.contains(short), "{short} is not explained: {}", way_out.message);
        }
    }
}

#[tokio::test]
async fn a_hold_is_shown_on_the_rotation_that_it_holds_up() {
    let mut snapshot = in_phase("adyen", Phase::Answered { rotation: open(1), answer: answer() });
    snapshot.activity = Activity::Held;
    snapshot.hold =
        Some(Hold { code: "VAULT_SEALED", message: "sealed".into(), since: NOW, next_try_at: NOW });
    let fake = Fake::showing(snapshot);
    let served = Served::start(fleet([&fake])).await;
    let rotation = get(&served, 1).await;
    assert_eq!((rotation.state(), rotation.activity()), (RotationState::Answered, proto::Activity::Held));
    assert_eq!(rotation.hold.unwrap().reason, "VAULT_SEALED");
}

#[tokio::test]
async fn lists_are_newest_first_and_paged() {
    let one = Fake::showing(with_history("adyen", vec![rotated(5), rotated(3), rotated(1)]));
    let two = Fake::showing(with_history("stripe", vec![rotated(4), rotated(2)]));
    let served = Served::start(fleet([&one, &two])).await;
    let mut client = served.rotations().await;
    let mut request = proto::ListRotationsRequest { page_size: 2, ..Default::default() };
    let mut pages = Vec::new();
    loop {
        let page = client.list_rotations(request.clone()).await.unwrap().into_inner();
        pages.push(page.rotations.into_iter().map(|rotation| rotation.rotation_id).collect::<Vec<_>>());
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    let ids = |numbers: &[u16]| numbers.iter().map(|number| id(*number).to_string()).collect::<Vec<_>>();
    assert_eq!(pages, [ids(&[5, 4]), ids(&[3, 2]), ids(&[1])]);

    request.credential = "stripe".into();
    let status = client.list_rotations(request.clone()).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument, "a token of another list was taken");
    request.page_token = String::new();
    let page = client.list_rotations(request).await.unwrap().into_inner();
    assert_eq!((page.rotations.len(), page.next_page_token.as_str()), (2, ""));
}

#[tokio::test]
async fn a_watch_sends_the_full_state_first_and_ends_behind_the_final_one() {
    let fake = Fake::showing(in_phase("adyen", Phase::Intended { rotation: open(1) }));
    let served = Served::start(fleet([&fake])).await;
    let request = proto::WatchRotationRequest { rotation_id: id(1).to_string(), ..Default::default() };
    let mut stream = served.rotations().await.watch_rotation(request).await.unwrap().into_inner();
    let first = stream.message().await.unwrap().unwrap().rotation.unwrap();
    assert_eq!(first.state(), RotationState::Intended);

    fake.shows.send_replace(in_phase("adyen", Phase::Answered { rotation: open(1), answer: answer() }));
    let second = stream.message().await.unwrap().unwrap().rotation.unwrap();
    assert_eq!((second.state(), second.fingerprint.as_str()), (RotationState::Answered, "0123456789abcdef"));

    fake.shows.send_replace(with_history("adyen", vec![rotated(1)]));
    let last = stream.message().await.unwrap().unwrap().rotation.unwrap();
    assert_eq!((last.state(), last.credential.as_str()), (RotationState::Succeeded, "adyen"));
    assert!(stream.message().await.unwrap().is_none());
}

#[tokio::test]
async fn a_watcher_of_a_queued_rotation_learns_that_it_was_dropped() {
    let mut queued = idle("adyen");
    queued.pending = Some((id(1), request()));
    let fake = Fake::showing(queued);
    let served = Served::start(fleet([&fake])).await;
    let watch = proto::WatchRotationRequest { rotation_id: id(1).to_string(), ..Default::default() };
    let mut stream = served.rotations().await.watch_rotation(watch).await.unwrap().into_inner();
    let first = stream.message().await.unwrap().unwrap().rotation.unwrap();
    assert_eq!(first.state(), RotationState::Queued);
    let mut gone = idle("adyen");
    let message = "the window closed".to_owned();
    gone.withdrawn =
        vec![Withdrawn { rotation_id: id(1), request: request(), at: NOW, code: "TOO_SOON", message }];
    fake.shows.send_replace(gone);
    let last = stream.message().await.unwrap().unwrap().rotation.unwrap();
    assert_eq!((last.state(), &last.rotation_id), (RotationState::Cancelled, &id(1).to_string()));
    assert_eq!(last.withdrawal.as_ref().unwrap().reason, "TOO_SOON");
    assert!(stream.message().await.unwrap().is_none());
    assert_eq!(get(&served, 1).await, last);
}

#[tokio::test]
async fn a_repeated_request_id_asks_once_and_another_request_under_it_is_refused() {
    let halt = Halt {
        reason: HaltReason::NoWayToTell { doubt: Doubt::Crashed },
        since: NOW,
        answer: None,
        publication: None,
    };
    let mut fake =
        Fake::new(in_phase("adyen", Phase::Halted { rotation: open(1), halt }), |_| Ok(Said::Done));
    let served = Served::start(fleet([&fake])).await;
    let mut client = served.rotations().await;
    let mut request = proto::ResolveRotationRequest {
        rotation_id: id(1).to_string(),
        decision: proto::Decision::KeepCurrent.into(),
        request_id: "once".into(),
    };
    let first = client.resolve_rotation(request.clone()).await.unwrap().into_inner();
    let again = client.resolve_rotation(request.clone()).await.unwrap().into_inner();
    assert_eq!(first, again);
    request.decision = proto::Decision::RotateAgain.into();
    let status = client.resolve_rotation(request).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(status.get_error_details().error_info().unwrap().reason, "REQUEST_ID_REUSED");
    assert_eq!(fake.asked.recv().await, Some(Asked::Resolve(id(1), Decision::KeepCurrent)));
    assert!(fake.asked.try_recv().is_err(), "it was asked twice");
}

#[tokio::test]
async fn cancelling_answers_with_the_cancelled_rotation() {
    let mut queued = idle("adyen");
    queued.pending = Some((id(1), request()));
    let mut fake = Fake::new(queued, |_| Ok(Said::Done));
    let served = Served::start(fleet([&fake])).await;
    let request = proto::CancelRotationRequest { rotation_id: id(1).to_string(), ..Default::default() };
    let answer = served.rotations().await.cancel_rotation(request).await.unwrap().into_inner();
    let rotation = answer.rotation.unwrap();
    assert_eq!(rotation.state(), RotationState::Cancelled);
    assert_eq!(rotation.withdrawal.unwrap().reason, "CANCELLED");
    assert_eq!(fake.asked.recv().await, Some(Asked::Cancel(id(1))));
}

#[tokio::test]
async fn a_plan_is_shown_as_it_is() {
    let finding = Finding { code: "GRACE_WINDOW_OPEN", message: "wait".into(), blocking: true };
    let report = PlanReport {
        steps: vec!["call".into(), "publish".into()],
        if_answer_is_lost: "it is read back".into(),
        old_key: "it dies at once".into(),
        a_person_is_asked: vec!["the read is refused".into()],
        findings: vec![finding],
    };
    let fake = Fake::new(idle("adyen"), move |_| Ok(Said::Plan(report.clone())));
    let served = Served::start(fleet([&fake])).await;
    let request = proto::PlanRotationRequest { credential: "adyen".into(), emergency: false };
    let plan = served.rotations().await.plan_rotation(request).await.unwrap().into_inner();
    assert_eq!((plan.steps.len(), plan.if_answer_is_lost.as_str()), (2, "it is read back"));
    assert_eq!(
        (plan.old_key.as_str(), plan.a_person_is_asked),
        ("it dies at once", vec!["the read is refused".to_owned()])
    );
    assert_eq!((plan.findings[0].reason.as_str(), plan.findings[0].blocking), ("GRACE_WINDOW_OPEN", true));
}
