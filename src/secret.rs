//! The one type that holds a secret, and the fingerprint that may be shown in its place.

use std::collections::BTreeMap;
use std::fmt;

use aws_lc_rs::hmac;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

/// A secret in memory: wiped when dropped, never printed, never compared or copied by accident.
///
/// It has no `Clone`, `Display`, `Serialize` or `PartialEq` on purpose, and its `Debug` shows nothing of it.
/// The files that may look into one are listed in `tests/tidy.rs`.
pub struct SecretValue(SecretString);

impl SecretValue {
    /// Takes over a text; the caller's `String` is moved, not copied.
    pub fn new(text: String) -> Self {
        Self(SecretString::from(text))
    }

    /// The secret in clear, for the one line that needs it.
    pub(crate) fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// A second holder of the same secret, where an effect must outlive its caller.
    pub(crate) fn duplicate(&self) -> Self {
        Self(self.0.clone())
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.expose().is_empty()
    }

    /// The shown stand-in for this secret under a credential's own key.
    pub fn fingerprint(&self, key: &FingerprintKey) -> Fingerprint {
        Fingerprint::shortened(hmac::sign(&key.for_hmac(), self.expose().as_bytes()))
    }
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretValue([redacted])")
    }
}

/// A secret in all its fields: the key, and what the provider makes along with it.
///
/// It goes from the answer into escrow, record and entry as one, so that no half of it can come about.
#[derive(Debug)]
pub struct Secret {
    /// The key: what signs.
    pub key: SecretValue,
    /// What goes with it, by the names that the definition gives.
    pub fields: BTreeMap<String, SecretValue>,
}

impl Secret {
    /// A second holder of the same secret, where an effect must outlive its caller.
    pub(crate) fn duplicate(&self) -> Self {
        let fields = self.fields.iter().map(|(name, value)| (name.clone(), value.duplicate()));
        Self { key: self.key.duplicate(), fields: fields.collect() }
    }

    /// The shown stand-in for the whole: a key beside another field is another secret. Without fields it is the key's.
    pub fn fingerprint(&self, key: &FingerprintKey) -> Fingerprint {
        if self.fields.is_empty() {
            return self.key.fingerprint(key);
        }
        // Of tags, which are all of one length, so that no two secrets are written alike.
        let hmac_key = key.for_hmac();
        let tag = |text: &str| hmac::sign(&hmac_key, text.as_bytes());
        let mut whole = hmac::Context::with_key(&hmac_key);
        whole.update(tag(self.key.expose()).as_ref());
        for (name, value) in &self.fields {
            whole.update(tag(name).as_ref());
            whole.update(tag(value.expose()).as_ref());
        }
        Fingerprint::shortened(whole.sign())
    }
}

impl From<SecretValue> for Secret {
    /// A key with nothing beside it.
    fn from(key: SecretValue) -> Self {
        Self { key, fields: BTreeMap::new() }
    }
}

const FINGERPRINT_BYTES: usize = 8;

/// The random key under which one credential's fingerprints are made; it is kept in the record.
pub struct FingerprintKey(SecretString);

impl FingerprintKey {
    /// Wraps a random text of at least 128 bits.
    pub fn new(text: String) -> Self {
        Self(SecretString::from(text))
    }

    /// A fresh random key of 256 bits.
    pub fn random() -> Result<Self, aws_lc_rs::error::Unspecified> {
        let mut bytes = zeroize::Zeroizing::new([0_u8; 32]);
        aws_lc_rs::rand::fill(bytes.as_mut())?;
        Ok(Self::new(data_encoding::HEXLOWER.encode(bytes.as_ref())))
    }

    /// The key in clear, for the record's codec.
    pub(crate) fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    fn for_hmac(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, self.expose().as_bytes())
    }
}

impl Clone for FingerprintKey {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl fmt::Debug for FingerprintKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FingerprintKey([redacted])")
    }
}

/// Tells two secrets of one credential apart without telling anything about them.
///
/// The first 8 bytes of an HMAC-SHA256 under the credential's [`FingerprintKey`], as 16 hex digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(String);

impl Fingerprint {
    /// Wraps the text of a fingerprint that was made before (from a record, or in a test).
    pub fn from_text(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The 16 hex digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn shortened(tag: hmac::Tag) -> Self {
        let short = tag.as_ref().get(..FINGERPRINT_BYTES).unwrap_or_default();
        Self(data_encoding::HEXLOWER.encode(short))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing_of_a_secret() {
        let secret = SecretValue::new("canary-9d2f".into());
        let key = FingerprintKey::new("canary-key".into());
        let shown = format!("{secret:?} {key:?} {:?}", Some(&secret));
        assert!(!shown.contains("canary"), "{shown}");
    }

    #[test]
    fn the_fingerprint_of_a_whole_secret_tells_every_field_apart() {
        let key = FingerprintKey::new("k1".into());
        let secret = |main: &str, fields: &[(&str, &str)]| Secret {
            key: SecretValue::new(main.into()),
            fields: fields
                .iter()
                .map(|(name, value)| ((*name).to_owned(), SecretValue::new((*value).into())))
                .collect(),
        };
        let all = [
            secret("a", &[]),
            secret("a", &[("id", "1")]),
            secret("a", &[("id", "2")]),
            secret("b", &[("id", "1")]),
            secret("a", &[("id", "1"), ("more", "")]),
            secret("a", &[("i", "d1")]),
            secret("aid1", &[]),
        ];
        let told: std::collections::BTreeSet<String> =
            all.iter().map(|secret| secret.fingerprint(&key).to_string()).collect();
        assert_eq!(told.len(), all.len());
        assert_eq!(all[1].fingerprint(&key), all[1].duplicate().fingerprint(&key));
        // Records that were written before there were fields have the key's.
        assert_eq!(all[0].fingerprint(&key), SecretValue::new("a".into()).fingerprint(&key));
        assert!(!format!("{:?}", secret("canary", &[("id", "canary")])).contains("canary"));
    }

    #[test]
    fn fingerprints_tell_secrets_apart_and_depend_on_the_key() {
        let key = FingerprintKey::new("k1".into());
        let one = SecretValue::new("one".into()).fingerprint(&key);
        assert_eq!(one, SecretValue::new("one".into()).fingerprint(&key));
        assert_ne!(one, SecretValue::new("two".into()).fingerprint(&key));
        assert_ne!(one, SecretValue::new("one".into()).fingerprint(&FingerprintKey::new("k2".into())));
        assert_eq!(one.as_str().len(), 16);
    }
}
