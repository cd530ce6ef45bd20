//! One replica's view of the fake provider.

use std::time::Duration;

use aws_lc_rs::error::Unspecified;
use jiff::Timestamp;

use super::clock::FakeClock;
use super::life::Life;
use super::mint::{FakeMint, slot_of};
use super::pair::whole;
use super::trouble::{CallFault, Question, QuestionFault};
use super::witness::Witness;
use crate::clock::Clock as _;
use crate::ids::{KeyId, RotationId};
use crate::provider::{
    Account, Answer, Listing, Probe, Provider, Reading, Regeneration, Response, Revoking, Signer,
};
use crate::rotation::{Doubt, Outcome, Plan, Problem, Refusal, RefusalClass};
use crate::secret::SecretValue;
use crate::testbed::keyring::later;

/// The provider of one life of one replica.
#[derive(Debug, Clone)]
pub struct FakeProvider {
    plan: Plan,
    mint: FakeMint,
    clock: FakeClock,
    life: Life,
    witness: Option<Witness<ProviderAct>>,
    account: Account,
}

/// What happens between one replica and the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProviderAct {
    /// A request left the replica.
    Sent(RotationId),
    /// The provider refused to act.
    Refused {
        /// The rotation.
        rotation_id: RotationId,
        /// How.
        class: RefusalClass,
        /// How long it wants to be left alone.
        retry_after: Option<Duration>,
    },
    /// The provider made a key, or showed again the one that it had made for the rotation.
    Made {
        /// The rotation.
        rotation_id: RotationId,
        /// The key.
        key: String,
        /// When the request left.
        sent_at: Timestamp,
    },
    /// The provider ended a key's life.
    Revoked {
        /// The key.
        key: String,
        /// How long before it was asked for.
        took: Duration,
    },
    /// The answer with the key reached the replica.
    Heard {
        /// The rotation.
        rotation_id: RotationId,
        /// The key.
        key: String,
    },
}

impl FakeProvider {
    /// A provider that behaves as `plan` says, as long as `life` lasts.
    pub fn new(plan: Plan, mint: FakeMint, clock: FakeClock, life: Life) -> Self {
        Self { plan, mint, clock, life, witness: None, account: Account::default() }
    }

    /// The same provider, spoken to by one account together with others.
    #[must_use]
    pub fn with_account(self, account: Account) -> Self {
        Self { account, ..self }
    }

    /// The same with somebody who looks on.
    #[must_use]
    pub fn watched_by(self, witness: Witness<ProviderAct>) -> Self {
        Self { witness: Some(witness), ..self }
    }

    fn tell(&self, act: &ProviderAct) {
        if let Some(witness) = &self.witness {
            witness.tell(act);
        }
    }

    fn refuse(&self, rotation_id: RotationId, class: RefusalClass, retry_after: Option<Duration>) -> Refusal {
        self.tell(&ProviderAct::Refused { rotation_id, class, retry_after });
        refusal(class, retry_after)
    }

    /// What the provider does once it has the request.
    fn act(&self, what: Regeneration<'_>, signer: &SecretValue, sent_at: Timestamp) -> Outcome<Answer> {
        let (now, rotation) = (self.clock.now(), what.rotation);
        if self.plan.self_authenticating && !self.mint.accepts(signer.expose(), now) {
            return Outcome::NotApplied(self.refuse(rotation, RefusalClass::Unauthenticated, None));
        }
        if !self.mint.has_place(&self.plan, now) {
            return Outcome::NotApplied(self.refuse(rotation, RefusalClass::Conflict, None));
        }
        let key = self.mint.regenerate(&self.plan, what, now);
        self.tell(&ProviderAct::Made { rotation_id: rotation, key: key.clone(), sent_at });
        let has_ids = self.plan.creates.as_ref().is_some_and(|creates| creates.phases.is_none());
        let key_id = has_ids.then(|| self.mint.id_of(&key)).flatten();
        let secret = whole(&self.plan, key);
        let previous_expires_at = self.plan.grace.map(|grace| later(now, grace));
        Outcome::Applied(Answer { secret, previous_expires_at, received_at: now, key_id })
    }

