//! Commands for a person who wants to look at the running demo, ready to paste.

use std::io;

use super::screen::{Screen, Tone};
use super::stage::Stage;

/// Says them, with every address and path in place.
pub(crate) fn show(stage: &Stage, screen: &mut Screen) -> io::Result<()> {
    let keyturn = quoted(&stage.binary.display().to_string());
    let socket = quoted(&stage.installation.socket.display().to_string());
    let prefix = &stage.installation.prefix;
    let mut group = |title: &str, lines: &[String]| {
        screen.paint(Tone::Strong, &format!("\n{title}"))?;
        lines.iter().try_for_each(|line| screen.say(&format!("  {line}")))
    };
    group(
        "The command line",
        &[
            format!("{keyturn} status --socket {socket}"),
            format!("{keyturn} history spritz --socket {socket}"),
            format!("{keyturn} rotate publicsquare --wait --socket {socket}"),
            format!("{keyturn} rotate spritz --dry-run --socket {socket}"),
        ],
    )?;
    let grpcurl = "grpcurl -plaintext -unix -authority localhost";
    let service = "keyturn.v1.RotateService";
    group(
        "gRPC, by reflection",
        &[
            format!("{grpcurl} {socket} list"),
            format!("{grpcurl} {socket} {service}/ListRotations"),
            format!("{grpcurl} -d '{{\"credential\":\"publicsquare\"}}' {socket} {service}/Rotate"),
        ],
    )?;
    let server = quoted(&stage.server.program().display().to_string());
    let token_name = if stage.server.program().ends_with("vault") { "VAULT_TOKEN" } else { "BAO_TOKEN" };
    let kv = format!("{token_name}={} {server} kv", stage.server.root_token());
    let address = stage.server.address();
    group(
        "OpenBao: what applications read, beside keyturn's own records (with the root token)",
        &[
            format!("{kv} get -address={address} {prefix}/adyen"),
            format!("{kv} get -address={address} {prefix}/spritz"),
            format!("{kv} list -address={address} secret/"),
        ],
    )?;
    group(
        "keyturn's configuration and log",
        &[
            format!("cat {}", quoted(&stage.installation.config.display().to_string())),
            format!(
                "cat {}",
                quoted(&stage.installation.directory.join("keyturn.log").display().to_string())
            ),
        ],
    )?;
    screen.paint(Tone::Strong, "\nAll of it runs until Ctrl-C, which leaves no process and no file behind.")
}

/// As a shell takes it for one word.
fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@:".contains(c);
    if text.chars().all(is_plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}
