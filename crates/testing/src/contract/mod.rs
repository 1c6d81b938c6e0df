//! Contract suites: one function per obligation of a port, run against every adapter of it.
//!
//! To add an obligation of a store, write a `pub async fn` that takes its suite's `Subject`: the macro `obligations!` lists
//! all of them, written by `build.rs` from these sources, so it runs on every kind of PostgreSQL. One that an embedded
//! PostgreSQL cannot be held to has the reason in its documentation, on a line that begins with `Served only:`. A method of
//! a port counts as tried where the suite that is about that port calls it on a value of it, see `coverage`.
//!
//! Write an obligation so that cases can share a store, because starting an embedded PostgreSQL takes longer than trying
//! one: it touches the two workspaces of its subject alone, and where a port shows all workspaces it looks at those two.
//! And write it for one connection: it waits for no second transaction while it holds one.

#[cfg(test)]
mod coverage;
mod stage;

pub mod billing;
pub mod engine_store;
pub mod erasure;
pub mod events;
pub mod jobs;
pub mod monitoring;
pub mod patterns;
pub mod rate_limiter;
pub mod signal_bus;
pub mod tenancy;
pub mod upkeep;
pub mod workflows;

pub use stage::{Scene, Stage};

include!(concat!(env!("OUT_DIR"), "/obligations.rs"));
