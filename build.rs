//! Generates the gRPC code from `proto/`, without `protoc`.

use std::error::Error;
use std::path::Path;

use prost::Message as _;

const FILES: [&str; 4] = [
    "keyturn/v1/rotation.proto",
    "keyturn/v1/credential.proto",
    "keyturn/v1/rotate_service.proto",
    "keyturn/v1/credential_service.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    println!("cargo::rerun-if-changed=build.rs");
    let descriptors = protox::compile(FILES, ["proto"])?;
    let out = std::env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?;
    std::fs::write(Path::new(&out).join("keyturn_descriptor.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure().build_client(true).build_server(true).compile_fds(descriptors)?;
    Ok(())
}
