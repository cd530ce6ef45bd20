//! What rounds share: the servers, the binaries, the tools.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use keyturn::testbed::openbao::{Cluster, OpenBao, Options};
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::binaries::Binaries;
use super::faults::Place;
use super::tools::Tools;

/// All that outlives a round.
pub(crate) struct House {
    pub(crate) binaries: Binaries,
    pub(crate) tools: Tools,
    shared: Arc<OpenBao>,
    turn: Option<Arc<Mutex<OpenBao>>>,
    cluster: Option<Arc<Mutex<Cluster>>>,
}

impl House {
    /// Starts the servers that the places ask for.
    pub(crate) async fn open(binaries: Binaries, tools: Tools, places: &[Place]) -> anyhow::Result<Self> {
        let options = Options::in_directory(openbao_directory()?);
        let on_disk = Options { persistent: true, ..options.clone() };
        let turn = async {
            if !places.contains(&Place::Turn) {
                return Ok(None);
            }
            let server = OpenBao::start(on_disk).await?;
            server.enable_auth("approle", "approle").await?;
            anyhow::Ok(Some(Arc::new(Mutex::new(server))))
        };
        let cluster = async {
            if !places.contains(&Place::Cluster) {
                return Ok(None);
            }
            let cluster = Cluster::start(&options).await?;
            cluster.wait_for_votes().await?;
            cluster.leader().await?.enable_auth("approle", "approle").await?;
            anyhow::Ok(Some(Arc::new(Mutex::new(cluster))))
        };
        let shared = async {
            let server = OpenBao::start(options.clone()).await?;
            server.enable_auth("approle", "approle").await?;
            anyhow::Ok(Arc::new(server))
        };
        let (shared, turn, cluster) =
            tokio::try_join!(shared, turn, cluster).context("OpenBao does not start")?;
        Ok(Self { binaries, tools, shared, turn, cluster })
    }

    /// A Vault for one round; the two that take turns are waited for.
    pub(crate) async fn vault(&self, place: Place) -> anyhow::Result<Vault> {
        Ok(match (place, &self.turn, &self.cluster) {
            (Place::Shared, ..) => Vault::Shared(Arc::clone(&self.shared)),
            (Place::Turn, Some(turn), _) => Vault::Turn(Arc::clone(turn).lock_owned().await),
            (Place::Cluster, _, Some(cluster)) => Vault::Cluster(Arc::clone(cluster).lock_owned().await),
            _ => bail!("the server of this fault was not started"),
        })
    }
}

/// The Vault of one round.
pub(crate) enum Vault {
    Shared(Arc<OpenBao>),
    Turn(OwnedMutexGuard<OpenBao>),
    Cluster(OwnedMutexGuard<Cluster>),
}

impl Vault {
    /// A server that answers, as far as it is not what the fault took away.
    pub(crate) async fn server(&self) -> anyhow::Result<&OpenBao> {
        Ok(match self {
            Self::Shared(server) => server,
            Self::Turn(server) => server,
            Self::Cluster(cluster) => cluster.leader().await?,
        })
    }

    /// Where keyturn's way leads to.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        match self {
            Self::Shared(server) => vec![SocketAddr::from(([127, 0, 0, 1], server.port()))],
            Self::Turn(server) => vec![SocketAddr::from(([127, 0, 0, 1], server.port()))],
            Self::Cluster(cluster) => cluster.addresses(),
        }
    }
}

/// Beside the build, so that a fetched server is fetched once; the tests use the same.
fn openbao_directory() -> anyhow::Result<PathBuf> {
    let program = std::env::current_exe().context("the campaign's own path is not known")?;
    // target/debug/examples/chaos
    let target = program.ancestors().nth(3).map(Path::to_owned);
    target.context("the campaign runs outside of a target directory")
}
