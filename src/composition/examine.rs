//! `keyturn doctor`: everything that a rotation needs, looked at from here.

use std::path::Path;

use keyturn::cli::{self, Console, DoctorArguments, Exit};
use keyturn::clock::{Clock as _, SystemClock};
use keyturn::config::{self, Config};
use keyturn::doctor::{self, Finding, Level};
use keyturn::provider::Catalog;
use keyturn::vault::{self, Needs, VaultStore};

use super::fleet::CONNECT_SHARE;
use super::listening::{target, tls_options};
use super::serve::forbid_core_dumps;
use crate::runtime;

/// Looks at everything that a rotation needs, from here, and changes nothing.
pub(crate) fn diagnose(arguments: &DoctorArguments, console: &mut Console<'_>) -> anyhow::Result<Exit> {
    forbid_core_dumps()?;
    let findings = match Config::load(&arguments.config, Catalog::embedded()) {
        Ok(config) => runtime()?.block_on(examine(&config)),
        Err(mistakes) => mistakes.iter().map(Finding::mistake).collect(),
    };
    Ok(cli::show_findings(&arguments.config, findings, arguments, console))
}

async fn examine(config: &Config) -> Vec<Finding> {
    let root = Path::new("/");
    let count = config.credentials.len();
    let mut found = vec![Finding::ok("configuration", format!("right; credentials: {count}"))];
    found.extend(tokio::task::block_in_place(|| doctor::look_at_escrow(root, &config.escrow)));
    found.extend(examine_vault(config).await);
    let ways = doctor::ways(&config.credentials);
    for (way, credential) in &ways {
        found.push(match credential.ca_pem() {
            Ok(authority) => {
                let limit = config.timeouts.provider_call / CONNECT_SHARE;
                doctor::look_at_provider(way, authority.as_deref(), limit).await
            }
            Err(mistake) => Finding::mistake(&mistake),
        });
    }
    found.extend(doctor::look_for_meshes(root, &ways.iter().map(|(way, _)| way.site()).collect()));
    if let Some(tls) = config.listen.tls.clone() {
        found.push(match tls_options(tls).check() {
            Ok(()) => {
                Finding::ok("listen.tcp.tls", "the certificate, its key and the authorities can be used")
            }
            Err(error) => Finding::problem("listen.tcp.tls", error.to_string()).code(error.code()),
        });
    }
    if let Some(target) = target(&config.listen) {
        found.push(cli::look_at_keyturn(target).await);
    }
    found
}

async fn examine_vault(config: &Config) -> Vec<Finding> {
    let clock = SystemClock::start();
    let settings = match config.vault.settings() {
        Ok(settings) => settings,
        Err(mistake) => return vec![Finding::mistake(&mistake)],
    };
    let mut found = doctor::look_at_server(&vault::server_state(&settings).await, clock.now());
    if found.iter().all(|finding| finding.level < Level::Problem) {
        let method = settings.auth.method();
        match VaultStore::connect(settings, clock) {
            Ok(store) => {
                let login = store.login_now().await;
                found.push(doctor::look_at_login(method, &login));
                if login.is_ok() {
                    for configured in &config.credentials {
                        found.push(doctor::look_at_credential(&store, &needs(configured)).await);
                    }
                    store.close().await;
                    return found;
                }
            }
            Err(error) => found.push(doctor::look_at_login(method, &Err(error))),
        }
    }
    let unchecked = |configured: &config::Credential| {
        Finding::unchecked(format!("credential {}", configured.name), "Vault stands in the way")
    };
    found.extend(config.credentials.iter().map(unchecked));
    found
}

fn needs(configured: &config::Credential) -> Needs {
    let signer = configured.signer.place().unwrap_or(&configured.store);
    Needs {
        credential: configured.name.clone(),
        entry: configured.store.path.clone(),
        secrets: std::iter::once(signer).chain(configured.secrets.values()).cloned().collect(),
        lasting: configured.definition.plan().claim,
    }
}
