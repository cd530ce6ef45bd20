//! A rehearsal: a definition's rotation, run by the real engine over real HTTP, with one thing that goes wrong.
//!
//! The provider is a simulator on this machine that is derived from the same definition, Vault and escrow are in
//! memory, and time jumps over every wait. So it shows what keyturn makes of what the definition *says*, not
//! whether the provider does what it says.

mod clock;
mod death;
mod escrow;
mod scene;
mod store;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use url::Url;

use self::clock::StageClock;
use self::death::{Death, MortalProvider};
use self::escrow::MemoryEscrow;
use self::scene::Mishap;
use self::store::{Ended, MemoryStore};
use crate::engine::{self, Adapters, Credential, RotateRequest};
use crate::ids::{FieldPath, InvalidId, ReplicaId, RotationId};
use crate::mistake::Mistake;
use crate::provider::definition::AuthScheme;
use crate::provider::simulator::Simulator;
use crate::provider::{
    self, Binding, BoundDefinition, Definition, HttpProvider, Transport, TransportOptions, bind, bind_loosely,
};
use crate::rotation::{Phase, Plan};
use crate::secret::SecretValue;

pub use scene::{Ending, Scene};

/// Why there was no rehearsal.
#[derive(Debug)]
pub enum Error {
    /// The definition cannot be bound to these parameters.
    Binding(Vec<Mistake>),
    /// This machine stood in the way; nothing is known of the definition.
    Stage(String),
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Self::Stage(format!("the simulator cannot listen on this machine: {error}"))
    }
}

impl From<provider::Error> for Error {
    fn from(error: provider::Error) -> Self {
        Self::Stage(error.to_string())
    }
}

impl From<InvalidId> for Error {
    fn from(error: InvalidId) -> Self {
        Self::Stage(error.0)
    }
}

/// Plays every scene that a definition has, for each one who may sign.
pub async fn rehearse(
    definition: &Definition,
    params: &BTreeMap<String, String>,
) -> Result<Vec<Scene>, Error> {
    // One for all: it reads the trust store, and that takes its time.
    let transport = Transport::new(&TransportOptions::default())?;
    let mut scenes = Vec::new();
    for own in definition.self_signing.ways() {
        let binding = Binding { params: params.clone(), self_authenticating: *own, ..usual(definition) };
        let bound = bind(definition, binding.clone()).map_err(Error::Binding)?;
        for mishap in scene::mishaps(definition, bound.plan()) {
            scenes.push(play(definition, binding.clone(), mishap, transport.clone()).await?);
        }
    }
    Ok(scenes)
}

fn usual(definition: &Definition) -> Binding {
    let beside = definition.creates.as_ref();
    Binding {
        extra_secrets: definition.extra_secrets.keys().cloned().collect(),
        revoke_after: beside.map(|creates| creates.revoke_after.min(REVOKE_AFTER_MAX)),
        first_key: beside
            .filter(|creates| creates.activate.is_none())
            .and_then(|_| Simulator::<StageClock>::first_key()),
        ..Binding::usual()
    }
}

/// The longest that an old key has in a rehearsal; a longer time shows nothing more.
const REVOKE_AFTER_MAX: Duration = Duration::from_hours(1);
/// For how long it goes on after a rotation, where keys live side by side: until the old key has had its time, and
/// another try, a list and a revocation that is made again have had theirs.
fn goes_on_for(plan: &Plan) -> Option<Duration> {
    let revoke_after = plan.creates.as_ref()?.revoke_after;
    Some(revoke_after.saturating_add(plan.lock.unwrap_or_default()).saturating_add(Duration::from_hours(1)))
}

/// The longest that a scene may take on the real clock; they take milliseconds.
const SCENE_MAX: Duration = Duration::from_secs(30);

