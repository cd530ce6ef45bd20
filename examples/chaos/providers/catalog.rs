//! Which credentials a campaign rotates: the four first ones, and one or two of each further style of rotation.

use std::collections::BTreeMap;
use std::time::Duration;

use keyturn::testbed::{adyen, spritz};
use serde_json::{Value, json};

use super::{CANARY, adyen_setup, publicsquare_setup};

/// A credential as its owner has it.
#[derive(Debug)]
pub(super) struct Own {
    pub(super) name: &'static str,
    pub(super) simulated: Simulated,
    /// The catalogue's definition.
    pub(super) definition: &'static str,
    /// What the owner's copy of it says otherwise.
    pub(super) changes: &'static [(&'static str, &'static str)],
    /// What stands between the provider's host and its paths.
    pub(super) path: &'static str,
    pub(super) params: BTreeMap<&'static str, String>,
    /// The separate credential; nothing where the key signs for itself.
    pub(super) admin: Option<String>,
    /// Further secrets that sign, by the definition's names.
    pub(super) further: BTreeMap<String, String>,
    /// The field of the application's entry.
    pub(super) field: &'static str,
    pub(super) grace: Option<Duration>,
    pub(super) propagation: Option<Duration>,
    pub(super) revoke_after: Option<Duration>,
    pub(super) first_key: Option<&'static str>,
}

