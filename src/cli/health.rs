//! `keyturn health`: for probes.

use serde::Serialize;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;

use super::arguments::HealthArguments;
use super::connect::Session;
use super::console::{Console, Tone};
use super::exit::Exit;
use super::failure::Failure;
use super::words::word;

#[derive(Debug, Serialize)]
struct HealthView {
    service: String,
    status: String,
}

pub(super) async fn health(
    arguments: HealthArguments,
    session: &mut Session,
    console: &mut Console<'_>,
) -> Result<Exit, Failure> {
    let request = HealthCheckRequest { service: arguments.service.clone() };
    let status = session.health.check(request).await?.into_inner().status();
    let serves = status == ServingStatus::Serving;
    let health = HealthView { service: arguments.service, status: word(status.as_str_name(), "") };
    if console.is_table() {
        console.paint(if serves { Tone::Good } else { Tone::Alarm }, &health.status)?;
    } else {
        console.document(&health)?;
    }
    Ok(if serves { Exit::Done } else { Exit::NotHealthy })
}
