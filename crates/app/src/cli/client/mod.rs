//! Commands that a server is not started for: they call the HTTP API of one, or read files on this machine.
//!
//! They know a server by its API alone: nothing here uses what it is made of, such as `crate::http` or `crate::Services`.

mod api;
pub(super) mod demo;
pub(super) mod events;
pub(super) mod workflow;
