//! Two containers of one pod: keyturn, and an application that sees its rotation through the shared socket.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;

use anyhow::{Context as _, ensure};
use keyturn::testbed::installation::{CredentialSetup, Installation};
use keyturn::testbed::openbao::{OpenBao, Options};
use keyturn::testbed::{Simulator, publicsquare};
use serde_json::json;

use crate::command::{output, succeeds};
use crate::watch::{Watch, until};

const KEYTURN_UID: u32 = 65532;
/// Neither root nor keyturn's own: an application may look, watch and ask for a plain rotation.
const APPLICATION: &str = "10001:65532";
const CREDENTIAL: &str = "publicsquare";
const IMAGE_BYTES_MAX: u64 = 20 << 20;

/// Runs a pod of this image, and ends it again.
pub(crate) async fn run(image: &str) -> anyhow::Result<()> {
    let mut watch = Watch::start();
    output("podman", &["--version"]).context("this needs podman; install your distribution's package")?;
    watch.step(format!("{image}: {} bytes, as it should be", checked_image(image)?))?;

    let target = std::env::current_exe()?;
    let target = target.ancestors().nth(3).context("the target directory is not found")?;
    let server = OpenBao::start(Options::in_directory(target)).await?;
    let provider = publicsquare::start().await?;
    let directory = tempfile::Builder::new().prefix("keyturn-pod-").tempdir()?;
    let installation = install(&server, &provider, directory.path()).await?;
    watch.step("OpenBao and a simulated provider serve on the loopback")?;

    let pod = Pod::create(image, directory.path(), &installation)?;
    let rotated = rotate_in(&pod, &server, &provider, &installation, &mut watch).await;
    let logs = pod.logs()?;
    rotated.with_context(|| format!("what the containers said:\n{logs}"))?;
    for secret in [provider.current_key(), server.root_token().to_owned()] {
        ensure!(!logs.contains(&secret), "a secret stands in a container's log");
    }
    watch.step("no secret stands in a container's log")
}

/// What an image of this kind must be: small, nobody's, and without anything to break in with.
fn checked_image(image: &str) -> anyhow::Result<u64> {
    let told = output("podman", &["image", "inspect", "--format", "{{.Size}} {{.Config.User}}", image])
        .context("make the image with `just image`")?;
    let (size, user) = told.trim().split_once(' ').context("podman tells no size and user")?;
    ensure!(user == "65532:65532", "the image runs as {user:?}");
    let bytes: u64 = size.parse()?;
    ensure!(bytes <= IMAGE_BYTES_MAX, "the image has {bytes} bytes, more than {IMAGE_BYTES_MAX}");
    for shell in ["/bin/sh", "sh", "/bin/busybox"] {
        let found = succeeds(
            "podman",
            &["run", "--rm", "--network", "none", "--entrypoint", shell, image, "-c", "true"],
        )?;
        ensure!(!found, "{shell} runs in the image");
    }
    Ok(bytes)
}

async fn install(server: &OpenBao, provider: &Simulator, directory: &Path) -> anyhow::Result<Installation> {
    let setup = publicsquare::Setup::default();
    let credential = CredentialSetup {
        name: CREDENTIAL.into(),
        provider: "publicsquare/api-key".into(),
        base_url: provider.base_url().to_owned(),
        params: json!({ "id": setup.key_id }),
        admin_key: Some(setup.rotator_key),
        store: "payments/publicsquare#key".into(),
        first_key: provider.current_key(),
        more: json!({}),
    };
    let shared = directory.join("shared");
    let settings = json!({ "listen": { "unix": shared.join("keyturn.sock") } });
    let installation = Installation::prepare(server, directory, "pod", &[credential], &settings).await?;
    fs::create_dir(&shared)?;
    for place in [directory, shared.as_path(), &directory.join("secret-id"), &installation.config] {
        chown(place, Some(KEYTURN_UID), Some(KEYTURN_UID))?;
    }
    fs::set_permissions(directory, fs::Permissions::from_mode(0o700))?;
    fs::set_permissions(&shared, fs::Permissions::from_mode(0o750))?;
    Ok(installation)
}

/// The application's place for the socket.
const SOCKET: &str = "/run/keyturn/keyturn.sock";

/// A pod with its two containers; removed when dropped.
struct Pod {
    name: String,
}

