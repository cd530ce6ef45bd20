#!/usr/bin/env bash
# A real Kubernetes cluster of one node (1.20), in namespaces of its own; everything ends with the command that it runs.
#
#     unshare --net --mount --pid --fork --mount-proc one-node-cluster.sh PROGRAMS IMAGES COMMAND...
#
# PROGRAMS is the directory that build-kubernetes.sh fills, IMAGES one with image archives. COMMAND gets KUBECONFIG, the
# address that pods reach this machine by (NODE_ADDRESS), and a hosts file that pods' names are looked up in (HOSTS).
set -euo pipefail
programs="${1:?}" images="${2:?}"
shift 2
logs="$programs-logs"
here="$(mktemp -d)"
# In memory, so that nothing is left when the namespaces end.
mount -t tmpfs tmpfs "$here"
cd "$here"
address=10.77.255.1
started=$(date +%s%N)
took() { echo "$(( ($(date +%s%N) - started) / 1000000 )) ms: $1"; }

for program in etcd containerd runc dnsmasq openssl ip iptables kubectl ctr; do
  command -v "$program" >/dev/null || { echo "$program is not on this machine: see the recipe's packages" >&2; exit 1; }
done

# The node's network: a bridge for the node itself, and a pair that carries it.
ip link set lo up
ip link add node type bridge
ip address add "$address/24" dev node
ip link add carrier-a type veth peer name carrier-b
ip link set carrier-a master node
for link in node carrier-a carrier-b; do ip link set "$link" up; done
ip route add default dev node
sysctl -q -w net.ipv4.ip_forward=1
mount -t tmpfs tmpfs /run
mkdir -p /run/netns pods-network

certificate() { # name, subject, extension
  openssl req -newkey rsa:2048 -nodes -keyout "$1.key" -out "$1.csr" -subj "$2"
  openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -out "$1.crt" -days 2 -extfile <(echo "$3")
}
{
  openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -days 2 -subj /CN=cluster -addext basicConstraints=critical,CA:true
  certificate api /CN=api "subjectAltName=DNS:localhost,DNS:kubernetes.default.svc,IP:127.0.0.1,IP:10.0.0.1,IP:$address"
  certificate admin /O=system:masters/CN=admin extendedKeyUsage=clientAuth
  openssl genrsa -out accounts.key 2048
  openssl rsa -in accounts.key -pubout -out accounts.pub
} 2>/dev/null
cat > kubeconfig <<EOF
apiVersion: v1
kind: Config
clusters: [{ name: cluster, cluster: { server: "https://127.0.0.1:6443", certificate-authority: $here/ca.crt } }]
users: [{ name: admin, user: { client-certificate: $here/admin.crt, client-key: $here/admin.key } }]
contexts: [{ name: it, context: { cluster: cluster, user: admin } }]
current-context: it
EOF
export KUBECONFIG="$here/kubeconfig" HOME="$here" NODE_ADDRESS="$address" HOSTS="$here/hosts"

etcd --data-dir etcd --unsafe-no-fsync --log-level error > etcd.log 2>&1 &
"$programs/kube-apiserver" --etcd-servers=http://127.0.0.1:2379 --bind-address=0.0.0.0 --advertise-address="$address" \
  --secure-port=6443 --insecure-port=0 --tls-cert-file=api.crt --tls-private-key-file=api.key --client-ca-file=ca.crt \
  --service-account-key-file=accounts.pub --service-account-signing-key-file=accounts.key \
  --service-account-issuer=https://kubernetes.default.svc.cluster.local --authorization-mode=RBAC --allow-privileged=true \
  --service-cluster-ip-range=10.0.0.0/24 --cert-dir=certificates --kubelet-client-certificate=admin.crt \
  --kubelet-client-key=admin.key --kubelet-preferred-address-types=InternalIP > apiserver.log 2>&1 &

# Pods reach each other and the node, and nothing else.
cat > pods-network/10-pods.conflist <<EOF
{ "cniVersion": "0.4.0", "name": "pods", "plugins": [{ "type": "ptp", "dataDir": "$here/cni", "ipam":
  { "type": "host-local", "dataDir": "$here/cni", "subnet": "10.77.0.0/24", "routes": [{ "dst": "0.0.0.0/0" }] } }] }
EOF
cat > containerd.toml <<EOF
version = 2
root = "$here/containerd"
state = "$here/containerd-state"
[grpc]
  address = "$here/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:e2e"
  restrict_oom_score_adj = true
  disable_hugetlb_controller = true
  tolerate_missing_hugetlb_controller = true
  disable_tcp_service = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$here/pods-network"
EOF
containerd -c containerd.toml > containerd.log 2>&1 &
touch hosts
dnsmasq --keep-in-foreground --no-resolv --no-hosts --addn-hosts="$here/hosts" --listen-address="$address" \
  --bind-interfaces --pid-file="$here/dnsmasq.pid" --user=root > dnsmasq.log 2>&1 &

for _ in $(seq 600); do [ "$(kubectl get --raw /readyz 2>/dev/null)" = ok ] && break; sleep 0.1; done
took "the API server is ready"
"$programs/kube-controller-manager" --kubeconfig=kubeconfig --service-account-private-key-file=accounts.key --root-ca-file=ca.crt \
  --leader-elect=false --bind-address=127.0.0.1 --port=0 --cert-dir=certificates > controller-manager.log 2>&1 &
"$programs/kube-scheduler" --kubeconfig=kubeconfig --leader-elect=false --bind-address=127.0.0.1 --port=0 \
  --cert-dir=certificates > scheduler.log 2>&1 &
"$programs/kube-proxy" --kubeconfig=kubeconfig --proxy-mode=iptables --cluster-cidr=10.77.0.0/24 --hostname-override=node \
  --conntrack-max-per-core=0 --conntrack-tcp-timeout-established=0 --conntrack-tcp-timeout-close-wait=0 > proxy.log 2>&1 &
for image in "$images"/*.tar; do ctr -a containerd.sock -n k8s.io images import "$image" >/dev/null; done
cat > kubelet.yaml <<EOF
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: $address
readOnlyPort: 0
cgroupDriver: cgroupfs
clusterDNS: [$address]
clusterDomain: cluster.local
failSwapOn: false
authentication: { anonymous: { enabled: false }, webhook: { enabled: false }, x509: { clientCAFile: $here/ca.crt } }
authorization: { mode: AlwaysAllow }
evictionHard: { memory.available: 50Mi, nodefs.available: 1%, imagefs.available: 1% }
imageGCHighThresholdPercent: 100
makeIPTablesUtilChains: false
maxOpenFiles: 20000
oomScoreAdj: 0
syncFrequency: 5s
EOF
"$programs/kubelet" --config=kubelet.yaml --kubeconfig=kubeconfig --container-runtime=remote \
  --container-runtime-endpoint="unix://$here/containerd.sock" --root-dir="$here/kubelet" --cert-dir=certificates \
  --hostname-override=node --node-ip="$address" --volume-plugin-dir="$here/plugins" > kubelet.log 2>&1 &
for _ in $(seq 480); do kubectl get node node 2>/dev/null | grep -q ' Ready' && break; sleep 0.25; done
took "the node is ready"
if ! "$@"; then
  mkdir -p "$logs"
  cp ./*.log "$logs/"
  echo "the cluster's own logs are in $logs" >&2
  exit 1
fi
