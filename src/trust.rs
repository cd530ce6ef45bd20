//! The root certificates that this machine trusts, from fixed places and never from the environment.
//!
//! The usual TLS libraries look them up through `SSL_CERT_FILE` and `SSL_CERT_DIR`: whoever sets a variable for
//! the process decides whom it trusts with keys. Here the places are a list, and each outside that speaks TLS
//! hands the result to its client as the only roots.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::{fs, io};

use reqwest::{Certificate, Client};

/// Where distributions keep their bundle of root certificates; the first that exists counts.
pub const BUNDLES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Why there are no root certificates.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// None of the places has a bundle.
    #[error(
        "this machine has no bundle of root certificates (looked for {places}); install one (often the package \
         ca-certificates), or configure a certificate authority of its own"
    )]
    NoBundle {
        /// The places that were looked at.
        places: String,
    },
    /// There is a bundle, and it cannot be read.
    #[error("the bundle of root certificates {} cannot be read: {reason}", .path.display())]
    Unreadable {
        /// The bundle.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// There is a bundle without one usable certificate.
    #[error("the bundle of root certificates {} holds no certificate that can be used; install it anew", .path.display())]
    Empty {
        /// The bundle.
        path: PathBuf,
    },
}

/// The root certificates of this machine; read once, so a changed bundle counts after the next start.
///
/// To have none is an error here, and for the caller only where it needs one: plain http to this machine and a
/// configured certificate authority do without.
pub fn system_roots() -> Result<Vec<Certificate>, Error> {
    static ROOTS: OnceLock<Result<Vec<Certificate>, Error>> = OnceLock::new();
    ROOTS.get_or_init(|| first_of(&BUNDLES.map(Path::new))).clone()
}

/// The same as the PEM text that they are read from, for a TLS handshake without HTTP; read at each call.
pub fn system_bundle() -> Result<Vec<u8>, Error> {
    read_first(&BUNDLES.map(Path::new)).map(|(_, pem)| pem)
}

fn first_of(places: &[&Path]) -> Result<Vec<Certificate>, Error> {
    read_first(places).and_then(|(path, pem)| parse(path, &pem))
}

fn read_first<'a>(places: &[&'a Path]) -> Result<(&'a Path, Vec<u8>), Error> {
    for path in places {
        match fs::read(path) {
            Ok(pem) => return Ok((path, pem)),
            Err(error) if is_absent(&error) => {}
            Err(error) => {
                return Err(Error::Unreadable { path: path.to_path_buf(), reason: error.to_string() });
            }
        }
    }
    let places: Vec<_> = places.iter().map(|path| path.display().to_string()).collect();
    Err(Error::NoBundle { places: places.join(", ") })
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

fn parse(path: &Path, pem: &[u8]) -> Result<Vec<Certificate>, Error> {
    let all = Certificate::from_pem_bundle(pem)
        .map_err(|_| Error::Unreadable { path: path.to_owned(), reason: "it is not PEM".to_owned() })?;
    let count = all.len();
    let usable = usable(all);
    if usable.len() < count {
        tracing::warn!(
            bundle = %path.display(),
            left_out = count - usable.len(),
            "some root certificates cannot be used"
        );
    }
    if usable.is_empty() { Err(Error::Empty { path: path.to_owned() }) } else { Ok(usable) }
}

/// Those that a TLS client takes. One odd certificate in a bundle would otherwise cost all the others.
fn usable(all: Vec<Certificate>) -> Vec<Certificate> {
    if is_taken(all.clone()) {
        return all;
    }
    all.into_iter().filter(|one| is_taken(vec![one.clone()])).collect()
}

fn is_taken(roots: Vec<Certificate>) -> bool {
    Client::builder().no_proxy().tls_certs_only(roots).build().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";

    fn good() -> String {
        rcgen::generate_simple_self_signed(["root.example".to_owned()]).unwrap().cert.pem()
    }

    #[test]
    fn the_first_bundle_that_exists_counts_and_an_odd_certificate_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| folder.path().join(name);
        fs::write(place("second"), format!("# a remark\n{NO_CERTIFICATE}{}", good())).unwrap();
        fs::write(place("third"), format!("{}{}", good(), good())).unwrap();
        let found = |names: &[&str]| {
            let places: Vec<_> = names.iter().map(|name| place(name)).collect();
            first_of(&places.iter().map(PathBuf::as_path).collect::<Vec<_>>()).map(|roots| roots.len())
        };
        assert_eq!(found(&["first", "second", "third"]), Ok(1));
        assert_eq!(found(&["third", "second"]), Ok(2));
    }

    #[test]
    fn a_missing_or_useless_bundle_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let (missing, empty) = (folder.path().join("missing"), folder.path().join("empty"));
        fs::write(&empty, NO_CERTIFICATE).unwrap();
        let said = |place: &Path| first_of(&[place]).unwrap_err().to_string();
        assert!(said(&missing).contains("missing") && said(&missing).contains("no bundle"));
        assert!(said(&empty).contains("empty") && said(&empty).contains("holds no certificate"));
        assert!(said(folder.path()).contains("cannot be read"));
    }
}
