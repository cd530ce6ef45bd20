//! How a provider's answers go wrong.

use std::time::Duration;

use crate::rotation::RefusalClass;
use crate::testbed::Gate;

/// How one regenerate call goes wrong.
#[derive(Debug, Clone)]
pub enum CallFault {
    /// The provider acts, and its answer is lost.
    AnswerLost,
    /// The provider never gets the request, and nobody knows.
    RequestLost,
    /// The provider acts so much later, when the sender has given up.
    Late(Duration),
    /// The provider does not act, and says so.
    Refused(RefusalClass),
    /// The provider does not act, and says how long it wants to be left alone.
    RefusedFor(RefusalClass, Duration),
    /// The provider answers with a status that does not say whether it acted.
    Unclear {
        /// Whether it did.
        acts: bool,
    },
    /// The provider acts, and answers in a form that nobody can read.
    Garbled,
    /// The provider acts, and its answer takes so long.
    Slow(Duration),
    /// The provider acts, and answers without the key.
    NoValue,
    /// The provider acts, and its answer comes once the gate is released.
    Held(Gate),
    /// The sender freezes before its last byte: once the gate is released, the provider acts and answers.
    Frozen(Gate),
}

/// A question that changes nothing at the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// What the current key is.
    Read,
    /// Whether a key is accepted.
    Probe,
    /// Which keys there are.
    List,
    /// To end a key's life. It can be asked twice.
    Revoke,
}

/// How one question goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuestionFault {
    /// There is no answer.
    Unavailable,
    /// The provider refuses to say. A probe then counts as not answered.
    Refused(RefusalClass, Option<Duration>),
    /// What it is asked to do takes effect, and the answer is lost.
    AnswerLost,
    /// What it is asked to do takes effect so much later, when nobody waits any more.
    Late(Duration),
}
