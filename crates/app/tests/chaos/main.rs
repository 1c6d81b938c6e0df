//! Acknowledged work survives when servers are killed.
//!
//! Uses the real binary over HTTP, on a PostgreSQL server and on the embedded one.
#![expect(clippy::expect_used, clippy::panic, reason = "a helper that fails is a test that fails")]

mod client;
mod files;
mod kill;
mod neighbour;
mod process;
mod shutdown;
mod two_servers;
