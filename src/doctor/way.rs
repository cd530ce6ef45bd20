//! The ways to the providers: whether one can be reached, and whether somebody stands in it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use super::Finding;
use crate::config::Credential;
use crate::provider::{KnownBy, reach};

/// One way to a provider, which several credentials may share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    /// The address below which calls are made.
    pub base_url: Url,
    /// The file with the authorities that may sign the provider's certificate.
    pub ca_file: Option<PathBuf>,
}

impl Way {
    /// The host and port that calls go to.
    pub fn site(&self) -> String {
        let host = self.base_url.host_str().unwrap_or("?");
        format!("{host}:{}", self.base_url.port_or_known_default().unwrap_or_default())
    }
}

/// The ways of all credentials, each once, with a credential that goes it.
pub fn ways(credentials: &[Credential]) -> Vec<(Way, &Credential)> {
    let mut ways = BTreeMap::new();
    for credential in credentials {
        for address in credential.definition.addresses() {
            let way = Way { base_url: address.clone(), ca_file: credential.ca_file.clone() };
            ways.entry((way.site(), way.ca_file.clone())).or_insert((way, credential));
        }
    }
    ways.into_values().collect()
}

/// Connects to a provider as a call would, says nothing, and closes.
pub async fn look_at_provider(way: &Way, authority_pem: Option<&str>, limit: Duration) -> Finding {
    judge(way, reach(&way.base_url, authority_pem, limit).await)
}

fn judge(way: &Way, reached: Result<KnownBy, String>) -> Finding {
    let about = format!("provider {}", way.site());
    match reached {
        Ok(KnownBy::System) => Finding::ok(about, "reached, and known by the machine's root certificates; nothing was asked"),
        Ok(KnownBy::OwnAuthority) => Finding::warning(
            about,
            "reached, but only the configured ca_file vouches for it: a private endpoint, or a proxy that opens the \
             connection on its way; such a proxy can send the one regenerate call again, and sees the key",
        )
        .help("if it is a proxy, let this host pass it unopened, or see that it never retries a POST")
        .code("RETRYING_PROXY"),
        Ok(KnownBy::Nothing) => Finding::warning(
            about,
            "reached over plain http on this machine: what listens there is no provider but stands before one, and can \
             send the one regenerate call again: a second key is made, and the first may die",
        )
        .help("let base_url name the provider itself over https; else see that the proxy never retries a POST")
        .code("RETRYING_PROXY"),
        Err(reason) => {
            Finding::problem(about, format!("cannot be reached: {reason}; no rotation can begin, and the old key stands"))
                .help("see that the name resolves here, that a network policy lets keyturn out, and what a firewall or proxy does")
                .code("PROVIDER_UNREACHABLE")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    #[test]
    fn who_stands_in_the_way_is_said() {
        let way = Way { base_url: "https://api.example.com/v1".parse().unwrap(), ca_file: None };
        let seen = |reached| judge(&way, reached);
        assert_eq!(seen(Ok(KnownBy::System)).level, Level::Ok);
        for known_by in [KnownBy::OwnAuthority, KnownBy::Nothing] {
            let finding = seen(Ok(known_by));
            assert_eq!((finding.level, finding.code), (Level::Warning, Some("RETRYING_PROXY")));
            assert!(finding.what.contains("can send the one regenerate call again"));
        }
        let away = seen(Err("Connection refused".into()));
        assert_eq!((away.level, away.about.as_str()), (Level::Problem, "provider api.example.com:443"));
    }
}
