//! Contract suites: one function per obligation of a port, run against every adapter of it.

pub mod billing;
pub mod engine_store;
pub mod events;
pub mod patterns;
pub mod rate_limiter;
pub mod signal_bus;
pub mod tenancy;
pub mod workflows;
