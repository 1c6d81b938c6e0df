//! Errors that every domain meets.

use crate::permission::Permission;

/// What went wrong in a store. A row that is not there is `Ok(None)`, never an error.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A constraint refused the write; it carries the constraint's name.
    #[error("the constraint {0} refused the write")]
    Conflict(String),
    /// The store cannot be reached or gave up in time; the same call may pass later.
    #[error("the store is unavailable")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Anything else; a defect or a broken installation.
    #[error("the store failed")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The caller is known in this workspace, but lacks a permission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this needs the permission {0}")]
pub struct Forbidden(pub Permission);
