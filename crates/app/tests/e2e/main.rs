//! End-to-end tests of the program.
#![expect(clippy::expect_used, clippy::panic, reason = "a helper that fails is a test that fails")]

mod command_line;
mod demo;
mod logs;
mod mail;
mod server;
mod traces;
mod unreadable;
