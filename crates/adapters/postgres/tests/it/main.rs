//! Tests of the adapter on a real PostgreSQL.
#![expect(clippy::expect_used, reason = "a helper that fails is a test that fails")]

mod billing;
mod cancel;
mod catalog;
mod contract;
mod engine_worker;
mod erasure;
mod fill;
mod following;
mod isolation;
mod jobs;
mod migrations;
mod plans;
mod quarantine;
mod startup;
mod subscriptions;
mod usage;
