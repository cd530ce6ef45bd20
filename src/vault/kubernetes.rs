//! What helps where a Kubernetes login fails: Vault's words name the check that failed, and not what to mend.

/// What to do about an answer of the Kubernetes auth method.
pub(super) fn advice(said: &str) -> &'static str {
    let found = ADVICE.iter().find(|(words, _)| said.contains(words));
    found.map_or("compare the role in Vault with the pod's service account", |(_, advice)| advice)
}

/// What a token file must be.
pub(super) const TOKEN_FILE: &str = "the pod needs a service account token there, projected for the role's audience and \
                                     readable by keyturn's user";

/// Vault's words, and what helps.
const ADVICE: [(&str, &str); 6] = [
    (
        "audience",
        "the token is for another audience: project it with the role's `audience` \
         (serviceAccountToken: { audience: ... })",
    ),
    (
        "service account name not authorized",
        "the role is not bound to this pod's service account: add it to the role's `bound_service_account_names`, or \
         let the pod run as one of them",
    ),
    (
        "namespace not authorized",
        "the role is not bound to this pod's namespace: add it to the role's `bound_service_account_namespaces`",
    ),
    (
        "invalid role name",
        "there is no such role at this mount: correct `vault.auth.kubernetes.role`, or write the role",
    ),
    (
        "expired",
        "the token has expired: let kubelet renew it (a projected token is, a copied one is not), and compare the \
         clocks of node and Vault",
    ),
    (
        "permission denied",
        "Vault did not get the token reviewed: see that `vault.auth.kubernetes.mount` is right, that Vault reaches \
         `kubernetes_host` and trusts its certificate (`kubernetes_ca_cert`), that who reviews has the cluster role \
         system:auth-delegator, and that the token is of that cluster; Vault's log says which",
    ),
];
