//! From the configuration's words for addresses to those of the server and of its clients.

use keyturn::api::{ListenOptions, TlsOptions, UnixOptions};
use keyturn::cli::Target;
use keyturn::config::{self, Config};

/// Where clients on this machine find keyturn; `None` where only TLS is spoken, for a name is needed then.
pub(crate) fn target(listen: &config::Listen) -> Option<Target> {
    match (&listen.unix, listen.tcp, &listen.tls) {
        (Some(unix), ..) => Some(Target::Socket(unix.path.clone())),
        (None, Some(address), None) => Some(Target::Address(format!("http://{address}"))),
        (None, ..) => None,
    }
}

/// Where keyturn answers.
pub(super) fn listen_options(config: &Config) -> ListenOptions {
    let unix =
        config.listen.unix.as_ref().map(|unix| UnixOptions { path: unix.path.clone(), mode: unix.mode });
    ListenOptions {
        unix,
        tcp: config.listen.tcp,
        tls: config.listen.tls.clone().map(tls_options),
        operators: config.listen.operators.clone(),
        tcp_operators: config.listen.tcp_operators,
        ..ListenOptions::default()
    }
}

/// TLS as the server takes it.
pub(super) fn tls_options(tls: config::Tls) -> TlsOptions {
    TlsOptions {
        client_ca_file: tls.client_ca_file,
        operators: tls.operators,
        ..TlsOptions::new(tls.cert_file, tls.key_file)
    }
}
