//! How a definition says that calls are authenticated.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::hmac::HmacAuth;
use crate::provider::template::Template;

/// Who authenticates the regenerate call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SelfSigning {
    /// Only the key that is regenerated can.
    Always,
    /// The key itself or another one, as the credential says.
    Possible,
    /// Always another credential.
    Never,
}

impl SelfSigning {
    /// Whether the key may sign for itself: no, yes, or both, the better one first.
    pub const fn ways(self) -> &'static [bool] {
        match self {
            Self::Always => &[true],
            Self::Possible => &[false, true],
            Self::Never => &[false],
        }
    }
}

/// One way to authenticate a call with the secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuthScheme {
    /// The secret is the value of a header.
    Header(HeaderAuth),
    /// The secret is the password of HTTP Basic.
    Basic(BasicAuth),
    /// The secret signs the request.
    Hmac(HmacAuth),
    /// The secret stands in the body of the regenerate call, where that holds `{secret}`.
    Body(BodyAuth),
    /// The secret is exchanged for an access token.
    Oauth2(Oauth2Auth),
}

impl AuthScheme {
    /// The name by which a credential chooses it: its own, or its kind.
    pub fn id(&self) -> &str {
        let (id, kind) = match self {
            Self::Header(header) => (&header.id, "header"),
            Self::Basic(basic) => (&basic.id, "basic"),
            Self::Hmac(hmac) => (&hmac.id, "hmac"),
            Self::Body(body) => (&body.id, "body"),
            Self::Oauth2(oauth2) => (&oauth2.id, "oauth2"),
        };
        id.as_deref().unwrap_or(kind)
    }
}

impl AuthScheme {
    /// All its templates.
    pub(in crate::provider) fn templates(&self) -> Vec<&Template> {
        match self {
            Self::Header(_) | Self::Body(_) => Vec::new(),
            Self::Basic(basic) => basic.username.iter().chain(&basic.password).collect(),
            Self::Hmac(hmac) => std::iter::once(&hmac.message).chain(hmac.headers.values()).collect(),
            Self::Oauth2(oauth2) => {
                [&oauth2.path, &oauth2.client_id].into_iter().chain(oauth2.parameters.values()).collect()
            }
        }
    }
}

/// The secret as a header's value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HeaderAuth {
    /// The scheme's name, `header` where nothing is said.
    #[serde(default)]
    pub id: Option<String>,
    /// The header's name.
    pub name: String,
    /// What stands before the secret, such as `Bearer ` with its space.
    #[serde(default)]
    pub prefix: String,
}

/// HTTP Basic, with the secret on the side that is left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BasicAuth {
    /// The scheme's name, `basic` where nothing is said.
    #[serde(default)]
    pub id: Option<String>,
    /// The user name, usually a parameter. Left out: the secret is the user name.
    #[serde(default)]
    pub username: Option<Template>,
    /// The password, often empty. Left out: the secret is the password.
    #[serde(default)]
    pub password: Option<Template>,
}

/// The secret in the body; it says nothing further, for the body shows the place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BodyAuth {
    /// The scheme's name, `body` where nothing is said.
    #[serde(default)]
    pub id: Option<String>,
}

/// The secret of an OAuth 2 client, which is exchanged for an access token that authenticates the calls.
///
/// The token is kept in memory until shortly before its end. If none is given, no call is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Oauth2Auth {
    /// The scheme's name, `oauth2` where nothing is said.
    #[serde(default)]
    pub id: Option<String>,
    /// The address below which tokens are asked for. Left out: the one of all other calls.
    #[serde(default)]
    pub base_url: Option<String>,
    /// The path of the token endpoint.
    pub path: Template,
    /// The client's id, usually a parameter.
    pub client_id: Template,
    /// Where the client's id and secret stand in the request for a token.
    #[serde(default)]
    pub client_auth: ClientAuth,
    /// The kind of grant.
    #[serde(default = "Oauth2Auth::default_grant_type")]
    pub grant_type: String,
    /// Further fields of that request, such as `scope` or `audience`; their values are templates of parameters.
    #[serde(default)]
    pub parameters: BTreeMap<String, Template>,
}

impl Oauth2Auth {
    fn default_grant_type() -> String {
        "client_credentials".to_owned()
    }
}

/// Where an OAuth 2 client's id and secret stand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClientAuth {
    /// In HTTP Basic.
    #[default]
    Basic,
    /// In the form, as `client_id` and `client_secret`.
    Post,
}

/// A further secret that is sent along: as a header, or in the body, where `{its_name}` stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExtraSecret {
    /// What it is and where a person finds it.
    pub description: String,
    /// The header's name. Left out: the body holds the secret.
    #[serde(default)]
    pub header: Option<String>,
    /// What stands before the secret in its header, such as `Bearer ` with its space.
    #[serde(default)]
    pub prefix: String,
    /// Whether a credential may do without it.
    #[serde(default)]
    pub optional: bool,
}