    fn revoke_now(&self, key: &KeyId, asked_at: Duration) -> Revoking {
        if let Some(key) = self.mint.revoke(key, self.clock.now()) {
            let took = self.clock.monotonic().saturating_sub(asked_at);
            self.tell(&ProviderAct::Revoked { key, took });
        }
        Revoking::Revoked
    }

    /// Whether the provider takes orders that are signed so.
    fn is_signed(&self, signer: &SecretValue) -> bool {
        !self.plan.self_authenticating || self.mint.accepts(signer.expose(), self.clock.now())
    }

    /// What a look at the key shows, unless it goes wrong or is not declared.
    fn looked<T>(&self, is_declared: bool, shows: impl FnOnce() -> T) -> Reading<T> {
        match self.mint.question_fault(Question::Read) {
            Some(QuestionFault::Unavailable | QuestionFault::AnswerLost | QuestionFault::Late(_)) => {
                Reading::Unavailable(problem())
            }
            Some(QuestionFault::Refused(class, time)) => Reading::Refused(refusal(class, time)),
            None if !is_declared => Reading::Refused(refusal(RefusalClass::NotFound, None)),
            None => Reading::Value(shows()),
        }
    }

    async fn answer(&self, what: Regeneration<'_>, signer: &SecretValue) -> Outcome<Answer> {
        let (sent_at, rotation) = (self.clock.now(), what.rotation);
        self.tell(&ProviderAct::Sent(rotation));
        let act = || self.act(what, signer, sent_at);
        // The provider answers a request that it refuses, whatever becomes of the answers of others.
        let acts_and = |doubt| match act() {
            Outcome::Applied(_) => doubt,
            other => other,
        };
        match self.mint.receive(rotation, sent_at) {
            None => act(),
            // Whatever the answer looks like, a success means the key that was brought.
            Some(CallFault::NoValue | CallFault::Garbled) if self.plan.supplies => act(),
            Some(CallFault::Refused(class)) => Outcome::NotApplied(self.refuse(rotation, class, None)),
            Some(CallFault::RefusedFor(class, time)) => {
                Outcome::NotApplied(self.refuse(rotation, class, Some(time)))
            }
            Some(CallFault::RequestLost) => Outcome::Unknown(Doubt::Timeout),
            Some(CallFault::AnswerLost) => acts_and(Outcome::Unknown(Doubt::ConnectionLost)),
            Some(CallFault::Garbled) => acts_and(Outcome::Unknown(Doubt::Unreadable { problem: problem() })),
            Some(CallFault::Unclear { acts: true }) => {
                acts_and(Outcome::Unknown(Doubt::Status { problem: problem() }))
            }
            Some(CallFault::Unclear { acts: false }) => {
                Outcome::Unknown(Doubt::Status { problem: problem() })
            }
            Some(CallFault::NoValue) => acts_and(Outcome::AppliedNoValue),
            Some(CallFault::Frozen(gate)) => {
                gate.pass().await;
                act()
            }
            Some(CallFault::Held(gate)) => {
                let done = act();
                gate.pass().await;
                done
            }
            Some(CallFault::Slow(time)) => {
                let done = act();
                tokio::time::sleep(time).await;
                done
            }
            Some(CallFault::Late(delay)) => {
                let (provider, signer) = (self.clone(), signer.duplicate());
                let supplied = what.supplied.map(SecretValue::duplicate);
                let slot = what.slot.cloned();
                tokio::spawn(async move {
                    tokio::time::sleep(delay).await;
                    let what = Regeneration { rotation, supplied: supplied.as_ref(), slot: slot.as_ref() };
                    provider.act(what, &signer, sent_at);
                });
                tokio::time::sleep(self.plan.call_timeout).await;
                Outcome::Unknown(Doubt::Timeout)
            }
        }
    }
}

impl Provider for FakeProvider {
    fn plan(&self) -> &Plan {
        &self.plan
    }

    fn quiet_left(&self) -> Option<Duration> {
        self.account.quiet_left(self.clock.monotonic())
    }

    fn choose_key(&self) -> Result<Option<SecretValue>, Unspecified> {
        Ok(self.plan.supplies.then(|| SecretValue::new(self.mint.choose())))
    }

