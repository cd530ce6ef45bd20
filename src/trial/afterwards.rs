//! The questions after the call: whether the provider keeps what the definition says of it.

use std::time::Duration;

use serde::Serialize;

use super::{Before, Interrupts, NewKey, Secrets, Trial};
use crate::clock::Clock as _;
use crate::provider::{Answer, Listing, Probe, Provider as _, Reading, Signer};
use crate::rotation::{Problem, Refusal};

/// What one question showed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// The member of the definition that it is about.
    pub about: &'static str,
    /// Whether the provider keeps what the definition says.
    pub verdict: Verdict,
    /// What was seen, in words.
    pub seen: String,
}

/// Whether the provider keeps what a definition says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It does.
    Kept,
    /// It does not.
    Broken,
    /// It could not be asked.
    Open,
}

/// How often a question is asked again until its time is over.
const POLL: Duration = Duration::from_secs(2);

/// One question after the call.
#[derive(Debug, Clone, Copy)]
enum Question {
    Probe,
    Read { lag: Duration },
    Marker { lag: Duration },
    List,
}

impl Question {
    const fn about(self) -> &'static str {
        match self {
            Self::Probe => "probe",
            Self::Read { .. } => "read",
            Self::Marker { .. } => "marker",
            Self::List => "list",
        }
    }
}

impl Trial {
    /// Looks at what the answer showed, and asks what else the definition declares, until the declared times are over or
    /// a signal comes.
    pub async fn check(
        &self,
        secrets: &Secrets,
        before: &Before,
        new: &NewKey,
        interrupts: &mut Interrupts,
    ) -> Vec<Check> {
        let questions = self.questions();
        let mut asked = Vec::new();
        tokio::select! {
            () = self.ask(&questions, secrets, before, &new.answer, &mut asked) => {}
            () = interrupts.next() => {}
        }
        let left = questions.iter().skip(asked.len()).map(|question| Check {
            about: question.about(),
            verdict: Verdict::Open,
            seen: "it was asked to end before this was seen".to_owned(),
        });
        self.shown(new).into_iter().chain(asked).chain(left).collect()
    }

    fn questions(&self) -> Vec<Question> {
        let plan = self.bound().plan();
        let lists = plan.creates.as_ref().is_some_and(|creates| creates.lists);
        let all = [
            plan.probe.then_some(Question::Probe),
            plan.read.map(|lag| Question::Read { lag }),
            plan.marker.map(|lag| Question::Marker { lag }),
            lists.then_some(Question::List),
        ];
        all.into_iter().flatten().collect()
    }

    async fn ask(
        &self,
        questions: &[Question],
        secrets: &Secrets,
        before: &Before,
        answer: &Answer,
        seen: &mut Vec<Check>,
    ) {
        // A key that signs for itself may be dead by now.
        let own = self.bound().plan().self_authenticating;
        let main = if own { &answer.secret.key } else { &secrets.main };
        let signer = Signer { main, extra: &secrets.extra };
        for question in questions {
            seen.push(match *question {
                Question::Probe => self.probe(secrets, answer).await,
                Question::Read { lag } => self.read(signer, before, answer, lag).await,
                Question::Marker { lag } => self.marker(signer, before, lag).await,
                Question::List => self.list(signer, answer).await,
            });
        }
    }

    async fn probe(&self, secrets: &Secrets, answer: &Answer) -> Check {
        let about = "probe";
        let propagation = self.bound().plan().propagation;
        self.clock.sleep(propagation.map(|times| times.delay).unwrap_or_default()).await;
        let (deadline, poll) =
            propagation.map_or((Duration::ZERO, POLL), |times| (times.deadline, times.poll));
        let begun = self.clock.monotonic();
        loop {
            let probed = self.provider.probe(&answer.secret.key, &secrets.extra).await;
            let passed = self.clock.monotonic().saturating_sub(begun);
            let (verdict, seen) = match probed {
                Probe::Accepted => (Verdict::Kept, "the provider accepts the new key".to_owned()),
                Probe::NotAccepted(problem) => {
                    (Verdict::Broken, format!("the provider does not accept the new key: {problem}"))
                }
                Probe::Unavailable(problem) => not_asked(&problem),
            };
            if verdict == Verdict::Kept || passed >= deadline {
                return Check { about, verdict, seen };
            }
            self.clock.sleep(poll).await;
        }
    }

