//! grpc.health.v1, with a meaning for each question of an orchestrator.
//!
//! `keyturn.startup`: the configuration is read, keyturn listens, every credential's task has started. `keyturn.live`: every
//! task is there; nothing outside counts, for a restart mends nothing outside. "": callers are answered. The services of the
//! API: they can do their work, because Vault lets keyturn in and every record was read.

use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use super::proto::credential_service_server::SERVICE_NAME as CREDENTIAL_SERVICE;
use super::proto::rotate_service_server::SERVICE_NAME as ROTATE_SERVICE;
use crate::engine::{Fleet, Handle};

/// The name under which a startup probe asks.
pub const STARTUP: &str = "keyturn.startup";
/// The name under which a liveness probe asks.
pub const LIVE: &str = "keyturn.live";
/// The name under which a readiness probe asks: none.
pub const READY: &str = "";

const SERVICES: [&str; 2] = [ROTATE_SERVICE, CREDENTIAL_SERVICE];
const LIVE_INTERVAL: Duration = Duration::from_secs(1);

/// A reporter that claims nothing yet; tonic's own starts out SERVING.
pub(super) async fn reporter() -> HealthReporter {
    let reporter = HealthReporter::new();
    for name in names() {
        reporter.set_service_status(name, ServingStatus::NotServing).await;
    }
    reporter
}

fn names() -> impl Iterator<Item = &'static str> {
    [STARTUP, LIVE, READY].into_iter().chain(SERVICES)
}

/// Reports until `shutdown`, then says NOT_SERVING to every watcher and ends their streams.
pub(super) async fn report(
    mut reporter: HealthReporter,
    fleet: &Fleet,
    readiness: watch::Receiver<bool>,
    shutdown: CancellationToken,
) {
    set(&reporter, &[STARTUP, READY], true).await;
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = follow_tasks(&reporter, fleet) => {}
        () = follow_readiness(&reporter, readiness) => {}
    }
    set(&reporter, &[READY], false).await;
    set(&reporter, &SERVICES, false).await;
    for name in names() {
        reporter.clear_service_status(name).await;
    }
}

async fn follow_tasks(reporter: &HealthReporter, fleet: &Fleet) {
    loop {
        set(reporter, &[LIVE], fleet.all().values().all(Handle::is_alive)).await;
        tokio::time::sleep(LIVE_INTERVAL).await;
    }
}

async fn follow_readiness(reporter: &HealthReporter, mut readiness: watch::Receiver<bool>) {
    loop {
        let ready = *readiness.borrow_and_update();
        set(reporter, &SERVICES, ready).await;
        if readiness.changed().await.is_err() {
            // Nobody is left who could say otherwise, so what was said last stands.
            std::future::pending::<()>().await;
        }
    }
}

async fn set(reporter: &HealthReporter, names: &[&'static str], serving: bool) {
    let status = if serving { ServingStatus::Serving } else { ServingStatus::NotServing };
    for name in names {
        reporter.set_service_status(*name, status).await;
    }
}
