//! The one call, and what came of it.

use std::io;
use std::time::Duration;

use super::key_file::Kept;
use super::shown::{NewKey, Source, places};
use super::{Before, Cause, Interrupts, KeyFile, Secrets, Trial};
use crate::clock::Clock as _;
use crate::provider::{Answer, Provider as _, Reading, Regeneration, Response};
use crate::rotation::{Doubt, Outcome};
use crate::secret::SecretValue;

/// What came of the call.
#[derive(Debug)]
pub enum Called {
    /// The provider made a key, and the file has it.
    Kept(NewKey),
    /// It was asked to end before the call, and sent nothing.
    NotSent {
        /// Whether the file could be taken away.
        removed: io::Result<()>,
    },
    /// The provider did not act, or was not called; the old key stands.
    NotApplied {
        /// Why.
        cause: Cause,
        /// How long the provider asked to be left alone.
        retry_after: Option<Duration>,
        /// Whether the file could be taken away.
        removed: io::Result<()>,
    },
    /// Nobody can tell whether there is a new key, or where it is.
    Unknown {
        /// Why.
        cause: Cause,
        /// What the file has of it.
        left: Left,
    },
    /// There was an answer with a key, the file could not be written or synced, and a person gave it up.
    Lost(io::Error),
}

/// What a file has of a call of which nobody can tell what came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// Nothing.
    Nothing,
    /// The answer's body, in which the key may be.
    Body,
    /// Perhaps the body, or a part of it: writing or syncing it failed, and a person gave it up.
    BodyPerhaps,
    /// The key that the call brought.
    ChosenKey,
}

/// What a person is told while the call goes on.
#[derive(Debug, Clone, Copy)]
pub enum Notice<'a> {
    /// The command was asked to end, and waits for the answer.
    Waiting,
    /// The key is there and cannot be written; it is tried again until that works, or a signal gives it up.
    CannotKeep(&'a io::Error),
}

/// How often a file that cannot be written is tried, and a key that is not shown yet is looked for.
const POLL: Duration = Duration::from_secs(2);

impl Trial {
    /// Makes the call, once, and keeps what it brings before anything else.
    ///
    /// Not cancel-safe: dropped after the first byte left, the outcome is unknown.
    pub async fn call(
        &self,
        secrets: &Secrets,
        before: &Before,
        file: KeyFile,
        interrupts: &mut Interrupts,
        mut tell: impl FnMut(Notice<'_>),
    ) -> Called {
        let chosen = match self.choose(&file) {
            Ok(chosen) => chosen,
            Err(cause) => return Called::NotApplied { cause, retry_after: None, removed: file.remove() },
        };
        if interrupts.take().await {
            return Called::NotSent { removed: file.remove() };
        }
        let what =
            Regeneration { rotation: self.rotation, supplied: chosen.as_ref(), slot: self.slot.as_ref() };
        let calling = self.provider.regenerate(what, secrets.signer());
        let Response { outcome, residue } = interrupts.outlast(calling, || tell(Notice::Waiting)).await;
        let mut desk = Desk { trial: self, file: &file, interrupts, tell: &mut tell };
        let residue = residue.as_ref();
        match outcome {
            Outcome::Applied(answer) => desk.keep_key(answer, Source::Answer).await,
            Outcome::NotApplied(refusal) => Called::NotApplied {
                cause: Cause { what: refusal.problem.to_string(), code: refusal.class.code() },
                retry_after: refusal.retry_after,
                removed: file.remove(),
            },
            Outcome::AppliedNoValue => {
                let left = desk.leave(residue, chosen.is_some()).await;
                match desk.read_new(secrets, before).await {
                    Some(answer) => desk.keep_key(answer, Source::Read).await,
                    None => Called::Unknown { cause: self.cause_of(&Doubt::NoValue), left },
                }
            }
            Outcome::Unknown(doubt) => {
                let left = desk.leave(residue, chosen.is_some()).await;
                Called::Unknown { cause: self.cause_of(&doubt), left }
            }
        }
    }

    /// The key that the call brings, where keyturn chooses it: in the file before the call.
    fn choose(&self, file: &KeyFile) -> Result<Option<SecretValue>, Cause> {
        let no_randomness =
            |_| Cause { what: "the system gives no random bytes".to_owned(), code: "NO_RANDOMNESS" };
        let chosen = self.provider.choose_key().map_err(no_randomness)?;
        if let Some(key) = &chosen {
            file.keep(Kept::Chosen(key)).map_err(|error| Cause {
                what: format!("{} cannot be written: {error}", file.path().display()),
                code: "NEW_KEY_FILE",
            })?;
        }
        Ok(chosen)
    }

    fn cause_of(&self, doubt: &Doubt) -> Cause {
        let what = match doubt {
            Doubt::Timeout => "no answer came in time after the request was sent".to_owned(),
            Doubt::ConnectionLost => "the connection broke after the request was sent".to_owned(),
            Doubt::Status { problem } => {
                format!("the provider answered with a status that does not say whether it acted: {problem}")
            }
            Doubt::Unreadable { problem } => {
                let what = format!("the provider reported success, and its answer cannot be used: {problem}");
                self.with_places(what)
            }
            Doubt::NoValue | Doubt::Crashed | Doubt::HolderLost | Doubt::Refused { .. } => {
                self.with_places("the provider reported success, and the new key was not shown".to_owned())
            }
        };
        Cause { what, code: doubt.code() }
    }

    /// The likeliest mistake in a new definition is a wrong pointer.
    fn with_places(&self, what: String) -> String {
        match places(&self.definition.answer) {
            Some(places) => format!("{what}; it was looked for at {places}"),
            None => what,
        }
    }
}

/// Where an answer is dealt with.
struct Desk<'a> {
    trial: &'a Trial,
    file: &'a KeyFile,
    interrupts: &'a mut Interrupts,
    tell: &'a mut dyn FnMut(Notice<'_>),
}

