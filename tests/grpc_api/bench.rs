//! A served fleet of scripted credentials, and clients for it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use keyturn::api::proto::credential_service_client::CredentialServiceClient;
use keyturn::api::proto::rotate_service_client::RotateServiceClient;
use keyturn::api::{Error, ListenOptions, Listeners, UnixOptions, serve};
use keyturn::clock::Clock;
use keyturn::engine::scripted::{Asked, Said, scripted};
use keyturn::engine::{Activity, Fleet, Handle, Rejection, Role, Snapshot};
use keyturn::ids::{CredentialName, KvVersion, ReplicaId, RotationId};
use keyturn::rotation::{
    Answer, Baseline, Closed, ClosedAs, Phase, Publication, Request, Rotation, State, Timings, Trigger,
};
use keyturn::secret::Fingerprint;
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};

/// The time at which every test takes place.
pub(crate) const NOW: Timestamp = Timestamp::constant(1_800_000_000, 0);

#[derive(Clone)]
pub(crate) struct StoppedClock;

impl Clock for StoppedClock {
    fn now(&self) -> Timestamp {
        NOW
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }

    async fn sleep(&self, delay: Duration) {
        tokio::time::sleep(delay).await;
    }
}

pub(crate) fn name(text: &str) -> CredentialName {
    text.parse().unwrap()
}

/// The id of the test's `number`th rotation; later ones sort behind earlier ones.
pub(crate) fn id(number: u16) -> RotationId {
    format!("01890000-0000-7000-8000-00000000{number:04x}").parse().unwrap()
}

pub(crate) fn replica() -> ReplicaId {
    "01890000-0000-7000-8000-ffffffffffff".parse().unwrap()
}

pub(crate) fn request() -> Request {
    let (request_id, caller) = (Some("r-1".to_owned()), Some("uid 7".to_owned()));
    Request { trigger: Trigger::Manual, emergency: false, request_id, caller }
}

pub(crate) fn open(number: u16) -> Rotation {
    Rotation {
        rotation_id: id(number),
        request: request(),
        holder: replica(),
        epoch: KvVersion(4),
        claim_ms: 60_000,
        intended_at: NOW,
        first_dispatched_at: NOW,
        dispatched_at: NOW,
        calls: 1,
        baseline: Baseline::default(),
        timings: Timings::default(),
        reopened: false,
        released: false,
    }
}

pub(crate) fn answer() -> Answer {
    let fingerprint = Fingerprint::from_text("0123456789abcdef");
    Answer { fingerprint, previous_expires_at: Some(NOW), received_at: NOW, call: 1, key_id: None }
}

pub(crate) fn publication() -> Publication {
    Publication { version: KvVersion(9), published_at: NOW }
}

pub(crate) fn closed(number: u16, outcome: ClosedAs) -> Closed {
    Closed {
        rotation_id: id(number),
        request: request(),
        intended_at: NOW,
        closed_at: NOW,
        calls: 1,
        outcome,
        entry: None,
        timings: Timings { provider_us: 1_500_000, ..Timings::default() },
        reopened: false,
    }
}

pub(crate) fn rotated(number: u16) -> Closed {
    closed(number, ClosedAs::Rotated { answer: answer(), publication: publication(), verified: true })
}

/// A credential that was adopted and never rotated.
pub(crate) fn idle(credential: &str) -> Snapshot {
    Snapshot {
        credential: name(credential),
        provider: "adyen/client-key".into(),
        store: "secret/payments/adyen#client_key".parse().unwrap(),
        fields: std::collections::BTreeMap::new(),
        state: Some(Arc::new(State::adopted(NOW))),
        entry_version: Some(KvVersion(9)),
        role: Role::Own,
        activity: Activity::Idle,
        pending: None,
        hold: None,
        next_due: None,
        conditions: Vec::new(),
        withdrawn: Vec::new(),
    }
}

pub(crate) fn in_phase(credential: &str, phase: Phase) -> Snapshot {
    let mut snapshot = idle(credential);
    snapshot.state = Some(Arc::new(State { phase, ..State::adopted(NOW) }));
    snapshot
}

pub(crate) fn with_history(credential: &str, history: Vec<Closed>) -> Snapshot {
    let mut snapshot = idle(credential);
    snapshot.state = Some(Arc::new(State { history, ..State::adopted(NOW) }));
    snapshot
}

/// One scripted credential: what it shows, and what it was asked.
pub(crate) struct Fake {
    pub(crate) shows: watch::Sender<Snapshot>,
    pub(crate) asked: mpsc::UnboundedReceiver<Asked>,
    pub(crate) handle: Handle,
}

impl Fake {
    pub(crate) fn new(
        snapshot: Snapshot,
        mut script: impl FnMut(&Asked) -> Result<Said, Rejection> + Send + 'static,
    ) -> Self {
        let (shows, snapshots) = watch::channel(snapshot);
        let (tell, asked) = mpsc::unbounded_channel();
        let handle = scripted(snapshots, move |question| {
            let said = script(&question);
            tell.send(question).ok();
            said
        });
        Self { shows, asked, handle }
    }

    /// One that only shows.
    pub(crate) fn showing(snapshot: Snapshot) -> Self {
        Self::new(snapshot, |_| Err(Rejection::Stopping))
    }
}

pub(crate) fn fleet<'a>(fakes: impl IntoIterator<Item = &'a Fake>) -> Fleet {
    Fleet::new(fakes.into_iter().map(|fake| (fake.handle.snapshot().credential, fake.handle.clone())))
}

/// A running server.
pub(crate) struct Served {
    pub(crate) directory: TempDir,
    pub(crate) readiness: watch::Sender<bool>,
    pub(crate) shutdown: CancellationToken,
    pub(crate) task: JoinHandle<Result<(), Error>>,
}

impl Served {
    pub(crate) async fn start(fleet: Fleet) -> Self {
        Self::start_with(fleet, |_| {}).await
    }

    pub(crate) async fn start_with(fleet: Fleet, adjust: impl FnOnce(&mut ListenOptions)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut options = on_socket(directory.path().join("keyturn.sock"));
        adjust(&mut options);
        let listeners = Listeners::bind(&options).await.unwrap();
        let (readiness, ready) = watch::channel(false);
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(serve(listeners, fleet, StoppedClock, ready, shutdown.clone()));
        Self { directory, readiness, shutdown, task }
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.path().join("keyturn.sock")
    }

    pub(crate) async fn channel(&self) -> Channel {
        connect(format!("unix://{}", self.socket().display())).await
    }

    pub(crate) async fn rotations(&self) -> RotateServiceClient<Channel> {
        RotateServiceClient::new(self.channel().await)
    }

    pub(crate) async fn credentials(&self) -> CredentialServiceClient<Channel> {
        CredentialServiceClient::new(self.channel().await)
    }
}

pub(crate) fn on_socket(path: impl Into<PathBuf>) -> ListenOptions {
    ListenOptions { unix: Some(UnixOptions::new(path)), ..ListenOptions::default() }
}

pub(crate) async fn connect(address: String) -> Channel {
    Endpoint::from_shared(address).unwrap().connect().await.unwrap()
}
