//! Signs of a proxy that keyturn's calls may go through, and that may send one again.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::Finding;

/// A mesh, the traces that it leaves in a pod, and how it is kept out of the way.
struct Mesh {
    name: &'static str,
    files: &'static [&'static str],
    ports: &'static [u16],
    /// How many of the ports must be listened on, for any program may have one of them.
    ports_needed: usize,
    /// The way out, with `{ports}` and `{hosts}` to be filled in.
    help: &'static str,
}

const MESHES: [Mesh; 3] = [
    Mesh {
        name: "Istio (Envoy)",
        files: &["etc/istio/proxy", "var/run/secrets/workload-spiffe-uds", "var/run/secrets/istio"],
        ports: &[15001, 15006, 15020, 15021, 15090],
        ports_needed: 2,
        help: "annotate the pod with traffic.sidecar.istio.io/excludeOutboundPorts: \"{ports}\", or give a VirtualService \
               for {hosts} with `retries: { attempts: 0 }` on every route",
    },
    Mesh {
        name: "Linkerd",
        files: &["var/run/linkerd"],
        ports: &[4140, 4143, 4191],
        ports_needed: 2,
        help: "annotate the pod with config.linkerd.io/skip-outbound-ports: \"{ports}\", and give {hosts} no ServiceProfile \
               or HTTPRoute with retries",
    },
    Mesh {
        name: "Consul Connect (Envoy)",
        files: &["consul/connect-inject"],
        ports: &[15001, 20000],
        ports_needed: 2,
        help: "annotate the pod with consul.hashicorp.com/transparent-proxy-exclude-outbound-ports: \"{ports}\", or give \
               {hosts} a ServiceRouter with NumRetries 0 and no RetryOn",
    },
];

/// Looks for meshes below `root`, the root directory of this machine; `sites` are the providers' `host:port`.
pub fn look_for_meshes(root: &Path, sites: &BTreeSet<String>) -> Vec<Finding> {
    let listening = listening_ports(root);
    let found: Vec<Finding> = MESHES.iter().filter_map(|mesh| mesh.look(root, &listening, sites)).collect();
    if found.is_empty() {
        return vec![Finding::ok(ABOUT, "no sign of Istio, Linkerd or Consul Connect")];
    }
    found
}

const ABOUT: &str = "service mesh";

impl Mesh {
    fn look(&self, root: &Path, listening: &BTreeSet<u16>, sites: &BTreeSet<String>) -> Option<Finding> {
        let files: Vec<&str> = self.files.iter().filter(|file| root.join(file).exists()).copied().collect();
        let ports: Vec<u16> = self.ports.iter().filter(|port| listening.contains(port)).copied().collect();
        if files.is_empty() && ports.len() < self.ports_needed {
            return None;
        }
        let files = files.iter().map(|file| format!("/{file}"));
        let ports = ports.iter().map(|port| format!("a listener on port {port}"));
        let signs: Vec<String> = files.chain(ports).collect();
        let what = format!(
            "{} is in this pod ({}); a mesh that retries sends the one regenerate call again: a second key is made, and \
             the first may die. It can where it ends TLS before the provider; else it sees no request",
            self.name,
            signs.join(", ")
        );
        Some(Finding::warning(ABOUT, what).help(self.way_out(sites)).code("RETRYING_PROXY"))
    }

    fn way_out(&self, sites: &BTreeSet<String>) -> String {
        let split = || sites.iter().filter_map(|site| site.rsplit_once(':'));
        let ports: BTreeSet<&str> = split().map(|(_, port)| port).collect();
        let hosts: BTreeSet<&str> = split().map(|(host, _)| host).collect();
        let joined = |names: BTreeSet<&str>, separator| names.into_iter().collect::<Vec<_>>().join(separator);
        self.help.replace("{ports}", &joined(ports, ",")).replace("{hosts}", &joined(hosts, " and "))
    }
}

