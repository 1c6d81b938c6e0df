//! Errors that every domain uses.

use crate::permission::Permission;

/// Why a store operation failed. A missing row is `Ok(None)`, never an error.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A constraint rejected the write. Carries the constraint's name.
    #[error("the constraint {0} refused the write")]
    Conflict(String),
    /// The store cannot be reached or did not answer in time. The same call may succeed later.
    #[error("the store is unavailable")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Any other failure: a defect of the program or a broken installation.
    #[error("the store failed")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The caller is known in this workspace but lacks this permission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this needs the permission {0}")]
pub struct Forbidden(pub Permission);
