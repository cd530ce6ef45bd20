# The recipes of the house. `cargo demo` and `cargo test` need none of them.

# Everything that a change must pass
ci:
    .ci/run

# Rotate one credential per first provider, for the eyes
demo *arguments:
    cargo demo {{arguments}}

# Break what rotations depend on and check that no key is lost: `just chaos ROUNDS=1000 SEED=7 JOBS=3`
chaos *settings:
    mkdir -p target/chaos
    cargo build --release --bin keyturn
    cp target/release/keyturn target/chaos/keyturn
    cargo build --release --bin keyturn --features crash-points
    cp target/release/keyturn target/chaos/keyturn-crash-points
    cargo run --example chaos -- --keyturn target/chaos/keyturn --crashing-keyturn target/chaos/keyturn-crash-points {{settings}}

# All tests
test *arguments:
    cargo test {{arguments}}

# Format and lint
lint:
    cargo fmt --all
    cargo clippy --all-targets -- -D warnings

# The product: one binary, without simulators and crash points
release:
    cargo build --release --bin keyturn
    ls -l target/release/keyturn
