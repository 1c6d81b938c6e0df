//! Commands that start no server: they call the HTTP API of one, or read files on this machine.
//!
//! They use a server through its API alone, and nothing of its code, such as `crate::http` or `crate::Services`.

mod api;
pub(super) mod demo;
pub(super) mod events;
pub(super) mod keys;
pub(super) mod workflow;
