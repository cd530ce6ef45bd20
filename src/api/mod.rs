//! What applications see: the gRPC services, on a Unix socket, on the loopback, or over TLS.
//!
//! [`Listeners::bind`] takes the addresses, [`serve`] answers on them until it is told to stop. The services look
//! at [`crate::engine`]'s snapshots and send it commands; they know no adapter and hold no secret.

mod ask;
mod certificate;
mod connection;
mod convert;
mod credential;
mod descriptors;
mod health;
mod listen;
mod operators;
mod page;
mod peer;
pub mod proto;
mod quota;
mod replay;
mod request;
mod rotate;
mod serve;
mod socket;
mod status;
mod tls;
mod watches;
mod words;
mod workshop;

pub use certificate::TlsOptions;
pub use descriptors::raise_descriptor_limit;
pub use health::{LIVE, READY, STARTUP};
pub use listen::{Error, ListenOptions, Listeners, UnixOptions};
pub use serve::serve;
pub use status::ERROR_DOMAIN;
