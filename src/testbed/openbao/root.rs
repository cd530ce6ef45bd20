//! What a test does to the server with the root token.

use std::error::Error as _;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Error, OpenBao};

/// An initialisation waits for an election and many syncs of a disk that is busy with everybody else's.
const REQUEST_TIMEOUT: Duration = Duration::from_mins(1);

/// What the server answered.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body; `Null` where it is empty or no JSON.
    pub body: Value,
}

impl Answer {
    /// The body of a success; anything else becomes an error that names what was tried.
    pub fn expect_success(self, what: &str) -> Result<Value, Error> {
        if (200..300).contains(&self.status) {
            Ok(self.body)
        } else {
            Err(Error(format!("cannot {what}: OpenBao answered {} {}", self.status, self.body)))
        }
    }
}

/// What an application logs in with.
#[derive(Debug)]
pub struct AppRole {
    /// The role's id.
    pub role_id: String,
    /// One secret id of it.
    pub secret_id: String,
}

impl OpenBao {
    /// Any API call with the root token; `path` comes without `/v1/`.
    pub async fn request(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Answer, Error> {
        self.request_in("", method, path, body).await
    }

    /// Any API call with the root token in a namespace.
    pub async fn request_in(
        &self,
        namespace: &str,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, Error> {
        let failed = |cause: reqwest::Error| {
            let reason = cause.source().map(|source| format!(", {source}")).unwrap_or_default();
            Error(format!("{method} {path}: {}{reason}", cause.without_url()))
        };
        let method = reqwest::Method::from_bytes(method.as_bytes())
            .map_err(|_| Error(format!("{method:?} is no HTTP method")))?;
        let mut request = self
            .http()?
            .request(method.clone(), format!("{}/v1/{path}", self.address()))
            .header("X-Vault-Token", &self.root_token)
            .timeout(REQUEST_TIMEOUT);
        if !namespace.is_empty() {
            request = request.header("X-Vault-Namespace", namespace);
        }
        if let Some(body) = body {
            request = request.body(body.to_string());
        }
        let answer = request.send().await.map_err(failed)?;
        let status = answer.status().as_u16();
        let bytes = answer.bytes().await.map_err(failed)?;
        Ok(Answer { status, body: serde_json::from_slice(&bytes).unwrap_or(Value::Null) })
    }

    /// Writes a KV v2 entry such as `secret/a/b`; gives its new version.
    pub async fn put(&self, path: &str, data: &Value) -> Result<u64, Error> {
        let answer = self.request("POST", &kv_path(path, "data"), Some(&json!({ "data": data }))).await?;
        let body = answer.expect_success(&format!("write {path}"))?;
        Ok(body.pointer("/data/version").and_then(Value::as_u64).unwrap_or_default())
    }

    /// Reads a KV v2 entry's data and version; nothing where it is missing or deleted.
    pub async fn get(&self, path: &str) -> Result<Option<(Value, u64)>, Error> {
        let answer = self.request("GET", &kv_path(path, "data"), None).await?;
        if answer.status == 404 {
            return Ok(None);
        }
        let body = answer.expect_success(&format!("read {path}"))?;
        let version = body.pointer("/data/metadata/version").and_then(Value::as_u64).unwrap_or_default();
        Ok(Some((body.pointer("/data/data").cloned().unwrap_or_default(), version)))
    }

    /// Deletes the newest version of a KV v2 entry.
    pub async fn delete(&self, path: &str) -> Result<(), Error> {
        let answer = self.request("DELETE", &kv_path(path, "data"), None).await?;
        answer.expect_success(&format!("delete {path}")).map(drop)
    }

    /// Mounts a secrets engine; `version` is for `kv`.
    pub async fn mount(&self, kind: &str, path: &str, version: Option<u8>) -> Result<(), Error> {
        let options = version.map(|version| json!({ "version": version.to_string() }));
        let body = json!({ "type": kind, "options": options });
        let answer = self.request("POST", &format!("sys/mounts/{path}"), Some(&body)).await?;
        answer.expect_success(&format!("mount {kind} at {path}")).map(drop)
    }

    /// Enables an auth method.
    pub async fn enable_auth(&self, kind: &str, path: &str) -> Result<(), Error> {
        let answer =
            self.request("POST", &format!("sys/auth/{path}"), Some(&json!({ "type": kind }))).await?;
        answer.expect_success(&format!("enable {kind} at {path}")).map(drop)
    }

    /// Writes an ACL policy.
    pub async fn write_policy(&self, name: &str, hcl: &str) -> Result<(), Error> {
        let body = json!({ "policy": hcl });
        let answer = self.request("PUT", &format!("sys/policies/acl/{name}"), Some(&body)).await?;
        answer.expect_success(&format!("write the policy {name}")).map(drop)
    }

    /// Makes a role of an enabled AppRole method, with such settings as `token_policies` and `token_ttl`.
    pub async fn create_approle(&self, mount: &str, role: &str, settings: &Value) -> Result<AppRole, Error> {
        let base = format!("auth/{mount}/role/{role}");
        self.request("POST", &base, Some(settings)).await?.expect_success("make a role")?;
        let id = self.request("GET", &format!("{base}/role-id"), None).await?.expect_success("read it")?;
        let secret = self.request("POST", &format!("{base}/secret-id"), Some(&json!({}))).await?;
        let secret = secret.expect_success("make a secret id")?;
        let text = |body: &Value, pointer| {
            body.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        Ok(AppRole { role_id: text(&id, "/data/role_id"), secret_id: text(&secret, "/data/secret_id") })
    }

    /// Makes a token with such settings as `policies` and `ttl`.
    pub async fn create_token(&self, settings: &Value) -> Result<String, Error> {
        let answer = self.request("POST", "auth/token/create", Some(settings)).await?;
        let body = answer.expect_success("make a token")?;
        Ok(body.pointer("/auth/client_token").and_then(Value::as_str).unwrap_or_default().to_owned())
    }

    /// Revokes a token.
    pub async fn revoke(&self, token: &str) -> Result<(), Error> {
        let answer = self.request("POST", "auth/token/revoke", Some(&json!({ "token": token }))).await?;
        answer.expect_success("revoke a token").map(drop)
    }
}

/// `secret/a/b` as the API has it: `secret/data/a/b`. The mount is the first segment.
fn kv_path(path: &str, part: &str) -> String {
    match path.split_once('/') {
        Some((mount, rest)) => format!("{mount}/{part}/{rest}"),
        None => format!("{path}/{part}"),
    }
}
