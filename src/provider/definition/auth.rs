//! How a definition says that calls are authenticated.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
}

impl AuthScheme {
    /// The name by which a credential chooses it: its own, or its kind.
    pub fn id(&self) -> &str {
        let (id, kind) = match self {
            Self::Header(header) => (&header.id, "header"),
            Self::Basic(basic) => (&basic.id, "basic"),
            Self::Hmac(hmac) => (&hmac.id, "hmac"),
            Self::Body(body) => (&body.id, "body"),
        };
        id.as_deref().unwrap_or(kind)
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

/// A signature over the request, with the secret as the key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HmacAuth {
    /// The scheme's name, `hmac` where nothing is said.
    #[serde(default)]
    pub id: Option<String>,
    /// The hash under the HMAC.
    pub algorithm: HashAlgorithm,
    /// How the secret's text becomes the key's bytes.
    #[serde(default)]
    pub key_encoding: KeyEncoding,
    /// What is signed, of `{timestamp}`, `{method}`, `{path_and_query}`, `{body_hash}` and parameters. The
    /// query is canonical: sorted by name, percent-encoded, and without `?` where there is none.
    pub message: Template,
    /// How the time is written.
    pub timestamp: TimestampFormat,
    /// What `{body_hash}` is.
    #[serde(default)]
    pub body_hash: BodyHash,
    /// What `{signature}` looks like in a header.
    #[serde(default)]
    pub signature: Signature,
    /// The headers, of `{timestamp}`, `{signature}` and parameters.
    pub headers: BTreeMap<String, Template>,
    /// How far the two clocks may be apart. Time is taken from the provider's `Date` when ours is far off.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    #[schemars(with = "String")]
    pub skew: Duration,
}

/// A hash function.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HashAlgorithm {
    /// SHA-256.
    #[default]
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

/// How a secret's text becomes a key's bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeyEncoding {
    /// Its UTF-8 bytes.
    #[default]
    Utf8,
    /// Hexadecimal, of either case.
    Hex,
    /// Base64 with padding.
    Base64,
}

/// How bytes are written as text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TextEncoding {
    /// Lower-case hexadecimal.
    #[default]
    Hex,
    /// Base64 with padding.
    Base64,
}

/// How a time is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TimestampFormat {
    /// Seconds since 1970.
    UnixSeconds,
    /// Milliseconds since 1970.
    UnixMilliseconds,
    /// RFC 3339 in UTC with whole seconds.
    Rfc3339,
}

/// The hash of the body inside a signed message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BodyHash {
    /// The hash.
    pub algorithm: HashAlgorithm,
    /// How it is written.
    pub encoding: TextEncoding,
    /// What a request without a body has in its place.
    pub empty_body: EmptyBody,
}

/// What stands for the hash of a body that is not there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EmptyBody {
    /// Nothing at all.
    #[default]
    EmptyText,
    /// The hash of zero bytes.
    HashOfNothing,
}

/// How a signature is written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Signature {
    /// How its bytes are written.
    pub encoding: TextEncoding,
    /// What stands before it, such as `sha256=`.
    pub prefix: String,
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
