//! How each auth method comes to a token.

use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use super::client::{Call, Client, auth_of, data_of};
use super::error::Error;
use super::failure::Failure;
use super::kubernetes;
use super::kv::wiped_json;
use super::settings::{Auth, RoleId, Settings};
use crate::secret::SecretValue;

const MATERIAL_BYTES_MAX: u64 = 64 << 10;
/// Ten years: what lasts longer is seen to as if it did not, and no sum of times overflows.
const LEASE_MAX: Duration = Duration::from_hours(10 * 365 * 24);

/// A token as a login or a renewal gave it.
pub(super) struct Grant {
    pub(super) token: SecretValue,
    /// How long it lasts from now; `None`: for ever.
    pub(super) lease: Option<Duration>,
    pub(super) renewable: bool,
}

/// Reads the login's material afresh and logs in once.
pub(super) async fn login(client: &Client, settings: &Settings) -> Result<Grant, Error> {
    let auth = &settings.auth;
    match auth {
        Auth::AppRole { mount, role_id, secret_id_file } => {
            let role_id = match role_id {
                RoleId::Given(text) => SecretValue::new(text.clone()),
                RoleId::File(path) => material(auth, path).await?,
            };
            let secret_id = material(auth, secret_id_file).await?;
            let body = AppRoleLogin { role_id: role_id.expose(), secret_id: secret_id.expose() };
            enter(client, auth, mount, &body).await
        }
        Auth::Kubernetes { mount, role, token_file } | Auth::Jwt { mount, role, token_file } => {
            let jwt = material(auth, token_file).await?;
            enter(client, auth, mount, &JwtLogin { role, jwt: jwt.expose() }).await
        }
        Auth::Cert { mount, role, cert_file, key_file } => {
            let mut pem = Zeroizing::new(Vec::new());
            pem.extend_from_slice(file(auth, cert_file).await?.as_bytes());
            pem.push(b'\n');
            let key = file(auth, key_file).await?;
            let mut pair = Zeroizing::new(Vec::with_capacity(pem.len() + key.len()));
            pair.extend_from_slice(&pem);
            pair.extend_from_slice(key.as_bytes());
            // The certificate may have been renewed, so each login has a connection of its own. The token is
            // bound to it and is not renewed but replaced.
            let client = Client::with_identity(settings, &pair)?;
            let grant = enter(&client, auth, mount, &CertLogin { name: role.as_deref() }).await?;
            Ok(Grant { renewable: false, ..grant })
        }
        Auth::TokenFile { path } => {
            let token = material(auth, path).await?;
            look_up(client, &token).await.map(|found| found.grant(token)).map_err(|failure| match failure {
                Failure::Refused(refused) if refused.status == 403 => Error::LoginRefused {
                    method: auth.method(),
                    cause: "the token in the file is not valid, or its policy lacks auth/token/lookup-self"
                        .into(),
                },
                failure => failure.into_error("read", "auth/token/lookup-self"),
            })
        }
    }
}

/// Whether the token in the file is another than this one; other methods have no such file.
pub(super) async fn has_new_token(auth: &Auth, token: &SecretValue) -> bool {
    match auth {
        Auth::TokenFile { path } => {
            material(auth, path).await.is_ok_and(|found| found.expose() != token.expose())
        }
        _ => false,
    }
}

/// Asks Vault for more time for a token.
pub(super) async fn renew(client: &Client, token: &SecretValue) -> Result<Grant, Failure> {
    let call = Call::post("auth/token/renew-self", Zeroizing::new(b"{}".to_vec()));
    let body = client.send(Some(token), &call).await?;
    let renewed: Lease = auth_of(&body)?;
    Ok(renewed.grant(token.duplicate()))
}

/// Ends a token.
pub(super) async fn revoke(client: &Client, token: &SecretValue) -> Result<(), Failure> {
    let call = Call::post("auth/token/revoke-self", Zeroizing::new(b"{}".to_vec()));
    client.send(Some(token), &call).await.map(drop)
}

/// What Vault says of a token: the one call that tells a dead token from a policy that does not suffice.
pub(super) async fn look_up(client: &Client, token: &SecretValue) -> Result<Lookup, Failure> {
    let body = client.send(Some(token), &Call::get("auth/token/lookup-self")).await?;
    data_of(&body)
}

#[derive(Deserialize)]
pub(super) struct Lookup {
    ttl: u64,
    #[serde(default)]
    renewable: Option<bool>,
    /// 0 for a token that was made to last for ever.
    #[serde(default)]
    creation_ttl: u64,
}

impl Lookup {
    fn grant(&self, token: SecretValue) -> Grant {
        let endless = self.ttl == 0 && self.creation_ttl == 0;
        let lease = (!endless).then(|| lease(self.ttl));
        Grant { token, lease, renewable: self.renewable.unwrap_or(false) }
    }
}

fn lease(seconds: u64) -> Duration {
    Duration::from_secs(seconds).min(LEASE_MAX)
}

#[derive(Serialize)]
struct AppRoleLogin<'a> {
    role_id: &'a str,
    secret_id: &'a str,
}

#[derive(Serialize)]
struct JwtLogin<'a> {
    role: &'a str,
    jwt: &'a str,
}

#[derive(Serialize)]
struct CertLogin<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
}

