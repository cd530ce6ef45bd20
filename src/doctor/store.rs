//! Vault: whether it can be reached, lets keyturn in, and lets it do what each credential's rotation needs.

use std::time::Duration;

use jiff::Timestamp;

use super::Finding;
use crate::vault::{Error, Needs, ServerState, Store};

const ABOUT: &str = "vault";

/// Clocks that differ by less do no harm.
const CLOCK_DIFFERENCE: Duration = Duration::from_secs(30);

/// Looks at Vault's own state, without a login.
pub fn look_at_server(state: &Result<ServerState, Error>, now: Timestamp) -> Vec<Finding> {
    let state = match state {
        Ok(state) => state,
        Err(error) => return vec![refused(ABOUT, error)],
    };
    let mut found = vec![match (state.initialized, state.sealed) {
        (false, _) => {
            Finding::problem(ABOUT, "Vault answers, but is not initialised").help("initialise and unseal it")
        }
        (true, true) => Finding::problem(ABOUT, Error::Sealed.to_string()).code(Error::Sealed.code()),
        (true, false) => Finding::ok(ABOUT, "reached and unsealed"),
    }];
    let difference = state.server_time.map(|time| time.duration_since(now).unsigned_abs());
    if let Some(difference) = difference.filter(|difference| *difference >= CLOCK_DIFFERENCE) {
        let what = format!(
            "Vault's clock and this machine's differ by {} s; schedules, the ends of grace windows and signed calls go by \
             this machine's",
            difference.as_secs()
        );
        found.push(Finding::warning("clock", what).help("let a time service set both clocks"));
    }
    found
}

/// Says whether Vault lets keyturn in.
pub fn look_at_login(method: &str, outcome: &Result<(), Error>) -> Finding {
    match outcome {
        Ok(()) => Finding::ok(ABOUT, format!("the {method} login works")),
        Err(error) => refused(ABOUT, error),
    }
}

/// Looks at everything that one credential's rotation needs of Vault; changes nothing.
pub async fn look_at_credential(store: &impl Store, needs: &Needs) -> Finding {
    let about = format!("credential {}", needs.credential);
    match reads(store, needs).await {
        Ok(()) => Finding::ok(
            about,
            "mounts, policy, record, entry and signing secrets are as a rotation needs them",
        ),
        Err(error) => refused(about, &error),
    }
}

async fn reads(store: &impl Store, needs: &Needs) -> Result<(), Error> {
    store.preflight(needs).await?;
    store.read_record(&needs.credential).await?;
    store.read_entry(&needs.entry).await?;
    for secret in &needs.secrets {
        store.read_secret(secret).await?;
    }
    Ok(())
}

fn refused(about: impl Into<String>, error: &Error) -> Finding {
    let finding = Finding::problem(about, error.to_string()).code(error.code());
    match error {
        Error::Unavailable { .. } => finding.help(
            "see that vault.address is right and can be reached from here; if its certificate is not known, name its \
             authority in vault.ca_file",
        ),
        Error::LoginRefused { .. } | Error::LoginMaterial { .. } => {
            finding.help("docs/vault.md has the commands that set the login up")
        }
        Error::MountMissing { .. } | Error::NotKvV2 { .. } => {
            finding.help("`bao secrets enable -path=MOUNT -version=2 kv`, or correct the path in the configuration")
        }
        Error::FieldMissing { .. } => {
            finding.help("put the secret there, or correct `auth` or `secrets` of the credential")
        }
        _ => finding,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    fn levels(initialized: bool, sealed: bool, ahead_s: i64) -> Vec<Level> {
        let now = Timestamp::from_second(1_700_000_000).unwrap();
        let server_time = Timestamp::from_second(1_700_000_000 + ahead_s).ok();
        let state = ServerState { initialized, sealed, server_time };
        look_at_server(&Ok(state), now).iter().map(|finding| finding.level).collect()
    }

    #[test]
    fn a_vault_that_cannot_serve_is_a_problem_and_a_clock_that_is_off_a_warning() {
        assert_eq!(levels(true, false, 5), [Level::Ok]);
        assert_eq!(levels(true, true, 0), [Level::Problem]);
        assert_eq!(levels(false, true, 0), [Level::Problem]);
        assert_eq!(levels(true, false, 31), [Level::Ok, Level::Warning]);
        assert_eq!(levels(true, false, -3600), [Level::Ok, Level::Warning]);
    }

    #[test]
    fn a_vault_that_is_away_is_named_with_what_to_look_at() {
        let away = Err(Error::Unavailable { cause: "no connection (Connection refused)".into() });
        let found = look_at_server(&away, Timestamp::UNIX_EPOCH);
        assert_eq!((found[0].level, found[0].code), (Level::Problem, Some("VAULT_UNAVAILABLE")));
        assert!(found[0].help.as_ref().unwrap().contains("vault.ca_file"));
    }
}
