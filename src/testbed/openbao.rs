//! A throw-away OpenBao: a real server on a loopback port, gone when its handle is gone.

mod binary;
mod cluster;
mod root;
mod snapshot;

use std::fs::File;
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

pub use cluster::Cluster;
pub use root::{Answer, AppRole};

/// The token that may do everything on a throw-away server.
pub const ROOT_TOKEN: &str = "root";

/// Far more than a start takes; a machine on which everything starts at once must not fail a test.
const START_TIMEOUT: Duration = Duration::from_mins(1);
const POLL_INTERVAL: Duration = Duration::from_millis(20);
const PORT_TRIES: u32 = 5;

/// How to start a throw-away server.
#[derive(Debug, Clone)]
pub struct Options {
    /// The directory for the binary, where none is installed, and for each server's files; a target directory.
    pub directory: PathBuf,
    /// Serve TLS with a certificate of its own authority; [`OpenBao::ca_pem`] gives the authority.
    pub tls: bool,
    /// Keep the data on disk, so that [`OpenBao::restart`] finds it again; otherwise it is in memory.
    pub persistent: bool,
    /// Called with one line for a person before a step that may take long.
    pub progress: fn(&str),
}

impl Options {
    /// A plain server in memory, started in silence.
    pub fn in_directory(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into(), tls: false, persistent: false, progress: |_| {} }
    }
}

/// Why there is no throw-away server.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Error(String);

impl Error {
    fn io(what: &str, path: &Path, cause: &std::io::Error) -> Self {
        Self(format!("{what} {}: {cause}", path.display()))
    }
}

/// A running server; dropping it ends the server and removes its files.
#[derive(Debug)]
pub struct OpenBao {
    process: Process,
    binary: PathBuf,
    home: PathBuf,
    options: Options,
    port: u16,
    unseal_key: String,
    root_token: String,
    authority: Option<reqwest::Certificate>,
}

impl OpenBao {
    /// Starts a server on a free loopback port and waits until it is active.
    pub async fn start(options: Options) -> Result<Self, Error> {
        let finding = options.clone();
        // A fetch that runs when this future is dropped is broken off: its interest goes with the future.
        let (_interested, interest) = std::sync::mpsc::channel();
        let binary = tokio::task::spawn_blocking(move || binary::find(&finding, &interest))
            .await
            .map_err(|_| Error("looking for the OpenBao binary was interrupted".into()))??;
        for _ in 1..PORT_TRIES {
            match Self::start_once(&binary, &options).await {
                Err(error) if error.0.contains("address already in use") => {}
                outcome => return outcome,
            }
        }
        Self::start_once(&binary, &options).await
    }

    async fn start_once(binary: &Path, options: &Options) -> Result<Self, Error> {
        let port = free_port()?;
        let home = fresh_home(&options.directory, port)?;
        let process = launch(binary, &home, options, port)?;
        let mut server = Self {
            process,
            binary: binary.to_owned(),
            authority: None,
            home,
            options: options.clone(),
            port,
            unseal_key: String::new(),
            root_token: ROOT_TOKEN.to_owned(),
        };
        server.settle().await?;
        Ok(server)
    }

    /// Waits for the listener, then for an active node, and learns the unseal key.
    async fn settle(&mut self) -> Result<(), Error> {
        if self.options.tls {
            self.authority = Some(self.own_authority().await?);
        }
        self.wait_for_health(&[200, 429, 472, 473, 501, 503]).await?;
        if self.options.persistent {
            self.initialise().await?;
        } else {
            self.unseal_key = self.dev_unseal_key().await?;
        }
        self.wait_for_health(&[200]).await?;
        if self.options.persistent {
            self.mount("kv", "secret", Some(2)).await?;
        }
        self.wait_for_kv().await
    }

