//! Mistakes in the values are refused before anything is installed, each with its place.

use crate::renderings::{Charts, NEWEST};
use crate::tools;

/// A rendering, a wrong setting, the place that Helm names, and a word of what it says.
const WRONG: &[(&str, &str, &str, &str)] = &[
    ("shared", "mode=daemonset", "/mode", "'sidecar', 'shared'"),
    ("shared", "mode=null", "mode", ""),
    ("shared", "replicas=3", "", "'replicas'"),
    ("shared", "vault.role=\"\"", "/vault/role", "minLength"),
    ("shared", "vault.role=7", "/vault/role", "want string"),
    ("shared", "vault.adress=https://vault.svc:8200", "/vault", "'adress'"),
    ("shared", "vault.address=vault.svc:8200", "/vault/address", "pattern"),
    ("shared", "vault.auth=token_file", "/vault/auth", "'kubernetes', 'jwt'"),
    ("shared", "vault.audience=\"\"", "/vault/audience", "minLength"),
    ("shared", "vault.recordPrefix=secret", "/vault/recordPrefix", "pattern"),
    ("shared", "vault.authority.secret=a", "/vault/authority", "'secret'"),
    ("shared", "config.credentials=[]", "/config/credentials", "minItems"),
    ("shared", "config.credentials=[{\"name\":\"a\"}]", "/config/credentials/0", "'provider', 'store'"),
    ("shared", "config.listen={}", "/config", "'listen'"),
    ("shared", "config.vault={}", "/config", "'vault'"),
    ("shared", "config.escrow={}", "/config", "'escrow'"),
    ("shared", "definitions={\"keyturn.yaml\":\"a\"}", "/definitions", "keyturn.yaml"),
    ("shared", "definitions={\"../a.yaml\":\"a\"}", "/definitions", "../a.yaml"),
    ("shared", "user=0", "/user", "minimum"),
    ("shared", "user=\"65532\"", "/user", "want integer"),
    ("shared", "operators=[\"root\"]", "/operators/0", "want integer"),
    ("shared", "image.digest=0123", "/image/digest", "pattern"),
    ("shared", "image.pullPolicy=Sometimes", "/image/pullPolicy", "'Always'"),
    ("shared", "escrow.volume=hostPath", "/escrow/volume", "'emptyDir', 'claim'"),
    ("shared", "escrow.kubernetesSecret.name=A_B", "/escrow/kubernetesSecret/name", "pattern"),
    ("shared", "escrow.kubernetesSecret=a", "/escrow/kubernetesSecret", "want object"),
    (
        "sidecar",
        "keyturn.escrow.kubernetesSecret.name=copies",
        "/escrow/kubernetesSecret/serviceAccount",
        "minLength",
    ),
    ("shared", "metrics.podMonitor.enabled=1", "/metrics/podMonitor/enabled", "want boolean"),
    ("shared", "metrics.serviceMonitor={}", "/metrics", "'serviceMonitor'"),
    ("sidecar", "keyturn.metrics.podMonitor.enabled=true", "/metrics/podMonitor/selector", "minProperties"),
    ("shared", "escrow.dir=/tmp", "/escrow", "'dir'"),
    ("shared", "escrow.recipients=[\"AGE-SECRET-KEY-1\"]", "/escrow/recipients/0", "pattern"),
    ("shared", "escrow.claim.size=much", "/escrow/claim/size", "pattern"),
    ("shared", "terminationGracePeriodSeconds=30", "/terminationGracePeriodSeconds", "minimum"),
    ("shared", "reload=\"no\"", "/reload", "want boolean"),
    ("shared", "labels.version=1", "/labels/version", "want string"),
    ("shared", "egress.vaultPort=82000", "/egress/vaultPort", "maximum"),
    ("shared", "shared.tls.secretName=\"\"", "/shared/tls/secretName", "minLength"),
    ("shared", "shared.replicas=-1", "/shared/replicas", "minimum"),
    ("shared", "shared.tls.insecure=true", "/shared/tls", "'insecure'"),
    ("shared", "shared.tls.operators=\"me\"", "/shared/tls/operators", "want array"),
    ("shared", "resources.limit={}", "/resources", "'limit'"),
    ("sidecar", "keyturn.sidecar.native=\"yes\"", "/sidecar/native", "want boolean"),
    ("sidecar", "keyturn.vault.role=\"\"", "/vault/role", "minLength"),
    ("sidecar", "keyturn.sidecar.replicas=2", "/sidecar", "'replicas'"),
];

#[test]
fn a_wrong_value_is_refused_and_its_place_is_named() {
    let charts = Charts::prepare();
    for (rendering, setting, place, word) in WRONG {
        let refused = charts.try_with(rendering, NEWEST, &[setting]);
        let said = tools::said(&refused);
        assert!(!refused.status.success(), "{setting} passes");
        assert!(
            said.contains(&format!("at '{place}")) || said.contains(place),
            "{setting}: no {place} in: {said}"
        );
        assert!(said.contains(word), "{setting}: no {word} in: {said}");
    }
}
