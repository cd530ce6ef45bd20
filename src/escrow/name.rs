//! The names of the files in an escrow directory; a slot's state is in its name.

use std::num::NonZeroU32;

use crate::ids::{CredentialName, RotationId};

/// One of keyturn's own files for one rotation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileName {
    pub(super) credential: CredentialName,
    pub(super) rotation_id: RotationId,
    pub(super) kind: Kind,
}

/// What a file holds, as its name tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Unsent,
    Sent,
    Sealed,
    /// A rotation that called twice may leave more than one.
    Residue(NonZeroU32),
    /// Not complete; means nothing.
    Scratch,
}

impl FileName {
    pub(super) fn new(credential: &CredentialName, rotation_id: RotationId, kind: Kind) -> Self {
        Self { credential: credential.clone(), rotation_id, kind }
    }

    /// Reads a name; only the exact text that keyturn would write is taken.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '.');
        let credential = parts.next()?.parse().ok()?;
        let rotation_id = parts.next()?.parse().ok()?;
        let kind = Kind::parse(parts.next()?)?;
        let name = Self { credential, rotation_id, kind };
        (name.to_string() == text).then_some(name)
    }
}

impl std::fmt::Display for FileName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.credential, self.rotation_id, self.kind.suffix())
    }
}

impl Kind {
    /// The word for it in a listing.
    pub(super) const fn word(self) -> Option<&'static str> {
        match self {
            Self::Unsent => Some("unsent"),
            Self::Sent => Some("sent"),
            Self::Sealed => Some("sealed"),
            Self::Residue(_) => Some(super::RESIDUE),
            Self::Scratch => None,
        }
    }

    /// Whether the file is a complete age file.
    pub(super) const fn is_sealed(self) -> bool {
        matches!(self, Self::Sealed | Self::Residue(_))
    }

    fn suffix(self) -> String {
        match self {
            Self::Unsent => "slot".into(),
            Self::Sent => "sent".into(),
            Self::Sealed => "age".into(),
            Self::Residue(NonZeroU32::MIN) => "residue.age".into(),
            Self::Residue(number) => format!("residue-{number}.age"),
            Self::Scratch => "tmp".into(),
        }
    }

    fn parse(suffix: &str) -> Option<Self> {
        Some(match suffix {
            "slot" => Self::Unsent,
            "sent" => Self::Sent,
            "age" => Self::Sealed,
            "residue.age" => Self::Residue(NonZeroU32::MIN),
            "tmp" => Self::Scratch,
            other => Self::Residue(other.strip_prefix("residue-")?.strip_suffix(".age")?.parse().ok()?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_taken_only_as_it_would_be_written() {
        let id = "01999999-0000-7000-8000-000000000001";
        for suffix in ["slot", "sent", "age", "tmp", "residue.age", "residue-2.age"] {
            let text = format!("stripe.{id}.{suffix}");
            assert_eq!(FileName::parse(&text).map(|name| name.to_string()), Some(text));
        }
        let compact = id.replace('-', "");
        for foreign in [
            "lock".to_owned(),
            format!("stripe.{compact}.age"),
            format!("Stripe.{id}.age"),
            format!("stripe.{id}.residue-1.age"),
            format!("stripe.{id}.residue-0.age"),
            format!("stripe.{id}.age.bak"),
            format!("stripe.{}.age", id.replace('7', "A")),
        ] {
            assert_eq!(FileName::parse(&foreign), None, "{foreign} was taken");
        }
    }
}