impl Desk<'_> {
    async fn keep_key(&mut self, mut answer: Answer, source: Source) -> Called {
        if self.trial.slot.is_some() {
            // A rotation leaves the old key alone in another slot; here it was replaced in its own.
            answer.previous_expires_at = None;
        }
        match self.keep(Kept::Key(&answer)).await {
            Ok(()) => Called::Kept(NewKey { answer, source }),
            Err(error) => Called::Lost(error),
        }
    }

    /// Tries until it is done: the one copy of a key is in memory. Only a signal that comes after this was told ends it.
    async fn keep(&mut self, kept: Kept<'_>) -> io::Result<()> {
        let mut is_told = false;
        loop {
            let Err(error) = self.file.keep(kept) else { return Ok(()) };
            if !is_told {
                // Who sent one before this knew nothing of the key.
                self.interrupts.take().await;
                (self.tell)(Notice::CannotKeep(&error));
                is_told = true;
            }
            tokio::select! {
                () = self.interrupts.next() => return Err(error),
                () = self.trial.clock.sleep(POLL) => {}
            }
        }
    }

    /// Leaves in the file what there is of a key that nobody knows.
    async fn leave(&mut self, residue: Option<&SecretValue>, has_chosen_key: bool) -> Left {
        if has_chosen_key {
            return Left::ChosenKey;
        }
        let Some(body) = residue else {
            // Empty it is as it was made; only its space is given back.
            self.file.leave_empty().ok();
            return Left::Nothing;
        };
        match self.keep(Kept::Residue(body)).await {
            Ok(()) => Left::Body,
            Err(_) => Left::BodyPerhaps,
        }
    }

    /// The new key, where the answer does not show it and the provider does.
    async fn read_new(&mut self, secrets: &Secrets, before: &Before) -> Option<Answer> {
        let Trial { provider, slot, clock, .. } = self.trial;
        let lag = provider.plan().read?;
        let begun = clock.monotonic();
        loop {
            if let Reading::Value(answer) = provider.read(slot.as_ref(), secrets.signer()).await
                && before.key.as_ref() != Some(&before.fingerprint(&answer.secret.key))
            {
                return Some(answer);
            }
            if clock.monotonic().saturating_sub(begun) >= lag {
                return None;
            }
            tokio::select! {
                () = self.interrupts.next() => return None,
                () = clock.sleep(POLL.min(lag)) => {}
            }
        }
    }
}
