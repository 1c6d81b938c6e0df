//! Who may do what where: people, their log-ins, workspaces, members, API keys, and the record of what they changed.
//!
//! [`AccessControl`] is the one place that gives out scopes. What comes before there is a scope (a log-in, a token, the
//! digest of a key) goes through the directory, which knows no tenant's data; everything else happens in a workspace's
//! own unit of work.

pub mod error;
pub mod model;
pub mod ports;
pub mod service;

pub use error::*;
pub use model::*;
pub use ports::*;
pub use service::*;
