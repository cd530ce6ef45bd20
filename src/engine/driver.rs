//! The loop of one credential's task: load, let the core decide, run what it wants, rest.

use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::desk::Desk;
use super::hands::Hands;
use super::in_hand::Kept;
use super::interruption::{Cause, Interruption, delay};
use super::snapshot::{Activity, Hold};
use super::stopwatch::{Share, Stopwatch};
use crate::clock::Clock;
use crate::escrow::Escrow;
use crate::provider::Provider;
use crate::rotation::{self, Answer, Effect, Event, Phase, Rotation, State};
use crate::vault::Store;

pub(super) struct Driver<P, S, E, C> {
    pub(super) desk: Desk,
    pub(super) hands: Hands<P, S, E, C>,
    /// Tries since the task last came to rest.
    pub(super) tries: u32,
    /// The task makes room for a successor once no rotation is open.
    pub(super) retire: CancellationToken,
}

impl<P, S, E, C> Driver<P, S, E, C>
where
    P: Provider,
    S: Store,
    E: Escrow,
    C: Clock,
{
    pub(super) const fn new(desk: Desk, hands: Hands<P, S, E, C>, retire: CancellationToken) -> Self {
        Self { desk, hands, tries: 0, retire }
    }

    /// Runs until shutdown or retirement, and leaves the desk. Everything that fails ends in the same place: wait, read all afresh, go on.
    pub(super) async fn run(mut self) -> Desk {
        loop {
            let interruption = self.go_on().await;
            let cause = match interruption {
                Interruption::Stop => break,
                Interruption::Reload if self.tries < FREE_RELOADS => {
                    self.desk.disappoint();
                    self.tries += 1;
                    continue;
                }
                Interruption::Reload => {
                    Cause::new("RECORD_CHANGED", "another replica works on the credential".to_owned())
                }
                Interruption::Held(cause) => cause,
            };
            // While Vault is away the escrow is the only other place for a key that the disk refused at first.
            self.hands.seal_in_hand().await;
            if self.hold(cause).await.is_err() {
                break;
            }
        }
        self.hands.seal_in_hand().await;
        self.desk
    }

    /// Whether a successor would miss nothing that only this task has.
    pub(super) fn may_retire(&self) -> bool {
        self.desk.is_free() && self.hands.in_hand.is_none()
    }

    /// From the record to the next interruption.
    async fn go_on(&mut self) -> Interruption {
        self.desk.show_activity(Activity::Loading);
        let (mut state, mut event) = match self.load().await {
            Ok(loaded) => loaded,
            Err(interruption) => return interruption,
        };
        // A doubt that is held up never comes to rest: a person's decision is taken here.
        if let Some(order) = self.desk.deferred_decision(&state)
            && let Some(decided) = self.obey(&state, order).await
        {
            event = decided;
        }
        loop {
            match self.advance(state, event).await {
                Ok(next) => (state, event) = next,
                Err(interruption) => return interruption,
            }
        }
    }

    async fn load(&mut self) -> Result<(State, Event), Interruption> {
        let (desk, hands) = (&mut self.desk, &mut self.hands);
        let shutdown = desk.shutdown.clone();
        let (state, event) = tokio::select! {
            biased;
            () = shutdown.cancelled() => return Err(Interruption::Stop),
            loaded = hands.load() => loaded?,
        };
        desk.recognise(&state);
        if state.phase == Phase::Idle {
            hands.look_after_leftovers(&state, desk.pending().map(|(id, _)| id)).await?;
        }
        self.show_state(&state);
        Ok((state, event))
    }

    /// One step of the core with its effects; without an event of their own, the task rests until one comes.
    async fn advance(&mut self, state: State, event: Event) -> Result<(State, Event), Interruption> {
        let (state, event) = self.measure(state, event)?;
        let (before, happened) = (state.phase.name(), event.name());
        let (state, effects) = self.step(state, event)?;
        tracing::trace!(credential = %self.hands.credential.name, happened, before, after = state.phase.name(),
            ?effects, "stepped");
        let mut next = None;
        for effect in effects {
            next = self.run_effect(&state, effect).await?;
        }
        match next {
            Some(event) => Ok((state, event)),
            None => self.rest(state).await,
        }
    }

    fn step(&self, state: State, event: Event) -> Result<(State, Vec<Effect>), Interruption> {
        rotation::step(self.hands.plan(), state, event).map_err(|illegal| {
            tracing::error!(credential = %self.hands.credential.name, %illegal, "a defect in keyturn; reading afresh");
            Interruption::Held(Cause::new("ILLEGAL_EVENT", illegal.to_string()))
        })
    }

    /// Lets the open rotation know where its time went, before anything that may close it.
    fn measure(&self, state: State, event: Event) -> Result<(State, Event), Interruption> {
        if state.phase.rotation().is_none() {
            return Ok((state, event));
        }
        let timings = self.hands.stopwatch.read(self.hands.clock.monotonic());
        let (state, _) = self.step(state, Event::Measured { timings })?;
        Ok((state, event))
    }

    async fn run_effect(&mut self, state: &State, effect: Effect) -> Result<Option<Event>, Interruption> {
        self.show_effect(state, &effect);
        let open = state.phase.rotation();
        let event = match effect {
            Effect::Preflight { rotation_id, request } => {
                self.hands.stopwatch = Stopwatch::started(self.hands.clock.monotonic());
                let (desk, hands) = (&mut self.desk, &mut self.hands);
                let shutdown = desk.shutdown.clone();
                let (clock, plan) = (hands.clock.clone(), hands.plan().clone());
                tokio::select! {
                    biased;
                    () = shutdown.cancelled() => return Err(Interruption::Stop),
                    () = desk.answer_while_busy(&plan, || clock.now()) => return Err(Interruption::Reload),
                    done = hands.preflight(rotation_id, request) => done?,
                }
            }
            Effect::Save => {
                self.save(state).await?;
                return Ok(None);
            }
            Effect::Erase { rotation_id } => {
                let in_hand =
                    self.hands.in_hand.as_ref().filter(|in_hand| in_hand.rotation_id == rotation_id);
                let in_slot =
                    in_hand.filter(|in_hand| in_hand.kept == Kept::Slot).map(|in_hand| in_hand.call);
                if in_slot.is_some() {
                    self.hands.erase(rotation_id, in_slot).await;
                }
                self.hands.forget();
                // What else is in the slot may be another key; and the new key may have outdated others.
                if in_slot.is_none() || !self.hands.chores.orphans.is_empty() {
                    self.hands.look_after_leftovers(state, None).await?;
                }
                return Ok(None);
            }
            Effect::Leave => {
                self.hands.forget();
                self.hands.look_after_leftovers(state, None).await?;
                return Ok(None);
            }
            Effect::Wait { until } => return self.wait(state, until).await.map(Some),
            Effect::Call => self.busy(open, Work::Call).await?,
            Effect::Read => self.busy(open, Work::Read).await?,
            Effect::Seal => self.busy(open, Work::Seal).await?,
            Effect::Probe => self.busy(open, Work::Probe).await?,
            Effect::Publish => self.busy(open, Work::Publish).await?,
            Effect::Fence => self.busy(open, Work::Fence).await?,
            Effect::Verify => {
                let Some(answer) = state.phase.answer() else { return Err(Interruption::Reload) };
                self.busy(open, Work::Verify(answer.clone())).await?
            }
        };
        Ok(Some(event))
    }

    async fn save(&mut self, state: &State) -> Result<(), Interruption> {
        self.desk.commit(state);
        if let Some(given_up) = state.given_up() {
            self.hands.seal_for_keeping(given_up).await?;
            self.hands.fence_off(given_up).await?;
        }
        self.hands.save(state).await?;
        if let Some(open) = state.phase.rotation() {
            self.desk.begun(open.rotation_id);
        }
        self.show_state(state);
        self.desk.acknowledge();
        Ok(())
    }

    /// Runs an effect to its end, whatever is asked or shut down in the meantime.
    async fn busy(&mut self, open: Option<&Rotation>, work: Work) -> Result<Event, Interruption> {
        let Some(open) = open else { return Err(Interruption::Reload) };
        let (desk, hands) = (&mut self.desk, &mut self.hands);
        let (clock, plan) = (hands.clock.clone(), hands.plan().clone());
        let mut work = std::pin::pin!(async move {
            match work {
                Work::Call => hands.call(open).await,
                Work::Read => hands.read(open).await,
                Work::Seal => Ok(hands.seal().await),
                Work::Probe => hands.probe().await,
                Work::Publish => hands.publish(open).await,
                Work::Fence => hands.fence(open).await,
                Work::Verify(answer) => hands.verify(open, &answer).await,
            }
        });
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                () = desk.answer_while_busy(&plan, || clock.now()) => {}
            }
        }
    }

    /// Waits as the core asked, unless a person decides something.
    async fn wait(&mut self, state: &State, until: Timestamp) -> Result<Event, Interruption> {
        self.tries = 0;
        let started = self.hands.clock.monotonic();
        let left = until.duration_since(self.hands.now());
        let left = Duration::try_from(left).unwrap_or(Duration::ZERO).max(WAIT_MIN);
        let (clock, plan) = (self.hands.clock.clone(), self.hands.plan().clone());
        let shutdown = self.desk.shutdown.clone();
        let mut sleep = std::pin::pin!(clock.sleep(left));
        let event = loop {
            let order = tokio::select! {
                biased;
                () = shutdown.cancelled() => return Err(self.release(state).await),
                () = &mut sleep => break Event::Woke { now: self.hands.now() },
                order = self.desk.order(&plan, || clock.now()) => order,
            };
            if let Some(event) = self.obey(state, order).await {
                break event;
            }
        };
        self.hands.stopwatch.add(Share::Waiting, self.hands.clock.monotonic().saturating_sub(started));
        Ok(event)
    }

    /// The last write of a process that stops while it waits.
    async fn release(&mut self, state: &State) -> Interruption {
        let released = self.step(state.clone(), Event::Released { replica: self.hands.replica });
        if let Ok((state, effects)) = released
            && effects == [Effect::Save]
            && let Err(interruption) = self.hands.save(&state).await
        {
            tracing::debug!(credential = %self.hands.credential.name, ?interruption, "the claim has to run out");
        }
        Interruption::Stop
    }

    /// Waits out a cause, answering whoever asks; an error means shutdown.
    async fn hold(&mut self, cause: Cause) -> Result<(), Interruption> {
        let wait = delay(&self.hands.credential.name, &self.hands.replica, self.tries);
        let wait = cause.retry_after.map_or(wait, |asked| asked.max(wait));
        self.tries = self.tries.saturating_add(1);
        let now = self.hands.now();
        tracing::warn!(credential = %self.hands.credential.name, code = cause.code, wait_ms = wait.as_millis(),
            "held up: {}", cause.message);
        self.desk.show_hold(Hold {
            code: cause.code,
            message: cause.message,
            since: now,
            next_try_at: now.checked_add(wait).unwrap_or(now),
        });
        self.desk.disappoint();
        self.desk.turn_down_deferred();
        let started = self.hands.clock.monotonic();
        let (clock, plan) = (self.hands.clock.clone(), self.hands.plan().clone());
        let (shutdown, retire) = (self.desk.shutdown.clone(), self.retire.clone());
        let may_retire = self.may_retire();
        let ended = tokio::select! {
            biased;
            () = shutdown.cancelled() => Err(Interruption::Stop),
            () = retire.cancelled(), if may_retire => Err(Interruption::Stop),
            () = clock.sleep(wait) => Ok(()),
            () = self.desk.answer_while_held(&plan, || clock.now()) => Ok(()),
        };
        self.hands.stopwatch.add(Share::Waiting, self.hands.clock.monotonic().saturating_sub(started));
        ended
    }
}

/// The effects that run to their end once begun.
enum Work {
    Call,
    Read,
    Seal,
    Probe,
    Publish,
    Fence,
    Verify(Answer),
}

/// Lost check-and-sets in a row after which the task slows down.
const FREE_RELOADS: u32 = 3;
/// The shortest wait, so that a clock that stands still never makes a busy loop.
pub(super) const WAIT_MIN: Duration = Duration::from_millis(20);