#[derive(Deserialize)]
struct Lease {
    lease_duration: u64,
    renewable: bool,
}

impl Lease {
    fn grant(&self, token: SecretValue) -> Grant {
        let lease = (self.lease_duration > 0).then(|| lease(self.lease_duration));
        Grant { token, lease, renewable: self.renewable }
    }
}

#[derive(Deserialize)]
struct Entered {
    client_token: String,
    #[serde(flatten)]
    lease: Lease,
}

async fn enter(
    client: &Client,
    auth: &Auth,
    mount: &str,
    body: &(impl Serialize + Sync),
) -> Result<Grant, Error> {
    let path = format!("auth/{mount}/login");
    let call = Call::post(path.clone(), wiped_json(body));
    let answer = client.send(None, &call).await.map_err(|failure| login_error(failure, auth, &path))?;
    let Entered { mut client_token, lease } =
        auth_of(&answer).map_err(|failure| failure.into_error("log in", &path))?;
    if client_token.is_empty() || !header_safe(&client_token) {
        client_token.zeroize();
        let cause =
            "the answer holds no token that can be sent; does the role demand a second factor?".into();
        return Err(Error::LoginRefused { method: auth.method(), cause });
    }
    Ok(lease.grant(SecretValue::new(client_token)))
}

fn login_error(failure: Failure, auth: &Auth, path: &str) -> Error {
    match failure {
        Failure::Refused(refused) if matches!(refused.status, 400 | 401 | 403 | 404) => Error::LoginRefused {
            method: auth.method(),
            cause: match (refused.errors.first(), auth) {
                (Some(said), Auth::Kubernetes { .. }) => {
                    format!("Vault said: {said}; {}", kubernetes::advice(said))
                }
                (Some(said), _) => format!("Vault said: {said}"),
                (None, _) => format!("Vault answered {} on {path}", refused.status),
            },
        },
        failure => failure.into_error("log in", path),
    }
}

/// A secret from a file: trimmed, and fit to stand in a header or in JSON.
async fn material(auth: &Auth, path: &Path) -> Result<SecretValue, Error> {
    let text = file(auth, path).await?;
    let trimmed = text.trim();
    let unusable = |cause: &str| material_error(auth, path, cause);
    if trimmed.is_empty() {
        return Err(unusable("is empty"));
    }
    if !header_safe(trimmed) {
        return Err(unusable("holds something else than one line of visible ASCII text"));
    }
    Ok(SecretValue::new(trimmed.to_owned()))
}

fn header_safe(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic())
}

async fn file(auth: &Auth, path: &Path) -> Result<Zeroizing<String>, Error> {
    let owned: PathBuf = path.to_owned();
    let reading = tokio::task::spawn_blocking(move || read_bounded(&owned)).await;
    reading
        .unwrap_or_else(|_| Err("was not read in time".to_owned()))
        .map_err(|cause| material_error(auth, path, &cause))
}

fn material_error(auth: &Auth, path: &Path, cause: &str) -> Error {
    let help = match auth {
        Auth::Kubernetes { .. } => format!("; {}", kubernetes::TOKEN_FILE),
        _ => String::new(),
    };
    Error::LoginMaterial { method: auth.method(), cause: format!("{} {cause}{help}", path.display()) }
}

fn read_bounded(path: &Path) -> Result<Zeroizing<String>, String> {
    let mut text = Zeroizing::new(String::new());
    // A pipe would be waited for, with everybody who needs a token waiting behind.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::empty())
        .map_err(|errno| format!("cannot be opened: {}", std::io::Error::from(errno)))?;
    let file = std::fs::File::from(file);
    let metadata = file.metadata().map_err(|cause| format!("cannot be looked at: {cause}"))?;
    if !metadata.is_file() {
        return Err("is no regular file".into());
    }
    let length = metadata.len().min(MATERIAL_BYTES_MAX);
    text.reserve_exact(usize::try_from(length).unwrap_or(0) + 1);
    file.take(MATERIAL_BYTES_MAX + 1)
        .read_to_string(&mut text)
        .map_err(|cause| format!("cannot be read: {cause}"))?;
    if text.len() as u64 > MATERIAL_BYTES_MAX {
        return Err(format!("is larger than {} KiB", MATERIAL_BYTES_MAX >> 10));
    }
    Ok(text)
}

/// Warns where a secret that a person put into a file can be read by others too.
pub(super) async fn warn_of_open_file(auth: &Auth) {
    let path = match auth {
        Auth::AppRole { secret_id_file, .. } => secret_id_file.clone(),
        Auth::Cert { key_file, .. } => key_file.clone(),
        Auth::TokenFile { path } => path.clone(),
        // Kubernetes and other issuers' agents write these, with modes of their own.
        Auth::Kubernetes { .. } | Auth::Jwt { .. } => return,
    };
    let looking = tokio::task::spawn_blocking(move || {
        let mode = std::fs::metadata(&path).ok()?.mode();
        (mode & 0o077 != 0).then_some((path, mode & 0o777))
    });
    if let Ok(Some((path, mode))) = looking.await {
        tracing::warn!(
            file = %path.display(),
            mode = format!("{mode:04o}"),
            "others than keyturn's user may use this secret's file; give it mode 0600"
        );
    }
}
