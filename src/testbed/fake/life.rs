//! One run of one replica: its operations in their order, and the one at which it dies.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::AbortHandle;

/// One run of one replica. Every operation on an outside passes through it, and none has an effect after its end.
#[derive(Debug, Clone)]
pub struct Life {
    facts: Arc<watch::Sender<Facts>>,
}

#[derive(Debug, Default)]
struct Facts {
    operations: Vec<&'static str>,
    death: Option<Death>,
    task: Option<AbortHandle>,
    over: bool,
}

/// Where a life ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Death {
    /// At which operation, counted from 0.
    pub operation: usize,
    /// At which side of its effect.
    pub moment: Moment,
}

/// A side of an operation's effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// It has no effect.
    Before,
    /// It has its effect, and the replica never hears of it.
    After,
}

/// The time that an operation takes before it has its effect.
const LATENCY: Duration = Duration::from_millis(1);

impl Life {
    /// A life that ends where `death` says, or when it is ended.
    pub fn new(death: Option<Death>) -> Self {
        let (facts, _) = watch::channel(Facts { death, ..Facts::default() });
        Self { facts: Arc::new(facts) }
    }

    /// Names the task that ends with this life. Must be called before the task first runs.
    pub fn belongs_to(&self, task: AbortHandle) {
        self.facts.send_modify(|facts| facts.task = Some(task));
    }

    /// Ends it, as `kill -9` ends a process: nothing is closed or told.
    pub fn end(&self) {
        self.facts.send_modify(|facts| facts.over = true);
        if let Some(task) = &self.facts.borrow().task {
            task.abort();
        }
    }

    /// Whether it has ended.
    pub fn is_over(&self) -> bool {
        self.facts.borrow().over
    }

    /// Returns once it has ended.
    pub async fn is_ended(&self) {
        // The sender lives as long as this very value.
        self.facts.subscribe().wait_for(|facts| facts.over).await.ok();
    }

    /// The names of all operations so far.
    pub fn operations(&self) -> Vec<&'static str> {
        self.facts.borrow().operations.clone()
    }

    /// Comes before an operation's effect; gives the operation's number, and never returns in a life that ended.
    pub(super) async fn enter(&self, operation: &'static str) -> usize {
        let number = self.count(operation);
        self.pass(number, Moment::Before).await;
        tokio::time::sleep(LATENCY).await;
        number
    }

    /// Comes after an operation's effect, and before anybody hears of it.
    pub(super) async fn leave(&self, number: usize) {
        self.pass(number, Moment::After).await;
    }

    /// An operation on another thread. In a life that ended it has no effect, and gives nothing that anybody hears.
    pub(super) fn run_blocking<T>(&self, operation: &'static str, act: impl FnOnce() -> T) -> Option<T> {
        let number = self.count(operation);
        if self.ends(number, Moment::Before) {
            return None;
        }
        let done = act();
        (!self.ends(number, Moment::After)).then_some(done)
    }

    async fn pass(&self, number: usize, moment: Moment) {
        if self.ends(number, moment) {
            std::future::pending::<()>().await;
        }
    }

    fn count(&self, operation: &'static str) -> usize {
        self.facts.send_modify(|facts| facts.operations.push(operation));
        self.facts.borrow().operations.len() - 1
    }

    fn ends(&self, operation: usize, moment: Moment) -> bool {
        let dies_here = self.facts.borrow().death == Some(Death { operation, moment });
        if dies_here {
            self.end();
        }
        self.is_over()
    }
}