/// The TCP ports that are listened on in this network namespace; none where the kernel does not say.
fn listening_ports(root: &Path) -> BTreeSet<u16> {
    let tables = ["proc/net/tcp", "proc/net/tcp6"].map(|table| fs::read_to_string(root.join(table)));
    let lines = |table: String| table.lines().filter_map(listening_port).collect::<Vec<_>>();
    tables.into_iter().flatten().flat_map(lines).collect()
}

/// `sl local_address rem_address st …`, addresses as `hex:hex`.
fn listening_port(line: &str) -> Option<u16> {
    const LISTEN: &str = "0A";
    let mut columns = line.split_whitespace().skip(1);
    let (local, _, state) = (columns.next()?, columns.next()?, columns.next()?);
    let (_, port) = local.rsplit_once(':')?;
    (state == LISTEN).then(|| u16::from_str_radix(port, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    const HEADER: &str =
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";

    fn root(files: &[&str], listening: &[u16], connected: &[u16]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for file in files {
            fs::create_dir_all(root.path().join(file)).unwrap();
        }
        let row = |port: &u16, state: &str| {
            format!(
                "   0: 0100007F:{port:04X} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000  1337 0 1 1\n"
            )
        };
        let rows: String = listening.iter().map(|port| row(port, "0A")).collect();
        let other: String = connected.iter().map(|port| row(port, "01")).collect();
        fs::create_dir_all(root.path().join("proc/net")).unwrap();
        fs::write(root.path().join("proc/net/tcp"), format!("{HEADER}{other}")).unwrap();
        fs::write(root.path().join("proc/net/tcp6"), format!("{HEADER}{rows}")).unwrap();
        root
    }

    fn look(root: &Path) -> Vec<Finding> {
        look_for_meshes(root, &["api.example.com:443".to_owned(), "b.example:8443".to_owned()].into())
    }

    #[test]
    fn each_mesh_is_known_by_its_files_or_its_ports_and_has_a_way_out() {
        let cases: [(&[&str], &[u16], &str, &str); 6] = [
            (&["etc/istio/proxy"], &[], "Istio", "excludeOutboundPorts: \"443,8443\""),
            (
                &["var/run/secrets/workload-spiffe-uds"],
                &[],
                "/var/run/secrets/workload-spiffe-uds",
                "attempts: 0",
            ),
            (&[], &[15001, 15006, 15021, 15090], "a listener on port 15006", "api.example.com and b.example"),
            (&["var/run/linkerd"], &[], "Linkerd", "skip-outbound-ports: \"443,8443\""),
            (&[], &[4140, 4143, 4191], "Linkerd", "skip-outbound-ports"),
            (&[], &[20000, 15001], "Consul", "transparent-proxy-exclude-outbound-ports"),
        ];
        for (files, ports, sign, way_out) in cases {
            let found = look(root(files, ports, &[]).path());
            let [finding] = found.as_slice() else { panic!("{files:?} {ports:?}: {found:#?}") };
            assert_eq!(finding.level, Level::Warning);
            assert!(
                finding.what.contains(sign) && finding.what.contains("a second key is made"),
                "{finding:#?}"
            );
            assert!(finding.help.as_ref().unwrap().contains(way_out), "{finding:#?}");
        }
    }

    #[test]
    fn one_port_alone_and_a_connection_from_it_are_no_sign() {
        for (listening, connected) in
            [(&[15001][..], &[][..]), (&[20000], &[]), (&[], &[15001, 15006, 4140, 4143])]
        {
            let found = look(root(&[], listening, connected).path());
            assert_eq!(found.len(), 1);
            assert_eq!(found[0].level, Level::Ok, "{found:#?}");
        }
    }

    #[test]
    fn a_machine_that_shows_nothing_has_no_mesh() {
        let empty = tempfile::tempdir().unwrap();
        assert_eq!(look(empty.path())[0].level, Level::Ok);
    }
}
