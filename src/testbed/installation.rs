//! A keyturn installation for a test or the demo: least-privilege access to a throw-away OpenBao, a configuration
//! file, and the secrets that have to be there first.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::openbao::{self, OpenBao};

/// One credential of an installation.
#[derive(Debug, Clone)]
pub struct CredentialSetup {
    /// Its name.
    pub name: String,
    /// The provider definition.
    pub provider: String,
    /// The simulator.
    pub base_url: String,
    /// The definition's parameters.
    pub params: Value,
    /// The secret that signs the calls; `None`: the rotated secret itself.
    pub admin_key: Option<String>,
    /// The entry's path below the installation's own, and the field.
    pub store: String,
    /// What the entry holds at first.
    pub first_key: String,
    /// Further members of the credential's configuration.
    pub more: Value,
}

/// Everything that a sidecar needs to be started; several sidecars may share one Vault side.
#[derive(Debug, Clone)]
pub struct Installation {
    /// The directory of this installation's files.
    pub directory: PathBuf,
    /// The configuration file.
    pub config: PathBuf,
    /// The Unix socket that the configuration names.
    pub socket: PathBuf,
    /// The escrow directory.
    pub escrow: PathBuf,
    /// The prefix of this installation's entries in Vault, such as `secret/demo`.
    pub prefix: String,
}

/// Why an installation cannot be prepared.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// OpenBao.
    #[error(transparent)]
    OpenBao(#[from] openbao::Error),
    /// A file.
    #[error("a file of the installation cannot be written")]
    File(#[from] io::Error),
}

impl Installation {
    /// Prepares Vault (entries, policy, AppRole) and the files under `directory`.
    ///
    /// `name` keeps installations on one server apart; `settings` are further members of the configuration file.
    pub async fn prepare(
        server: &OpenBao,
        directory: &Path,
        name: &str,
        credentials: &[CredentialSetup],
        settings: &Value,
    ) -> Result<Self, Error> {
        let prefix = format!("secret/{name}");
        put_first_secrets(server, &prefix, credentials).await?;
        let policy = format!("keyturn-{name}");
        server.write_policy(&policy, &least_policy(name, credentials)).await?;
        // A second installation of the test may have enabled it already.
        let mounts = server.request("GET", "sys/auth", None).await?.expect_success("listing auth methods")?;
        if mounts.pointer("/data/approle~1").or_else(|| mounts.pointer("/approle~1")).is_none() {
            server.enable_auth("approle", "approle").await?;
        }
        let role = json!({ "token_policies": [policy], "token_ttl": "20m", "token_max_ttl": "2h",
            "token_no_default_policy": true });
        let role = server.create_approle("approle", &format!("keyturn-{name}"), &role).await?;
        let installation = Self {
            directory: directory.to_owned(),
            config: directory.join("keyturn.yaml"),
            socket: directory.join("keyturn.sock"),
            escrow: directory.join("escrow"),
            prefix,
        };
        fs::create_dir_all(directory)?;
        let mut secret_id = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(directory.join("secret-id"))?;
        secret_id.write_all(role.secret_id.as_bytes())?;
        installation.write_config(server, name, &role.role_id, credentials, settings)?;
        Ok(installation)
    }

    /// The same installation for a second replica: files of its own, the same Vault side.
    pub fn replica(&self, directory: &Path) -> Result<Self, Error> {
        fs::create_dir_all(directory)?;
        let copy = Self {
            directory: directory.to_owned(),
            config: directory.join("keyturn.yaml"),
            socket: directory.join("keyturn.sock"),
            escrow: directory.join("escrow"),
            prefix: self.prefix.clone(),
        };
        let text = fs::read_to_string(&self.config)?;
        let (from, to) = (self.directory.display().to_string(), directory.display().to_string());
        fs::write(&copy.config, text.replace(&from, &to))?;
        fs::copy(self.directory.join("secret-id"), directory.join("secret-id"))?;
        Ok(copy)
    }

    fn write_config(
        &self,
        server: &OpenBao,
        name: &str,
        role_id: &str,
        credentials: &[CredentialSetup],
        settings: &Value,
    ) -> Result<(), Error> {
        let mut config = json!({
            "vault": {
                "address": server.address(),
                "auth": { "approle": { "role_id": role_id, "secret_id_file": self.directory.join("secret-id") } },
                "record_prefix": format!("secret/keyturn-{name}"),
            },
            "listen": { "unix": self.socket },
            "escrow": { "dir": self.escrow },
            "credentials": credentials.iter().map(|one| self.credential(one)).collect::<Vec<_>>(),
        });
        merge(&mut config, settings);
        // JSON is YAML, and needs no care with quotes.
        let text = serde_json::to_string_pretty(&config).map_err(io::Error::other)?;
        Ok(fs::write(&self.config, text)?)
    }

    fn credential(&self, setup: &CredentialSetup) -> Value {
        let mut credential = json!({
            "name": setup.name,
            "provider": setup.provider,
            "base_url": setup.base_url,
            "params": setup.params,
            "store": format!("{}/{}", self.prefix, setup.store),
            "schedule": { "manual": true },
        });
        if setup.admin_key.is_some() {
            merge(&mut credential, &json!({ "auth": { "vault": admin_place(&self.prefix, setup) } }));
        }
        merge(&mut credential, &setup.more);
        credential
    }
}

fn admin_place(prefix: &str, setup: &CredentialSetup) -> String {
    format!("{prefix}/admin/{}#key", setup.name)
}

/// Members of `more` go into `target`, objects into objects.
fn merge(target: &mut Value, more: &Value) {
    match (target, more) {
        (Value::Object(target), Value::Object(more)) => {
            for (name, value) in more {
                merge(target.entry(name.clone()).or_insert(Value::Null), value);
            }
        }
        (_, Value::Null) => {}
        (target, more) => *target = more.clone(),
    }
}

async fn put_first_secrets(
    server: &OpenBao,
    prefix: &str,
    credentials: &[CredentialSetup],
) -> Result<(), Error> {
    for setup in credentials {
        let (path, field) = setup.store.split_once('#').unwrap_or((&setup.store, "value"));
        let path = format!("{prefix}/{path}");
        let mut data = server.get(&path).await?.map_or_else(|| json!({}), |(data, _)| data);
        merge(&mut data, &json!({ field: setup.first_key, "note": "kept by the application's team" }));
        server.put(&path, &data).await?;
        if let Some(key) = &setup.admin_key {
            server.put(&format!("{prefix}/admin/{}", setup.name), &json!({ "key": key })).await?;
        }
    }
    Ok(())
}

/// What `docs/vault-policy.hcl` says, for this installation's paths.
fn least_policy(name: &str, credentials: &[CredentialSetup]) -> String {
    let mut hcl = String::new();
    let mut allow = |path: String, capabilities: &str| {
        let block = format!("path \"{path}\" {{ capabilities = [{capabilities}] }}\n");
        if !hcl.contains(&block) {
            hcl.push_str(&block);
        }
    };
    let write = r#""create", "update", "read""#;
    allow(format!("secret/data/keyturn-{name}/*"), write);
    allow(format!("secret/metadata/keyturn-{name}/*"), write);
    for setup in credentials {
        let path = setup.store.split('#').next().unwrap_or_default();
        allow(format!("secret/data/{name}/{path}"), write);
        if setup.admin_key.is_some() {
            allow(format!("secret/data/{name}/admin/{}", setup.name), r#""read""#);
        }
    }
    allow("auth/token/lookup-self".into(), r#""read""#);
    allow("auth/token/renew-self".into(), r#""update""#);
    allow("sys/capabilities-self".into(), r#""update""#);
    hcl
}
