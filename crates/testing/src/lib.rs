//! Shared by the tests of every crate: a database for each test, a clock that tests set, scopes without a login, and
//! the contract suites that the adapters of each port have to pass.
//!
//! Helpers here panic when they fail, so that the test fails. This is test-only code; only tests may depend on it.
#![expect(clippy::expect_used, clippy::panic, reason = "a helper that fails is a test that fails")]

pub mod catalog;
pub mod clock;
pub mod contract;
pub mod database;
pub mod redis;
pub mod s3;
pub mod schema;
pub mod scope;
pub mod silence;
pub mod steps;
pub mod stripe;

pub use clock::{SeededEntropy, TestClock, environment, test_clock, test_environment};
pub use database::TestDatabase;
pub use s3::S3Server;
pub use silence::Silence;
pub use steps::{step_type, step_types};
