//! What goes wrong at single operations: kills, freezes, and requests that fail in every way.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::judge::Judge;
use crate::ids::RotationId;
use crate::rotation::{Plan, RefusalClass};
use crate::testbed::fake::{
    Accident, CallFault, Dice, Draw, Moment, Passed, Question, QuestionFault, StoreCall, StoreFault,
};
use crate::vault::Error;

/// How often operations go wrong in one world, each in 10,000.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rates {
    deaths: u64,
    freezes: u64,
    requests: u64,
    calls: u64,
    questions: u64,
}

impl Rates {
    pub(super) fn drawn(dice: &Dice) -> Self {
        let one_of = |rates: &[u64]| dice.pick(rates).copied().unwrap_or_default();
        Self {
            deaths: one_of(&[0, 5, 20, 60]),
            freezes: one_of(&[0, 5, 20, 60]),
            requests: one_of(&[0, 20, 100, 400]),
            calls: one_of(&[0, 500, 2_000, 5_000]),
            questions: one_of(&[0, 200, 1_500]),
        }
    }
}

/// The chance of one world, which can be switched off.
#[derive(Debug, Clone)]
pub(super) struct Chaos {
    dice: Dice,
    rates: Rates,
    judge: Judge,
    stopped: CancellationToken,
}

const CLASSES: &[RefusalClass] = &[
    RefusalClass::Unreachable,
    RefusalClass::RateLimited,
    RefusalClass::InProgress,
    RefusalClass::Unauthenticated,
    RefusalClass::Forbidden,
    RefusalClass::NotFound,
    RefusalClass::Conflict,
    RefusalClass::Invalid,
];

const MILLISECOND: Duration = Duration::from_millis(1);

impl Chaos {
    pub(super) fn new(dice: Dice, rates: Rates, judge: Judge) -> Self {
        Self { dice, rates, judge, stopped: CancellationToken::new() }
    }

    /// From now on nothing more goes wrong.
    pub(super) fn stop(&self) {
        self.stopped.cancel();
    }

    pub(super) fn is_over(&self) -> bool {
        self.stopped.is_cancelled()
    }

    /// Returns once it is over.
    pub(super) async fn is_stopped(&self) {
        self.stopped.cancelled().await;
    }

    fn happens(&self, per_10_000: u64) -> bool {
        !self.is_over() && self.dice.happens(per_10_000)
    }

