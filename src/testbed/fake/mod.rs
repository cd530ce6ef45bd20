//! Fake outsides in memory, so that a test can run the real engine in virtual time and break it at any operation.
//!
//! [`FakeVault`] and [`FakeMint`] are shared by all replicas, a [`FakeDisk`] belongs to one replica and outlives its
//! restarts, and a [`Life`] is one run of one replica: it numbers what the replica does outside, and can end there.

mod clock;
mod disk;
mod escrow;
mod life;
mod link;
mod mint;
mod provider;
mod store;
mod vault;

pub use clock::FakeClock;
pub use disk::{DiskCall, FakeDisk, SealedKey};
pub use escrow::FakeEscrow;
pub use life::{Death, Life, Moment};
pub use link::{StoreCall, StoreFault, VaultLink};
pub use mint::{CallFault, FakeMint, MintCall};
pub use provider::FakeProvider;
pub use store::FakeStore;
pub use vault::{FakeVault, VaultSnapshot};
