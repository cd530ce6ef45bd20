//! Sealing and opening: a small JSON document inside an age file, which the stock `age` tool opens too.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use age::secrecy::ExposeSecret;
use age::x25519;
use age::{DecryptError, Decryptor, Encryptor};
use jiff::Timestamp;
use rustix::fs::{CWD, OFlags};
use serde::{Deserialize, Deserializer, Serialize};
use zeroize::Zeroizing;

use super::SealedAnswer;
use super::directory::open_unfollowed;
use super::error::Error;
use crate::ids::{CredentialName, KeyId, RotationId};
use crate::secret::{Secret, SecretValue};

/// What a sealed file holds.
#[derive(Debug)]
pub struct Opened {
    /// The credential.
    pub credential: CredentialName,
    /// The rotation that sealed it.
    pub rotation_id: RotationId,
    /// The new key with what goes with it, or with `is_residue` the unusable body of a reported success.
    pub secret: Secret,
    /// Whether it is a body in which no key was found.
    pub is_residue: bool,
    /// When the old key dies; `None`: assume it is dead.
    pub previous_expires_at: Option<Timestamp>,
    /// When the answer was complete; not known of a residue.
    pub received_at: Option<Timestamp>,
    /// Which call of the rotation brought it; not known of a residue.
    pub call: Option<u32>,
    /// The provider's id of the key, where keys live side by side.
    pub key_id: Option<KeyId>,
}

impl Opened {
    /// The answer of this very rotation, if that is what it is; `path` is where it was found.
    pub(super) fn answer_of(
        self,
        credential: &CredentialName,
        rotation: RotationId,
        path: &Path,
    ) -> Result<SealedAnswer, Error> {
        if self.credential != *credential || self.rotation_id != rotation || self.is_residue {
            return Err(Error::Foreign { path: path.to_owned() });
        }
        let (Some(received_at), Some(call)) = (self.received_at, self.call) else {
            let cause = "it does not say when, or by which call";
            return Err(Error::Damaged { path: path.to_owned(), cause });
        };
        let (secret, previous_expires_at, key_id) = (self.secret, self.previous_expires_at, self.key_id);
        Ok(SealedAnswer { secret, previous_expires_at, received_at, call, key_id })
    }
}

/// Opens a sealed file with an identity: the rotation's own, or one of an operator's.
///
/// Needs no lock and changes nothing, whatever is wrong with the file.
pub fn open_file(path: &Path, identity: &SecretValue) -> Result<Opened, Error> {
    let opened = open_unfollowed(CWD, path, OFlags::RDONLY).map_err(Error::disk("open", path));
    let (file, metadata) = opened.map_err(|error| error.or_nothing_sealed(path))?;
    if !metadata.is_file() {
        return Err(Error::Damaged { path: path.to_owned(), cause: "it is no regular file" });
    }
    open_sealed(file, path, identity)
}

/// The same of an open file.
pub(super) fn open_sealed(file: File, path: &Path, identity: &SecretValue) -> Result<Opened, Error> {
    let mut sealed = Vec::new();
    file.take(SEALED_BYTES_MAX).read_to_end(&mut sealed).map_err(Error::disk("read", path))?;
    open(&sealed, &parse_identity(identity)?, path)
}

/// A fresh identity as text.
pub(super) fn new_identity() -> SecretValue {
    SecretValue::new(x25519::Identity::generate().to_string().expose_secret().to_owned())
}

/// Reads the operators' recipients.
pub(super) fn parse_recipients(
    texts: impl IntoIterator<Item = impl AsRef<str>>,
) -> Result<Vec<x25519::Recipient>, Error> {
    let parse = |(position, text): (usize, _)| parse_recipient(AsRef::as_ref(&text), position);
    (1..).zip(texts).map(parse).collect()
}

/// Whether a text is an operator's recipient, for whoever reads it from a person.
pub fn check_recipient(text: &str) -> Result<(), Error> {
    parse_recipient(text, 1).map(drop)
}

fn parse_recipient(text: &str, position: usize) -> Result<x25519::Recipient, Error> {
    text.parse().map_err(|_: &str| Error::BadRecipient { position })
}

pub(super) fn parse_identity(identity: &SecretValue) -> Result<x25519::Identity, Error> {
    identity.expose().parse().map_err(|_: &str| Error::BadIdentity)
}

/// What goes into a sealed file; the secret is borrowed from its only holder.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sealing<'a> {
    pub(super) credential: &'a CredentialName,
    pub(super) rotation_id: RotationId,
    pub(super) secret: &'a Secret,
    pub(super) is_residue: bool,
    pub(super) previous_expires_at: Option<Timestamp>,
    pub(super) received_at: Option<Timestamp>,
    pub(super) call: Option<u32>,
    pub(super) key_id: Option<&'a KeyId>,
}

/// The age file as bytes, sealed to the identity's own recipient and to the operators'.
pub(super) fn seal(
    content: Sealing<'_>,
    identity: &SecretValue,
    operators: &[x25519::Recipient],
) -> Result<Vec<u8>, Error> {
    let own = parse_identity(identity)?.to_public();
    let recipients = std::iter::once(&own).chain(operators).map(|recipient| recipient as &dyn age::Recipient);
    let encrypt = |cause: &dyn fmt::Display| Error::Encrypt { cause: cause.to_string() };
    let plain = content.to_json().map_err(|error| encrypt(&error))?;
    let encryptor = Encryptor::with_recipients(recipients).map_err(|error| encrypt(&error))?;
    let mut sealed = Vec::new();
    let write = |sealed: &mut Vec<u8>| -> io::Result<()> {
        let mut writer = encryptor.wrap_output(sealed)?;
        writer.write_all(&plain)?;
        writer.finish().map(drop)
    };
    write(&mut sealed).map_err(|error| encrypt(&error))?;
    Ok(sealed)
}

