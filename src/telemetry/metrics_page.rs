//! Every metric and label name, and how snapshots become numbers.
//!
//! All of it is derived from the engine's snapshots when somebody scrapes, so no metric can disagree with what
//! the API says. Counters begin at zero with the process and count rotations from its start on.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::AtomicU64;

use jiff::Timestamp;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use super::process::Process;
use crate::engine::{Fleet, Role, Snapshot};
use crate::ids::CredentialName;
use crate::rotation::{Closed, ClosedAs};

type Seconds = Counter<f64, AtomicU64>;

/// The numbers of this process.
#[derive(Debug)]
pub(super) struct Metrics {
    registry: Registry,
    process: Process,
    counted_until: BTreeMap<CredentialName, Timestamp>,
    started_at: Timestamp,
    rotations: Family<ByOutcome, Counter>,
    provider_calls: Family<ByCredential, Counter>,
    duration: Family<ByCredential, Histogram, DurationBuckets>,
    time: Family<ByPart, Seconds>,
    renewal_refused: Gauge,
    reloads: Family<ByResult, Counter>,
    config_refused: Gauge,
    config_hash: Gauge,
    credentials: Gauge,
    loaded: Family<ByCredential, Gauge>,
    phase: Family<ByPhase, Gauge>,
    open_since: Family<ByCredential, Gauge>,
    following: Family<ByCredential, Gauge>,
    paused: Family<ByCredential, Gauge>,
    hold: Family<ByReason, Gauge>,
    condition: Family<ByReason, Gauge>,
    failures: Family<ByCredential, Gauge>,
    next_due: Family<ByCredential, Gauge>,
    last_success: Family<ByCredential, Gauge>,
    previous_expires: Family<ByCredential, Gauge>,
}

