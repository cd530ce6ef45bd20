//! Generates the gRPC code from `proto/`, without `protoc`, and the list of the provider definitions in the catalogue.

use std::error::Error;
use std::fs;
use std::path::Path;

use prost::Message as _;

const FILES: [&str; 4] = [
    "keyturn/v1/rotation.proto",
    "keyturn/v1/credential.proto",
    "keyturn/v1/rotate_service.proto",
    "keyturn/v1/credential_service.proto",
];

const CATALOG: &str = "src/provider/catalog";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={CATALOG}");
    let out = std::env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?;
    let descriptors = protox::compile(FILES, ["proto"])?;
    fs::write(Path::new(&out).join("keyturn_descriptor.bin"), descriptors.encode_to_vec())?;
    fs::write(Path::new(&out).join("catalog.rs"), catalog()?)?;
    tonic_prost_build::configure()
        .btree_map(".")
        .build_client(true)
        .build_server(true)
        .compile_fds(descriptors)?;
    Ok(())
}

/// A slice with the text of each definition, in the order of their names.
fn catalog() -> Result<String, Box<dyn Error>> {
    let folder = fs::canonicalize(CATALOG)?;
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == "yaml") {
            paths.push(path.to_str().ok_or("the path to the catalogue is not UTF-8")?.to_owned());
        }
    }
    paths.sort();
    let items: Vec<String> = paths.iter().map(|path| format!("include_str!({path:?}),\n")).collect();
    Ok(format!("&[\n{}]", items.concat()))
}
