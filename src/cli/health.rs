//! `keyturn health`: for probes.

use std::time::Duration;

use serde::Serialize;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;

use super::arguments::{HealthArguments, Probe};
use super::connect::Session;
use super::console::{Console, Tone};
use super::exit::Exit;
use super::failure::Failure;
use super::words::word;
use crate::api;

/// A process that takes longer is stuck.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);

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
    let service = arguments.service.unwrap_or_else(|| name(arguments.probe).to_owned());
    let check = session.health.check(HealthCheckRequest { service: service.clone() });
    let Ok(answer) = tokio::time::timeout(ANSWER_TIMEOUT, check).await else {
        let what = format!("keyturn has not answered for {} s", ANSWER_TIMEOUT.as_secs());
        return Err(Failure::new(Exit::NotHealthy, what));
    };
    let status = answer?.into_inner().status();
    let serves = status == ServingStatus::Serving;
    let health = HealthView { service, status: word(status.as_str_name(), "") };
    if console.is_table() {
        console.paint(if serves { Tone::Good } else { Tone::Alarm }, &health.status)?;
    } else {
        console.document(&health)?;
    }
    Ok(if serves { Exit::Done } else { Exit::NotHealthy })
}

const fn name(probe: Option<Probe>) -> &'static str {
    match probe {
        Some(Probe::Startup) => api::STARTUP,
        Some(Probe::Live) => api::LIVE,
        Some(Probe::Ready) | None => api::READY,
    }
}
