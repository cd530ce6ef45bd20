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

# Seeded worlds around the real engine: `just simulate 600`, or one world again: `just simulate --seed 123`
simulate seconds="60" *arguments:
    cargo run --locked --release --features testbed --example simulate -- {{ if seconds =~ '^[0-9]+$' { "--seconds " + seconds } else { seconds } }} {{arguments}}

# Format and lint
lint:
    cargo fmt --all
    cargo clippy --all-targets -- -D warnings

# The product: one binary, without simulators and crash points
release:
    cargo build --release --bin keyturn
    ls -l target/release/keyturn
