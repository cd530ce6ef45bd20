//! The names of things: small parsed types that every module may use.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Says why a text is not a valid name; the text itself is not repeated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidId(pub String);

/// The name that the owner gave to a credential in the configuration.
///
/// 1 to 63 characters of `a-z`, `0-9` and `-`, beginning and ending with a letter or digit, so that it can
/// stand in a Vault path, a file name and a metric label without escaping.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct CredentialName(String);

impl CredentialName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for CredentialName {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if text.is_empty() || text.len() > 63 || !text.chars().all(allowed) {
            return Err(InvalidId("a name is 1 to 63 characters of a-z, 0-9 and '-'".into()));
        }
        if text.starts_with('-') || text.ends_with('-') {
            return Err(InvalidId("a name begins and ends with a letter or digit".into()));
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for CredentialName {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

impl From<CredentialName> for String {
    fn from(name: CredentialName) -> Self {
        name.0
    }
}

impl fmt::Display for CredentialName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A provider's name for one key; it is no secret.
///
/// 1 to 200 visible ASCII characters, so that it can stand in a record, a log and a message.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyId(String);

impl KeyId {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl KeyId {
    /// The key that dies when a pending one is activated, where the provider has no ids for the two.
    pub fn of_the_old_key() -> Self {
        Self("old".to_owned())
    }

    /// The key that is not activated yet, where the provider has no ids for the two.
    pub fn of_the_pending_key() -> Self {
        Self("pending".to_owned())
    }
}

impl FromStr for KeyId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        if text.is_empty() || text.len() > 200 || !text.chars().all(|c| c.is_ascii_graphic()) {
            return Err(InvalidId("a key's id is 1 to 200 visible ASCII characters".into()));
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for KeyId {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

impl From<KeyId> for String {
    fn from(id: KeyId) -> Self {
        id.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Identifies one rotation: a UUIDv7, so that ids sort by the time at which they were made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RotationId(Uuid);

impl RotationId {
    /// Wraps a UUID that the caller made; `main` and the tests decide how.
    pub const fn from_uuid(id: Uuid) -> Self {
        Self(id)
    }
}

impl FromStr for RotationId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        Uuid::parse_str(text).map(Self).map_err(|_| InvalidId("a rotation id is a UUID".into()))
    }
}

impl fmt::Display for RotationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

/// Identifies one keyturn and its escrow directory; kept in that directory, so it survives a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReplicaId(Uuid);

impl ReplicaId {
    /// Wraps a UUID that the caller made.
    pub const fn from_uuid(id: Uuid) -> Self {
        Self(id)
    }
}

impl FromStr for ReplicaId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        Uuid::parse_str(text).map(Self).map_err(|_| InvalidId("a replica id is a UUID".into()))
    }
}

impl fmt::Display for ReplicaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

/// A version number of KV v2; 0 means "there is none yet", as in Vault's check-and-set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KvVersion(pub u64);

impl fmt::Display for KvVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A path in Vault as a person writes it, mount first: `secret/payments/adyen`.
///
/// Where the mount ends is Vault's to say; nothing here can climb, repeat a slash or need escaping.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct VaultPath(String);

impl VaultPath {
    /// The path as text, without a leading or trailing slash.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path one level below this one.
    #[must_use]
    pub fn join(&self, name: &CredentialName) -> Self {
        Self(format!("{}/{name}", self.0))
    }
}

impl FromStr for VaultPath {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let segment_ok = |segment: &str| {
            !segment.is_empty()
                && segment != "."
                && segment != ".."
                && segment.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '@'))
        };
        if text.len() > 512 || !text.contains('/') || !text.split('/').all(segment_ok) {
            return Err(InvalidId(
                "a Vault path is mount/path: segments of letters, digits, '-', '_', '.' and '@', \
                 no leading, trailing or double slash, no '..'"
                    .into(),
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for VaultPath {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

impl From<VaultPath> for String {
    fn from(path: VaultPath) -> Self {
        path.0
    }
}

impl fmt::Display for VaultPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One field of one Vault entry, written `mount/path#field`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct FieldPath {
    /// The entry.
    pub path: VaultPath,
    /// The field in the entry's data.
    pub field: String,
}

/// The field of an entry that belongs to keyturn and to no application.
pub const STAMP_FIELD: &str = "_keyturn";

impl FromStr for FieldPath {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let (path, field) = text
            .split_once('#')
            .ok_or_else(|| InvalidId("write mount/path#field; the '#field' is missing".into()))?;
        check_field(field)?;
        Ok(Self { path: path.parse()?, field: field.to_owned() })
    }
}

/// Whether an entry's field may have this name.
pub fn check_field(field: &str) -> Result<(), InvalidId> {
    let field_ok = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if field.is_empty() || field.len() > 128 || !field.chars().all(field_ok) {
        return Err(InvalidId("a field is 1 to 128 letters, digits, '-', '_' and '.'".into()));
    }
    if field == STAMP_FIELD {
        return Err(InvalidId(format!("the field {STAMP_FIELD} is keyturn's own; choose another")));
    }
    Ok(())
}

impl TryFrom<String> for FieldPath {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

impl From<FieldPath> for String {
    fn from(path: FieldPath) -> Self {
        path.to_string()
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.path, self.field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_leave_their_place_are_refused() {
        for bad in ["", "-a", "a-", "A", "a/b", "a..b", "ä", &"a".repeat(64)] {
            assert!(bad.parse::<CredentialName>().is_err(), "{bad:?} was taken");
        }
        assert_eq!("adyen-client-key".parse::<CredentialName>().unwrap().as_str(), "adyen-client-key");
    }

    #[test]
    fn vault_paths_cannot_climb_or_be_rewritten() {
        for bad in
            ["secret", "/secret/a", "secret/a/", "secret//a", "secret/../sys", "secret/a?x", "secret/a b"]
        {
            assert!(bad.parse::<VaultPath>().is_err(), "{bad:?} was taken");
        }
        let path: FieldPath = "secret/payments/adyen#client_key".parse().unwrap();
        assert_eq!((path.path.as_str(), path.field.as_str()), ("secret/payments/adyen", "client_key"));
        assert!("secret/a#_keyturn".parse::<FieldPath>().is_err());
        assert!("secret/a".parse::<FieldPath>().is_err());
    }
}