/// What stands for the provider.
#[derive(Debug, Clone, Copy)]
pub(super) enum Simulated {
    /// With the member of its answer that is the key.
    Adyen(&'static str),
    PublicSquare,
    Spritz,
    /// Whatever the definition says.
    Derived,
}

impl Own {
    /// One whose provider is derived from its definition, and that another credential signs for.
    fn new(name: &'static str, definition: &'static str, params: &[(&'static str, &str)]) -> Self {
        Self {
            name,
            simulated: Simulated::Derived,
            definition,
            changes: &[],
            path: "",
            params: params.iter().map(|(name, value)| (*name, (*value).to_owned())).collect(),
            admin: Some(format!("admin-{CANARY}")),
            further: BTreeMap::new(),
            field: "key",
            grace: None,
            propagation: None,
            revoke_after: None,
            first_key: None,
        }
    }

    /// The same where keys live side by side.
    fn beside(name: &'static str, definition: &'static str, params: &[(&'static str, &str)]) -> Self {
        Self {
            revoke_after: Some(Duration::from_secs(2)),
            // The one that the simulator has first.
            first_key: Some("key-0"),
            ..Self::new(name, definition, params)
        }
    }

    /// What the configuration says of it.
    pub(super) fn settings(&self) -> Value {
        let times =
            [("grace", self.grace), ("propagation", self.propagation), ("revoke_after", self.revoke_after)];
        let times =
            times.into_iter().filter_map(|(name, time)| Some((name, format!("{}s", time?.as_secs()))));
        let first_key = self.first_key.map(|id| ("first_key", id.to_owned()));
        json!(times.chain(first_key).collect::<BTreeMap<_, _>>())
    }
}

macro_rules! definition {
    ($name:literal) => {
        include_str!(concat!("../../../src/provider/catalog/", $name, ".yaml"))
    };
}

/// All of them, in the order in which they take turns.
pub(super) fn all() -> Vec<Own> {
    let beside = side_by_side().into_iter().chain(pending());
    first().into_iter().chain(beside).chain(chosen_by_keyturn()).chain(further()).collect()
}

/// The four first ones.
fn first() -> [Own; 4] {
    let of_adyen = adyen_setup(adyen::CLIENT_KEY);
    let (company, merchant, id) =
        (of_adyen.company_id.as_str(), of_adyen.merchant_id.as_str(), of_adyen.api_credential_id.as_str());
    [
        Own {
            simulated: Simulated::Adyen(adyen::CLIENT_KEY),
            admin: Some(of_adyen.admin_key.clone()),
            field: "client_key",
            propagation: Some(Duration::from_secs(1)),
            ..Own::new(
                "client-key",
                definition!("adyen-client-key"),
                &[("company_id", company), ("api_credential_id", id)],
            )
        },
        Own {
            simulated: Simulated::Adyen(adyen::API_KEY),
            admin: Some(of_adyen.admin_key.clone()),
            field: "api_key",
            ..Own::new(
                "api-key",
                definition!("adyen-api-key"),
                &[("merchant_id", merchant), ("api_credential_id", id)],
            )
        },
        Own {
            simulated: Simulated::PublicSquare,
            admin: Some(publicsquare_setup().rotator_key),
            ..Own::new(
                "publicsquare",
                definition!("publicsquare-api-key"),
                &[("id", publicsquare_setup().key_id.as_str())],
            )
        },
        Own {
            simulated: Simulated::Spritz,
            admin: None,
            field: "secret",
            grace: Some(Duration::from_hours(1)),
            ..Own::new(
                "spritz",
                definition!("spritz-integrator-secret"),
                &[("integrator_key", spritz::Setup::default().integrator_key.as_str())],
            )
        },
    ]
}

/// Keys that live side by side: with a list and few places; with pages, probed while it is staged, and signing for itself; without a list
/// and with two steps to revoke; with its id in the entry.
fn side_by_side() -> [Own; 4] {
    [
        Own {
            changes: &[("keys_max: 100", "keys_max: 4")],
            ..Own::beside(
                "sendgrid",
                definition!("sendgrid-api-key"),
                &[("label", "keyturn"), ("scopes", "mail.send,alerts.read")],
            )
        },
        Own {
            // Accepted soon, and by then for certain.
            changes: &[("\nprobe:\n", "\npropagation: { delay: 0s, poll: 1s, deadline: 2s }\n\nprobe:\n")],
            admin: None,
            further: [("application_key".to_owned(), format!("application-{CANARY}"))].into(),
            ..Own::beside("datadog", definition!("datadog-api-key"), &[("label", "keyturn")])
        },
        Own::beside("okta", definition!("okta-client-secret"), &[("app_id", "0oabcdef")]),
        Own::beside(
            "confluent",
            definition!("confluent-cloud-api-key"),
            &[
                ("management_key", "MANAGEMENT"),
                ("owner", "sa-abc123"),
                ("resource_id", "lkc-12345"),
                ("label", "keyturn"),
            ],
        ),
    ]
}

/// Keys that are pending until they are activated: signing for itself; and probed by asking for a token.
fn pending() -> [Own; 2] {
    let revoke_after = Some(Duration::from_secs(2));
    [
        Own {
            admin: None,
            revoke_after,
            ..Own::new(
                "twilio",
                definition!("twilio-auth-token"),
                &[("account_sid", "AC0123456789abcdef0123456789abcdef")],
            )
        },
        Own {
            revoke_after,
            ..Own::new(
                "stytch",
                definition!("stytch-m2m-secret"),
                &[("project_id", "project-test-1"), ("m2m_client_id", "m2m-client-test-1")],
            )
        },
    ]
}

/// Keys that keyturn chooses: with a read; and without one, signing for itself.
fn chosen_by_keyturn() -> [Own; 2] {
    const UUID: &str = "11111111-2222-3333-4444-555555555555";
    [
        Own::new(
            "svix",
            definition!("svix-endpoint-secret"),
            &[("app_id", "app_1"), ("endpoint_id", "ep_1")],
        ),
        Own {
            admin: None,
            grace: Some(Duration::from_hours(1)),
            ..Own::new(
                "broadcom",
                definition!("broadcom-oauth-client-secret"),
                &[("org_id", UUID), ("oauth_app_id", "app"), ("rotator_app_id", "app")],
            )
        },
    ]
}

/// Several named keys; a key with its id that is staged; and one that is not shown again, but whether it has changed.
fn further() -> [Own; 3] {
    const UUID: &str = "11111111-2222-3333-4444-555555555555";
    [
        Own {
            // The token endpoint is the simulator's too.
            changes: &[("      base_url: https://login.microsoftonline.com\n", "")],
            ..Own::new(
                "azure",
                definition!("azure-storage-account-key"),
                &[
                    ("subscription_id", UUID),
                    ("resource_group", "payments"),
                    ("account_name", "payments"),
                    ("tenant_id", UUID),
                    ("client_id", UUID),
                ],
            )
        },
        Own {
            // The simulator knows a call by building it again, and a moment later the time would be another.
            changes: &[("{grace_end_rfc3339}", "{grace_seconds}")],
            path: "/client/v4",
            field: "client_secret",
            grace: Some(Duration::from_hours(1)),
            propagation: Some(Duration::from_secs(1)),
            ..Own::new(
                "cloudflare",
                definition!("cloudflare-access-service-token"),
                &[("account_id", "account1"), ("service_token_id", "token-1")],
            )
        },
        Own {
            path: "/v1",
            field: "signing_secret",
            ..Own::new("openai", definition!("openai-webhook-secret"), &[("webhook_endpoint_id", "we_1")])
        },
    ]
}
