//! What tests of every crate share: a database of their own, a clock that they set, scopes without a log-in, and the
//! contract suites that each port's adapters have to pass.
//!
//! Helpers here panic where they fail, because that is how a test says so. Nothing but a test may depend on this crate.
#![expect(clippy::expect_used, clippy::panic, reason = "a helper that fails is a test that fails")]

pub mod catalog;
pub mod clock;
pub mod contract;
pub mod database;
pub mod schema;
pub mod scope;
pub mod silence;
pub mod steps;

pub use clock::{SeededEntropy, TestClock, environment, test_clock, test_environment};
pub use database::TestDatabase;
pub use silence::Silence;
pub use steps::{step_type, step_types};
