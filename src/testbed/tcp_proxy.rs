//! A way between a client and a server that breaks at a chosen byte.
//!
//! It knows of HTTP only where a request begins, so that a fault can be aimed at writes; all else is bytes.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

/// What happens to one exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// The connection ends when so many bytes of the request have reached the server.
    CutRequest(usize),
    /// The connection ends when so many bytes of the answer have reached the client.
    CutAnswer(usize),
    /// The same, with a reset in place of an end.
    Reset(usize),
    /// Nothing passes any more, and nobody is told.
    BlackHole,
    /// The server gets the request; the client is told that no answer will come.
    HalfClose,
    /// The answer comes byte by byte, with this pause after each.
    Drip(Duration),
    /// The answer comes so much later.
    Hold(Duration),
}

/// Which exchanges a trouble meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aim {
    /// The next ones, whatever they are.
    Any,
    /// Requests that change something: POST, PUT, PATCH and DELETE.
    Writes,
}

/// A running proxy on a loopback port; it stops, and ends its connections, when it is dropped.
#[derive(Debug)]
pub struct TcpProxy {
    address: SocketAddr,
    plan: watch::Sender<Plan>,
    _stop: DropGuard,
}

/// What shall go wrong, and what was seen.
#[derive(Debug, Default)]
struct Plan {
    armed: Option<Armed>,
    met: u32,
    tokens: Vec<String>,
}

#[derive(Debug)]
struct Armed {
    trouble: Trouble,
    aim: Aim,
    /// How many exchanges that are aimed at pass before.
    passing: u32,
    left: u32,
}

impl TcpProxy {
    /// Listens on a free loopback port; each connection goes to the first of the servers that takes it.
    pub async fn to(servers: Vec<SocketAddr>) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let (plan, _) = watch::channel(Plan::default());
        let stop = CancellationToken::new();
        let (mine, stopped) = (plan.clone(), stop.clone());
        tokio::spawn(async move {
            let serving = async {
                while let Ok((client, _)) = listener.accept().await {
                    let (servers, plan, stopped) = (servers.clone(), mine.clone(), stopped.clone());
                    tokio::spawn(async move {
                        tokio::select! {
                            () = connection(client, &servers, &plan) => {}
                            () = stopped.cancelled() => {}
                        }
                    });
                }
            };
            tokio::select! {
                () = serving => {}
                () = stopped.cancelled() => {}
            }
        });
        Ok(Self { address, plan, _stop: stop.drop_guard() })
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lets the next so many exchanges that are aimed at go wrong.
    pub fn arm(&self, trouble: Trouble, aim: Aim, times: u32) {
        self.arm_after(0, trouble, aim, times);
    }

    /// The same after so many that pass.
    pub fn arm_after(&self, passing: u32, trouble: Trouble, aim: Aim, times: u32) {
        self.plan.send_modify(|plan| plan.armed = Some(Armed { trouble, aim, passing, left: times }));
    }

    /// Lets all further exchanges pass.
    pub fn calm(&self) {
        self.plan.send_modify(|plan| plan.armed = None);
    }

    /// How many exchanges met trouble.
    pub fn met(&self) -> u32 {
        self.plan.borrow().met
    }

    /// The Vault tokens that passed, oldest first.
    pub fn tokens(&self) -> Vec<String> {
        self.plan.borrow().tokens.clone()
    }
}

async fn connection(client: TcpStream, servers: &[SocketAddr], plan: &watch::Sender<Plan>) {
    for server in servers {
        if let Ok(server) = TcpStream::connect(server).await {
            // A connection that breaks is what this is for.
            drop(Line { client, server, trouble: None, up: 0, down: 0 }.carry(plan).await);
            return;
        }
    }
}

/// One connection, both ways.
struct Line {
    client: TcpStream,
    server: TcpStream,
    /// What happens to the exchange that is under way.
    trouble: Option<Trouble>,
    up: usize,
    down: usize,
}

/// Whether a line goes on.
#[derive(PartialEq, Eq)]
enum Course {
    On,
    Over,
}

