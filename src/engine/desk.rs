//! Answering commands, whatever the task is doing, and publishing snapshots.

use std::collections::VecDeque;

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::handle::{Command, Rejection, RotateRequest};
use super::snapshot::{Activity, Hold, Snapshot, Withdrawn};
use crate::ids::RotationId;
use crate::rotation::{Decision, NotNow, Phase, Plan, Request, State, Trigger, admit, possible_decisions};

#[derive(Debug)]
pub(super) struct Desk {
    commands: mpsc::Receiver<Command>,
    snapshots: watch::Sender<Snapshot>,
    new_rotation_id: fn() -> RotationId,
    pub(super) shutdown: CancellationToken,
    /// The rotation that is wanted and has not written its intent yet.
    pending: Option<(RotationId, Request)>,
    /// Set while the pending rotation's intent may have been written, though nobody has seen it.
    committed: bool,
    /// Commands that came while an effect ran and need the task at rest.
    deferred: VecDeque<Command>,
    /// Who waits for the next save.
    unacknowledged: Vec<oneshot::Sender<Result<(), Rejection>>>,
}

/// What a command at rest asks the task to do.
#[derive(Debug)]
pub(super) enum Order {
    /// Look at what is pending.
    Begin,
    Resolve(Decision),
    Pause(String),
    Unpause,
    Plan(bool, oneshot::Sender<Result<super::handle::PlanReport, Rejection>>),
}

impl Desk {
    pub(super) fn new(
        commands: mpsc::Receiver<Command>,
        snapshots: watch::Sender<Snapshot>,
        new_rotation_id: fn() -> RotationId,
        shutdown: CancellationToken,
    ) -> Self {
        Self {
            commands,
            snapshots,
            new_rotation_id,
            shutdown,
            pending: None,
            committed: false,
            deferred: VecDeque::new(),
            unacknowledged: Vec::new(),
        }
    }

    /// Changes the snapshot; watchers hear of it only if it differs.
    pub(super) fn show(&mut self, change: impl FnOnce(&mut Snapshot)) {
        let pending = self.pending.clone();
        self.snapshots.send_if_modified(|snapshot| {
            let before = snapshot.clone();
            snapshot.pending = pending;
            change(snapshot);
            *snapshot != before
        });
    }

    pub(super) fn show_activity(&mut self, activity: Activity) {
        self.show(|snapshot| snapshot.activity = activity);
    }

    pub(super) fn show_hold(&mut self, hold: Hold) {
        self.show(|snapshot| {
            let since = snapshot.hold.as_ref().filter(|held| held.code == hold.code).map(|held| held.since);
            snapshot.hold = Some(Hold { since: since.unwrap_or(hold.since), ..hold });
            snapshot.activity = Activity::Held;
        });
    }

    /// Whether no rotation is open, as far as is known.
    pub(super) fn is_free(&self) -> bool {
        let state = self.snapshots.borrow().state.clone();
        !self.committed && state.is_none_or(|state| state.phase == Phase::Idle)
    }

    pub(super) fn pending(&self) -> Option<(RotationId, Request)> {
        self.pending.clone()
    }

    /// Puts the schedule's own request on the desk.
    pub(super) fn want(&mut self, request: Request) {
        if self.pending.is_none() {
            self.pending = Some(((self.new_rotation_id)(), request));
        }
    }

    /// From here on the pending rotation's intent may be in the record, whatever the write's answer.
    pub(super) fn commit(&mut self, state: &State) {
        let open = state.phase.rotation().map(|open| open.rotation_id);
        self.committed = self.pending.as_ref().is_some_and(|(id, _)| Some(*id) == open);
    }

    /// What the record says of the pending rotation is what happened to it.
    pub(super) fn recognise(&mut self, state: &State) {
        let open = state.phase.rotation().map(|open| open.rotation_id);
        let mut known = state.history.iter().map(|closed| closed.rotation_id).chain(open);
        self.committed &= self.pending.take_if(|(id, _)| known.any(|known| known == *id)).is_none();
    }

    /// The pending rotation has written its intent.
    pub(super) fn begun(&mut self, rotation_id: RotationId) {
        self.pending.take_if(|(id, _)| *id == rotation_id);
    }

    /// The pending rotation will not begin.
    pub(super) fn withdraw(&mut self, code: &'static str, message: String, at: Timestamp) {
        let Some((rotation_id, request)) = self.pending.take() else { return };
        // An intent that may have been written all the same is found in the record.
        self.committed = false;
        tracing::info!(%rotation_id, code, "a rotation was withdrawn before it began: {message}");
        self.show(|snapshot| {
            snapshot.withdrawn.insert(0, Withdrawn { rotation_id, request, at, code, message });
            snapshot.withdrawn.truncate(WITHDRAWN_MAX);
        });
    }

    /// Waits for a command that the task can act on at rest. Cancel-safe.
    pub(super) async fn order(&mut self, plan: &Plan, now: impl Fn() -> Timestamp) -> Order {
        loop {
            let command = match self.deferred.pop_front() {
                Some(command) => command,
                None => match self.commands.recv().await {
                    Some(command) => command,
                    None => std::future::pending().await,
                },
            };
            if command.is_forsaken() {
                continue;
            }
            if let Some(order) = self.at_rest(plan, command, now()) {
                return order;
            }
        }
    }

