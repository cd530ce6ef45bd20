//! How a definition says that a signature is made.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::duration;
use crate::provider::template::Template;

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
    /// What is signed, of `{timestamp}`, `{method}`, `{path_and_query}`, `{body_hash}` and parameters; also `{nonce}`,
    /// `{body}` itself in place of its hash, and `{path}` where no request has a query. The query is canonical:
    /// sorted by name, percent-encoded, and without `?` where there is none.
    pub message: Template,
    /// How the time is written.
    pub timestamp: TimestampFormat,
    /// What `{body_hash}` is.
    #[serde(default)]
    pub body_hash: BodyHash,
    /// What `{signature}` looks like in a header.
    #[serde(default)]
    pub signature: Signature,
    /// The headers, of `{timestamp}`, `{signature}`, `{nonce}` and parameters.
    pub headers: BTreeMap<String, Template>,
    /// How far the two clocks may be apart. Time is taken from the provider's `Date` when ours is far off.
    #[serde(with = "duration::required")]
    #[schemars(with = "String")]
    pub skew: Duration,
}

/// A hash function.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HashAlgorithm {
    /// SHA-1, for providers that have nothing better.
    Sha1,
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
    /// As in HTTP's `Date`.
    HttpDate,
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
