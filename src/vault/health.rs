//! What Vault says of itself to everybody, without a login.

use jiff::Timestamp;
use serde::Deserialize;

use super::client::{Call, Client};
use super::error::Error;
use super::failure::Failure;
use super::settings::Settings;

/// What Vault says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerState {
    /// Whether it ever was initialised.
    pub initialized: bool,
    /// Whether it is sealed.
    pub sealed: bool,
    /// Its wall clock, to the second.
    pub server_time: Option<Timestamp>,
}

const PATH: &str = "sys/health";

/// Asks Vault for its state; needs no login and changes nothing.
pub async fn server_state(settings: &Settings) -> Result<ServerState, Error> {
    settings.check()?;
    // Only the root namespace answers this question.
    let client = Client::new(&Settings { namespace: None, ..settings.clone() })?;
    // Every state is an answer here, not a refusal.
    let all_states =
        "standbyok=true&perfstandbyok=true&sealedcode=200&uninitcode=200&drsecondarycode=200&removedcode=200";
    let answer = client.send(None, &Call::get(PATH).with_query(all_states)).await;
    let answer = answer.and_then(|body| {
        serde_json::from_slice::<Answer>(&body)
            .map_err(|_| Failure::Unreadable { cause: "it is not what Vault answers".into() })
    });
    let Answer { initialized, sealed, server_time_utc } =
        answer.map_err(|failure| failure.into_error("read", PATH))?;
    let server_time = server_time_utc.and_then(|seconds| Timestamp::from_second(seconds).ok());
    Ok(ServerState { initialized, sealed, server_time })
}

#[derive(Deserialize)]
struct Answer {
    initialized: bool,
    sealed: bool,
    #[serde(default)]
    server_time_utc: Option<i64>,
}
