//! Who may do what only an operator may: decided by the peer's uid or its certificate's name, and by nothing that it says.

use std::collections::BTreeSet;

use tonic::{Request, Status};

use super::listen::ListenOptions;
use super::peer::{Caller, Peer};
use super::status;

/// The superuser may read keyturn's memory anyway.
const SUPERUSER: u32 = 0;

/// The callers that may do more than look and ask for an ordinary rotation.
#[derive(Debug, Clone)]
pub(super) struct Operators {
    uids: BTreeSet<u32>,
    names: BTreeSet<String>,
    over_tcp: bool,
}

impl Operators {
    /// The configured ones, the superuser and this process's own user.
    pub(super) fn of(options: &ListenOptions) -> Self {
        let own = rustix::process::geteuid().as_raw();
        let uids = options.operators.iter().copied().chain([SUPERUSER, own]).collect();
        let names = options.tls.iter().flat_map(|tls| tls.operators.iter().cloned()).collect();
        Self { uids, names, over_tcp: options.tcp_operators }
    }

    /// The caller, if it may do `act`.
    pub(super) fn admit<T>(&self, request: &Request<T>, act: &str) -> Result<Caller, Status> {
        let caller = Caller::known(request, act)?;
        if self.contain(&caller.peer) {
            return Ok(caller);
        }
        tracing::warn!(%caller, pid = caller.pid, act, "refused to a caller that is no operator");
        Err(status::operators_only(&caller.name, act))
    }

    fn contain(&self, peer: &Peer) -> bool {
        match peer {
            Peer::User(uid) => self.uids.contains(uid),
            Peer::Certificate(name) => self.names.contains(&**name),
            Peer::Tcp => self.over_tcp,
            Peer::Anybody | Peer::Unknown => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operators(uids: &[u32], tcp_operators: bool) -> Operators {
        Operators::of(&ListenOptions { operators: uids.to_vec(), tcp_operators, ..ListenOptions::default() })
    }

    #[test]
    fn the_listed_users_the_superuser_and_the_own_user_are_operators_and_nobody_else() {
        let own = rustix::process::geteuid().as_raw();
        let (listed, other) = (own + 1, own + 2);
        let operators = operators(&[listed], false);
        for uid in [0, own, listed] {
            assert!(operators.contain(&Peer::User(uid)), "{uid}");
        }
        let named = Peer::Certificate(listed.to_string().into());
        for peer in [Peer::User(other), Peer::User(u32::MAX), named, Peer::Tcp, Peer::Anybody, Peer::Unknown]
        {
            assert!(!operators.contain(&peer), "{peer:?}");
        }
    }

    #[test]
    fn over_tcp_there_are_operators_only_where_the_owner_says_so() {
        assert!(operators(&[], true).contain(&Peer::Tcp));
        assert!(!operators(&[], true).contain(&Peer::Anybody));
        assert!(!operators(&[], true).contain(&Peer::Unknown));
        assert!(!operators(&[], false).contain(&Peer::Tcp));
    }
}
