//! Fake outsides in memory, so that a test can run the real engine in virtual time and break it at any operation.
//!
//! [`FakeVault`] and [`FakeMint`] are shared by all replicas, a [`FakeDisk`] belongs to one replica and outlives its
//! restarts, and a [`Life`] is one run of one replica: it numbers what the replica does outside, and can end there.

mod clock;
mod dice;
mod disk;
mod escrow;
mod life;
mod link;
mod mint;
mod provider;
mod store;
mod trouble;
mod vault;
mod witness;

pub use clock::{FakeClock, SkewedClock};
pub use dice::{Dice, Draw};
pub use disk::{DiskCall, FakeDisk, SealedKey};
pub use escrow::FakeEscrow;
pub use life::{Accident, Death, Life, Moment, Passed};
pub use link::{StoreCall, StoreFault, VaultLink};
pub use mint::{FakeMint, MintCall};
pub use provider::{FakeProvider, ProviderAct};
pub use store::FakeStore;
pub use trouble::{CallFault, Question, QuestionFault};
pub use vault::{FakeVault, VaultSnapshot, VaultWrite};
pub use witness::Witness;
