//! Where the running keyturn is.

use std::path::{Path, PathBuf};

use clap::Args;

use super::super::connect::{DEFAULT_SOCKET, Target, TlsFiles};
use super::super::failure::Failure;
use crate::mistake::Mistake;

/// Where the running keyturn is.
#[derive(Debug, Args)]
pub struct ServerArguments {
    /// keyturn's Unix socket [default: /run/keyturn/keyturn.sock]
    #[arg(long, value_name = "PATH", help_heading = "Connection", conflicts_with_all = ["address", "config"])]
    pub socket: Option<PathBuf>,
    /// keyturn's TCP address, such as https://10.0.0.7:7443 or http://127.0.0.1:7070
    #[arg(long, value_name = "URL", help_heading = "Connection", conflicts_with = "config")]
    pub address: Option<String>,
    /// Take the socket from this configuration file
    #[arg(long, value_name = "FILE", help_heading = "Connection")]
    pub config: Option<PathBuf>,
    /// The authorities that may sign the certificate of an https address, in PEM; the machine's, if left out
    #[arg(long, value_name = "FILE", help_heading = "Connection", requires = "address")]
    pub ca_file: Option<PathBuf>,
    /// The client certificate to show at an https address, in PEM
    #[arg(long, value_name = "FILE", help_heading = "Connection", requires_all = ["address", "key_file"])]
    pub cert_file: Option<PathBuf>,
    /// Its private key, in PEM
    #[arg(long, value_name = "FILE", help_heading = "Connection", requires_all = ["address", "cert_file"])]
    pub key_file: Option<PathBuf>,
}

impl ServerArguments {
    pub(in super::super) fn target(
        &self,
        target_of: impl Fn(&Path) -> Result<Target, Vec<Mistake>>,
    ) -> Result<Target, Failure> {
        if let Some(address) = &self.address {
            let identity = self.cert_file.clone().zip(self.key_file.clone());
            return Target::parse_address(address, TlsFiles { ca_file: self.ca_file.clone(), identity });
        }
        if let Some(file) = &self.config {
            return target_of(file).map_err(|mistakes| Failure::mistakes(file, &mistakes));
        }
        Ok(Target::Socket(self.socket.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_SOCKET))))
    }
}