    async fn read(&self, signer: Signer<'_>, before: &Before, answer: &Answer, lag: Duration) -> Check {
        let wanted = before.fingerprint(&answer.secret.key);
        let look = async || match self.provider.read(self.slot.as_ref(), signer).await {
            Reading::Value(answer) if before.fingerprint(&answer.secret.key) == wanted => {
                (Verdict::Kept, "the provider shows the new key".to_owned())
            }
            Reading::Value(_) => {
                (Verdict::Broken, "the provider shows another key than the new one".to_owned())
            }
            Reading::Refused(refusal) => refused(&refusal),
            Reading::Unavailable(problem) => not_asked(&problem),
        };
        self.again_until("read", lag, look).await
    }

    async fn marker(&self, signer: Signer<'_>, before: &Before, lag: Duration) -> Check {
        let look = async || match self.provider.marker(signer).await {
            Reading::Value(None) => {
                (Verdict::Broken, "the provider does not show what changes with its key".to_owned())
            }
            Reading::Value(Some(_)) if before.marker.is_none() => {
                let seen = "nothing of the kind was shown before the call, so that it proves nothing now";
                (Verdict::Open, seen.to_owned())
            }
            Reading::Value(Some(marker)) if before.marker.as_ref() != Some(&before.fingerprint(&marker)) => {
                (Verdict::Kept, "what the provider shows of its key has changed".to_owned())
            }
            Reading::Value(Some(_)) => {
                let seen = "what the provider shows of its key is the same as before the call";
                (Verdict::Broken, seen.to_owned())
            }
            Reading::Refused(refusal) => refused(&refusal),
            Reading::Unavailable(problem) => not_asked(&problem),
        };
        self.again_until("marker", lag, look).await
    }

    /// Looks again until the provider shows what it should, or its time to show it is over.
    async fn again_until(
        &self,
        about: &'static str,
        lag: Duration,
        look: impl AsyncFn() -> (Verdict, String),
    ) -> Check {
        let begun = self.clock.monotonic();
        loop {
            let (verdict, seen) = look().await;
            let passed = self.clock.monotonic().saturating_sub(begun);
            if verdict == Verdict::Kept || passed >= lag {
                return Check { about, verdict, seen };
            }
            self.clock.sleep(POLL.min(lag)).await;
        }
    }

    async fn list(&self, signer: Signer<'_>, answer: &Answer) -> Check {
        let (verdict, seen) = match self.provider.list(signer).await {
            Listing::Keys(keys) => {
                let is_own = |key: &&crate::rotation::Created| key.rotation_id == self.rotation;
                match keys.iter().find(is_own) {
                    Some(key) if answer.key_id.as_ref().is_none_or(|id| *id == key.key_id) => {
                        (Verdict::Kept, "the new key is found by its label".to_owned())
                    }
                    Some(_) => {
                        let seen = "the list shows the new key's label beside another id than the answer did";
                        (Verdict::Broken, seen.to_owned())
                    }
                    // Lists may be late, and no definition says by how much.
                    None => (Verdict::Open, "the list does not show the new key's label yet".to_owned()),
                }
            }
            Listing::Refused(refusal) => {
                (Verdict::Broken, format!("the provider refuses to list its keys: {}", refusal.problem))
            }
            Listing::Unavailable(problem) => not_asked(&problem),
        };
        Check { about: "list", verdict, seen }
    }
}

fn refused(refusal: &Refusal) -> (Verdict, String) {
    (Verdict::Broken, format!("the provider refuses to show it: {}", refusal.problem))
}

fn not_asked(problem: &Problem) -> (Verdict, String) {
    (Verdict::Open, format!("the provider could not be asked: {problem}"))
}
