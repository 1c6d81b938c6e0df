//! The adapter against a real PostgreSQL.
#![expect(clippy::expect_used, reason = "a helper that fails is a test that fails")]

mod billing;
mod cancel;
mod catalog;
mod engine;
mod engine_worker;
mod events;
mod isolation;
mod migrations;
mod patterns;
mod startup;
mod tenancy;
mod workflows;
