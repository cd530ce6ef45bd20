//! One replica's view of the fake provider.

use std::time::Duration;

use super::clock::FakeClock;
use super::life::Life;
use super::mint::{CallFault, FakeMint};
use crate::clock::Clock as _;
use crate::ids::RotationId;
use crate::provider::{Account, Answer, Probe, Provider, Reading, Response, Signer};
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
    account: Account,
}

impl FakeProvider {
    /// A provider that behaves as `plan` says, as long as `life` lasts.
    pub fn new(plan: Plan, mint: FakeMint, clock: FakeClock, life: Life) -> Self {
        Self { plan, mint, clock, life, account: Account::default() }
    }

    /// The same provider, spoken to by one account together with others.
    #[must_use]
    pub fn with_account(self, account: Account) -> Self {
        Self { account, ..self }
    }

    /// What the provider does once it has the request.
    fn act(&self, rotation: RotationId, signer: &SecretValue) -> Outcome<Answer> {
        let now = self.clock.now();
        if self.plan.self_authenticating && !self.mint.accepts(signer.expose(), now) {
            return Outcome::NotApplied(refusal(RefusalClass::Unauthenticated));
        }
        let secret = SecretValue::new(self.mint.regenerate(&self.plan, rotation, now));
        let previous_expires_at = self.plan.grace.map(|grace| later(now, grace));
        Outcome::Applied(Answer { secret, previous_expires_at, received_at: now })
    }

    async fn answer(&self, rotation: RotationId, signer: &SecretValue) -> Outcome<Answer> {
        match self.mint.receive(rotation, self.clock.now()) {
            None => self.act(rotation, signer),
            Some(CallFault::Refused(class)) => Outcome::NotApplied(refusal(class)),
            Some(CallFault::RequestLost) => Outcome::Unknown(Doubt::Timeout),
            Some(CallFault::AnswerLost) => {
                self.act(rotation, signer);
                Outcome::Unknown(Doubt::ConnectionLost)
            }
            Some(CallFault::NoValue) => {
                self.act(rotation, signer);
                Outcome::AppliedNoValue
            }
            Some(CallFault::Frozen(gate)) => {
                gate.pass().await;
                self.act(rotation, signer)
            }
            Some(CallFault::Held(gate)) => {
                let done = self.act(rotation, signer);
                gate.pass().await;
                done
            }
            Some(CallFault::Late(delay)) => {
                let (provider, signer) = (self.clone(), signer.duplicate());
                tokio::spawn(async move {
                    tokio::time::sleep(delay).await;
                    provider.act(rotation, &signer);
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

    async fn regenerate(&self, rotation: RotationId, signer: Signer<'_>) -> Response {
        let number = self.life.enter("regenerate").await;
        let outcome = self.answer(rotation, signer.main).await;
        self.life.leave(number).await;
        Response { outcome, residue: None }
    }

    async fn read(&self, _signer: Signer<'_>) -> Reading {
        let number = self.life.enter("read").await;
        self.mint.count_read();
        self.mint.stand_in_line().await;
        let reading = match self.mint.outage() {
            Some(_) => Reading::Unavailable(Problem::local("the fake provider is down")),
            None if self.plan.read.is_none() => Reading::Refused(refusal(RefusalClass::NotFound)),
            None => Reading::Value(Answer {
                secret: SecretValue::new(self.mint.newest_key()),
                previous_expires_at: None,
                received_at: self.clock.now(),
            }),
        };
        self.life.leave(number).await;
        reading
    }

    async fn probe(&self, key: &SecretValue, _extra: &[(String, SecretValue)]) -> Probe {
        let number = self.life.enter("probe").await;
        self.mint.count_probe();
        self.mint.stand_in_line().await;
        let probe = match self.mint.outage() {
            Some(_) => Probe::Unavailable(Problem::local("the fake provider is down")),
            None if self.mint.accepts(key.expose(), self.clock.now()) => Probe::Accepted,
            None => Probe::NotAccepted(Problem::local("the fake provider does not accept the key")),
        };
        self.life.leave(number).await;
        probe
    }
}

fn refusal(class: RefusalClass) -> Refusal {
    Refusal { class, problem: Problem::local("the fake provider refuses"), retry_after: None }
}
