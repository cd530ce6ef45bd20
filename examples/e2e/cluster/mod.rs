//! A real cluster of one node: the page for readers as it is written, then everything that a cluster does to pods.

mod copies;
mod documented;
mod front;
mod kubernetes;
mod phases;
mod scenes;
mod stage;

use crate::watch::Watch;
use stage::Stage;

/// Goes through everything, in the cluster that `KUBECONFIG` names.
pub(crate) async fn run() -> anyhow::Result<()> {
    let mut watch = Watch::start();
    let stage = Stage::set(&mut watch).await?;
    scenes::shared(&stage, &mut watch).await?;
    scenes::sidecar(&stage, &mut watch).await
}
