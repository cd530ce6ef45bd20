//! A whole world for one test: OpenBao, simulators, an installation, and the sidecar's binary.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use keyturn::testbed::installation::{CredentialSetup, Installation};
use keyturn::testbed::openbao::{OpenBao, Options};
use keyturn::testbed::sidecar::Sidecar;
use keyturn::testbed::{Simulator, adyen, publicsquare, spritz};
use serde_json::{Value, json};

pub const BINARY: &str = env!("CARGO_BIN_EXE_keyturn");

/// Stands in every secret of the world.
pub const CANARY: &str = "CANARY";

pub struct World {
    pub server: OpenBao,
    pub directory: tempfile::TempDir,
    name: String,
}

static WORLDS: AtomicU32 = AtomicU32::new(0);

impl World {
    pub async fn start() -> Self {
        let server = OpenBao::start(Options::in_directory(openbao_directory())).await.unwrap();
        let name = format!("w{}", WORLDS.fetch_add(1, Ordering::Relaxed));
        Self { server, directory: tempfile::tempdir().unwrap(), name }
    }

    pub async fn install(&self, credentials: &[CredentialSetup]) -> Installation {
        self.install_with(credentials, &json!({})).await
    }

    /// Short waits, so that what waits on purpose does not make a test long.
    pub async fn install_with(&self, credentials: &[CredentialSetup], settings: &Value) -> Installation {
        let mut all = json!({
            "timeouts": { "provider_call": "2s", "settle": "2s", "claim": "10s" },
            "log": { "level": "trace", "format": "json" },
        });
        for (name, value) in settings.as_object().into_iter().flatten() {
            all[name] = value.clone();
        }
        let directory = self.directory.path().join("one");
        Installation::prepare(&self.server, &directory, &self.name, credentials, &all).await.unwrap()
    }

    pub async fn sidecar(&self, installation: &Installation) -> Sidecar {
        Sidecar::start(Path::new(BINARY), installation, &[]).await.unwrap()
    }

    /// The name of the policy that an installation's role has.
    pub fn policy(&self) -> String {
        format!("keyturn-{}", self.name)
    }

    /// Where that policy is read.
    pub fn policy_path(&self) -> String {
        format!("sys/policies/acl/{}", self.policy())
    }

    /// What the application's entry holds: its data and its version.
    pub async fn entry(&self, installation: &Installation, path: &str) -> (Value, u64) {
        self.server.get(&format!("{}/{path}", installation.prefix)).await.unwrap().unwrap()
    }

    /// keyturn's own record of a credential, as a person with the root token sees it.
    pub async fn record(&self, credential: &str) -> Value {
        self.server.get(&format!("secret/keyturn-{}/{credential}", self.name)).await.unwrap().unwrap().0
    }

    /// Deletes keyturn's own record of a credential, as a person or a restored snapshot may.
    pub async fn forget_record(&self, credential: &str) {
        let path = format!("secret/metadata/keyturn-{}/{credential}", self.name);
        self.server.request("DELETE", &path, None).await.unwrap().expect_success("deleting").unwrap();
    }

    /// One field of the application's entry.
    pub async fn value(&self, installation: &Installation, store: &str) -> String {
        let (path, field) = store.split_once('#').unwrap();
        self.entry(installation, path).await.0[field].as_str().unwrap().to_owned()
    }
}

fn openbao_directory() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("..")
}

/// Simulators of all first providers, and the credential that each has.
pub struct Providers {
    pub client_key: Simulator,
    pub api_key: Simulator,
    pub publicsquare: Simulator,
    pub spritz: Simulator,
}

impl Providers {
    pub async fn start() -> Self {
        let api_key = adyen::Setup { primary: adyen::API_KEY, ..adyen::Setup::default() };
        Self {
            client_key: adyen::start().await.unwrap(),
            api_key: adyen::start_with(api_key).await.unwrap(),
            publicsquare: publicsquare::start().await.unwrap(),
            spritz: spritz::start().await.unwrap(),
        }
    }

    pub fn all(&self) -> Vec<(CredentialSetup, &Simulator)> {
        vec![
            (client_key(&self.client_key), &self.client_key),
            (api_key(&self.api_key), &self.api_key),
            (publicsquare(&self.publicsquare), &self.publicsquare),
            (spritz(&self.spritz), &self.spritz),
        ]
    }
}

pub fn client_key(simulator: &Simulator) -> CredentialSetup {
    let setup = adyen::Setup::default();
    CredentialSetup {
        name: "client-key".into(),
        provider: "adyen/client-key".into(),
        base_url: simulator.base_url().to_owned(),
        params: json!({ "company_id": setup.company_id, "api_credential_id": setup.api_credential_id }),
        admin_key: Some(setup.admin_key),
        store: "payments/adyen#client_key".into(),
        first_key: simulator.current_key(),
        more: json!({ "propagation": "1s" }),
    }
}

pub fn api_key(simulator: &Simulator) -> CredentialSetup {
    let setup = adyen::Setup::default();
    CredentialSetup {
        name: "api-key".into(),
        provider: "adyen/api-key".into(),
        base_url: simulator.base_url().to_owned(),
        params: json!({ "merchant_id": setup.merchant_id, "api_credential_id": setup.api_credential_id }),
        admin_key: Some(setup.admin_key),
        store: "payments/adyen#api_key".into(),
        first_key: simulator.current_key(),
        more: json!({}),
    }
}

pub fn publicsquare(simulator: &Simulator) -> CredentialSetup {
    let setup = publicsquare::Setup::default();
    CredentialSetup {
        name: "publicsquare".into(),
        provider: "publicsquare/api-key".into(),
        base_url: simulator.base_url().to_owned(),
        params: json!({ "id": setup.key_id }),
        admin_key: Some(setup.rotator_key),
        store: "payments/publicsquare#key".into(),
        first_key: simulator.current_key(),
        more: json!({}),
    }
}

pub fn spritz(simulator: &Simulator) -> CredentialSetup {
    let setup = spritz::Setup::default();
    CredentialSetup {
        name: "spritz".into(),
        provider: "spritz/integrator-secret".into(),
        base_url: simulator.base_url().to_owned(),
        params: json!({ "integrator_key": setup.integrator_key }),
        admin_key: None,
        store: "payments/spritz#secret".into(),
        first_key: simulator.current_key(),
        more: json!({ "grace": "1h" }),
    }
}

/// Repeats until the condition holds; for what has no stream to watch.
pub async fn eventually<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let deadline = tokio::time::Instant::now() + Duration::from_mins(1);
    let mut pause = tokio::time::interval(Duration::from_millis(20));
    while !condition().await {
        assert!(tokio::time::Instant::now() < deadline, "{what} did not come about");
        pause.tick().await;
    }
}
