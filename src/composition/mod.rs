//! Where concrete adapters are named and joined: the only room that may, with `main`.

mod examine;
mod fleet;
mod listening;
mod reload;
mod serve;

pub(crate) use examine::diagnose;
pub(crate) use listening::target;
pub(crate) use serve::{forbid_core_dumps, serve};
