//! grpc.health.v1: "" says that the process answers, the services say that it can do its work.

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use super::proto::credential_service_server::SERVICE_NAME as CREDENTIAL_SERVICE;
use super::proto::rotate_service_server::SERVICE_NAME as ROTATE_SERVICE;

const PROCESS: &str = "";
const SERVICES: [&str; 2] = [ROTATE_SERVICE, CREDENTIAL_SERVICE];

/// A reporter that claims nothing yet; tonic's own starts out SERVING.
pub(super) async fn reporter() -> HealthReporter {
    let reporter = HealthReporter::new();
    for name in [PROCESS].into_iter().chain(SERVICES) {
        reporter.set_service_status(name, ServingStatus::NotServing).await;
    }
    reporter
}

/// Reports until `shutdown`, then says NOT_SERVING to every watcher and ends their streams.
pub(super) async fn report(
    mut reporter: HealthReporter,
    mut readiness: watch::Receiver<bool>,
    shutdown: CancellationToken,
) {
    reporter.set_service_status(PROCESS, ServingStatus::Serving).await;
    let following = async {
        loop {
            let ready = *readiness.borrow_and_update();
            set_services(&reporter, ready).await;
            if readiness.changed().await.is_err() {
                // Nobody is left who could say otherwise, so what was said last stands.
                std::future::pending::<()>().await;
            }
        }
    };
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = following => {}
    }
    reporter.set_service_status(PROCESS, ServingStatus::NotServing).await;
    set_services(&reporter, false).await;
    for name in [PROCESS].into_iter().chain(SERVICES) {
        reporter.clear_service_status(name).await;
    }
}

async fn set_services(reporter: &HealthReporter, ready: bool) {
    let status = if ready { ServingStatus::Serving } else { ServingStatus::NotServing };
    for name in SERVICES {
        reporter.set_service_status(name, status).await;
    }
}