async fn play(
    definition: &Definition,
    binding: Binding,
    mishap: Mishap,
    transport: Transport,
) -> Result<Scene, Error> {
    let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await?;
    let bound = bound_here(definition, binding, &listener)?;
    let clock = StageClock::start();
    let props = Props::new(definition, &bound)?;
    let death = Death::at(mishap.death());
    let trouble = mishap.trouble();
    let simulator = Arc::new(Simulator::new(bound.clone(), clock.clone(), trouble, admin(), props.extra()));
    let store = Arc::new(MemoryStore::new(
        clock.clone(),
        Arc::clone(&death),
        props.credential.store.clone(),
        simulator.secret_number(0),
        props.secrets(),
        goes_on_for(bound.plan()),
    ));
    let serving = tokio::spawn(Arc::clone(&simulator).serve(listener));
    let escrow = Arc::new(MemoryEscrow::new(Arc::clone(&death)));
    let shutdown = CancellationToken::new();
    let live = || {
        let provider = HttpProvider::new(bound.clone(), clock.clone(), transport.clone())?;
        let adapters = Adapters {
            provider: MortalProvider { provider, death: Arc::clone(&death) },
            store: Arc::clone(&store),
            escrow: Arc::clone(&escrow),
            clock: clock.clone(),
            // Always the same, for what is asked between rotations is spread by it.
            replica: ReplicaId::from_uuid(uuid::Uuid::nil()),
            new_rotation_id: || RotationId::from_uuid(uuid::Uuid::now_v7()),
        };
        Ok::<_, Error>(engine::spawn(props.credential.clone(), adapters, shutdown.clone()))
    };
    let (handle, mut task) = live()?;
    let mut ended = store.ended();
    let request = RotateRequest { emergency: false, request_id: None, caller: None };
    // The request is there before the task looks around, so that every rehearsal takes the same course.
    let (asked, ()) = tokio::join!(handle.rotate(request), async { store.open() });
    asked.map_err(|rejection| Error::Stage(rejection.to_string()))?;
    let goes_on = bound.plan().creates.is_some();
    let is_over = |ended: &Option<Ended>| {
        ended.as_ref().is_some_and(|ended| !goes_on || ended.state.phase != Phase::Idle)
    };
    let mut stopped = clock.stopped();
    let mut over = std::pin::pin!(tokio::time::timeout(SCENE_MAX, async {
        tokio::select! {
            _ = ended.wait_for(is_over) => {}
            _ = stopped.wait_for(|stopped| *stopped) => {}
        }
    }));
    tokio::select! {
        // If it is not over in time, the judge finds it as it is.
        _ = &mut over => {}
        () = death.comes() => {
            task.abort();
            task.await.ok();
            task = live()?.1;
            over.await.ok();
        }
    }
    let ended = store.ended().borrow().clone();
    shutdown.cancel();
    task.await.map_err(|error| Error::Stage(format!("a defect in keyturn: {error}")))?;
    serving.abort();
    Ok(scene::judge(mishap, &bound, ended.as_ref(), &simulator, &store.secret()))
}

/// The definition, bound to a simulator on this machine below the same path; nothing else is called.
fn bound_here(
    definition: &Definition,
    binding: Binding,
    listener: &TcpListener,
) -> Result<BoundDefinition, Error> {
    let there = bind(definition, binding.clone()).map_err(Error::Binding)?;
    let address = listener.local_addr()?;
    let path = there.base_url().path().trim_end_matches('/');
    let mut here = definition.clone();
    for scheme in &mut here.auth {
        if let AuthScheme::Oauth2(oauth2) = scheme {
            oauth2.base_url = None;
        }
    }
    let base_url = Some(format!("http://{address}{path}"));
    let bound = bind_loosely(&here, Binding { base_url, ..binding }).map_err(Error::Binding)?;
    let is_here = |url: &Url| url.host_str() == Some("127.0.0.1") && url.port() == Some(address.port());
    if bound.addresses().all(is_here) {
        Ok(bound)
    } else {
        Err(Error::Stage("a request would leave this machine".to_owned()))
    }
}

/// The places of one invented credential.
struct Props {
    credential: Credential,
}

impl Props {
    fn new(definition: &Definition, bound: &BoundDefinition) -> Result<Self, Error> {
        let signer: FieldPath = "rehearsal/signer#key".parse()?;
        let extra = definition
            .extra_secrets
            .keys()
            .enumerate()
            .map(|(index, name)| Ok((name.clone(), format!("rehearsal/further#secret{index}").parse()?)));
        let credential = Credential {
            name: "rehearsal".parse()?,
            provider: definition.name.clone(),
            store: "rehearsal/entry#key".parse()?,
            signer: (!bound.plan().self_authenticating).then_some(signer),
            extra: extra.collect::<Result<_, InvalidId>>()?,
            fields: bound.fields().map(|name| (name.to_owned(), name.to_owned())).collect(),
        };
        Ok(Self { credential })
    }

    fn secrets(&self) -> BTreeMap<FieldPath, SecretValue> {
        let signer = self.credential.signer.iter().map(|place| (place.clone(), admin()));
        signer.chain(self.credential.extra.iter().map(|(_, place)| (place.clone(), further()))).collect()
    }

    fn extra(&self) -> Vec<(String, SecretValue)> {
        self.credential.extra.iter().map(|(name, _)| (name.clone(), further())).collect()
    }
}

/// The separate credential; like every key in a rehearsal it is hexadecimal, base64 and plain text at once.
fn admin() -> SecretValue {
    SecretValue::new("ad".repeat(16))
}

fn further() -> SecretValue {
    SecretValue::new("fe".repeat(16))
}
