//! What must hold of sealed files and their names, whatever lies in the directory.

#![expect(clippy::missing_panics_doc, reason = "a property that does not hold is a panic, as in a test")]

use std::path::Path;
use std::sync::LazyLock;

use age::x25519::Identity;

use super::name::FileName;
use super::sealed::{self, Sealing};
use crate::ids::RotationId;
use crate::secret::{FingerprintKey, Secret, SecretValue};

/// Stands in the seeds where a value is that may not be shown.
const CANARY: &str = "canary";

static IDENTITY: LazyLock<SecretValue> = LazyLock::new(sealed::new_identity);

/// A file opens to what was sealed in it, or not at all; a name is taken only as keyturn writes it. Says whether the
/// bytes are what could stand in a sealed file.
pub fn sealed_file(data: &[u8]) -> bool {
    let path = Path::new("a.slot");
    let Ok(identity) = sealed::parse_identity(&IDENTITY) else { return false };
    let shown = match sealed::open(data, &identity, path) {
        Ok(opened) => format!("{opened:?}"),
        Err(error) => format!("{error} {error:?}"),
    };
    assert!(!shown.contains(CANARY), "{shown}");
    let parsed = sealed::parse(data);
    let named = |opened: &sealed::Opened| opened.credential.as_str().contains(CANARY);
    let leaks =
        parsed.as_ref().is_some_and(|opened| !named(opened) && format!("{opened:?}").contains(CANARY));
    assert!(!leaks, "an opened answer shows its value");
    if let Ok(text) = std::str::from_utf8(data) {
        let name = FileName::parse(text);
        assert!(name.is_none_or(|name| name.to_string() == text), "{text:?} is taken for another name");
        comes_back_or_not_at_all(text, &identity);
    }
    parsed.is_some()
}

fn comes_back_or_not_at_all(text: &str, identity: &Identity) {
    let mut secret = Secret::from(SecretValue::new(text.to_owned()));
    if text.len() % 3 == 1 {
        secret.fields.insert(text.to_owned(), SecretValue::new(text.to_owned()));
    }
    let Ok(credential) = "a-credential".parse() else { return };
    let content = Sealing {
        credential: &credential,
        rotation_id: RotationId::from_uuid(uuid::Uuid::nil()),
        secret: &secret,
        is_residue: text.len() % 2 == 1,
        previous_expires_at: None,
        received_at: None,
        call: Some(1),
        key_id: None,
    };
    let Ok(mut bytes) = sealed::seal(content, &IDENTITY, &[]) else { return };
    let key = FingerprintKey::new("fuzzing".into());
    let path = Path::new("a.age");
    let same = |opened: &sealed::Opened| opened.secret.fingerprint(&key) == secret.fingerprint(&key);
    assert!(
        sealed::open(&bytes, identity, path).is_ok_and(|opened| same(&opened)),
        "what was sealed does not open"
    );
    let at =
        text.bytes().fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into())) % bytes.len();
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= 1;
    }
    let damaged = sealed::open(&bytes, identity, path);
    assert!(
        damaged.is_err() || damaged.is_ok_and(|opened| same(&opened)),
        "a damaged file opens to another key"
    );
    bytes.truncate(at);
    assert!(sealed::open(&bytes, identity, path).is_err(), "a cut file opens");
}
