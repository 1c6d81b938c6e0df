//! Errors of the use cases of billing.

use tidegate_kernel::{Forbidden, StoreError};

use crate::catalogue::{PlanFault, PlanVersion};

/// Why a catalogue of plans is invalid.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    /// It is not JSON of the expected shape.
    #[error("the catalogue of plans cannot be read: {0}")]
    Unreadable(#[from] serde_json::Error),
    /// A plan contradicts itself or another plan.
    #[error("the plan {0} is not valid: {1}")]
    Invalid(PlanVersion, PlanFault),
    /// No plan has this name.
    #[error("there is no plan {0:?}; the plans are {1}")]
    Unknown(String, String),
}

/// Why the catalogue in the store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The default plan is not sold.
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why the plan of a workspace could not be determined.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The workspace has a plan that is not in the catalogue.
    #[error("the workspace has the plan {0}, which is not in the catalogue")]
    Unknown(PlanVersion),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<PlanError> for StoreError {
    fn from(error: PlanError) -> Self {
        match error {
            PlanError::Store(error) => error,
            unknown @ PlanError::Unknown(_) => Self::Internal(Box::new(unknown)),
        }
    }
}

/// Why the usage could not be determined.
#[derive(Debug, thiserror::Error)]
pub enum UsageError {
    /// The caller lacks the permission.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    /// The plan could not be determined.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
