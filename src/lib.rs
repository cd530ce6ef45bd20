//! keyturn rotates provider-minted API keys into HashiCorp Vault or OpenBao without ever losing one.
//!
//! Read it in this order: [`ids`], [`secret`], [`trust`] and [`clock`] are small and depend on nothing of ours;
//! [`rotation`] is the pure core that decides; [`provider`], [`vault`] and [`escrow`] are the three outsides it
//! acts on; [`engine`] is the shell that runs the core's effects; [`api`] is what applications see; [`config`],
//! [`cli`], [`doctor`] and [`telemetry`] are what operators see; [`rehearsal`] plays a rotation for who writes a provider's
//! definition, and [`trial`] makes one real call for them. `document` is how both kinds of YAML file are read.

mod document;
pub mod ids;
pub mod mistake;
pub mod secret;
pub mod trust;

pub mod clock;

pub mod rotation;

pub mod escrow;
pub mod provider;
pub mod vault;

pub mod engine;

pub mod api;

pub mod cli;
pub mod config;
pub mod doctor;
pub mod rehearsal;
pub mod telemetry;
pub mod trial;

#[cfg(feature = "testbed")]
pub mod testbed;