impl Metrics {
    /// Numbers that count rotations closed after `started_at`.
    pub(super) fn new(started_at: Timestamp, process: Process) -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("keyturn"),
            process,
            counted_until: BTreeMap::new(),
            started_at,
            rotations: Family::default(),
            provider_calls: Family::default(),
            duration: Family::new_with_constructor(DurationBuckets),
            time: Family::default(),
            renewal_refused: Gauge::default(),
            reloads: Family::default(),
            config_refused: Gauge::default(),
            config_hash: Gauge::default(),
            credentials: Gauge::default(),
            loaded: Family::default(),
            phase: Family::default(),
            open_since: Family::default(),
            following: Family::default(),
            paused: Family::default(),
            hold: Family::default(),
            condition: Family::default(),
            failures: Family::default(),
            next_due: Family::default(),
            last_success: Family::default(),
            previous_expires: Family::default(),
        };
        metrics.register_counters();
        metrics.register_gauges();
        metrics
    }

    fn register_counters(&mut self) {
        let registry = &mut self.registry;
        registry.register(
            "build",
            "The version that runs",
            Info::new([("version", env!("CARGO_PKG_VERSION"))]),
        );
        registry.register("config_reloads", "Changes of the configuration file", self.reloads.clone());
        registry.register("rotations", "Rotations that ended", self.rotations.clone());
        registry.register(
            "provider_calls",
            "Regenerate calls of rotations that ended",
            self.provider_calls.clone(),
        );
        registry.register(
            "rotation_duration_seconds",
            "From the intent to the end of a rotation that put a new key into Vault",
            self.duration.clone(),
        );
        registry.register(
            "rotation_time_seconds",
            "Where the time of ended rotations went",
            self.time.clone(),
        );
    }

    fn register_gauges(&mut self) {
        let registry = &mut self.registry;
        registry.register(
            "tls_renewal_refused",
            "1 while renewed TLS files cannot be used, and the old ones still are",
            self.renewal_refused.clone(),
        );
        registry.register(
            "config_refused",
            "1 while the configuration file is not what runs",
            self.config_refused.clone(),
        );
        registry.register(
            "config_hash",
            "A number for the configuration that runs",
            self.config_hash.clone(),
        );
        registry.register("credentials", "Credentials of this process", self.credentials.clone());
        registry.register("credential_loaded", "Whether the record was read", self.loaded.clone());
        registry.register("rotation_phase", "1 for the phase in which the credential is", self.phase.clone());
        registry.register(
            "rotation_open_since_timestamp_seconds",
            "When the open rotation wrote its intent",
            self.open_since.clone(),
        );
        registry.register(
            "following",
            "Whether another replica drives the open rotation",
            self.following.clone(),
        );
        registry.register(
            "paused",
            "Whether the schedule is kept from starting rotations",
            self.paused.clone(),
        );
        registry.register("hold", "1 while the cause keeps the credential from going on", self.hold.clone());
        registry.register("condition", "1 while somebody should know of it", self.condition.clone());
        registry.register(
            "failed_tries",
            "Rotations in a row that failed for a passing cause",
            self.failures.clone(),
        );
        registry.register(
            "next_due_timestamp_seconds",
            "When the next rotation is due",
            self.next_due.clone(),
        );
        registry.register(
            "last_success_timestamp_seconds",
            "When a rotation last put a new key into Vault",
            self.last_success.clone(),
        );
        registry.register(
            "previous_key_expires_timestamp_seconds",
            "When the key before the present one dies at the provider",
            self.previous_expires.clone(),
        );
    }

    /// The page for one scrape, in the OpenMetrics text format.
    pub(super) fn scrape(&mut self, fleet: &Fleet) -> Result<String, fmt::Error> {
        self.forget_gauges();
        let mut count = 0;
        for handle in fleet.all().values() {
            count += 1;
            self.see(&handle.snapshot());
        }
        self.credentials.set(count);
        self.see_process();
        let mut page = String::new();
        text::encode(&mut page, &self.registry)?;
        Ok(page)
    }

    fn see_process(&self) {
        self.renewal_refused.set(i64::from(self.process.is_renewal_refused()));
        let reloads = *self.process.reloads.borrow();
        self.config_refused.set(i64::from(reloads.is_behind));
        self.config_hash.set(i64::try_from(reloads.hash).unwrap_or(i64::MAX));
        for (result, count) in [("applied", reloads.applied), ("refused", reloads.refused)] {
            let counter = self.reloads.get_or_create(&ByResult { result: result.to_owned() });
            counter.inc_by(count.saturating_sub(counter.get()));
        }
    }

    /// A gauge that has no value now must not keep its last one.
    fn forget_gauges(&self) {
        self.phase.clear();
        self.hold.clear();
        self.condition.clear();
        for family in
            [&self.open_since, &self.next_due, &self.last_success, &self.previous_expires, &self.failures]
        {
            family.clear();
        }
    }

    fn see(&mut self, snapshot: &Snapshot) {
        let by = ByCredential { credential: snapshot.credential.to_string() };
        set(&self.loaded, &by, Some(i64::from(snapshot.state.is_some())));
        set(&self.following, &by, Some(i64::from(snapshot.role == Role::Follower)));
        set(&self.next_due, &by, snapshot.next_due.map(Timestamp::as_second));
        let reasoned =
            |reason: &str| ByReason { credential: by.credential.clone(), reason: reason.to_owned() };
        if let Some(hold) = &snapshot.hold {
            self.hold.get_or_create(&reasoned(hold.code)).set(1);
        }
        for condition in &snapshot.conditions {
            self.condition.get_or_create(&reasoned(condition.code)).set(1);
        }
        let phase = ByPhase { credential: by.credential.clone(), phase: phase(snapshot).to_owned() };
        self.phase.get_or_create(&phase).set(1);

        let Some(state) = &snapshot.state else { return };
        let open = state.phase.rotation().map(|rotation| rotation.intended_at.as_second());
        set(&self.open_since, &by, open);
        set(&self.paused, &by, Some(i64::from(state.pause.is_some())));
        set(&self.failures, &by, state.retry.as_ref().map(|retry| i64::from(retry.failures)));
        set(&self.last_success, &by, state.last_rotated().map(|closed| closed.closed_at.as_second()));
        set(&self.previous_expires, &by, state.grace_until().map(Timestamp::as_second));
        self.count(snapshot, &by, &state.history);
    }

    /// Counts what was closed since the last scrape; a history is longer than what ends between two scrapes.
    fn count(&mut self, snapshot: &Snapshot, by: &ByCredential, history: &[Closed]) {
        let counted = self.counted_until.entry(snapshot.credential.clone()).or_insert(self.started_at);
        let before = *counted;
        for closed in history.iter().filter(|closed| closed.closed_at > before) {
            *counted = closed.closed_at.max(*counted);
            let (outcome, reason) = outcome(&closed.outcome);
            let labels = ByOutcome { credential: by.credential.clone(), outcome, reason };
            self.rotations.get_or_create(&labels).inc();
            // Its calls were counted at its first end, and what lies between its ends is no rotation's time.
            if !closed.reopened {
                self.provider_calls.get_or_create(by).inc_by(u64::from(closed.calls));
            }
            if matches!(closed.outcome, ClosedAs::Rotated { .. }) && !closed.reopened {
                let seconds = closed.closed_at.duration_since(closed.intended_at).as_secs_f64();
                self.duration.get_or_create(by).observe(seconds);
            }
            for (part, seconds) in parts(closed) {
                let labels = ByPart { credential: by.credential.clone(), part };
                self.time.get_or_create(&labels).inc_by(seconds);
            }
        }
    }
}