    async fn regenerate(&self, what: Regeneration<'_>, signer: Signer<'_>) -> Response {
        let number = self.life.enter("regenerate").await;
        let outcome = self.answer(what, signer.main).await;
        self.life.leave("regenerate", number).await;
        if let Outcome::Applied(answer) = &outcome {
            let key = answer.secret.key.expose().to_owned();
            self.tell(&ProviderAct::Heard { rotation_id: what.rotation, key });
        }
        Response { outcome, residue: None }
    }

    async fn read(&self, slot: Option<&KeyId>, _signer: Signer<'_>) -> Reading {
        let number = self.life.enter("read").await;
        self.mint.count_read();
        self.mint.stand_in_line().await;
        let reading = self.looked(self.plan.read.is_some(), || Answer {
            secret: SecretValue::new(self.mint.shown_key(slot_of(&self.plan, slot), self.clock.now())).into(),
            previous_expires_at: None,
            received_at: self.clock.now(),
            key_id: None,
        });
        self.life.leave("read", number).await;
        reading
    }

    async fn marker(&self, _signer: Signer<'_>) -> Reading<Option<SecretValue>> {
        let number = self.life.enter("marker").await;
        self.mint.count_read();
        self.mint.stand_in_line().await;
        let reading = self.looked(self.plan.marker.is_some(), || {
            let marker = self.mint.marker(slot_of(&self.plan, None), self.clock.now());
            marker.map(SecretValue::new)
        });
        self.life.leave("marker", number).await;
        reading
    }

    async fn probe(&self, key: &SecretValue, _extra: &[(String, SecretValue)]) -> Probe {
        let number = self.life.enter("probe").await;
        self.mint.count_probe();
        self.mint.stand_in_line().await;
        let probe = match self.mint.question_fault(Question::Probe) {
            Some(_) => Probe::Unavailable(problem()),
            None if self.mint.accepts(key.expose(), self.clock.now()) => Probe::Accepted,
            None => Probe::NotAccepted(Problem::local("the fake provider does not accept the key")),
        };
        self.life.leave("probe", number).await;
        probe
    }

    async fn list(&self, signer: Signer<'_>) -> Listing {
        let number = self.life.enter("list keys").await;
        self.mint.stand_in_line().await;
        let listing = match self.mint.question_fault(Question::List) {
            Some(QuestionFault::Refused(class, time)) => Listing::Refused(refusal(class, time)),
            Some(_) => Listing::Unavailable(problem()),
            None if !self.is_signed(signer.main) => {
                Listing::Refused(refusal(RefusalClass::Unauthenticated, None))
            }
            None => Listing::Keys(self.mint.listed(self.clock.now())),
        };
        self.life.leave("list keys", number).await;
        listing
    }

    async fn revoke(&self, key: &KeyId, signer: Signer<'_>) -> Revoking {
        let asked_at = self.clock.monotonic();
        let number = self.life.enter("revoke").await;
        self.mint.stand_in_line().await;
        let revoking = match self.mint.question_fault(Question::Revoke) {
            Some(QuestionFault::Refused(class, time)) => Revoking::Refused(refusal(class, time)),
            Some(QuestionFault::Unavailable) => Revoking::Unavailable(problem()),
            _ if !self.is_signed(signer.main) => {
                Revoking::Refused(refusal(RefusalClass::Unauthenticated, None))
            }
            Some(QuestionFault::Late(delay)) => {
                let (provider, key) = (self.clone(), key.clone());
                tokio::spawn(async move {
                    tokio::time::sleep(delay).await;
                    provider.revoke_now(&key, asked_at);
                });
                tokio::time::sleep(self.plan.call_timeout).await;
                Revoking::Unavailable(problem())
            }
            Some(QuestionFault::AnswerLost) => {
                self.revoke_now(key, asked_at);
                Revoking::Unavailable(problem())
            }
            None => self.revoke_now(key, asked_at),
        };
        self.life.leave("revoke", number).await;
        revoking
    }
}

fn refusal(class: RefusalClass, retry_after: Option<Duration>) -> Refusal {
    Refusal { class, problem: Problem::local("the fake provider refuses"), retry_after }
}

fn problem() -> Problem {
    Problem::local("the fake provider is down")
}
