//! What a request asks a simulated provider for, by its method and address alone.

use super::Simulator;
use super::beside::phase_in;
use super::exchange::Received;
use crate::clock::Clock;
use crate::provider::wire::{Call, Signing, TokenRequest, Wire};

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// An access token.
    Token,
    /// A new key.
    Regenerate,
    /// The present key.
    Read,
    /// What changes with the key.
    Marker,
    /// Whether a key is accepted.
    Probe,
    /// The keys that live side by side.
    List,
    /// That one of them dies.
    Revoke,
    /// That the pending key becomes the only one.
    Activate,
    /// That the pending key dies.
    Discard,
    /// Nothing that the definition knows.
    SomethingElse,
}

impl Asked {
    /// As a rehearsal tells it.
    pub(super) const fn in_words(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Regenerate => "regenerate",
            Self::Read => "read",
            Self::Marker => "marker",
            Self::Probe => "probe",
            Self::List => "list",
            Self::Revoke => "revoke",
            Self::Activate => "activate",
            Self::Discard => "discard",
            Self::SomethingElse => "something else",
        }
    }
}

impl<C: Clock> Simulator<C> {
    /// What a request asks for, whoever signed it.
    pub(crate) fn asked(&self, received: &Received) -> Asked {
        let is = |call: &Call| received.is(call.method.as_str(), &call.path_and_query);
        let reads = |wire: &Wire| wire.read.as_ref().is_some_and(|read| is(&read.call));
        if self.token_request(received).is_some() {
            Asked::Token
        } else if self.slots().any(|wire| is(&wire.regenerate)) {
            Asked::Regenerate
        } else if self.slots().any(reads) {
            Asked::Read
        } else if self.bound.wire.marker.as_ref().is_some_and(|marker| is(&marker.call)) {
            Asked::Marker
        } else if self.bound.wire.probe.as_ref().is_some_and(|probe| is(&probe.call)) {
            Asked::Probe
        } else if self.page_of(received).is_some() {
            Asked::List
        } else if !self.revocations_in(received).is_empty() {
            Asked::Revoke
        } else if phase_in(received, self.bound.wire.activate.as_ref()).is_some() {
            Asked::Activate
        } else if phase_in(received, self.bound.wire.discard.as_ref()).is_some() {
            Asked::Discard
        } else {
            Asked::SomethingElse
        }
    }

    /// The request for an access token that this is, if it is one.
    pub(super) fn token_request(&self, received: &Received) -> Option<&TokenRequest> {
        let wire = &self.bound.wire;
        let probe = wire.probe.as_ref().map(|probe| &probe.signing);
        let mut tokens = std::iter::once(&wire.signing).chain(probe).filter_map(|signing| match signing {
            Signing::Oauth2(token) => Some(&**token),
            _ => None,
        });
        tokens.find(|token| received.is(token.call.method.as_str(), &token.call.path_and_query))
    }
}