fn set(family: &Family<ByCredential, Gauge>, by: &ByCredential, value: Option<i64>) {
    if let Some(value) = value {
        family.get_or_create(by).set(value);
    }
}

fn phase(snapshot: &Snapshot) -> &'static str {
    match (&snapshot.state, &snapshot.pending) {
        (None, _) => "loading",
        (Some(state), Some(_)) if state.phase.rotation().is_none() => "queued",
        (Some(state), _) => state.phase.name(),
    }
}

/// The labels of an end; only names that this program knows, so their number is bounded.
const fn outcome(closed: &ClosedAs) -> (&'static str, &'static str) {
    match closed {
        ClosedAs::Rotated { .. } => ("rotated", ""),
        ClosedAs::Failed { refusal } => ("failed", refusal.class.code()),
        ClosedAs::NotApplied { doubt } => ("not_applied", doubt.code()),
        ClosedAs::Resolved { .. } => ("resolved", ""),
    }
}

fn parts(closed: &Closed) -> [(&'static str, f64); 5] {
    let timings = &closed.timings;
    [
        ("provider", timings.provider_us),
        ("vault", timings.vault_us),
        ("escrow", timings.escrow_us),
        ("own", timings.own_us),
        ("waiting", timings.waiting_us),
    ]
    .map(|(part, microseconds)| (part, std::time::Duration::from_micros(microseconds).as_secs_f64()))
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByCredential {
    credential: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByOutcome {
    credential: String,
    outcome: &'static str,
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByPart {
    credential: String,
    part: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByPhase {
    credential: String,
    phase: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByReason {
    credential: String,
    reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByResult {
    result: String,
}

/// From a fast provider to one that takes its minutes to accept a new key.
#[derive(Debug, Clone)]
struct DurationBuckets;

impl MetricConstructor<Histogram> for DurationBuckets {
    fn new_metric(&self) -> Histogram {
        Histogram::new([0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 180.0, 600.0, 3600.0])
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    fn start() -> Timestamp {
        "2026-11-21T10:00:00Z".parse().unwrap()
    }

    fn after(seconds: i64) -> Timestamp {
        start() + SignedDuration::from_secs(seconds)
    }

    fn value<'a>(page: &'a str, series: &str) -> Option<&'a str> {
        page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))
    }

    #[test]
    fn what_ended_is_counted_once_and_only_since_the_start() {
        let mut snapshot = sample::snapshot(start());
        let state = sample::state(&mut snapshot);
        state.history = vec![sample::failed(after(2)), sample::rotated(after(1)), sample::rotated(after(-1))];
        let (fleet, sender) = sample::fleet(snapshot);
        let mut metrics = Metrics::new(start(), Process::default());
        let rotated = r#"keyturn_rotations_total{credential="adyen",outcome="rotated",reason=""}"#;
        let failed =
            r#"keyturn_rotations_total{credential="adyen",outcome="failed",reason="PROVIDER_FORBIDDEN"}"#;
        for _ in 0..2 {
            let page = metrics.scrape(&fleet).unwrap();
            assert_eq!((value(&page, rotated), value(&page, failed)), (Some("1"), Some("1")), "{page}");
            let spent = r#"keyturn_rotation_time_seconds_total{credential="adyen",part="provider"}"#;
            assert_eq!(value(&page, spent), Some("3.0"));
            let durations = r#"keyturn_rotation_duration_seconds_count{credential="adyen"}"#;
            assert_eq!(value(&page, durations), Some("1"));
        }
        sender.send_modify(|snapshot| {
            sample::state(snapshot).history.insert(0, sample::rotated(after(3)));
        });
        assert_eq!(value(&metrics.scrape(&fleet).unwrap(), rotated), Some("2"));
    }

    #[test]
    fn what_is_over_is_gone_from_the_page() {
        let (fleet, sender) = sample::fleet(sample::snapshot(start()));
        let mut metrics = Metrics::new(start(), Process::default());
        let page = metrics.scrape(&fleet).unwrap();
        let hold = r#"keyturn_hold{credential="adyen",reason="VAULT_SEALED"}"#;
        let intended = r#"keyturn_rotation_phase{credential="adyen",phase="intended"}"#;
        let due = r#"keyturn_next_due_timestamp_seconds{credential="adyen"}"#;
        assert_eq!((value(&page, hold), value(&page, intended)), (Some("1"), Some("1")));
        assert_eq!(value(&page, due), Some(start().as_second().to_string().as_str()));
        sender.send_modify(|snapshot| {
            snapshot.hold = None;
            snapshot.next_due = None;
            sample::state(snapshot).phase = crate::rotation::Phase::Idle;
        });
        let page = metrics.scrape(&fleet).unwrap();
        assert_eq!((value(&page, hold), value(&page, intended), value(&page, due)), (None, None, None));
        assert_eq!(value(&page, r#"keyturn_rotation_phase{credential="adyen",phase="idle"}"#), Some("1"));
    }

    #[test]
    fn every_metric_is_documented_and_nothing_else() {
        let mut snapshot = sample::snapshot(start());
        sample::state(&mut snapshot).history = vec![sample::rotated(after(1))];
        let (fleet, _sender) = sample::fleet(snapshot);
        let page = Metrics::new(start(), Process::default()).scrape(&fleet).unwrap();
        let types = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
        let mut shown: Vec<String> = types
            .map(|(name, kind)| match kind {
                "counter" => format!("{name}_total"),
                "info" => format!("{name}_info"),
                _ => name.to_owned(),
            })
            .collect();
        let document = include_str!("../../docs/metrics.md");
        let rows =
            document.lines().filter_map(|line| line.strip_prefix("| `keyturn_")?.split(['`', '{']).next());
        let mut documented: Vec<String> = rows.map(|name| format!("keyturn_{name}")).collect();
        shown.sort();
        documented.sort();
        assert_eq!(shown, documented);
    }
}

/// A fleet whose snapshots set every metric.
#[cfg(test)]
pub(super) mod sample {
    use std::sync::Arc;

    use jiff::{SignedDuration, Timestamp};
    use tokio::sync::{mpsc, watch};

    use crate::engine::{Activity, Condition, Fleet, Handle, Hold, Role, Snapshot};
    use crate::ids::{KvVersion, ReplicaId, RotationId};
    use crate::rotation::{
        Answer, Baseline, Closed, ClosedAs, Pause, Phase, Problem, Publication, Refusal, RefusalClass,
        Request, Retry, Rotation, State, Timings, Trigger,
    };
    use crate::secret::Fingerprint;

    /// The state in a snapshot, to be changed.
    pub(crate) fn state(snapshot: &mut Snapshot) -> &mut State {
        Arc::make_mut(snapshot.state.as_mut().unwrap())
    }

    /// A credential in trouble: rotating, held, paused, with a failed try and a drift behind it.
    pub(crate) fn snapshot(now: Timestamp) -> Snapshot {
        let rotation = Rotation {
            rotation_id: rotation_id(),
            request: request(),
            holder: ReplicaId::from_uuid(uuid::Uuid::nil()),
            epoch: KvVersion(7),
            claim_ms: 30_000,
            intended_at: now,
            first_dispatched_at: now,
            dispatched_at: now,
            calls: 1,
            baseline: Baseline::default(),
            timings: Timings::default(),
            reopened: false,
            released: false,
        };
        let mut state = State::adopted(now);
        state.phase = Phase::Intended { rotation };
        state.pause = Some(Pause { since: now, reason: "audit".to_owned() });
        state.retry = Some(Retry { not_before: now, failures: 2, request: request() });
        Snapshot {
            credential: "adyen".parse().unwrap(),
            provider: "adyen/client-key".to_owned(),
            store: "secret/payments/adyen#client_key".parse().unwrap(),
            fields: std::collections::BTreeMap::new(),
            state: Some(Arc::new(state)),
            entry_version: Some(KvVersion(3)),
            role: Role::Own,
            activity: Activity::Held,
            pending: None,
            withdrawn: Vec::new(),
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

    pub(crate) fn rotated(now: Timestamp) -> Closed {
        let answer = Answer {
            fingerprint: Fingerprint::from_text("0123456789abcdef"),
            previous_expires_at: Some(now),
            received_at: now,
            call: 1,
            key_id: None,
        };
        let publication = Publication { version: KvVersion(3), published_at: now };
        closed(now, ClosedAs::Rotated { answer, publication, verified: true })
    }

    pub(crate) fn failed(now: Timestamp) -> Closed {
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
            entry: None,
            timings: Timings { provider_us: 1_500_000, ..Timings::default() },
            reopened: false,
        }
    }

    fn request() -> Request {
        Request { trigger: Trigger::Manual, emergency: false, request_id: None, caller: None }
    }

    fn rotation_id() -> RotationId {
        RotationId::from_uuid(uuid::Uuid::nil())
    }

    /// A fleet of one; the sender changes what it shows.
    pub(crate) fn fleet(snapshot: Snapshot) -> (Fleet, watch::Sender<Snapshot>) {
        let name = snapshot.credential.clone();
        let (sender, receiver) = watch::channel(snapshot);
        let (commands, _) = mpsc::channel(1);
        (Fleet::new([(name, Handle::new(receiver, commands))]), sender)
    }
}
