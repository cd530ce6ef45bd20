//! What is outside the cluster: Vault, the provider, and a reader with a terminal.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, ensure};
use keyturn::testbed::openbao::{OpenBao, Options};
use keyturn::testbed::{Simulator, adyen};
use serde_json::{Value, json};
use tempfile::TempDir;
use url::Url;

use super::documented::{Provider, Reader};
use super::front::{Fronts, Valve};
use super::kubernetes::apply;
use crate::command::output;
use crate::watch::Watch;

/// The entry that applications read, and its field.
const ENTRY: (&str, &str) = ("secret/payments/adyen", "client_key");
/// keyturn's own record of the credential.
const RECORD: &str = "secret/keyturn/adyen-client-key";
pub(crate) const CREDENTIAL: &str = "adyen-client-key";

pub(crate) struct Stage {
    pub(crate) server: OpenBao,
    pub(crate) provider: Simulator,
    pub(crate) reader: Reader,
    /// Between the pods and Vault.
    pub(crate) valve: Valve,
    authority_pem: String,
    _directory: TempDir,
}

impl Stage {
    pub(crate) async fn set(watch: &mut Watch) -> anyhow::Result<Self> {
        let node = ambient("NODE_ADDRESS")?;
        let fronts = Fronts::on(&node)?;
        let target = std::env::current_exe()?;
        let target = target.ancestors().nth(3).context("the target directory is not found")?;
        let server = OpenBao::start(Options::in_directory(target)).await?;
        // The reader's own step makes it.
        server.request("DELETE", "sys/mounts/secret", None).await?.expect_success("unmounting")?;
        let provider = adyen::start().await?;
        let valve = Valve::open();
        let vault_address = fronts.before(server.port(), &valve).await?;
        let (base_url, directory) = (provider_url(&fronts, &provider).await?, tempfile::tempdir()?);
        let authority = directory.path().join("authority.crt");
        fs::write(&authority, &fronts.authority_pem)?;
        let setup = adyen::Setup::default();
        let named =
            Provider { base_url, company_id: setup.company_id, api_credential_id: setup.api_credential_id };
        let programs = server.program().parent().context("OpenBao's directory")?.display().to_string();
        let environment = [
            ("PATH", format!("{}:{programs}", ambient("PATH")?)),
            ("BAO_ADDR", vault_address.clone()),
            ("BAO_TOKEN", server.root_token().to_owned()),
            ("BAO_CACERT", authority.display().to_string()),
            ("VAULT_ADDRESS", vault_address),
            ("KUBERNETES_ADDRESS", "https://127.0.0.1:6443".to_owned()),
            ("IMAGE", "localhost/keyturn".to_owned()),
            ("APPLICATION_IMAGE", "localhost/application:e2e".to_owned()),
            ("ADYEN_ADMIN_KEY", setup.admin_key),
            ("ADYEN_CLIENT_KEY", provider.current_key()),
        ];
        let environment = environment.map(|(name, value)| (name.to_owned(), value)).to_vec();
        let reader = Reader::with(directory.path(), &named, environment)?;
        keep_names(Path::new(&ambient("HOSTS")?).to_owned());
        watch.step("Vault and a simulated provider serve over TLS on the node's address")?;
        Ok(Self {
            server,
            provider,
            reader,
            valve,
            authority_pem: fronts.authority_pem,
            _directory: directory,
        })
    }

    /// What the examples need beyond what a reader makes: who vouches for the simulated provider.
    pub(crate) fn vouch_for_the_provider(&self) -> anyhow::Result<()> {
        apply(&json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "provider-authority" },
            "data": { "ca.crt": self.authority_pem } }))
    }

    /// The provider has its newest key in Vault, after so many calls in all.
    pub(crate) async fn assert_published(&self, calls: usize) -> anyhow::Result<()> {
        ensure!(self.is_published().await?, "Vault does not have the provider's key");
        let made = self.provider.calls().len();
        ensure!(made == calls, "{made} calls instead of {calls}");
        Ok(())
    }

    /// The phase in keyturn's own record.
    pub(crate) async fn phase(&self) -> anyhow::Result<String> {
        let (record, _) = self.server.get(RECORD).await?.context("there is no record")?;
        let phase = record.pointer("/state/phase/phase").and_then(Value::as_str);
        Ok(phase.context("the record has no phase")?.to_owned())
    }

    /// Whether the holder of the open rotation has let it go.
    pub(crate) async fn is_released(&self) -> anyhow::Result<bool> {
        let (record, _) = self.server.get(RECORD).await?.context("there is no record")?;
        Ok(record.pointer("/state/phase/rotation/released") == Some(&Value::Bool(true)))
    }

    pub(crate) async fn is_published(&self) -> anyhow::Result<bool> {
        let (entry, _) = self.server.get(ENTRY.0).await?.context("the application's entry is gone")?;
        Ok(entry.get(ENTRY.1) == Some(&Value::String(self.provider.current_key())))
    }
}

async fn provider_url(fronts: &Fronts, provider: &Simulator) -> anyhow::Result<String> {
    let inside = Url::parse(provider.base_url())?;
    let front = fronts.before(inside.port().context("the simulator's port")?, &Valve::open()).await?;
    Ok(format!("{front}{}", inside.path().trim_end_matches('/')))
}

/// Stands in for the cluster's DNS: the services' names, as they come and go.
fn keep_names(hosts: std::path::PathBuf) {
    tokio::spawn(async move {
        let mut known = String::new();
        loop {
            let form = "jsonpath={range .items[*]}{.spec.clusterIP} {.metadata.name}.{.metadata.namespace}.svc{\"\\n\"}{end}";
            let told = output("kubectl", &["get", "services", "--all-namespaces", "--output", form]);
            if let Ok(names) = told.map(|told| told.replace("None ", "# "))
                && names != known
                && fs::write(&hosts, &names).is_ok()
            {
                output("pkill", &["-HUP", "dnsmasq"]).ok();
                known = names;
            }
            tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        }
    });
}

#[expect(clippy::disallowed_methods, reason = "the cluster's script and the shell hand these over")]
fn ambient(name: &str) -> anyhow::Result<String> {
    std::env::var(name).with_context(|| format!("{name} is not set; run `just e2e-kubernetes`"))
}