    /// Answers commands while something outside holds the task up; ends when one makes another try worth it.
    /// Cancel-safe.
    pub(super) async fn answer_while_held(&mut self, plan: &Plan, now: impl Fn() -> Timestamp) {
        while let Some(command) = self.commands.recv().await {
            let now = now();
            let wanted = self.pending.as_ref().map(|(id, _)| *id);
            match command {
                Command::Rotate(request, reply) => answer(reply, self.take_rotate(plan, request, now)),
                Command::Cancel(id, reply) => answer(reply, self.take_cancel(id, now)),
                // Served at rest, if the next try gets there; turned down at the next hold, if it does not.
                later => {
                    self.defer(later);
                    return;
                }
            }
            if self.pending.as_ref().map(|(id, _)| *id) != wanted {
                return;
            }
        }
        std::future::pending::<()>().await;
    }

    /// Waits for a command while an effect runs; ends when the pending rotation is cancelled. Cancel-safe.
    pub(super) async fn answer_while_busy(&mut self, plan: &Plan, now: impl Fn() -> Timestamp) {
        while let Some(command) = self.commands.recv().await {
            match command {
                Command::Rotate(request, reply) => answer(reply, self.take_rotate(plan, request, now())),
                Command::Cancel(id, reply) => {
                    let cancelled = self.take_cancel(id, now());
                    let ended = cancelled.is_ok();
                    answer(reply, cancelled);
                    if ended {
                        return;
                    }
                }
                later => self.defer(later),
            }
        }
        std::future::pending::<()>().await;
    }

    /// The next command that can be acted on at rest, if one is there already.
    pub(super) fn order_at_hand(&mut self, plan: &Plan, now: Timestamp) -> Option<Order> {
        loop {
            let command = self.deferred.pop_front().or_else(|| self.commands.try_recv().ok())?;
            if !command.is_forsaken()
                && let Some(order) = self.at_rest(plan, command, now)
            {
                return Some(order);
            }
        }
    }

    /// A person's decision about an unknown rotation that waits, if it is still possible.
    pub(super) fn deferred_decision(&mut self, state: &State) -> Option<Order> {
        if !matches!(state.phase, Phase::Unknown { .. }) {
            return None;
        }
        let is_decision = |command: &Command| matches!(command, Command::Resolve(..));
        let position = self.deferred.iter().position(is_decision)?;
        let Command::Resolve(id, decision, reply) = self.deferred.remove(position)? else { return None };
        match self.may_resolve(id, decision) {
            Ok(()) => {
                self.unacknowledged.push(reply);
                Some(Order::Resolve(decision))
            }
            Err(rejection) => {
                answer(reply, Err(rejection));
                None
            }
        }
    }

    /// Turns down what waited for the task to come to rest, for it is held up.
    pub(super) fn turn_down_deferred(&mut self) {
        let held = self.held();
        self.deferred.drain(..).for_each(|command| command.reject(held.clone()));
    }

    /// Keeps a command until the task is at rest; those whose askers have gone make room.
    fn defer(&mut self, command: Command) {
        self.deferred.retain(|waiting| !waiting.is_forsaken());
        if self.deferred.len() < DEFERRED_MAX {
            self.deferred.push_back(command);
        } else {
            command.reject(Rejection::Held {
                code: "CREDENTIAL_BUSY",
                message: "too many requests wait for this credential already; ask again later".to_owned(),
            });
        }
    }

    fn at_rest(&mut self, plan: &Plan, command: Command, now: Timestamp) -> Option<Order> {
        match command {
            Command::Rotate(request, reply) => {
                let taken = self.take_rotate(plan, request, now);
                let begin = taken.is_ok() && self.pending.is_some();
                answer(reply, taken);
                begin.then_some(Order::Begin)
            }
            Command::Cancel(id, reply) => {
                answer(reply, self.take_cancel(id, now));
                None
            }
            Command::Resolve(id, decision, reply) => match self.may_resolve(id, decision) {
                Ok(()) => {
                    self.unacknowledged.push(reply);
                    Some(Order::Resolve(decision))
                }
                Err(rejection) => {
                    answer(reply, Err(rejection));
                    None
                }
            },
            Command::Pause(reason, reply) => {
                self.unacknowledged.push(reply);
                Some(Order::Pause(reason))
            }
            Command::Resume(reply) => {
                self.unacknowledged.push(reply);
                Some(Order::Unpause)
            }
            Command::Plan(emergency, reply) => Some(Order::Plan(emergency, reply)),
        }
    }

    /// Whether commands wait for the task to come to rest.
    pub(super) fn keeps_somebody_waiting(&self) -> bool {
        !self.deferred.is_empty()
    }

    /// Answers everybody who waited for a save.
    pub(super) fn acknowledge(&mut self) {
        self.unacknowledged.drain(..).for_each(|reply| answer(reply, Ok(())));
    }

