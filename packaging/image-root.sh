#!/usr/bin/env bash
# Makes the image's whole root file system in the directory that is named: the static binary with its list of
# dependencies inside, the same list as a file, and the CA certificates. `Containerfile` and `just image` both call it.
set -euo pipefail
root="${1:?which directory?}"
cd "$(dirname "$0")/.."

needs() {
  echo "$1 is not on this machine: $2" >&2
  exit 1
}
cargo auditable --version >/dev/null 2>&1 || needs cargo-auditable "cargo install --locked cargo-auditable"
cargo cyclonedx --version >/dev/null 2>&1 || needs cargo-cyclonedx "cargo install --locked cargo-cyclonedx"
certificates=/etc/ssl/certs/ca-certificates.crt
[ -s "$certificates" ] || needs "$certificates" "install your distribution's package ca-certificates"

# Static, with glibc: docs/image.md says why, with figures. The directory of its own spares other builds a rebuild.
target="$(rustc -vV | sed -n 's/^host: //p')"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/image"
RUSTFLAGS="-C target-feature=+crt-static" cargo auditable build --locked --release --bin keyturn --target "$target"
binary="$CARGO_TARGET_DIR/$target/release/keyturn"

rm -rf "$root"
mkdir -p "$root/etc/ssl/certs"
cp "$binary" "$root/keyturn"
cp "$certificates" "$root/etc/ssl/certs/"
cargo cyclonedx --format json --describe binaries --target "$target" --no-build-deps --quiet
mv keyturn_bin.cdx.json "$root/keyturn.cdx.json"
