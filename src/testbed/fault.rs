//! What a test can make a simulator do wrong.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// How the next call of one kind goes wrong: whether the provider acts, when, and what of its answer arrives.
#[derive(Debug, Clone)]
pub struct Fault {
    commits: bool,
    wait: Option<(Moment, Wait)>,
    answer: Answer,
}

/// When a fault waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    BeforeCommit,
    AfterCommit,
}

#[derive(Debug, Clone)]
enum Wait {
    For(Duration),
    Until(Gate),
}

/// What becomes of the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    AsItIs,
    Dropped,
    Hanging,
    CutAfterBytes(usize),
    Garbage,
    NoContent,
    NullValue,
    Status { status: u16, retry_after: Option<String> },
}

impl Fault {
    const fn new(commits: bool, answer: Answer) -> Self {
        Self { commits, wait: None, answer }
    }

    /// The provider acts, and the connection breaks before a byte of the answer is sent.
    pub const fn answer_lost() -> Self {
        Self::new(true, Answer::Dropped)
    }

    /// The provider acts, and never answers.
    pub const fn answer_hangs() -> Self {
        Self::new(true, Answer::Hanging)
    }

    /// The provider acts, and the connection breaks after so many bytes of the answer's body.
    pub const fn answer_cut(bytes: usize) -> Self {
        Self::new(true, Answer::CutAfterBytes(bytes))
    }

    /// The provider acts, and answers 200 with a body that is no JSON.
    pub const fn answer_garbled() -> Self {
        Self::new(true, Answer::Garbage)
    }

    /// The provider acts, and answers 204 without a body.
    pub const fn answer_empty() -> Self {
        Self::new(true, Answer::NoContent)
    }

    /// The provider acts, and answers with `null` where the key should be.
    pub const fn answer_null() -> Self {
        Self::new(true, Answer::NullValue)
    }

    /// The provider acts, and answers with an error status all the same.
    pub const fn acts_and_answers(status: u16) -> Self {
        Self::new(true, Answer::Status { status, retry_after: None })
    }

    /// The provider does not act, and answers with an error status.
    pub const fn refuses(status: u16) -> Self {
        Self::new(false, Answer::Status { status, retry_after: None })
    }

    /// The provider does not act and answers 429, with a `Retry-After` header where one is given.
    pub fn rate_limits(retry_after: Option<&str>) -> Self {
        Self::new(false, Answer::Status { status: 429, retry_after: retry_after.map(str::to_owned) })
    }

    /// The same with 503.
    pub fn is_busy(retry_after: &str) -> Self {
        Self::new(false, Answer::Status { status: 503, retry_after: Some(retry_after.to_owned()) })
    }

    /// The provider does not act, and the connection breaks without an answer.
    pub const fn request_lost() -> Self {
        Self::new(false, Answer::Dropped)
    }

    /// The provider does not act, and never answers.
    pub const fn request_hangs() -> Self {
        Self::new(false, Answer::Hanging)
    }

    /// All goes well, `delay` later than usual.
    pub fn slow(delay: Duration) -> Self {
        Self::new(true, Answer::AsItIs).delayed(delay)
    }

    /// The provider acts, and holds the answer back until the gate is released.
    pub fn held(gate: &Gate) -> Self {
        Self::new(true, Answer::AsItIs).until(gate)
    }

    /// The provider acts only once the gate is released, even if nobody waits for the answer any more.
    pub fn acts_late(gate: &Gate) -> Self {
        Self {
            wait: Some((Moment::BeforeCommit, Wait::Until(gate.clone()))),
            ..Self::new(true, Answer::AsItIs)
        }
    }

    /// The same fault, the answer coming `delay` later.
    #[must_use]
    pub fn delayed(self, delay: Duration) -> Self {
        Self { wait: Some((Moment::AfterCommit, Wait::For(delay))), ..self }
    }

    /// The same fault, the answer held back until the gate is released.
    #[must_use]
    pub fn until(self, gate: &Gate) -> Self {
        Self { wait: Some((Moment::AfterCommit, Wait::Until(gate.clone()))), ..self }
    }

    pub(super) const fn none() -> Self {
        Self::new(true, Answer::AsItIs)
    }

    pub(super) const fn commits(&self) -> bool {
        self.commits
    }

    pub(super) const fn answer(&self) -> &Answer {
        &self.answer
    }

    pub(super) async fn wait(&self, moment: Moment) {
        match &self.wait {
            Some((when, Wait::For(delay))) if *when == moment => tokio::time::sleep(*delay).await,
            Some((when, Wait::Until(gate))) if *when == moment => gate.pass().await,
            _ => {}
        }
    }
}

/// Holds a call in flight until a test lets it go on.
#[derive(Debug, Clone, Default)]
pub struct Gate {
    reached: CancellationToken,
    released: CancellationToken,
}

impl Gate {
    /// A closed gate that nobody has reached yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends when a call stands at the gate, or has passed it.
    pub async fn reached(&self) {
        self.reached.cancelled().await;
    }

    /// Whether a call stands at the gate, or has passed it.
    pub fn is_reached(&self) -> bool {
        self.reached.is_cancelled()
    }

    /// Lets everybody pass, now and later.
    pub fn release(&self) {
        self.released.cancel();
    }

    pub(super) async fn pass(&self) {
        self.reached.cancel();
        self.released.cancelled().await;
    }
}