    /// The address for a client, such as `http://127.0.0.1:41235`.
    pub fn address(&self) -> String {
        let scheme = if self.options.tls { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{}", self.port)
    }

    /// The port on the loopback interface.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The token that may do everything.
    pub fn root_token(&self) -> &str {
        &self.root_token
    }

    /// The server's program, which is the command line client too.
    pub fn program(&self) -> &Path {
        &self.binary
    }

    /// The certificate authority of a server with TLS.
    pub fn ca_pem(&self) -> Result<String, Error> {
        let path = self.home.join("vault-ca.pem");
        std::fs::read_to_string(&path).map_err(|cause| Error::io("read", &path, &cause))
    }

    /// Seals the server.
    pub async fn seal(&self) -> Result<(), Error> {
        self.request("PUT", "sys/seal", None).await?.expect_success("seal").map(drop)
    }

    /// Unseals the server and waits until it is active again.
    pub async fn unseal(&self) -> Result<(), Error> {
        let key = serde_json::json!({ "key": self.unseal_key });
        self.request("PUT", "sys/unseal", Some(&key)).await?.expect_success("unseal")?;
        self.wait_for_health(&[200]).await?;
        self.wait_for_kv().await
    }

    /// Kills the process as a power cut would; [`OpenBao::restart`] brings it back on the same port.
    pub fn kill(&mut self) {
        self.process.end();
    }

    /// Starts a killed persistent server again on its old data and port, and unseals it.
    pub async fn restart(&mut self) -> Result<(), Error> {
        if !self.options.persistent {
            return Err(Error("only a persistent server can be restarted".into()));
        }
        self.process.end();
        self.process = launch(&self.binary, &self.home, &self.options, self.port)?;
        self.wait_for_health(&[503]).await?;
        self.unseal().await
    }

    async fn wait_for_health(&self, wanted: &[u16]) -> Result<(), Error> {
        self.wait_until(|| async move {
            let status = self.http().ok()?.get(format!("{}/v1/sys/health", self.address())).send().await;
            status.is_ok_and(|answer| wanted.contains(&answer.status().as_u16())).then_some(())
        })
        .await
    }

    /// A KV v2 mount answers 400 for a moment after it was made, while it is "upgraded".
    async fn wait_for_kv(&self) -> Result<(), Error> {
        self.wait_until(|| async move {
            let answer = self.request("GET", "secret/data/startup-probe", None).await;
            answer.is_ok_and(|answer| answer.status == 404).then_some(())
        })
        .await
    }

    async fn wait_until<T, F>(&self, attempt: impl Fn() -> F) -> Result<T, Error>
    where
        F: Future<Output = Option<T>>,
    {
        let patient = async {
            loop {
                if let Some(found) = attempt().await {
                    return Ok(found);
                }
                if self.log().trim_end().ends_with(ENDED) {
                    return Err(Error(format!("OpenBao ended at once; it said:\n{}", self.log_tail())));
                }
                tokio::time::sleep(POLL_INTERVAL).await;
            }
        };
        tokio::time::timeout(START_TIMEOUT, patient)
            .await
            .unwrap_or_else(|_| Err(Error(format!("OpenBao is not ready; it said:\n{}", self.log_tail()))))
    }

    async fn dev_unseal_key(&self) -> Result<String, Error> {
        self.wait_until(|| async {
            let log = self.log();
            let line = log.lines().find_map(|line| line.strip_prefix("Unseal Key: "))?;
            Some(line.trim().to_owned())
        })
        .await
    }

    async fn own_authority(&self) -> Result<reqwest::Certificate, Error> {
        let pem = self
            .wait_until(|| async { self.ca_pem().ok().filter(|pem| pem.contains("END CERTIFICATE")) })
            .await?;
        reqwest::Certificate::from_pem(pem.as_bytes()).map_err(|cause| no_client(&cause))
    }

    /// A client for one request: tests have a runtime each, and a pooled connection dies with the runtime that
    /// opened it, under the request of another test.
    fn http(&self) -> Result<reqwest::Client, Error> {
        let builder = reqwest::Client::builder().no_proxy().tls_certs_only(self.authority.clone());
        builder.build().map_err(|cause| no_client(&cause))
    }

    async fn initialise(&mut self) -> Result<(), Error> {
        let shares = serde_json::json!({ "secret_shares": 1, "secret_threshold": 1 });
        let answer = self.request("PUT", "sys/init", Some(&shares)).await?.expect_success("initialise")?;
        let text = |pointer| answer.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        self.unseal_key = text("/keys_base64/0");
        self.root_token = text("/root_token");
        let key = serde_json::json!({ "key": self.unseal_key });
        self.request("PUT", "sys/unseal", Some(&key)).await?.expect_success("unseal").map(drop)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.home.join("server.log")).unwrap_or_default()
    }

    fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().rev().take(8).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

impl Drop for OpenBao {
    fn drop(&mut self) {
        self.process.end();
        // Left-over files in a target directory harm nobody; a drop has no one to tell.
        drop(std::fs::remove_dir_all(&self.home));
    }
}

/// The shell that watches over the server.
#[derive(Debug)]
struct Process(Child);

impl Process {
    fn end(&mut self) {
        drop(self.0.stdin.take());
        // A second wait, or a shell that is gone already, is no concern of a test bed.
        drop(self.0.wait());
    }
}

fn no_client(cause: &reqwest::Error) -> Error {
    Error(format!("no HTTP client can be made: {cause}"))
}

fn free_port() -> Result<u16, Error> {
    let bound = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
    bound.map(|address| address.port()).map_err(|cause| Error(format!("no loopback port is free: {cause}")))
}

fn fresh_home(directory: &Path, port: u16) -> Result<PathBuf, Error> {
    let runs = directory.join("openbao").join("run");
    remove_what_the_dead_left(&runs);
    let home = runs.join(format!("{}-{port}", std::process::id()));
    drop(std::fs::remove_dir_all(&home));
    std::fs::create_dir_all(home.join("data")).map_err(|cause| Error::io("create", &home, &cause))?;
    Ok(home)
}

/// A server that outlived its handle, as one in a `static` does, left its files; its process's number names them.
fn remove_what_the_dead_left(runs: &Path) {
    for home in std::fs::read_dir(runs).into_iter().flatten().flatten() {
        let name = home.file_name();
        let owner = name.to_str().and_then(|name| name.split_once('-')).map(|(process, _)| process);
        if owner.is_some_and(|process| !Path::new("/proc").join(process).exists()) {
            drop(std::fs::remove_dir_all(home.path()));
        }
    }
}

/// Ends the server when the pipe to its standard input closes, hence also when this process is killed.
const WATCHED: &str = r#"exec 3<&0
"$@" 3<&- </dev/null & server=$!
{ read -r _ <&3; kill -9 "$server"; } 2>/dev/null & watcher=$!
wait "$server"; kill "$watcher" 2>/dev/null; echo "the server has ended""#;

const ENDED: &str = "the server has ended";

fn launch(binary: &Path, home: &Path, options: &Options, port: u16) -> Result<Process, Error> {
    let log_path = home.join("server.log");
    let log = File::create(&log_path).map_err(|cause| Error::io("create", &log_path, &cause))?;
    let log_too = log.try_clone().map_err(|cause| Error::io("open", &log_path, &cause))?;
    let mut command = Command::new("sh");
    command.args(["-c", WATCHED, "sh"]).arg(binary).arg("server");
    if options.persistent {
        let configuration = home.join("server.hcl");
        // A member of a cluster is known by its addresses: they stay when it is started again.
        if !configuration.exists() {
            write_configuration(&configuration, home, port)?;
        }
        command.arg(format!("-config={}", configuration.display()));
    } else {
        command.arg("-dev").arg("-dev-no-store-token");
        command.arg(format!("-dev-root-token-id={ROOT_TOKEN}"));
        command.arg(format!("-dev-listen-address=127.0.0.1:{port}"));
        if options.tls {
            command.arg("-dev-tls").arg(format!("-dev-tls-cert-dir={}", home.display()));
        }
    }
    let child = command
        .current_dir(home)
        .env("HOME", home)
        .stdin(Stdio::piped())
        .stdout(log)
        .stderr(log_too)
        // A Ctrl-C meant for us must not end the shell before the server: the shell's end is how we know of it.
        .process_group(0)
        .spawn()
        .map_err(|cause| Error(format!("OpenBao cannot be started: {cause}")))?;
    Ok(Process(child))
}

fn write_configuration(path: &Path, home: &Path, port: u16) -> Result<(), Error> {
    let cluster_port = free_port()?;
    let data = home.join("data");
    let text = format!(
        r#"storage "raft" {{
  path = "{}"
  node_id = "node-{port}"
  performance_multiplier = 1
}}
listener "tcp" {{
  address = "127.0.0.1:{port}"
  cluster_address = "127.0.0.1:{cluster_port}"
  tls_disable = true
}}
api_addr = "http://127.0.0.1:{port}"
cluster_addr = "https://127.0.0.1:{cluster_port}"
"#,
        data.display()
    );
    let write = |text: &str| File::create(path)?.write_all(text.as_bytes());
    write(&text).map_err(|cause| Error::io("write", path, &cause))
}
