# The recipes of the house. `cargo demo` and `cargo test` need none of them.

# Everything that a change must pass
ci:
    .ci/run

# Rotate one credential per first provider, for the eyes
demo *arguments:
    cargo demo {{arguments}}

# All tests
test *arguments:
    cargo test {{arguments}}

# Every promise, searched further than a test has time for; a word picks the searches whose name contains it
model *words:
    cargo rustc --example model -- -C opt-level=3
    target/debug/examples/model {{words}}

# Format and lint
lint:
    cargo fmt --all
    cargo clippy --all-targets -- -D warnings

# The product: one binary, without simulators and crash points
release:
    cargo build --release --bin keyturn
    ls -l target/release/keyturn
