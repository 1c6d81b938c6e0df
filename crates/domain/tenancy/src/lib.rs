//! Tenancy: people, log-in sessions, workspaces, members, API keys, and the audit log.
//!
//! Only [`AccessControl`] issues scopes. Lookups that are needed before a scope exists (a log-in, a token, the digest
//! of a key) use the directory, which contains no tenant data. Everything else happens in a workspace's own unit of
//! work.

pub mod error;
pub mod model;
pub mod ports;
pub mod service;

pub use error::*;
pub use model::*;
pub use ports::*;
pub use service::*;