    /// Tells everybody who waited for a save that it did not come about.
    pub(super) fn disappoint(&mut self) {
        let held = self.held();
        self.unacknowledged.drain(..).for_each(|reply| answer(reply, Err(held.clone())));
    }

    fn held(&self) -> Rejection {
        let (code, message) = match &self.snapshots.borrow().hold {
            Some(hold) => (hold.code, hold.message.clone()),
            None => ("RECORD_CHANGED", "the record was changed by somebody else; look again".to_owned()),
        };
        Rejection::Held { code, message }
    }

    fn take_rotate(
        &mut self,
        plan: &Plan,
        request: RotateRequest,
        now: Timestamp,
    ) -> Result<RotationId, Rejection> {
        let state = self.snapshots.borrow().state.clone();
        let Some(state) = state else { return Err(self.held()) };
        if let Some(known) = self.known(&state, &request) {
            return known;
        }
        if let Some((rotation_id, _)) = &self.pending {
            return Err(Rejection::InProgress { rotation_id: *rotation_id });
        }
        let RotateRequest { emergency, request_id, caller } = request;
        let request = Request { trigger: Trigger::Manual, emergency, request_id, caller };
        admit(plan, &state, &request, now).map_err(Rejection::from)?;
        let rotation_id = (self.new_rotation_id)();
        self.pending = Some((rotation_id, request));
        self.show(|_| ());
        Ok(rotation_id)
    }

    /// The rotation that an earlier request with the same request id got.
    fn known(&self, state: &State, wanted: &RotateRequest) -> Option<Result<RotationId, Rejection>> {
        let request_id = wanted.request_id.as_ref()?;
        let snapshot = self.snapshots.borrow();
        let pending = self.pending.iter().map(|(id, request)| (*id, request));
        let open = state.phase.rotation().into_iter().map(|open| (open.rotation_id, &open.request));
        let closed = state.history.iter().map(|closed| (closed.rotation_id, &closed.request));
        let withdrawn = snapshot.withdrawn.iter().map(|ended| (ended.rotation_id, &ended.request));
        let mut all = pending.chain(open).chain(closed).chain(withdrawn);
        let (rotation_id, request) =
            all.find(|(_, request)| request.request_id.as_ref() == Some(request_id))?;
        Some(if request.emergency == wanted.emergency {
            Ok(rotation_id)
        } else {
            Err(Rejection::RequestIdReused { request_id: request_id.clone() })
        })
    }

    fn take_cancel(&mut self, id: RotationId, now: Timestamp) -> Result<(), Rejection> {
        if self.pending.as_ref().is_some_and(|(pending, _)| *pending == id) {
            if self.committed {
                return Err(Rejection::TooLateToCancel { rotation_id: id });
            }
            self.withdraw("CANCELLED", "cancelled before it began; the key was not touched".to_owned(), now);
            return Ok(());
        }
        let snapshot = self.snapshots.borrow();
        let open = snapshot.state.as_ref().and_then(|state| state.phase.rotation());
        Err(match open {
            Some(open) if open.rotation_id == id => Rejection::TooLateToCancel { rotation_id: id },
            _ => Rejection::NotOpen { rotation_id: id },
        })
    }

    fn may_resolve(&self, id: RotationId, decision: Decision) -> Result<(), Rejection> {
        let snapshot = self.snapshots.borrow();
        let phase = snapshot.state.as_ref().map(|state| &state.phase);
        let Some(phase) = phase.filter(|phase| phase.rotation().is_some_and(|open| open.rotation_id == id))
        else {
            return Err(Rejection::NotOpen { rotation_id: id });
        };
        let possible = possible_decisions(phase);
        if possible.contains(&decision) {
            return Ok(());
        }
        Err(Rejection::DecisionNotPossible { why: not_possible(phase, &possible) })
    }
}

/// Commands that may wait for the task to come to rest.
const DEFERRED_MAX: usize = 64;

/// Withdrawn requests that a snapshot remembers.
const WITHDRAWN_MAX: usize = 20;

fn not_possible(phase: &Phase, possible: &[Decision]) -> String {
    if possible.is_empty() {
        return format!("the rotation is {} and goes on by itself", phase.name());
    }
    let names: Vec<_> = possible.iter().map(|decision| decision.name()).collect();
    format!("the rotation is {}; possible are {}", phase.name(), names.join(", "))
}

/// The asker may have gone; then nobody wants the answer.
fn answer<T>(reply: oneshot::Sender<T>, value: T) {
    drop(reply.send(value));
}

impl From<NotNow> for Rejection {
    fn from(reason: NotNow) -> Self {
        match reason {
            NotNow::InProgress { rotation_id } => Self::InProgress { rotation_id },
            NotNow::Paused { reason } => Self::Paused { reason },
            NotNow::GraceWindowOpen { until } => Self::GraceWindowOpen { until },
            NotNow::TooSoon { until } => Self::TooSoon { until },
            NotNow::KeySlotsFull { until } => Self::KeySlotsFull { until },
        }
    }
}
