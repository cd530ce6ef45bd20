//! A way to Vault that loses, holds or forges the answer to a write, and counts what passes.

use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What happens to each write to `secret/data`; everything else always passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    Pass,
    /// Vault does it, and the connection breaks before the answer.
    LoseAnswer,
    /// Vault does it, and the answer never comes.
    HoldAnswer,
    /// Vault never sees it.
    LoseRequest,
    /// Vault never sees it, and this is the answer.
    Forge(&'static str),
}

pub struct Proxy {
    pub address: String,
    fault: watch::Sender<Fault>,
    heads: watch::Receiver<Vec<String>>,
}

impl Proxy {
    pub async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let (fault, faults) = watch::channel(Fault::Pass);
        let (log, heads) = watch::channel(Vec::new());
        let log = Arc::new(log);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                tokio::spawn(carry(client, server, faults.clone(), Arc::clone(&log)));
            }
        });
        Self { address, fault, heads }
    }

    pub fn fault(&self, fault: Fault) {
        self.fault.send_replace(fault);
    }

    /// How many requests had this in their first line.
    pub fn seen(&self, words: &str) -> usize {
        self.heads.borrow().iter().filter(|head| head.contains(words)).count()
    }
}

async fn carry(
    mut client: TcpStream,
    mut server: TcpStream,
    faults: watch::Receiver<Fault>,
    log: Arc<watch::Sender<Vec<String>>>,
) {
    let (mut from_client, mut from_server) = (vec![0; 65536], vec![0; 65536]);
    let mut writing = false;
    loop {
        tokio::select! {
            read = client.read(&mut from_client) => {
                let Ok(length @ 1..) = read else { return };
                let chunk = &from_client[..length];
                if chunk.starts_with(b"GET ") || chunk.starts_with(b"POST ") {
                    writing = chunk.starts_with(b"POST /v1/secret/data/");
                    let head = String::from_utf8_lossy(chunk).lines().next().unwrap_or_default().to_owned();
                    log.send_modify(|heads| heads.push(head));
                }
                let fault = *faults.borrow();
                match fault {
                    Fault::LoseRequest if writing => return,
                    Fault::Forge(answer) if writing => {
                        // The answer must not overtake a body that comes in a second piece.
                        let whole = chunk.ends_with(b"}");
                        if whole {
                            drop(client.write_all(answer.as_bytes()).await);
                            return;
                        }
                    }
                    _ => if server.write_all(chunk).await.is_err() { return },
                }
            }
            read = server.read(&mut from_server) => {
                let Ok(length @ 1..) = read else { return };
                let fault = *faults.borrow();
                match fault {
                    Fault::LoseAnswer if writing => return,
                    Fault::HoldAnswer if writing => {}
                    _ => if client.write_all(&from_server[..length]).await.is_err() { return },
                }
            }
        }
    }
}