impl Pod {
    fn create(image: &str, directory: &Path, installation: &Installation) -> anyhow::Result<Self> {
        let pod = Self { name: format!("keyturn-e2e-{}", std::process::id()) };
        // OpenBao and the provider are on the machine's own loopback.
        output("podman", &["pod", "create", "--network", "host", "--name", &pod.name])?;
        let (all, shared) = (directory.display(), directory.join("shared"));
        let config = installation.config.display().to_string();
        let keyturn = ["run", "--config", &config];
        pod.add("keyturn", "65532:65532", &format!("{all}:{all}"), image, &keyturn)?;
        let application = ["watch", "--socket", SOCKET, "--output", "json"];
        pod.add(
            "application",
            APPLICATION,
            &format!("{}:/run/keyturn:ro", shared.display()),
            image,
            &application,
        )?;
        Ok(pod)
    }

    fn add(
        &self,
        name: &str,
        user: &str,
        volume: &str,
        image: &str,
        arguments: &[&str],
    ) -> anyhow::Result<()> {
        let name = self.container(name);
        let mut all =
            vec!["run", "--detach", "--pod", &self.name, "--name", &name, "--user", user, "--read-only"];
        all.extend(["--cap-drop=all", "--security-opt=no-new-privileges", "--volume", volume]);
        // The application's stream ends with keyturn, and it connects again.
        all.extend(["--restart=on-failure", image]);
        all.extend(arguments);
        output("podman", &all).map(drop)
    }

    fn container(&self, name: &str) -> String {
        format!("{}-{name}", self.name)
    }

    /// What keyturn's own command line, run by the application, comes to.
    fn ask(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let application = self.container("application");
        let mut all = vec!["exec", &application, "/keyturn"];
        all.extend(arguments);
        all.extend(["--socket", SOCKET]);
        output("podman", &all)
    }

    fn logs(&self) -> anyhow::Result<String> {
        let of = |name| output("podman", &["logs", &self.container(name)]);
        Ok(format!("{}{}", of("keyturn")?, of("application")?))
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        output("podman", &["pod", "rm", "--force", "--time", "1", &self.name]).ok();
    }
}

async fn rotate_in(
    pod: &Pod,
    server: &OpenBao,
    provider: &Simulator,
    installation: &Installation,
    watch: &mut Watch,
) -> anyhow::Result<()> {
    until("keyturn serves", || async { Ok(pod.ask(&["health"]).is_ok()) }).await?;
    watch.step("keyturn serves, and the application reaches it through the shared socket")?;

    pod.ask(&["rotate", CREDENTIAL, "--wait"])?;
    let rotation_id = published(server, provider, installation, 1).await?;
    until("the application sees the rotation", || async {
        Ok(output("podman", &["logs", &pod.container("application")])?.contains(&rotation_id))
    })
    .await?;
    watch.step("the application asked for a rotation and saw it: one call, and Vault has the new key")?;

    ensure!(
        pod.ask(&["pause", CREDENTIAL, "--reason", "no"]).is_err(),
        "the application may pause a credential"
    );
    ensure!(
        pod.ask(&["rotate", CREDENTIAL, "--emergency"]).is_err(),
        "the application may rotate as an emergency"
    );
    watch.step("what is for operators is refused to the application")?;

    let keyturn = pod.container("keyturn");
    output("podman", &["kill", "--signal", "KILL", &keyturn])?;
    output("podman", &["start", &keyturn])?;
    until("keyturn serves again", || async { Ok(pod.ask(&["health"]).is_ok()) }).await?;
    // The provider is left alone for a minute after a rotation, unless an operator insists.
    let config = installation.config.display().to_string();
    output(
        "podman",
        &["exec", &keyturn, "/keyturn", "rotate", CREDENTIAL, "--emergency", "--wait", "--config", &config],
    )?;
    published(server, provider, installation, 2).await?;
    watch.step("killed and started again, keyturn rotates again: one more call")
}

/// The rotation that wrote the provider's present key into Vault, after so many calls.
async fn published(
    server: &OpenBao,
    provider: &Simulator,
    installation: &Installation,
    calls: usize,
) -> anyhow::Result<String> {
    let path = format!("{}/payments/publicsquare", installation.prefix);
    let (entry, _) = server.get(&path).await?.context("the application's entry is gone")?;
    ensure!(
        entry.get("key").is_some_and(|key| *key == provider.current_key()),
        "Vault does not have the provider's key"
    );
    ensure!(provider.calls().len() == calls, "{} calls instead of {calls}", provider.calls().len());
    let stamp = entry.pointer("/_keyturn/key/rotation_id").and_then(|id| id.as_str());
    Ok(stamp.context("the entry has no stamp")?.to_owned())
}
