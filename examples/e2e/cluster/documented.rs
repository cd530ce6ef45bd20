//! "From zero to rotating in your cluster", run as it is written.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail, ensure};

/// A copy of what a reader has, in which the examples name this run's provider in place of the real one.
pub(crate) struct Reader {
    directory: PathBuf,
    environment: Vec<(String, String)>,
    steps: Vec<String>,
}

/// What the examples say of the provider, and what they say here.
pub(crate) struct Provider {
    pub(crate) base_url: String,
    pub(crate) company_id: String,
    pub(crate) api_credential_id: String,
}

impl Reader {
    pub(crate) fn with(
        directory: &Path,
        provider: &Provider,
        environment: Vec<(String, String)>,
    ) -> anyhow::Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        for place in ["charts", "docs"] {
            let copied = Command::new("cp").arg("-r").arg(root.join(place)).arg(directory).status()?;
            ensure!(copied.success(), "{place} cannot be copied");
        }
        let examples = [
            ("keyturn/examples/shared.yaml", "shared-copies", 0),
            ("example-application/values.yaml", "application-copies", 2),
        ];
        for (file, copies, indent) in examples {
            let path = directory.join("charts").join(file);
            fs::write(&path, with_provider(&fs::read_to_string(&path)?, provider, copies, indent)?)?;
        }
        let page = fs::read_to_string(root.join("docs/kubernetes.md"))?;
        Ok(Self { directory: directory.to_owned(), environment, steps: blocks(&page) })
    }

    /// Runs the page's steps from this one to that one, counted from 1, in one shell.
    pub(crate) fn follow(&self, from: usize, to: usize) -> anyhow::Result<()> {
        let steps = self.steps.get(from - 1..to).context("the page has fewer steps")?;
        self.run(&steps.join("\n"))
            .with_context(|| format!("a reader of docs/kubernetes.md gets stuck in steps {from} to {to}"))
    }

    /// Runs commands as a reader would, in one shell.
    pub(crate) fn run(&self, commands: &str) -> anyhow::Result<()> {
        let done = Command::new("bash")
            .arg("-c")
            .arg(format!("set -euo pipefail\n{commands}"))
            .current_dir(&self.directory)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .output()?;
        if !done.status.success() {
            let (said, complained) =
                (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
            bail!("{said}{complained}");
        }
        Ok(())
    }
}

/// The page's commands, a text for each block.
fn blocks(page: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut rest = page;
    while let Some((_, after)) = rest.split_once("\n```sh\n") {
        let Some((block, after)) = after.split_once("\n```") else { break };
        blocks.push(block.to_owned());
        rest = after;
    }
    blocks
}

/// The example with this run's provider, whose authority is in a ConfigMap, and with a key that is usable at once.
fn with_provider(example: &str, provider: &Provider, copies: &str, indent: usize) -> anyhow::Result<String> {
    let written = "params: { company_id: Acme, api_credential_id: S2-6262224667 }";
    let (before, after) = example.split_once(written).context("the example has another credential")?;
    let margin = " ".repeat(indent);
    let Provider { base_url, company_id, api_credential_id } = provider;
    let field = format!("\n{margin}      ");
    let changed = format!(
        "{before}params: {{ company_id: {company_id}, api_credential_id: {api_credential_id} }}{field}base_url: {base_url}\
         {field}ca_file: /etc/provider/ca.crt{field}propagation: 3s{after}"
    );
    let escrow = format!("escrow: {{ kubernetesSecret: {{ name: {copies}, serviceAccount: application }} }}");
    let more = [
        "sidecar: { native: false }",
        &escrow,
        "extraVolumes: [{ name: provider, configMap: { name: provider-authority } }]",
        "extraVolumeMounts: [{ name: provider, mountPath: /etc/provider, readOnly: true }]",
    ];
    let times = format!("\n{margin}  timeouts: {{ provider_call: 5s, settle: 5s, claim: 20s }}\n");
    let lines: Vec<_> = more.iter().map(|line| format!("{margin}{line}")).collect();
    Ok(format!("{}{times}{}\n", changed.trim_end(), lines.join("\n")))
}
