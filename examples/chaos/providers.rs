//! The credentials of a campaign, each at a simulator of its own, with a patience that fits a campaign.
//!
//! What may be expected of one is told by its plan, so that a further style of rotation needs a line in `catalog` alone,
//! and a check in `checks` for what it alone promises.

mod catalog;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use keyturn::mistake::Mistake;
use keyturn::provider::{Binding, BoundDefinition, Definition, bind};
use keyturn::rotation::{Plan, quiet_for};
use keyturn::testbed::derived::{self, Derived};
use keyturn::testbed::installation::CredentialSetup;
use keyturn::testbed::tcp_proxy::TcpProxy;
use keyturn::testbed::{Simulator, adyen, publicsquare, spritz};
use serde_json::{Value, json};

use self::catalog::{Own, Simulated};

/// Stands in every secret of a round that is not drawn at random.
pub(crate) const CANARY: &str = "CANARY";

/// One of the campaign's credentials.
#[derive(Debug)]
pub(crate) struct Provider {
    own: Own,
    /// The definition in a user's own copy; nothing where it is quick enough as it is.
    quick: Option<String>,
    bound: BoundDefinition,
}

/// A provider that runs.
pub(crate) struct Running {
    pub(crate) simulator: Simulator,
    /// What is known of one that is derived from its definition.
    pub(crate) derived: Option<Derived>,
    pub(crate) proxy: TcpProxy,
}

impl Provider {
    /// All of them, in the order in which they take turns; or the one of that name.
    pub(crate) fn all(only: Option<&str>) -> anyhow::Result<Vec<Arc<Self>>> {
        let wanted = |own: &Own| only.is_none_or(|name| own.name == name);
        let all = catalog::all().into_iter().filter(wanted);
        all.map(|own| Self::of(own).map(Arc::new)).collect()
    }

    fn of(own: Own) -> anyhow::Result<Self> {
        let quick = quick(&own);
        let wrong = |mistakes: Vec<Mistake>| anyhow!("{}: {mistakes:?}", own.name);
        let definition = Definition::parse(quick.as_deref().unwrap_or(own.definition)).map_err(wrong)?;
        let bound = bind(&definition, binding(&own)).map_err(wrong)?;
        Ok(Self { own, quick, bound })
    }

