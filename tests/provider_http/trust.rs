//! Whom the way to a provider trusts: never whom the environment names.

use std::process::Command;

#[test]
fn the_environment_does_not_choose_the_root_certificates() {
    let set_up_alone = "hostile::only_a_real_certificate_authority_is_taken";
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", set_up_alone])
        .env("SSL_CERT_FILE", "/nowhere/roots.pem")
        .env("SSL_CERT_DIR", "/nowhere")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}
