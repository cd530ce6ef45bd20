//! A fleet whose snapshots set every metric.

use jiff::{SignedDuration, Timestamp};
use tokio::sync::{mpsc, watch};

use crate::engine::{Activity, Condition, Fleet, Handle, Hold, Role, Snapshot};
use crate::ids::{KvVersion, ReplicaId, RotationId};
use crate::rotation::{
    Answer, Baseline, Closed, ClosedAs, Pause, Phase, Problem, Publication, Refusal, RefusalClass, Request,
    Retry, Rotation, State, Timings, Trigger,
};
use crate::secret::Fingerprint;

/// A credential in trouble: rotating, held, paused, with a failed try and a drift behind it.
pub(super) fn snapshot(now: Timestamp) -> Snapshot {
    let rotation = Rotation {
        rotation_id: rotation_id(),
        request: request(),
        holder: ReplicaId::from_uuid(uuid::Uuid::nil()),
        epoch: KvVersion(7),
        claim_ms: 30_000,
        intended_at: now,
        dispatched_at: now,
        calls: 1,
        baseline: Baseline::default(),
    };
    let mut state = State::adopted(now);
    state.phase = Phase::Intended { rotation };
    state.pause = Some(Pause { since: now, reason: "audit".to_owned() });
    state.retry = Some(Retry { not_before: now, failures: 2 });
    Snapshot {
        credential: "adyen".parse().unwrap(),
        provider: "adyen/client-key".to_owned(),
        store: "secret/payments/adyen#client_key".parse().unwrap(),
        state: Some(state),
        entry_version: Some(KvVersion(3)),
        role: Role::Own,
        activity: Activity::Held,
        pending: None,
        hold: Some(Hold {
            code: "VAULT_SEALED",
            message: "Vault is sealed".to_owned(),
            since: now,
            next_try_at: now,
        }),
        next_due: Some(now),
        conditions: vec![Condition { code: "DRIFT", message: "drift".to_owned() }],
    }
}

pub(super) fn rotated(now: Timestamp) -> Closed {
    let answer = Answer {
        fingerprint: Fingerprint::from_text("0123456789abcdef"),
        previous_expires_at: Some(now),
        received_at: now,
    };
    let publication = Publication { version: KvVersion(3), published_at: now };
    closed(now, ClosedAs::Rotated { answer, publication, verified: true })
}

pub(super) fn failed(now: Timestamp) -> Closed {
    let refusal =
        Refusal { class: RefusalClass::Forbidden, problem: Problem::local("no"), retry_after: None };
    closed(now, ClosedAs::Failed { refusal })
}

fn closed(now: Timestamp, outcome: ClosedAs) -> Closed {
    Closed {
        rotation_id: rotation_id(),
        request: request(),
        intended_at: now - SignedDuration::from_secs(2),
        closed_at: now,
        calls: 1,
        outcome,
        timings: Timings { provider_us: 1_500_000, ..Timings::default() },
    }
}

fn request() -> Request {
    Request { trigger: Trigger::Manual, emergency: false, request_id: None, caller: None }
}

fn rotation_id() -> RotationId {
    RotationId::from_uuid(uuid::Uuid::nil())
}

/// A fleet of one; the sender changes what it shows.
pub(super) fn fleet(snapshot: Snapshot) -> (Fleet, watch::Sender<Snapshot>) {
    let name = snapshot.credential.clone();
    let (sender, receiver) = watch::channel(snapshot);
    let (commands, _) = mpsc::channel(1);
    (Fleet::new([(name, Handle::new(receiver, commands))]), sender)
}