    #[expect(
        clippy::unnecessary_wraps,
        reason = "it ends every branch of a draw, which is nothing where nothing happens"
    )]
    fn fault<T>(&self, kind: &'static str, fault: T) -> Option<T> {
        self.judge.fault(kind);
        Some(fault)
    }

    /// Deaths and freezes of one life; `label` tells it from others in the trace.
    pub(super) fn of_life(&self, label: (usize, usize)) -> Draw<Passed, Accident> {
        let chaos = self.clone();
        Draw::new(move |passed| chaos.accident(label, passed))
    }

    fn accident(&self, label: (usize, usize), passed: Passed) -> Option<Accident> {
        self.judge.trace(label, passed.operation, passed.moment == Moment::After);
        // A task at rest looks up all day; most accidents shall happen to those that do something.
        let rarity = if passed.operation == StoreCall::RecordVersion.name() { 20 } else { 1 };
        if self.happens(self.rates.deaths / rarity) {
            return self.fault("killed at an operation", Accident::Dies);
        }
        if self.happens(self.rates.freezes / rarity) {
            let time = self.dice.between(Duration::from_secs(1), Duration::from_mins(6));
            self.judge.trouble_for(time);
            return self.fault("frozen at an operation", Accident::Freezes(time));
        }
        None
    }

    /// What goes wrong between one replica and Vault.
    pub(super) fn of_link(&self) -> Draw<StoreCall, StoreFault> {
        let chaos = self.clone();
        Draw::new(move |call| chaos.store_fault(call))
    }

    fn store_fault(&self, call: StoreCall) -> Option<StoreFault> {
        if !self.happens(self.rates.requests) {
            return None;
        }
        let writes = matches!(call, StoreCall::WriteRecord | StoreCall::Publish);
        match self.dice.below(if writes { 8 } else { 5 }) {
            0 => self.fault(
                "Vault: request late",
                StoreFault::Late(self.dice.between(MILLISECOND, 20_000 * MILLISECOND)),
            ),
            1..=4 => {
                let (kind, error) = self.refusal();
                self.fault(kind, StoreFault::Refused(error))
            }
            5 => self.fault("Vault: write lost", StoreFault::RequestLost),
            6 => self.fault("Vault: write's answer lost", StoreFault::AnswerLost),
            _ => self.fault("Vault: check-and-set lost", StoreFault::Conflict),
        }
    }

    /// One of the ways in which Vault says no.
    pub(super) fn refusal(&self) -> (&'static str, Error) {
        match self.dice.below(5) {
            0 => ("Vault: sealed", Error::Sealed),
            1 => ("Vault: standby", Error::Standby),
            2 => {
                let retry_after =
                    self.dice.happens(5_000).then(|| self.dice.between(MILLISECOND, 60_000 * MILLISECOND));
                ("Vault: rate limited", Error::RateLimited { retry_after })
            }
            3 => ("Vault: unavailable", Error::Unavailable { cause: "chance".into() }),
            _ => (
                "Vault: permission denied",
                Error::PermissionDenied { action: "update", path: "secret".into() },
            ),
        }
    }

    /// What goes wrong with one provider's calls.
    pub(super) fn of_calls(&self, plan: &Plan) -> Draw<RotationId, CallFault> {
        let (chaos, plan) = (self.clone(), plan.clone());
        Draw::new(move |_| chaos.call_fault(&plan))
    }

    fn call_fault(&self, plan: &Plan) -> Option<CallFault> {
        if !self.happens(self.rates.calls) {
            return None;
        }
        match self.dice.below(11) {
            0 | 1 => self.fault("provider: answer lost", CallFault::AnswerLost),
            2 => self.fault("provider: request lost", CallFault::RequestLost),
            3 => {
                let lives = plan.call_timeout + plan.settle;
                self.fault("provider: acts late", CallFault::Late(self.dice.between(MILLISECOND, lives)))
            }
            4 if self.dice.happens(1_000) => {
                let lives = plan.call_timeout + plan.settle;
                let delay = self.dice.between(lives, lives * 20);
                self.fault("provider: a request outlives its sender", CallFault::Late(delay))
            }
            4 | 5 => {
                let class = self.dice.pick(CLASSES).copied().unwrap_or(RefusalClass::Invalid);
                self.fault(class.code(), CallFault::Refused(class))
            }
            6 => {
                let time = self.dice.between(Duration::from_secs(1), Duration::from_mins(30));
                self.judge.trouble_for(time);
                self.fault(
                    "provider: 429 with Retry-After",
                    CallFault::RefusedFor(RefusalClass::RateLimited, time),
                )
            }
            7 => self.fault("provider: 5xx, and acted", CallFault::Unclear { acts: true }),
            8 => self.fault("provider: 5xx, and did not act", CallFault::Unclear { acts: false }),
            9 if self.dice.happens(5_000) => self.fault("provider: answer garbled", CallFault::Garbled),
            9 => self.fault("provider: no value", CallFault::NoValue),
            _ => {
                let time = self.dice.between(MILLISECOND, plan.call_timeout);
                self.fault("provider: answer slow", CallFault::Slow(time))
            }
        }
    }

    /// What goes wrong with one provider's reads and probes.
    pub(super) fn of_questions(&self) -> Draw<Question, QuestionFault> {
        let chaos = self.clone();
        Draw::new(move |_| chaos.question_fault())
    }

    fn question_fault(&self) -> Option<QuestionFault> {
        if !self.happens(self.rates.questions) {
            return None;
        }
        if self.dice.happens(8_000) {
            return self.fault("provider: question not answered", QuestionFault::Unavailable);
        }
        let class = self.dice.pick(CLASSES).copied().unwrap_or(RefusalClass::Invalid);
        let time = self.dice.happens(3_000).then(|| self.dice.between(MILLISECOND, 120_000 * MILLISECOND));
        self.fault("provider: question refused", QuestionFault::Refused(class, time))
    }
}
