//! Workers in simulated time, with a store in memory that fails, is slow and loses answers.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a helper that fails is a test that fails")]

mod contract;
mod defects;
mod ration;
mod signals;
mod simulation;
mod step_types;
mod store;
mod world;
