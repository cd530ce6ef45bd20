//! Snapshots of a persistent server's data, and going back to one.

use super::{Error, OpenBao, no_client};

impl OpenBao {
    /// All data as it is now.
    pub async fn snapshot(&self) -> Result<Vec<u8>, Error> {
        let answer = self
            .http()?
            .get(format!("{}/v1/sys/storage/raft/snapshot", self.address()))
            .header("X-Vault-Token", &self.root_token)
            .send()
            .await
            .and_then(reqwest::Response::error_for_status);
        let bytes = answer.map_err(|cause| failed("take a snapshot", &cause))?.bytes().await;
        Ok(bytes.map_err(|cause| failed("take a snapshot", &cause))?.to_vec())
    }

    /// Goes back to a snapshot of this server, and waits until it is active again.
    pub async fn restore(&self, snapshot: Vec<u8>) -> Result<(), Error> {
        self.http()?
            .post(format!("{}/v1/sys/storage/raft/snapshot", self.address()))
            .header("X-Vault-Token", &self.root_token)
            .body(snapshot)
            .send()
            .await
            .and_then(reqwest::Response::error_for_status)
            .map_err(|cause| failed("restore a snapshot", &cause))?;
        self.wait_for_health(&[200]).await?;
        self.wait_for_kv().await
    }
}

fn failed(what: &str, cause: &reqwest::Error) -> Error {
    match cause.status() {
        Some(status) => Error(format!("cannot {what}: OpenBao answered {status}")),
        None => no_client(cause),
    }
}
