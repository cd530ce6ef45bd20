//! A task at rest: until the next due time, a person's order, or another replica's doing.

use std::time::Duration;

use jiff::Timestamp;

use super::desk::Order;
use super::driver::{Driver, WAIT_MIN};
use super::handle::{Finding, PlanReport};
use super::interruption::{Interruption, delay};
use super::stopwatch::Stopwatch;
use crate::clock::Clock;
use crate::escrow::Escrow;
use crate::provider::{self, Provider};
use crate::rotation::{
    Event, Phase, Request, Rotation, State, Trigger, admit, due_request, next_due, quiet_before_the_next,
};
use crate::vault::Store;

impl<P, S, E, C> Driver<P, S, E, C>
where
    P: Provider,
    S: Store,
    E: Escrow,
    C: Clock,
{
    /// Nothing to do: until the next due time, a request, or another replica's doing.
    pub(super) async fn rest(&mut self, state: State) -> Result<(State, Event), Interruption> {
        if state.phase.rotation().is_some_and(|open| self.is_left_open(&state, open)) {
            return Err(Interruption::Reload);
        }
        if state.phase == Phase::Idle {
            // What a chore looked at is sealed; nobody goes on with it.
            self.hands.in_hand.take_if(|in_hand| in_hand.is_kept());
            self.hands.tell_of_old_keys(&state);
        }
        self.show_state(&state);
        let (clock, plan) = (self.hands.clock.clone(), self.hands.plan().clone());
        let (shutdown, retire) = (self.desk.shutdown.clone(), self.retire.clone());
        let mut look_up_at = clock.monotonic() + self.attention_in(&state);
        loop {
            // A successor takes what is pending with the desk; a stream of orders must not keep it waiting.
            if retire.is_cancelled() && self.may_retire() {
                return Err(Interruption::Stop);
            }
            // Nor must such a stream keep the task from looking up, or from beginning what is pending.
            let left = look_up_at.saturating_sub(clock.monotonic());
            if !left.is_zero()
                && let Some(order) = self.desk.order_at_hand(&plan, clock.now())
                && let Some(event) = self.obey(&state, order).await
            {
                return Ok((state, event));
            }
            if let Some(event) = self.begin(&state) {
                return Ok((state, event));
            }
            let due = self.hands.chore_in(&state).is_some_and(|left| left.is_zero());
            if due && !self.desk.keeps_somebody_waiting() {
                match self.do_chore(&state).await? {
                    Some(event) => return Ok((state, event)),
                    None => continue,
                }
            }
            self.tries = 0;
            self.show_rest(&state);
            let may_retire = self.may_retire();
            let order = tokio::select! {
                biased;
                () = shutdown.cancelled() => return Err(Interruption::Stop),
                () = retire.cancelled(), if may_retire => return Err(Interruption::Stop),
                order = self.desk.order(&plan, || clock.now()), if !left.is_zero() => Some(order),
                () = clock.sleep(left) => None,
            };
            let event = match order {
                Some(order) => self.obey(&state, order).await,
                None => {
                    let event = self.look_up(&state).await?;
                    look_up_at = clock.monotonic() + self.attention_in(&state);
                    event
                }
            };
            if let Some(event) = event {
                return Ok((state, event));
            }
        }
    }

    /// Does what is to be done between rotations; whatever a person wants ends it, for it reads, or is made again.
    async fn do_chore(&mut self, state: &State) -> Result<Option<Event>, Interruption> {
        let (desk, hands) = (&mut self.desk, &mut self.hands);
        let shutdown = desk.shutdown.clone();
        let (clock, plan) = (hands.clock.clone(), hands.plan().clone());
        let event = tokio::select! {
            biased;
            () = shutdown.cancelled() => return Err(Interruption::Stop),
            () = desk.answer_while_held(&plan, || clock.now()) => None,
            event = hands.do_chore(state) => event,
        };
        match event {
            Some(_) => hands.stopwatch = Stopwatch::started(hands.clock.monotonic()),
            None => hands.forget(),
        }
        Ok(event)
    }

    /// An open rotation of our own never rests: what a person asked for in between came before its next step.
    fn is_left_open(&self, state: &State, open: &Rotation) -> bool {
        open.holder == self.hands.replica && !matches!(state.phase, Phase::Halted { .. })
    }

    /// Begins what is pending, if it still may; an emergency, too, waits until no call of a settled rotation can come.
    fn begin(&mut self, state: &State) -> Option<Event> {
        let (rotation_id, request) = self.desk.pending().filter(|_| self.noise_left(state).is_zero())?;
        let now = self.hands.now();
        if request.trigger == Trigger::Scheduled && self.due(state).is_none_or(|due| due > now) {
            self.desk.withdraw("NOT_DUE", "another replica rotated, or the schedule changed".to_owned(), now);
            return None;
        }
        match admit(self.hands.plan(), state, &request, now) {
            Ok(()) => Some(Event::Requested { rotation_id, request, now }),
            Err(reason) => {
                let rejection = super::handle::Rejection::from(reason);
                self.desk.withdraw(rejection.code(), rejection.to_string(), now);
                None
            }
        }
    }

    /// How long a call of the rotation that a person has just settled may still take effect.
    fn noise_left(&self, state: &State) -> Duration {
        quiet_before_the_next(self.hands.plan(), state).saturating_sub(self.hands.unchanged_for())
    }

    /// How long until something must be looked at: the due time, or the record, which others may change.
    fn attention_in(&self, state: &State) -> Duration {
        let poll = match state.phase.rotation() {
            Some(open) if open.holder != self.hands.replica => {
                // Nobody takes a halted rotation over, so nothing happens when its claim runs out.
                let halted = matches!(state.phase, Phase::Halted { .. });
                let left = if halted { FOLLOW_POLL } else { self.hands.silence_left(open) };
                FOLLOW_POLL.min(left).max(WAIT_MIN)
            }
            _ => REST_POLL / 2 + delay(&self.hands.credential.name, &self.hands.replica, 9),
        };
        let poll = self.hands.chore_in(state).map_or(poll, |left| poll.min(left.max(WAIT_MIN)));
        let poll = match self.noise_left(state) {
            Duration::ZERO => poll,
            left => poll.min(left.max(WAIT_MIN)),
        };
        match self.due(state) {
            Some(due) => {
                let left = Duration::try_from(due.duration_since(self.hands.now())).unwrap_or_default();
                // What is due before it is quiet waits for that.
                left.max(self.noise_left(state)).clamp(WAIT_MIN, poll.max(WAIT_MIN))
            }
            None => poll,
        }
    }

    pub(super) fn due(&self, state: &State) -> Option<Timestamp> {
        next_due(self.hands.plan(), state, &self.hands.credential.name, self.hands.now())
    }

    /// Looks whether a rotation is due, or somebody changed the record.
    async fn look_up(&mut self, state: &State) -> Result<Option<Event>, Interruption> {
        let version = self.hands.store.record_version(&self.hands.credential.name).await?;
        if version != self.hands.version || state.is_ahead_of(self.hands.now()) {
            return Err(Interruption::Reload);
        }
        if let Some(open) = state.phase.rotation().filter(|open| open.holder != self.hands.replica) {
            let over =
                self.hands.silence_left(open).is_zero() && !matches!(state.phase, Phase::Halted { .. });
            return if over { Err(Interruption::Reload) } else { Ok(None) };
        }
        if self.due(state).is_some_and(|due| due <= self.hands.now()) {
            self.desk.want(due_request(state));
        }
        Ok(None)
    }

    /// Turns an order into an event, where it is one.
    pub(super) async fn obey(&mut self, state: &State, order: Order) -> Option<Event> {
        let (replica, epoch, now) = (self.hands.replica, self.hands.epoch(), self.hands.now());
        match order {
            Order::Begin => self.begin(state),
            Order::Resolve(decision) => Some(Event::Resolved { decision, replica, epoch, now }),
            Order::Pause(reason) => Some(Event::Paused { reason, now }),
            Order::Unpause => Some(Event::Unpaused),
            Order::Plan(emergency, reply) => {
                let report = self.plan_report(state, emergency).await;
                drop(reply.send(Ok(report)));
                None
            }
        }
    }

    async fn plan_report(&mut self, state: &State, emergency: bool) -> PlanReport {
        let request = Request { emergency, trigger: Trigger::Manual, request_id: None, caller: None };
        let mut findings = Vec::new();
        if let Err(reason) = admit(self.hands.plan(), state, &request, self.hands.now()) {
            let rejection = super::handle::Rejection::from(reason);
            findings.push(Finding { code: rejection.code(), message: rejection.to_string(), blocking: true });
        }
        if state.phase == Phase::Idle {
            if let Err(Interruption::Held(cause)) = self.hands.inspect(emergency).await {
                findings.push(Finding { code: cause.code, message: cause.message, blocking: true });
            }
            let noted = self.hands.conditions.iter();
            findings.extend(noted.map(|noted| Finding {
                code: noted.code,
                message: noted.message.clone(),
                blocking: false,
            }));
        }
        let plan = self.hands.plan();
        PlanReport {
            steps: provider::describe::steps(plan),
            if_answer_is_lost: provider::describe::if_answer_is_lost(plan),
            old_key: provider::describe::old_key(plan),
            a_person_is_asked: provider::describe::a_person_is_asked(plan),
            findings,
        }
    }
}

/// How often the record of another replica's rotation is looked at.
const FOLLOW_POLL: Duration = Duration::from_secs(1);
/// How often the record is looked at when nothing happens.
const REST_POLL: Duration = Duration::from_secs(30);
