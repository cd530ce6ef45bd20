//! All credentials of this process, which may change while it runs.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;

use super::handle::Handle;
use crate::ids::CredentialName;

/// All credentials of this process; a clone is the same fleet.
#[derive(Debug, Clone)]
pub struct Fleet {
    handles: Arc<watch::Sender<Handles>>,
}

/// The handles of a fleet at one moment, in the order of their names.
pub type Handles = Arc<BTreeMap<CredentialName, Handle>>;

impl Fleet {
    /// A fleet of the given credentials.
    pub fn new(handles: impl IntoIterator<Item = (CredentialName, Handle)>) -> Self {
        Self { handles: Arc::new(watch::channel(Arc::new(handles.into_iter().collect())).0) }
    }

    /// One credential's handle.
    pub fn get(&self, name: &CredentialName) -> Option<Handle> {
        self.handles.borrow().get(name).cloned()
    }

    /// All credentials as they are now.
    pub fn all(&self) -> Handles {
        Arc::clone(&self.handles.borrow())
    }

    /// A receiver that sees every newest set of credentials.
    pub fn watch(&self) -> watch::Receiver<Handles> {
        self.handles.subscribe()
    }

    /// Adds a credential.
    pub fn add(&self, name: CredentialName, handle: Handle) {
        self.handles.send_modify(|handles| drop(Arc::make_mut(handles).insert(name, handle)));
    }

    /// Takes a credential out.
    pub fn remove(&self, name: &CredentialName) {
        self.handles.send_modify(|handles| drop(Arc::make_mut(handles).remove(name)));
    }
}
