//! The providers of the demo, and the credentials that they mint.

use std::io;
use std::time::Duration;

use jiff::Timestamp;
use keyturn::testbed::installation::CredentialSetup;
use keyturn::testbed::{Simulator, adyen, publicsquare, spritz};
use serde_json::{Value, json};

/// How long keyturn is told to hold a new Adyen key back, and how long Adyen really refuses it: a little less, as
/// both begin with the same answer.
const PROPAGATION_TOLD: &str = "2s";
const PROPAGATION: Duration = Duration::from_millis(1_900);

/// The simulators, each with all of its provider's keys.
#[derive(Debug)]
pub(crate) struct Providers {
    adyen: Simulator,
    publicsquare: Simulator,
    spritz: Simulator,
}

/// One credential, with what the provider knows about it.
#[derive(Debug)]
pub(crate) struct Managed<'a> {
    pub(crate) provider: &'static str,
    pub(crate) setup: CredentialSetup,
    /// Whether the rotated secret signs its own rotation.
    pub(crate) signs_itself: bool,
    /// How long the provider refuses a new key at first.
    pub(crate) propagation: Option<Duration>,
    simulator: &'a Simulator,
    slot: Option<&'static str>,
    /// How the path of its regenerate call ends.
    call: &'static str,
}

impl Providers {
    /// Starts all of them on free loopback ports.
    pub(crate) async fn start() -> io::Result<Self> {
        let canary = String::new();
        let adyen = adyen::Setup { propagation: PROPAGATION, canary: canary.clone(), ..Default::default() };
        let publicsquare = publicsquare::Setup { canary: canary.clone(), ..Default::default() };
        let spritz = spritz::Setup { old_secret_signs: false, canary, ..Default::default() };
        Ok(Self {
            adyen: adyen::start_with(adyen).await?,
            publicsquare: publicsquare::start_with(publicsquare).await?,
            spritz: spritz::start_with(spritz).await?,
        })
    }

    /// The credentials in the order in which they are shown.
    pub(crate) fn credentials(&self) -> Vec<Managed<'_>> {
        vec![self.client_key(), self.api_key(), self.publicsquare(), self.spritz()]
    }

    fn client_key(&self) -> Managed<'_> {
        let setup = adyen::Setup::default();
        let setup = CredentialSetup {
            name: "adyen-client".into(),
            provider: "adyen/client-key".into(),
            base_url: self.adyen.base_url().to_owned(),
            params: json!({ "company_id": setup.company_id, "api_credential_id": setup.api_credential_id }),
            admin_key: Some(setup.admin_key),
            store: "adyen#client_key".into(),
            first_key: self.adyen.current_key_of(adyen::CLIENT_KEY),
            more: more(&json!({ "propagation": PROPAGATION_TOLD })),
        };
        self.of_adyen(setup, adyen::CLIENT_KEY, "/generateClientKey")
    }

    fn api_key(&self) -> Managed<'_> {
        let setup = adyen::Setup::default();
        let setup = CredentialSetup {
            name: "adyen-api".into(),
            provider: "adyen/api-key".into(),
            base_url: self.adyen.base_url().to_owned(),
            params: json!({ "merchant_id": setup.merchant_id, "api_credential_id": setup.api_credential_id }),
            admin_key: Some(setup.admin_key),
            store: "adyen#api_key".into(),
            first_key: self.adyen.current_key_of(adyen::API_KEY),
            more: more(&json!({ "propagation": PROPAGATION_TOLD })),
        };
        self.of_adyen(setup, adyen::API_KEY, "/generateApiKey")
    }

    fn of_adyen(&self, setup: CredentialSetup, slot: &'static str, call: &'static str) -> Managed<'_> {
        let (provider, simulator, propagation) = ("Adyen", &self.adyen, Some(PROPAGATION));
        Managed { provider, setup, signs_itself: false, propagation, simulator, slot: Some(slot), call }
    }

    fn publicsquare(&self) -> Managed<'_> {
        let setup = publicsquare::Setup::default();
        let setup = CredentialSetup {
            name: "publicsquare".into(),
            provider: "publicsquare/api-key".into(),
            base_url: self.publicsquare.base_url().to_owned(),
            params: json!({ "id": setup.key_id }),
            admin_key: Some(setup.rotator_key),
            store: "publicsquare#key".into(),
            first_key: self.publicsquare.current_key(),
            more: more(&json!({})),
        };
        let (provider, simulator, call) = ("PublicSquare", &self.publicsquare, "/regenerate");
        Managed { provider, setup, signs_itself: false, propagation: None, simulator, slot: None, call }
    }

    fn spritz(&self) -> Managed<'_> {
        let setup = spritz::Setup::default();
        let setup = CredentialSetup {
            name: "spritz".into(),
            provider: "spritz/integrator-secret".into(),
            base_url: self.spritz.base_url().to_owned(),
            params: json!({ "integrator_key": setup.integrator_key }),
            admin_key: None,
            store: "spritz#secret".into(),
            first_key: self.spritz.current_key(),
            more: more(&json!({ "grace": "1h" })),
        };
        let (provider, simulator, call) = ("Spritz", &self.spritz, "/regenerate-secret");
        Managed { provider, setup, signs_itself: true, propagation: None, simulator, slot: None, call }
    }
}

/// The members of a credential's configuration that differ, and a person's pace: no minute between rotations.
fn more(members: &Value) -> Value {
    let mut more = json!({ "schedule": { "min_interval": "0s" } });
    if let (Some(more), Some(members)) = (more.as_object_mut(), members.as_object()) {
        more.extend(members.clone());
    }
    more
}

impl Managed<'_> {
    /// The provider's newest key, usable yet or not.
    pub(crate) fn current_key(&self) -> String {
        match self.slot {
            Some(slot) => self.simulator.current_key_of(slot),
            None => self.simulator.current_key(),
        }
    }

    /// Whether the provider accepts the key now.
    pub(crate) fn accepts(&self, key: &str) -> bool {
        self.simulator.accepts(key)
    }

    /// When each regenerate call for this credential reached the provider, oldest first.
    pub(crate) fn calls(&self) -> Vec<Timestamp> {
        let calls = self.simulator.calls().into_iter();
        calls.filter(|call| call.target.ends_with(self.call)).map(|call| call.at).collect()
    }
}
