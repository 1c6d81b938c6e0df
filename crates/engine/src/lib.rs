//! Drives workflow runs: owns shards, claims runs, executes their steps and commits the results.
//!
//! [`tidegate_workflows::run::decide`] decides what happens next in a run; this crate supplies the facts and executes
//! the commands. The store, the handlers and the network are ports. This crate must never hold a transaction open while
//! a
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
