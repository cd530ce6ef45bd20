//! Three servers that are one Vault, for tests in which the leader dies.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::{Error, OpenBao, Options, free_port, fresh_home, launch};

/// With three, one may die.
const NODES: usize = 3;

/// A Raft cluster on loopback; dropping it ends all servers and removes their files.
#[derive(Debug)]
pub struct Cluster {
    nodes: Vec<OpenBao>,
    dead: Option<usize>,
}

impl Cluster {
    /// Starts it; the leader may die only after [`Cluster::wait_for_votes`].
    pub async fn start(options: &Options) -> Result<Self, Error> {
        let options = Options { persistent: true, ..options.clone() };
        let first = OpenBao::start(options.clone()).await?;
        let mut cluster = Self { nodes: vec![first], dead: None };
        for _ in 1..NODES {
            let node = cluster.join(&options).await?;
            cluster.nodes.push(node);
        }
        Ok(cluster)
    }

    /// Waits until all nodes have a vote, which takes some twenty seconds.
    pub async fn wait_for_votes(&self) -> Result<(), Error> {
        let node = self.leader().await?;
        node.wait_until(|| async {
            let answer = node.request("GET", "sys/storage/raft/configuration", None).await.ok()?;
            let servers = answer.body.pointer("/data/config/servers")?.as_array()?;
            let votes = |server: &&Value| server.get("voter") == Some(&Value::Bool(true));
            (servers.iter().filter(votes).count() == NODES).then_some(())
        })
        .await
    }

    /// Where its nodes listen.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.nodes.iter().map(|node| SocketAddr::from(([127, 0, 0, 1], node.port))).collect()
    }

    /// The node that leads now, waited for; the others answer a read with what they have, which may be yesterday's.
    pub async fn leader(&self) -> Result<&OpenBao, Error> {
        let any = self.nodes.iter().enumerate().find(|(index, _)| Some(*index) != self.dead);
        let (_, any) = any.ok_or_else(|| Error("no node is alive".into()))?;
        any.wait_until(|| async {
            let healths = self.nodes.iter().map(|node| async move { (node, node.health().await) });
            let healths = futures_util::future::join_all(healths).await;
            healths.into_iter().find(|(_, health)| *health == Some(200)).map(|(node, _)| node)
        })
        .await
    }

    /// A node that follows.
    pub async fn standby(&self) -> Result<&OpenBao, Error> {
        for node in &self.nodes {
            if node.health().await == Some(429) {
                return Ok(node);
            }
        }
        Err(Error("no node of the cluster stands by".into()))
    }

    /// Kills the leader as a power cut would; the others elect another.
    pub async fn kill_leader(&mut self) -> Result<(), Error> {
        for (index, node) in self.nodes.iter_mut().enumerate() {
            if node.health().await == Some(200) {
                node.kill();
                self.dead = Some(index);
                return Ok(());
            }
        }
        Err(Error("the cluster has no leader that could be killed".into()))
    }

    /// Starts the killed node again, and waits until the cluster has a leader.
    pub async fn bring_back(&mut self) -> Result<(), Error> {
        let Some(index) = self.dead.take() else { return Ok(()) };
        let Some(node) = self.nodes.get_mut(index) else { return Ok(()) };
        node.process = launch(&node.binary, &node.home, &node.options, node.port)?;
        node.wait_for_health(&[503]).await?;
        node.unseal_only().await?;
        node.wait_for_health(&[200, 429]).await?;
        self.leader().await?.wait_for_kv().await
    }

    async fn join(&self, options: &Options) -> Result<OpenBao, Error> {
        let leader = self.leader().await?;
        let port = free_port()?;
        let home = fresh_home(&options.directory, port)?;
        let process = launch(&leader.binary, &home, options, port)?;
        let node = OpenBao {
            process,
            binary: leader.binary.clone(),
            authority: None,
            home,
            options: options.clone(),
            port,
            unseal_key: leader.unseal_key.clone(),
            root_token: leader.root_token.clone(),
        };
        node.wait_for_health(&[501, 503]).await?;
        let body = json!({ "leader_api_addr": leader.address() });
        node.request("POST", "sys/storage/raft/join", Some(&body)).await?.expect_success("join")?;
        node.unseal_only().await?;
        node.wait_for_health(&[200, 429]).await?;
        Ok(node)
    }
}

impl OpenBao {
    async fn health(&self) -> Option<u16> {
        let answer = self.http().ok()?.get(format!("{}/v1/sys/health", self.address())).send().await;
        answer.ok().map(|answer| answer.status().as_u16())
    }

    async fn unseal_only(&self) -> Result<(), Error> {
        let key = json!({ "key": self.unseal_key });
        self.request("PUT", "sys/unseal", Some(&key)).await?.expect_success("unseal").map(drop)
    }
}
