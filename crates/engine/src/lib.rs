//! Drives workflow runs: owns shards, claims what can be worked on, does it, and commits how it went.
//!
//! What comes next in a run is decided by [`tidegate_workflows::run::decide`]; this crate gives it facts and executes its
//! commands. It knows its store, its handlers and the network only as ports. It must never hold a transaction while a
//! handler runs, and never act on a transition that is not committed.

mod config;
mod endings;
pub mod erasure;
mod fairness;
pub mod follower;
mod gates;
pub mod handlers;
pub mod jobs;
mod live;
pub mod model;
pub mod monitoring;
mod panics;
pub mod ports;
pub mod scheduler;
mod shards;
pub mod upkeep;
mod worker;

pub use config::EngineConfig;
pub use endings::RunEndings;
pub use shards::OwnedShards;
pub use worker::{Engine, EngineHandle, EngineParts};
