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

# Every promise, searched further than a test has time for; a word picks the searches whose name contains it
model *words:
    cargo rustc --example model -- -C opt-level=3
    target/debug/examples/model {{words}}

# Seeded worlds around the real engine: `just simulate SECONDS=600`, or one world again: `just simulate --seed 123`
simulate seconds="60" *arguments:
    cargo run --locked --release --features testbed --example simulate -- {{ if seconds =~ '^(SECONDS=)?[0-9]+$' { "--seconds " + trim_start_match(seconds, "SECONDS=") } else { seconds } }} {{arguments}}

# Scan every rendering of the charts with checkov, which is fetched once and takes minutes for that
chart-policy:
    #!/usr/bin/env bash
    set -euo pipefail
    if [ ! -x target/checkov/bin/checkov ]; then
      python3 -m venv target/checkov
      target/checkov/bin/pip install --quiet --disable-pip-version-check checkov==3.3.30
    fi
    # charts/keyturn/README.md has the reason for each check that is left out.
    target/checkov/bin/checkov --directory tests/golden/chart --framework kubernetes --quiet --compact --skip-download \
      --skip-check CKV_K8S_43,CKV_K8S_15,CKV_K8S_8,CKV_K8S_9,CKV_K8S_29,CKV2_K8S_6

# Format and lint
lint:
    cargo fmt --all
    cargo clippy --all-targets -- -D warnings

# The product: one binary, without simulators and crash points
release:
    cargo build --release --bin keyturn
    ls -l target/release/keyturn

# The image, from a static binary that is built here; pulls nothing
image tag="localhost/keyturn:0.1.0":
    #!/usr/bin/env bash
    set -euo pipefail
    command -v podman >/dev/null || { echo "podman is not on this machine: install your distribution's package" >&2; exit 1; }
    export CONTAINERS_CONF="${CONTAINERS_CONF:-$PWD/packaging/containers.conf}"
    packaging/image-root.sh target/image-context/image-root
    # The stage that would build it elsewhere is this directory.
    podman build --network=none --build-context root=target/image-context --tag "{{tag}}" \
      --build-arg REVISION="$(git rev-parse HEAD)" .
    podman image inspect --format '{{{{.Size}} bytes, as {{{{.Config.User}}' "{{tag}}"

# A pod of two containers under podman: keyturn, and an application that sees its rotation
e2e-pod tag="localhost/keyturn:0.1.0": (image tag)
    #!/usr/bin/env bash
    set -euo pipefail
    export CONTAINERS_CONF="${CONTAINERS_CONF:-$PWD/packaging/containers.conf}"
    cargo run --locked --example e2e -- pod --image "{{tag}}"

# A real Kubernetes cluster of one node, built from Debian's source on the first run: `target/kubernetes` keeps it
e2e-kubernetes tag="localhost/keyturn:0.1.0": (image tag)
    #!/usr/bin/env bash
    set -euo pipefail
    [ "$(id -u)" = 0 ] || { echo "a cluster needs root" >&2; exit 1; }
    export CONTAINERS_CONF="${CONTAINERS_CONF:-$PWD/packaging/containers.conf}"
    # The Helm that the chart's tests fetch does as well.
    export PATH="$PATH:$(echo "$PWD"/target/chart-tools/helm-*/helm)"
    for tool in helm kubectl podman busybox etcd containerd dnsmasq iptables; do
      command -v "$tool" >/dev/null && continue
      echo "$tool is not on this machine; on Debian: busybox-static etcd-server containerd runc containernetworking-plugins" \
        "dnsmasq-base iptables podman (kubectl comes from its own project, helm from `cargo test --test chart` too)" >&2
      exit 1
    done
    examples/e2e/build-kubernetes.sh target/kubernetes
    images=target/kubernetes-images
    rm -rf "$images" && mkdir -p "$images/application"
    podman save --quiet --output "$images/keyturn.tar" "{{tag}}"
    # The application: somewhere to connect to, and keyturn's own command line as its client.
    cp "$(command -v busybox)" "$images/application/busybox"
    cp target/image-context/image-root/keyturn "$images/application/keyturn"
    printf 'FROM scratch\nCOPY busybox keyturn /\nENTRYPOINT ["/busybox", "sh", "-c", "trap exit TERM; /busybox httpd -f -p 8080 & wait"]\n' > "$images/application/Containerfile"
    podman build --quiet --network=none --tag localhost/application:e2e "$images/application" >/dev/null
    podman save --quiet --output "$images/application.tar" localhost/application:e2e
    # Any program that waits serves as a pod's first container.
    printf 'FROM scratch\nCOPY busybox /\nENTRYPOINT ["/busybox", "sleep", "100000"]\n' > "$images/application/Containerfile"
    podman build --quiet --network=none --tag localhost/pause:e2e "$images/application" >/dev/null
    podman save --quiet --output "$images/pause.tar" localhost/pause:e2e
    cargo build --locked --example e2e
    unshare --net --mount --pid --fork --mount-proc examples/e2e/one-node-cluster.sh "$PWD/target/kubernetes" "$PWD/$images" \
      "$PWD/target/debug/examples/e2e" kubernetes

# Search each parser and codec for a broken property, each for so many seconds: `just fuzz SECONDS=600`
fuzz seconds="60":
    #!/usr/bin/env bash
    set -euo pipefail
    seconds="{{seconds}}"; seconds="${seconds#SECONDS=}"
    if ! cargo fuzz --version >/dev/null 2>&1; then
      echo "cargo fuzz is not on this machine: \`cargo install cargo-fuzz\`. \`cargo test --test fuzz_properties\` runs the same for a moment." >&2
      exit 1
    fi
    # libFuzzer's instrumentation is a nightly flag; the pinned toolchain takes it like this.
    export RUSTC_BOOTSTRAP=1
    for target in $(cargo fuzz list); do
      mkdir -p "fuzz/corpus/$target"
      cargo fuzz run "$target" "fuzz/corpus/$target" "fuzz/seeds/$target" -- \
        -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=8192 -print_final_stats=1
    done
