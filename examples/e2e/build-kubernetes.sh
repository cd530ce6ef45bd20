#!/usr/bin/env bash
# Builds Kubernetes' own programs from Debian 12's source package, for a cluster of one node: nobody packages them as
# binaries, and nothing but Debian's archive is asked. Ten minutes on two cores; afterwards they are in the directory named.
set -euo pipefail
programs="${1:?where to?}"
mkdir -p "$programs"
programs="$(cd "$programs" && pwd)"
all=(kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy)

complete=true
for program in "${all[@]}"; do [ -x "$programs/$program" ] || complete=false; done
if $complete; then exit 0; fi

. /etc/os-release
if [ "${ID:-}" != debian ] || [ "${VERSION_CODENAME:-}" != bookworm ]; then
  echo "Kubernetes is built from Debian 12's source package here, and this is ${PRETTY_NAME:-another system}." >&2
  echo "Put ${all[*]} of a version before 1.24 into $programs, and start again." >&2
  exit 1
fi
apt-get install -y --no-install-recommends golang-go rsync jq dpkg-dev make gcc >/dev/null

# A package database of our own: the machine's sources stay as they are.
work="$programs/build"
mkdir -p "$work"/{source,home,lists/partial,cache/archives/partial}
archive="$(sed -n 's/^URIs: *\([^ ]*\).*/\1/p' /etc/apt/sources.list.d/debian.sources | head -1)"
echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $archive bookworm main" > "$work/sources.list"
cat > "$work/apt.conf" <<EOF
Dir::Etc::sourcelist "$work/sources.list";
Dir::Etc::sourceparts "-";
Dir::State::lists "$work/lists";
Dir::Cache "$work/cache";
APT::Sandbox::User "root";
EOF
export APT_CONFIG="$work/apt.conf"
apt-get update -q >/dev/null
cd "$work/source"
apt-get source -q kubernetes >/dev/null
cd kubernetes-*/

# The package is 1.20.2 in spite of its name; the tree has no git history to read that from.
export KUBE_GIT_TREE_STATE=archive KUBE_GIT_VERSION=v1.20.2 KUBE_GIT_COMMIT=none KUBE_GIT_MAJOR=1 KUBE_GIT_MINOR=20
export HOME="$work/home" GOCACHE="$work/gocache" GOPATH="$work/gopath" GO111MODULE=off GOFLAGS=-p=2
echo "building Kubernetes $KUBE_GIT_VERSION; the log is $work/build.log"
{
  CGO_ENABLED=0 make WHAT="cmd/kube-apiserver cmd/kube-controller-manager cmd/kube-proxy"
  CGO_ENABLED=1 make WHAT="cmd/kubelet cmd/kube-scheduler"
} > "$work/build.log" 2>&1 || { tail -20 "$work/build.log" >&2; exit 1; }
for program in "${all[@]}"; do cp "_output/local/bin/linux/$(go env GOARCH)/$program" "$programs/"; done
rm -rf "$work"
