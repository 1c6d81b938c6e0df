//! Contract suites: one function for each obligation of a port, run against every adapter of the port.
//!
//! To add an obligation of a store, write a `pub async fn` that takes its suite's `Subject`. The macro `obligations!`,
//! which `build.rs` writes from these sources, then runs it on every kind of PostgreSQL. If an embedded PostgreSQL
//! cannot be held to it, give the reason on a doc line that begins with `Served only:`. A method of a port counts as
//! tried if the suite of that port calls it on a value of the port; see `coverage`.
//!
//! Obligations share a store, because starting an embedded PostgreSQL takes longer than running one. So an obligation
//! uses only the two workspaces of its subject, and looks only at those two if a port shows all workspaces. It must
//! work with a single connection: it must not wait for a second transaction while it holds one.

#[cfg(test)]
mod coverage;
mod stage;

pub mod billing;
pub mod engine_store;
pub mod erasure;
pub mod events;
pub mod files;
pub mod jobs;
pub mod list_cache;
pub mod monitoring;
pub mod object_store;
pub mod patterns;
pub mod payment_provider;
pub mod quota;
pub mod rate_limiter;
pub mod signal_bus;
pub mod tenancy;
pub mod upkeep;
pub mod workflows;

pub use stage::{Scene, Stage};

include!(concat!(env!("OUT_DIR"), "/obligations.rs"));
