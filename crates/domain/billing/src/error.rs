//! Errors of the use cases.

use tidegate_kernel::{Forbidden, StoreError};

use crate::plan::PlanVersion;

/// Why a catalogue of plans cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    /// Not the JSON that is expected.
    #[error("the catalogue of plans cannot be read: {0}")]
    Unreadable(#[from] serde_json::Error),
    /// A plan contradicts itself or another.
    #[error("the plan {0} is not valid: {1}")]
    Invalid(PlanVersion, &'static str),
    /// There is no plan of this name.
    #[error("there is no plan {0:?}; the plans are {1}")]
    Unknown(String, String),
}

/// Why the plan of a workspace could not be told.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The workspace has a plan that this program does not know.
    #[error("the workspace has the plan {0}, which this version of Tidegate does not know")]
    Unknown(PlanVersion),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why usage could not be told.
#[derive(Debug, thiserror::Error)]
pub enum UsageError {
    /// The caller may not see usage.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    /// The plan could not be told.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
