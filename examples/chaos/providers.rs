//! The four first credentials, each at a simulator of its own, with a patience that fits a campaign.

use std::path::Path;

use anyhow::Context as _;
use keyturn::testbed::installation::CredentialSetup;
use keyturn::testbed::tcp_proxy::TcpProxy;
use keyturn::testbed::{Simulator, adyen, publicsquare, spritz};
use serde_json::{Value, json};

/// Stands in every secret of a round.
pub(crate) const CANARY: &str = "CANARY";

/// One of the first credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Provider {
    ClientKey,
    ApiKey,
    PublicSquare,
    Spritz,
}

impl Provider {
    /// They take turns.
    pub(crate) const fn of_round(number: u64) -> Self {
        match number % 4 {
            0 => Self::ClientKey,
            1 => Self::ApiKey,
            2 => Self::PublicSquare,
            _ => Self::Spritz,
        }
    }

    /// The credential's name.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::ClientKey => "client-key",
            Self::ApiKey => "api-key",
            Self::PublicSquare => "publicsquare",
            Self::Spritz => "spritz",
        }
    }

    /// How many keys the provider may be made to make for one rotation, by its declared capability.
    /// A replay of a call that acted and was told to have failed may make one more.
    pub(crate) const fn keys_per_rotation_max(self, unkept: usize) -> usize {
        match self {
            Self::ClientKey => 1,
            Self::PublicSquare => 1 + unkept,
            Self::ApiKey => 2,
            Self::Spritz => 3,
        }
    }

    /// How many calls may reach it for one rotation; a replay does nothing, so nothing bounds it here.
    pub(crate) const fn calls_per_rotation_max(self) -> Option<usize> {
        match self {
            Self::PublicSquare => None,
            other => Some(other.keys_per_rotation_max(0)),
        }
    }

    /// Whether a new key is staged before it is published.
    pub(crate) const fn stages(self) -> bool {
        matches!(self, Self::ClientKey | Self::ApiKey)
    }

    /// Whether its calls carry the rotation's id.
    pub(crate) const fn sends_rotation_id(self) -> bool {
        !matches!(self, Self::Spritz)
    }

    /// Starts its simulator, and a proxy in front of it.
    pub(crate) async fn start(self) -> anyhow::Result<(Simulator, TcpProxy)> {
        let started = match self {
            Self::ClientKey => adyen::start_with(adyen_setup(adyen::CLIENT_KEY)).await,
            Self::ApiKey => adyen::start_with(adyen_setup(adyen::API_KEY)).await,
            Self::PublicSquare => publicsquare::start_with(publicsquare_setup()).await,
            Self::Spritz => spritz::start().await,
        };
        let simulator = started.context("a simulator does not start")?;
        let proxy = TcpProxy::to(vec![server_of(simulator.base_url())?]).await?;
        Ok((simulator, proxy))
    }

    /// The credential as the installation has it, and further settings; `directory` takes its definition.
    pub(crate) fn credential(
        self,
        simulator: &Simulator,
        proxy: &TcpProxy,
        directory: &Path,
    ) -> anyhow::Result<(CredentialSetup, Value)> {
        let server = server_of(simulator.base_url())?.to_string();
        let base_url = simulator.base_url().replace(&server, &proxy.address().to_string());
        let mut setup = self.bare_credential(base_url, simulator.current_key());
        let definition = match self {
            Self::ClientKey => include_str!("../../src/provider/catalog/adyen-client-key.yaml"),
            Self::ApiKey => include_str!("../../src/provider/catalog/adyen-api-key.yaml"),
            Self::PublicSquare => include_str!("../../src/provider/catalog/publicsquare-api-key.yaml"),
            Self::Spritz => return Ok((setup, json!({}))),
        };
        // A user's own definition may be surer of its provider: a read shows a change after a second.
        let quick = definition
            .replacen(&format!("name: {}", setup.provider), "name: chaos/quick", 1)
            .replace("lag: 2m", "lag: 1s")
            .replace("lag: 30s", "lag: 1s")
            .replace("poll: 15s", "poll: 1s")
            .replace("rate_limit_block: 30s", "rate_limit_block: 1s");
        let file = directory.join("quick.yaml");
        std::fs::write(&file, quick)?;
        "chaos/quick".clone_into(&mut setup.provider);
        Ok((setup, json!({ "providers": [file] })))
    }

    fn bare_credential(self, base_url: String, first_key: String) -> CredentialSetup {
        let adyen = adyen_setup(adyen::CLIENT_KEY);
        let (provider, params, admin_key, store, more) = match self {
            Self::ClientKey => (
                "adyen/client-key",
                json!({ "company_id": adyen.company_id, "api_credential_id": adyen.api_credential_id }),
                Some(adyen.admin_key),
                "payments#client_key",
                json!({ "propagation": "1s" }),
            ),
            Self::ApiKey => (
                "adyen/api-key",
                json!({ "merchant_id": adyen.merchant_id, "api_credential_id": adyen.api_credential_id }),
                Some(adyen.admin_key),
                "payments#api_key",
                json!({}),
            ),
            Self::PublicSquare => (
                "publicsquare/api-key",
                json!({ "id": publicsquare_setup().key_id }),
                Some(publicsquare_setup().rotator_key),
                "payments#key",
                json!({}),
            ),
            Self::Spritz => (
                "spritz/integrator-secret",
                json!({ "integrator_key": spritz::Setup::default().integrator_key }),
                None,
                "payments#secret",
                json!({ "grace": "1h" }),
            ),
        };
        CredentialSetup {
            name: self.name().into(),
            provider: provider.into(),
            base_url,
            params,
            admin_key,
            store: store.into(),
            first_key,
            more,
        }
    }
}

fn adyen_setup(primary: &'static str) -> adyen::Setup {
    adyen::Setup { primary, admin_key: format!("admin-{CANARY}"), ..adyen::Setup::default() }
}

fn publicsquare_setup() -> publicsquare::Setup {
    publicsquare::Setup { rotator_key: format!("admin-{CANARY}"), ..publicsquare::Setup::default() }
}

fn server_of(base_url: &str) -> anyhow::Result<std::net::SocketAddr> {
    let rest = base_url.split("//").nth(1).context("an address without a scheme")?;
    rest.split('/').next().unwrap_or_default().parse().context("an address without a port")
}