impl Line {
    async fn carry(mut self, plan: &watch::Sender<Plan>) -> io::Result<()> {
        let (mut from_client, mut from_server) = (vec![0; 65536], vec![0; 65536]);
        loop {
            let course = tokio::select! {
                read = self.client.read(&mut from_client) => {
                    let chunk = from_client.get(..read?).unwrap_or_default();
                    if begins_a_request(chunk) {
                        self.trouble = meet(plan, chunk);
                        (self.up, self.down) = (0, 0);
                    }
                    self.pass_up(chunk).await?
                }
                read = self.server.read(&mut from_server) => {
                    self.pass_down(from_server.get(..read?).unwrap_or_default()).await?
                }
            };
            if course == Course::Over {
                return Ok(());
            }
        }
    }

    async fn pass_up(&mut self, chunk: &[u8]) -> io::Result<Course> {
        if chunk.is_empty() {
            return Ok(Course::Over);
        }
        match self.trouble {
            Some(Trouble::BlackHole) => {}
            Some(Trouble::CutRequest(limit)) => {
                let passing = chunk.get(..limit.saturating_sub(self.up)).unwrap_or(chunk);
                self.server.write_all(passing).await?;
                self.up += passing.len();
                if self.up >= limit {
                    return Ok(Course::Over);
                }
            }
            _ => self.server.write_all(chunk).await?,
        }
        Ok(Course::On)
    }

    async fn pass_down(&mut self, chunk: &[u8]) -> io::Result<Course> {
        if chunk.is_empty() {
            return Ok(Course::Over);
        }
        match self.trouble {
            Some(Trouble::BlackHole) => {}
            Some(Trouble::HalfClose) => self.client.shutdown().await?,
            Some(Trouble::CutAnswer(limit)) => return self.pass_down_until(chunk, limit, false).await,
            Some(Trouble::Reset(limit)) => return self.pass_down_until(chunk, limit, true).await,
            Some(Trouble::Drip(pause)) => {
                for byte in chunk {
                    self.client.write_all(std::slice::from_ref(byte)).await?;
                    tokio::time::sleep(pause).await;
                }
            }
            Some(Trouble::Hold(time)) => {
                self.trouble = None;
                tokio::time::sleep(time).await;
                self.client.write_all(chunk).await?;
            }
            Some(Trouble::CutRequest(_)) | None => self.client.write_all(chunk).await?,
        }
        Ok(Course::On)
    }

    async fn pass_down_until(&mut self, chunk: &[u8], limit: usize, reset: bool) -> io::Result<Course> {
        let passing = chunk.get(..limit.saturating_sub(self.down)).unwrap_or(chunk);
        self.client.write_all(passing).await?;
        self.down += passing.len();
        if self.down < limit {
            return Ok(Course::On);
        }
        if reset {
            self.client.set_zero_linger()?;
        }
        Ok(Course::Over)
    }
}

fn begins_a_request(chunk: &[u8]) -> bool {
    ["GET ", "LIST "].iter().chain(WRITES).any(|method| chunk.starts_with(method.as_bytes()))
}

const WRITES: &[&str] = &["POST ", "PUT ", "PATCH ", "DELETE "];

/// What meets the request that begins here; the token that it carries is noted.
fn meet(plan: &watch::Sender<Plan>, head: &[u8]) -> Option<Trouble> {
    let writes = WRITES.iter().any(|method| head.starts_with(method.as_bytes()));
    let token = token(head);
    let mut met = None;
    plan.send_modify(|plan| {
        if let Some(token) = token.filter(|token| plan.tokens.last() != Some(token)) {
            plan.tokens.push(token);
        }
        match &mut plan.armed {
            Some(armed) if armed.left > 0 && (writes || armed.aim == Aim::Any) => {
                if armed.passing > 0 {
                    armed.passing -= 1;
                    return;
                }
                armed.left -= 1;
                plan.met += 1;
                met = Some(armed.trouble);
            }
            _ => {}
        }
    });
    met
}

fn token(head: &[u8]) -> Option<String> {
    let head = String::from_utf8_lossy(head);
    let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with("x-vault-token:"))?;
    line.split_once(':').map(|(_, token)| token.trim().to_owned())
}
