//! One replica's connection to Vault, and how its requests go wrong.

use std::sync::Arc;

use tokio::sync::watch;

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
    pub(super) const fn name(self) -> &'static str {
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
}

/// One replica's connection to Vault; it outlives the replica's restarts.
#[derive(Debug, Clone)]
pub struct VaultLink {
    state: Arc<watch::Sender<LinkState>>,
}

#[derive(Debug, Default)]
struct LinkState {
    is_cut: bool,
    faults: Vec<(StoreCall, StoreFault)>,
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

    /// Lets requests through again.
    pub fn mend(&self) {
        self.state.send_modify(|state| state.is_cut = false);
    }

    /// Lets the next request of this kind that no other fault awaits go wrong.
    pub fn next(&self, call: StoreCall, fault: StoreFault) {
        self.state.send_modify(|state| state.faults.push((call, fault)));
    }

    pub(super) fn is_cut(&self) -> bool {
        self.state.borrow().is_cut
    }

    pub(super) fn take_fault(&self, call: StoreCall) -> Option<StoreFault> {
        let mut taken = None;
        self.state.send_modify(|state| {
            let place = state.faults.iter().position(|(awaited, _)| *awaited == call);
            taken = place.map(|place| state.faults.remove(place).1);
        });
        taken
    }
}