const FORMAT: u32 = 1;
/// The same with a secret of several fields, of which a reader of the first would take the key alone.
const FORMAT_WITH_FIELDS: u32 = 2;

#[derive(Serialize)]
struct Written<'a> {
    format: u32,
    credential: &'a CredentialName,
    rotation_id: RotationId,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    residue: Option<&'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    fields: BTreeMap<&'a str, &'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    previous_expires_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    received_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    call: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_id: Option<&'a KeyId>,
}

impl<'a> Sealing<'a> {
    /// A whole answer.
    pub(super) fn of(
        credential: &'a CredentialName,
        rotation_id: RotationId,
        answer: &'a SealedAnswer,
    ) -> Self {
        Self {
            credential,
            rotation_id,
            secret: &answer.secret,
            is_residue: false,
            previous_expires_at: answer.previous_expires_at,
            received_at: Some(answer.received_at),
            call: Some(answer.call),
            key_id: answer.key_id.as_ref(),
        }
    }

    fn to_json(self) -> serde_json::Result<Zeroizing<Vec<u8>>> {
        let secret = self.secret.key.expose();
        let fields = self.secret.fields.iter().map(|(name, value)| (name.as_str(), value.expose()));
        let fields: BTreeMap<&str, &str> = fields.collect();
        let size =
            fields.iter().map(|(name, value)| name.len() + value.len() + 16).sum::<usize>() + secret.len();
        let written = Written {
            format: if fields.is_empty() { FORMAT } else { FORMAT_WITH_FIELDS },
            credential: self.credential,
            rotation_id: self.rotation_id,
            secret: (!self.is_residue).then_some(secret),
            residue: self.is_residue.then_some(secret),
            fields,
            previous_expires_at: self.previous_expires_at,
            received_at: self.received_at,
            call: self.call,
            key_id: self.key_id,
        };
        // Large enough that it never moves and leaves a copy behind: JSON writes a byte with at most six.
        let mut plain = Zeroizing::new(Vec::with_capacity(size * 6 + 1024));
        serde_json::to_writer(&mut *plain, &written)?;
        Ok(plain)
    }
}

#[derive(Deserialize)]
struct Read1 {
    credential: CredentialName,
    rotation_id: RotationId,
    #[serde(default, deserialize_with = "secret_text")]
    secret: Option<SecretValue>,
    #[serde(default, deserialize_with = "secret_text")]
    residue: Option<SecretValue>,
    #[serde(default)]
    fields: BTreeMap<String, Field>,
    previous_expires_at: Option<Timestamp>,
    received_at: Option<Timestamp>,
    call: Option<u32>,
    key_id: Option<KeyId>,
}

#[derive(Deserialize)]
struct Field(#[serde(deserialize_with = "text")] SecretValue);

#[derive(Deserialize)]
struct Format {
    format: u32,
}

fn secret_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SecretValue>, D::Error> {
    text(deserializer).map(Some)
}

fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SecretValue, D::Error> {
    String::deserialize(deserializer).map(SecretValue::new)
}

const SEALED_BYTES_MAX: u64 = 64 << 20;

pub(super) fn open(sealed: &[u8], identity: &x25519::Identity, path: &Path) -> Result<Opened, Error> {
    let damaged = |cause| Error::Damaged { path: path.to_owned(), cause };
    let decryptor = Decryptor::new_buffered(sealed).map_err(|_| damaged("it is no whole age file"))?;
    let mut reader =
        decryptor.decrypt(std::iter::once(identity as &dyn age::Identity)).map_err(|error| match error {
            DecryptError::NoMatchingKeys => Error::WrongIdentity { path: path.to_owned() },
            _ => damaged("its header does not fit its seal"),
        })?;
    // What is inside is never longer than the file, so this never moves and leaves no copy behind.
    let mut plain = Zeroizing::new(Vec::with_capacity(sealed.len()));
    reader.read_to_end(&mut plain).map_err(|_| damaged("its content does not fit its seal"))?;
    parse(&plain).ok_or_else(|| damaged("what is sealed in it was not written by this version of keyturn"))
}

pub(super) fn parse(plain: &[u8]) -> Option<Opened> {
    let Format { format: FORMAT | FORMAT_WITH_FIELDS } = serde_json::from_slice(plain).ok()? else {
        return None;
    };
    let read: Read1 = serde_json::from_slice(plain).ok()?;
    let is_residue = read.residue.is_some();
    let fields = read.fields.into_iter().map(|(name, Field(value))| (name, value));
    Some(Opened {
        credential: read.credential,
        rotation_id: read.rotation_id,
        secret: Secret { key: read.secret.or(read.residue)?, fields: fields.collect() },
        is_residue,
        previous_expires_at: read.previous_expires_at,
        received_at: read.received_at,
        call: read.call,
        key_id: read.key_id,
    })
}
