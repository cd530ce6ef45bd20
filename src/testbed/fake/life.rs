//! One run of one replica: its operations in their order, and the one at which it dies.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::dice::Draw;

/// One run of one replica. Every operation on an outside passes through it, and none has an effect after its end.
#[derive(Debug, Clone)]
pub struct Life {
    facts: Arc<watch::Sender<Facts>>,
}

#[derive(Debug, Default)]
struct Facts {
    operations: Vec<&'static str>,
    passed: usize,
    death: Option<Death>,
    task: Option<AbortHandle>,
    over: bool,
    accidents: Option<Draw<Passed, Accident>>,
}

/// An operation that a life passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passed {
    /// Its name.
    pub operation: &'static str,
    /// At which side of its effect the life stands.
    pub moment: Moment,
}

/// What can happen to a life at an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accident {
    /// It ends.
    Dies,
    /// It stands still for so long, and knows nothing of it. Disk work cannot stand still.
    Freezes(Duration),
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

    /// Lets chance decide at each side of each operation. The operations are then not remembered.
    pub fn suffer(&self, accidents: Draw<Passed, Accident>) {
        self.facts.send_modify(|facts| facts.accidents = Some(accidents));
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
        self.pass(Passed { operation, moment: Moment::Before }, number).await;
        tokio::time::sleep(LATENCY).await;
        number
    }

    /// Comes after an operation's effect, and before anybody hears of it.
    pub(super) async fn leave(&self, operation: &'static str, number: usize) {
        self.pass(Passed { operation, moment: Moment::After }, number).await;
    }

    /// An operation on another thread. In a life that ended it has no effect, and gives nothing that anybody hears.
    pub(super) fn run_blocking<T>(&self, operation: &'static str, act: impl FnOnce() -> T) -> Option<T> {
        let number = self.count(operation);
        if self.ends(Passed { operation, moment: Moment::Before }, number) {
            return None;
        }
        let done = act();
        (!self.ends(Passed { operation, moment: Moment::After }, number)).then_some(done)
    }

    async fn pass(&self, passed: Passed, number: usize) {
        if let Some(Accident::Freezes(time)) = self.meet(passed, number) {
            tokio::time::sleep(time).await;
        }
        if self.is_over() {
            std::future::pending::<()>().await;
        }
    }

    fn count(&self, operation: &'static str) -> usize {
        let mut number = 0;
        self.facts.send_if_modified(|facts| {
            number = facts.passed;
            facts.passed += 1;
            if facts.accidents.is_none() {
                facts.operations.push(operation);
            }
            false
        });
        number
    }

    fn ends(&self, passed: Passed, number: usize) -> bool {
        self.meet(passed, number);
        self.is_over()
    }

    /// What happens here, by plan or by chance; a death takes place at once.
    fn meet(&self, passed: Passed, number: usize) -> Option<Accident> {
        if self.is_over() {
            return None;
        }
        let accidents = self.facts.borrow().accidents.clone();
        let by_chance = accidents.and_then(|accidents| accidents.ask(passed));
        let planned = self.facts.borrow().death == Some(Death { operation: number, moment: passed.moment });
        let accident = if planned { Some(Accident::Dies) } else { by_chance };
        if accident == Some(Accident::Dies) {
            self.end();
        }
        accident
    }
}
