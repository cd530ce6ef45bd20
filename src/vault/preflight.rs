//! Checked before a provider is called: what a rotation will need of Vault is there.

use std::collections::BTreeMap;

use super::Needs;
use super::error::{Error, MissingCapability};
use super::kv::Kv;
use crate::clock::Clock;
use crate::ids::VaultPath;

/// Checks mounts, capabilities and token lifetime; everything that the policy lacks is named at once.
pub(super) async fn check<C: Clock>(kv: &Kv<C>, record: &VaultPath, needs: &Needs) -> Result<(), Error> {
    let wanted = wanted(kv, record, needs).await?;
    let paths: Vec<String> = wanted.keys().cloned().collect();
    let granted = kv.capabilities(&paths).await?;
    let missing = missing(&wanted, &granted);
    if !missing.is_empty() {
        return Err(Error::CapabilitiesMissing { missing });
    }
    kv.session().ensure_lifetime(needs.lasting).await
}

type Wanted = BTreeMap<String, Vec<&'static str>>;

async fn wanted<C: Clock>(kv: &Kv<C>, record: &VaultPath, needs: &Needs) -> Result<Wanted, Error> {
    let mut wanted = Wanted::new();
    let mut want = |path: String, capabilities: &[&'static str]| {
        wanted.entry(path).or_default().extend_from_slice(capabilities);
    };
    want("auth/token/lookup-self".into(), &["read"]);
    want("auth/token/renew-self".into(), &["update"]);
    let record = kv.locate(record).await?;
    want(record.data_path(), &["create", "update", "read"]);
    want(record.metadata_path(), &["create", "update", "read"]);
    want(kv.locate(&needs.entry).await?.data_path(), &["create", "update", "read"]);
    for secret in &needs.secrets {
        want(kv.locate(&secret.path).await?.data_path(), &["read"]);
    }
    Ok(wanted)
}

fn missing(wanted: &Wanted, granted: &BTreeMap<String, Vec<String>>) -> Vec<MissingCapability> {
    let has = |path: &str, capability: &str| {
        let given = granted.get(path).map(Vec::as_slice).unwrap_or_default();
        given.iter().any(|word| word == capability || word == "root")
    };
    let mut missing = Vec::new();
    for (path, capabilities) in wanted {
        for capability in capabilities.iter().filter(|capability| !has(path, capability)) {
            let lacking = MissingCapability { capability, path: path.clone() };
            if !missing.contains(&lacking) {
                missing.push(lacking);
            }
        }
    }
    missing
}