    /// The credential's name.
    pub(crate) const fn name(&self) -> &'static str {
        self.own.name
    }

    /// What keyturn knows of it.
    pub(crate) fn plan(&self) -> &Plan {
        self.bound.plan()
    }

    /// The names of what goes with its key.
    pub(crate) fn fields(&self) -> impl Iterator<Item = &str> {
        self.bound.fields()
    }

    /// How many keys the provider may be made to make for one rotation, by its declared capability.
    /// A replay of a call that acted and was told to have failed may make one more.
    pub(crate) fn keys_per_rotation_max(&self, unkept: usize) -> usize {
        let plan = self.plan();
        match plan.redo {
            // However often it is made, the call brings the same key.
            _ if plan.supplies => 1,
            Some(calls) => usize::try_from(calls).unwrap_or(usize::MAX),
            None if plan.replay.is_some() => 1 + unkept,
            None => 1,
        }
    }

    /// How many calls may reach it for one rotation; a repeated one does nothing, so nothing bounds it here.
    pub(crate) fn calls_per_rotation_max(&self) -> Option<usize> {
        let plan = self.plan();
        (plan.replay.is_none() && !plan.supplies).then(|| self.keys_per_rotation_max(0))
    }

    /// Whether a rotation of it passes a named point of the crash table.
    pub(crate) fn passes(&self, point: &str) -> bool {
        let plan = self.plan();
        let shows = plan.read.is_some() || plan.marker.is_some();
        let has_means = plan.replay.is_some() || shows || plan.redo.is_some() || plan.creates.is_some();
        match point {
            "after-stage" => plan.propagation.is_some(),
            // A key that keyturn chose is sent again at once.
            "after-unknown" => has_means && !plan.supplies,
            _ => true,
        }
    }

    /// How long it is busy with a rotation and what follows it, if nothing goes wrong.
    pub(crate) fn is_busy_for(&self) -> Duration {
        let plan = self.plan();
        let waits = plan.propagation.filter(|_| !plan.probe).map(|propagation| propagation.delay);
        let clears = plan.creates.as_ref().map(|creates| creates.revoke_after.max(quiet_for(plan)));
        // Every named key is read first.
        let calls = Duration::from_millis(90 + 60 * u64::try_from(plan.slots.len()).unwrap_or_default());
        waits.max(clears).map_or(calls, |time| time + Duration::from_millis(200))
    }

    /// Starts its simulator, and a proxy in front of it.
    pub(crate) async fn start(&self) -> anyhow::Result<Running> {
        let (simulator, derived) = match self.own.simulated {
            Simulated::Adyen(primary) => (adyen::start_with(adyen_setup(primary)).await, None),
            Simulated::PublicSquare => (publicsquare::start_with(publicsquare_setup()).await, None),
            Simulated::Spritz => (spritz::start().await, None),
            Simulated::Derived => {
                let admin = self.own.admin.clone().unwrap_or_default();
                let extra: Vec<_> = self.own.further.clone().into_iter().collect();
                match derived::start(self.bound.clone(), &admin, &extra).await {
                    Ok((simulator, derived)) => (Ok(simulator), Some(derived)),
                    Err(error) => (Err(error), None),
                }
            }
        };
        let simulator = simulator.context("a simulator does not start")?;
        let proxy = TcpProxy::to(vec![server_of(simulator.base_url())?]).await?;
        Ok(Running { simulator, derived, proxy })
    }

    /// The credential as the installation has it, and further settings. `entry` is the path of the application's entry,
    /// `directory` takes the definition.
    pub(crate) fn credential(
        &self,
        running: &Running,
        entry: &str,
        directory: &Path,
    ) -> anyhow::Result<(CredentialSetup, Value)> {
        let Running { simulator, proxy, .. } = running;
        let server = server_of(simulator.base_url())?.to_string();
        let mut provider = self.bound.name().to_owned();
        let mut settings = json!({});
        if let Some(quick) = &self.quick {
            let file = directory.join("quick.yaml");
            std::fs::write(&file, quick)?;
            QUICK.clone_into(&mut provider);
            settings = json!({ "providers": [file] });
        }
        let secrets = self.own.further.keys().map(|name| (name.clone(), format!("{entry}#{name}")));
        let secrets: BTreeMap<_, _> = secrets.collect();
        let mut more = self.own.settings();
        if let (Some(more), false) = (more.as_object_mut(), secrets.is_empty()) {
            more.insert("secrets".into(), json!(secrets));
        }
        let setup = CredentialSetup {
            name: self.name().into(),
            provider,
            base_url: simulator.base_url().replace(&server, &proxy.address().to_string()),
            params: json!(self.own.params),
            admin_key: self.own.admin.clone(),
            store: format!("payments#{}", self.own.field),
            first_key: simulator.current_key(),
            more,
        };
        Ok((setup, settings))
    }

    /// What the application's entry holds at first beside the key: what goes with it, and further secrets that sign.
    pub(crate) fn beside_the_first_key(&self, running: &Running) -> BTreeMap<String, String> {
        let mut found = self.own.further.clone();
        let keys = running.derived.iter().flat_map(Derived::keys);
        found.extend(keys.take(1).flat_map(|first| first.fields));
        found
    }
}

/// What most rounds give a call, and the same again until it has lost its power.
pub(crate) const CALL_TIMEOUT: Duration = Duration::from_secs(1);

const QUICK: &str = "chaos/quick";

/// A user's own definition may be surer of its provider: a read shows a change after a second.
fn quick(own: &Own) -> Option<String> {
    let mut text = own.definition.to_owned();
    let usual = [
        ("lag: 2m", "lag: 1s"),
        ("lag: 30s", "lag: 1s"),
        ("poll: 15s", "poll: 1s"),
        ("rate_limit_block: 30s", "rate_limit_block: 1s"),
    ];
    for (from, to) in usual.iter().chain(own.changes) {
        text = text.replace(from, to);
    }
    let name = text.lines().next().unwrap_or_default().to_owned();
    (text != own.definition).then(|| text.replacen(&name, &format!("name: {QUICK}"), 1))
}

/// What the configuration says of it, as the simulator and the checks have to know it.
fn binding(own: &Own) -> Binding {
    Binding {
        params: own.params.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
        base_url: Some(format!("http://127.0.0.1:9{}", own.path)),
        self_authenticating: own.admin.is_none(),
        grace: own.grace,
        propagation: own.propagation,
        revoke_after: own.revoke_after,
        first_key: own.first_key.and_then(|id| id.parse().ok()),
        extra_secrets: own.further.keys().cloned().collect(),
        call_timeout: CALL_TIMEOUT,
        settle: CALL_TIMEOUT,
        ..Binding::usual()
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
