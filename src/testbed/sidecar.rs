//! A real `keyturn run`, as a process of its own, with the clients that look at it.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::installation::Installation;
use crate::api::proto::credential_service_client::CredentialServiceClient;
use crate::api::proto::rotate_service_client::RotateServiceClient;
use crate::api::proto::{
    Credential, GetCredentialRequest, RotateRequest, Rotation, RotationState, WatchCredentialsRequest,
    WatchRotationRequest,
};

/// How long anything that should happen may take before a test gives up.
const PATIENCE: Duration = Duration::from_mins(1);

/// A running sidecar; killed when dropped.
#[derive(Debug)]
pub struct Sidecar {
    child: Child,
    socket: PathBuf,
    log: PathBuf,
}

/// What the tests and the demo expected did not come about.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The process, or a file of it.
    #[error("the sidecar's process")]
    Process(#[from] io::Error),
    /// It ended before it served.
    #[error("keyturn ended with {status} before it served; its log:\n{log}")]
    Ended {
        /// How.
        status: ExitStatus,
        /// What it said.
        log: String,
    },
    /// The connection.
    #[error("the connection to keyturn")]
    Connection(#[from] tonic::transport::Error),
    /// A refusal.
    #[error("keyturn said {}: {}", .0.code(), .0.message())]
    Status(#[from] Box<tonic::Status>),
    /// Time is over.
    #[error("{what} did not happen within {PATIENCE:?}; keyturn's log:\n{log}")]
    Impatient {
        /// What was waited for.
        what: String,
        /// What it said.
        log: String,
    },
}

impl From<tonic::Status> for Error {
    fn from(status: tonic::Status) -> Self {
        Self::Status(Box::new(status))
    }
}

impl Sidecar {
    /// Starts `binary run` for the installation, with further arguments; its output goes to `keyturn.log`.
    pub fn spawn(binary: &Path, installation: &Installation, arguments: &[&str]) -> Result<Self, Error> {
        Self::spawn_in(binary, installation, arguments, &[])
    }

    /// The same, with an environment; it is empty otherwise.
    pub fn spawn_in(
        binary: &Path,
        installation: &Installation,
        arguments: &[&str],
        environment: &[(&str, String)],
    ) -> Result<Self, Error> {
        let log = installation.directory.join("keyturn.log");
        let output = File::options().create(true).append(true).open(&log)?;
        let child = Command::new(binary)
            .arg("run")
            .arg("--config")
            .arg(&installation.config)
            .args(arguments)
            .env_clear()
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()?;
        Ok(Self { child, socket: installation.socket.clone(), log })
    }

    /// Starts it and waits until it serves: Vault let it in, every record was read.
    pub async fn start(
        binary: &Path,
        installation: &Installation,
        arguments: &[&str],
    ) -> Result<Self, Error> {
        let mut sidecar = Self::spawn(binary, installation, arguments)?;
        sidecar.serving().await?;
        Ok(sidecar)
    }

    /// Waits until the health service says that rotations are served.
    pub async fn serving(&mut self) -> Result<(), Error> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        let mut pause = tokio::time::interval(Duration::from_millis(10));
        while !self.is_serving().await {
            if let Some(status) = self.child.try_wait()? {
                return Err(Error::Ended { status, log: self.log_text() });
            }
            if tokio::time::Instant::now() > deadline {
                return Err(self.impatient("serving"));
            }
            pause.tick().await;
        }
        Ok(())
    }

    async fn is_serving(&self) -> bool {
        let Ok(channel) = self.channel().await else { return false };
        let request = HealthCheckRequest { service: "keyturn.v1.RotateService".to_owned() };
        let answer = HealthClient::new(channel).check(request).await;
        answer.is_ok_and(|answer| answer.into_inner().status() == ServingStatus::Serving)
    }

    /// A connection to the socket.
    pub async fn channel(&self) -> Result<Channel, Error> {
        Ok(Endpoint::from_shared(format!("unix:{}", self.socket.display()))?.connect().await?)
    }

    /// The rotation service.
    pub async fn rotations(&self) -> Result<RotateServiceClient<Channel>, Error> {
        Ok(RotateServiceClient::new(self.channel().await?))
    }

    /// The credential service.
    pub async fn credentials(&self) -> Result<CredentialServiceClient<Channel>, Error> {
        Ok(CredentialServiceClient::new(self.channel().await?))
    }

    /// Asks for a rotation; gives it as it was promised.
    pub async fn rotate(&self, credential: &str, emergency: bool) -> Result<Rotation, Error> {
        let request =
            RotateRequest { credential: credential.to_owned(), emergency, request_id: String::new() };
        let answer = self.rotations().await?.rotate(request).await?;
        Ok(answer.into_inner().rotation.unwrap_or_default())
    }

    /// Watches a rotation until it has come to its end, or halts.
    pub async fn ended(&self, rotation_id: &str) -> Result<Rotation, Error> {
        let request = WatchRotationRequest { rotation_id: rotation_id.to_owned(), credential: String::new() };
        let mut stream = self.rotations().await?.watch_rotation(request).await?.into_inner();
        let mut last = Rotation::default();
        let watching = async {
            while let Some(message) = stream.message().await? {
                last = message.rotation.unwrap_or_default();
                if is_over(last.state()) {
                    return Ok(last);
                }
            }
            Ok(last)
        };
        tokio::time::timeout(PATIENCE, watching)
            .await
            .unwrap_or_else(|_| Err(self.impatient(&format!("the end of rotation {rotation_id}"))))
    }

    /// Rotates and watches until the end.
    pub async fn rotate_to_the_end(&self, credential: &str) -> Result<Rotation, Error> {
        let rotation = self.rotate(credential, false).await?;
        self.ended(&rotation.rotation_id).await
    }

    /// A credential as it is now.
    pub async fn credential(&self, name: &str) -> Result<Credential, Error> {
        let request = GetCredentialRequest { credential: name.to_owned() };
        let answer = self.credentials().await?.get_credential(request).await?;
        Ok(answer.into_inner().credential.unwrap_or_default())
    }

    /// Watches a credential until it is as wanted.
    pub async fn until(
        &self,
        name: &str,
        what: &str,
        mut wanted: impl FnMut(&Credential) -> bool,
    ) -> Result<Credential, Error> {
        let request = WatchCredentialsRequest { credentials: vec![name.to_owned()] };
        let mut stream = self.credentials().await?.watch_credentials(request).await?.into_inner();
        let watching = async {
            while let Some(message) = stream.message().await? {
                for credential in message.credentials {
                    if wanted(&credential) {
                        return Ok(Some(credential));
                    }
                }
            }
            Ok::<_, Error>(None)
        };
        match tokio::time::timeout(PATIENCE, watching).await {
            Ok(found) => found?.ok_or_else(|| self.impatient(what)),
            Err(_) => Err(self.impatient(what)),
        }
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// `kill -9`.
    pub fn kill(&mut self) -> Result<(), Error> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// The same for a caller that only looks; [`Sidecar::kill`] or the drop buries it.
    pub fn kill_at_once(&self) -> Result<(), Error> {
        self.signal(Signal::KILL)
    }

    /// `kill -TERM`, as an orchestrator does; gives the exit status.
    pub async fn terminate(&mut self) -> Result<ExitStatus, Error> {
        self.signal(Signal::TERM)?;
        self.exit().await
    }

    /// `kill -HUP`: the configuration is read anew.
    pub fn hang_up(&self) -> Result<(), Error> {
        self.signal(Signal::HUP)
    }

    /// Keeps the process from running, as a debugger or a paused machine does.
    pub fn freeze(&self) -> Result<(), Error> {
        self.signal(Signal::STOP)
    }

    /// Ends what [`Sidecar::freeze`] began.
    pub fn thaw(&self) -> Result<(), Error> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> Result<(), Error> {
        let pid = Pid::from_child(&self.child);
        Ok(kill_process(pid, signal).map_err(io::Error::from)?)
    }

    /// How the process ended, if it has.
    pub fn ended_with(&mut self) -> Result<Option<ExitStatus>, Error> {
        Ok(self.child.try_wait()?)
    }

    /// Waits until the process has ended by itself.
    pub async fn exit(&mut self) -> Result<ExitStatus, Error> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        let mut pause = tokio::time::interval(Duration::from_millis(10));
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if tokio::time::Instant::now() > deadline {
                return Err(self.impatient("the process's end"));
            }
            pause.tick().await;
        }
    }

    /// What it said so far, of all its starts.
    pub fn log_text(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn impatient(&self, what: &str) -> Error {
        Error::Impatient { what: what.to_owned(), log: self.log_text() }
    }
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        // It may have ended already; there is nobody left to tell.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Whether a rotation goes on by itself no more.
pub const fn is_over(state: RotationState) -> bool {
    matches!(
        state,
        RotationState::Halted
            | RotationState::Succeeded
            | RotationState::Failed
            | RotationState::Resolved
            | RotationState::Cancelled
    )
}
