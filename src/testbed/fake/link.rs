//! One replica's connection to Vault, and how its requests go wrong.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::dice::Draw;
use crate::testbed::Gate;
use crate::vault::Error;

/// The kinds of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum StoreCall {
    /// The preflight's checks.
    Preflight,
    /// Reading the record.
    ReadRecord,
    /// Asking for the record's version.
    RecordVersion,
    /// Writing the record.
    WriteRecord,
    /// Reading the application's entry.
    ReadEntry,
    /// Writing the application's entry.
    Publish,
    /// Reading a secret that signs.
    ReadSecret,
}

impl StoreCall {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Preflight => "preflight",
            Self::ReadRecord => "read record",
            Self::RecordVersion => "record version",
            Self::WriteRecord => "write record",
            Self::ReadEntry => "read entry",
            Self::Publish => "publish",
            Self::ReadSecret => "read secret",
        }
    }
}

/// How one request goes wrong.
#[derive(Debug, Clone)]
pub enum StoreFault {
    /// Vault says no; nothing is written.
    Refused(Error),
    /// A write loses its check-and-set, whoever won it.
    Conflict,
    /// A write takes effect, and the caller cannot find out.
    AnswerLost,
    /// A write does not take effect, and the caller cannot find out.
    RequestLost,
    /// It goes well, once the gate is released.
    Held(Gate),
    /// It goes well, so much later.
    Late(Duration),
}

/// One replica's connection to Vault; it outlives the replica's restarts.
#[derive(Debug, Clone)]
pub struct VaultLink {
    state: Arc<watch::Sender<LinkState>>,
}

#[derive(Debug, Default)]
struct LinkState {
    is_cut: bool,
    requests: usize,
    faults: Vec<(StoreCall, StoreFault)>,
    numbered: Option<(usize, StoreFault)>,
    cut_at: Option<usize>,
    chance: Option<Draw<StoreCall, StoreFault>>,
}

impl Default for VaultLink {
    fn default() -> Self {
        let (state, _) = watch::channel(LinkState::default());
        Self { state: Arc::new(state) }
    }
}

impl VaultLink {
    /// Lets no request through until it is mended.
    pub fn cut(&self) {
        self.state.send_modify(|state| state.is_cut = true);
    }

    /// Lets the request with this number, counted from 0 since the link was made, and all after it not through.
    pub fn cut_at(&self, request: usize) {
        self.state.send_modify(|state| state.cut_at = Some(request));
    }

    /// Returns once it is cut.
    pub async fn until_cut(&self) {
        // The sender lives as long as this very value.
        self.state.subscribe().wait_for(|state| state.is_cut).await.ok();
    }

    /// How many requests were made.
    pub fn requests(&self) -> usize {
        self.state.borrow().requests
    }

    /// Lets requests through again.
    pub fn mend(&self) {
        self.state.send_modify(|state| state.is_cut = false);
    }

    /// Lets the next request of this kind that no other fault awaits go wrong.
    pub fn next(&self, call: StoreCall, fault: StoreFault) {
        self.state.send_modify(|state| state.faults.push((call, fault)));
    }

    /// Lets the request with this number go wrong, counted from 0 since the link was made.
    pub fn at(&self, request: usize, fault: StoreFault) {
        self.state.send_modify(|state| state.numbered = Some((request, fault)));
    }

    /// Lets chance decide about each request that no other fault awaits.
    pub fn suffer(&self, chance: Draw<StoreCall, StoreFault>) {
        self.state.send_modify(|state| state.chance = Some(chance));
    }

    pub(super) fn is_cut(&self) -> bool {
        self.state.borrow().is_cut
    }

    /// Counts a request, and says how it shall go wrong.
    pub(super) fn take_fault(&self, call: StoreCall) -> Option<StoreFault> {
        let mut taken = None;
        self.state.send_modify(|state| {
            let number = state.requests;
            state.requests += 1;
            state.is_cut |= state.cut_at.take_if(|at| *at == number).is_some();
            let place = state.faults.iter().position(|(awaited, _)| *awaited == call);
            taken = match state.numbered.take_if(|(at, _)| *at == number) {
                Some((_, fault)) => Some(fault),
                None => place.map(|place| state.faults.remove(place).1),
            };
        });
        let chance = self.state.borrow().chance.clone();
        taken.or_else(|| chance?.ask(call))
    }
}
