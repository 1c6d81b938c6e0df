//! Errors of the use cases of workflows.

use tidegate_kernel::{Forbidden, QuotaError, QuotaExceeded, StoreError};

use crate::definition::DefinitionError;
use crate::ports::NAME_CONSTRAINT;

/// Why a document was not checked.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The caller lacks the permission.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    /// The document is not a valid workflow.
    #[error(transparent)]
    Definition(#[from] DefinitionError),
    /// The document could not be checked now.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a workflow was not created.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// The caller lacks the permission.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    /// The document is not a valid workflow.
    #[error(transparent)]
    Definition(#[from] DefinitionError),
    /// The workspace already has a workflow with this name.
    #[error("the workspace has a workflow of this name already")]
    NameTaken,
    /// The plan of the workspace does not allow another workflow.
    #[error(transparent)]
    QuotaExceeded(QuotaExceeded),
    /// The store failed.
    #[error(transparent)]
    Store(StoreError),
}

impl From<QuotaError> for CreateError {
    fn from(error: QuotaError) -> Self {
        match error {
            QuotaError::Exceeded(exceeded) => Self::QuotaExceeded(exceeded),
            QuotaError::Store(error) => Self::Store(error),
        }
    }
}

/// Why a workflow or a version of it was not read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The caller lacks the permission.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    /// The workspace has no such workflow.
    #[error("there is no such workflow")]
    NotFound,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a draft was not added.
#[derive(Debug, thiserror::Error)]
pub enum DraftError {
    /// The caller lacks the permission.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    /// The workspace has no such workflow.
    #[error("there is no such workflow")]
    NotFound,
    /// The workflow is at a different revision than expected.
    #[error("the workflow has changed since it was read: it is at revision {0}")]
    Stale(i32),
    /// The document is not a valid workflow.
    #[error(transparent)]
    Definition(#[from] DefinitionError),
    /// The workspace already has a workflow with this name.
    #[error("the workspace has a workflow of this name already")]
    NameTaken,
    /// The store failed.
    #[error(transparent)]
    Store(StoreError),
}

/// Why a version was not published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The caller lacks the permission.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    /// The workspace has no such workflow.
    #[error("there is no such workflow")]
    NotFound,
    /// The workflow is at a different revision than expected.
    #[error("the workflow has changed since it was read: it is at revision {0}")]
    Stale(i32),
    /// The workflow has no such version.
    #[error("the workflow has no version {0}")]
    NoSuchVersion(i32),
    /// The version's document does not compile any more.
    #[error(transparent)]
    Definition(#[from] DefinitionError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a workflow was not unpublished or deleted.
#[derive(Debug, thiserror::Error)]
pub enum WithdrawError {
    /// The caller lacks the permission.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    /// The workspace has no such workflow.
    #[error("there is no such workflow")]
    NotFound,
    /// The workflow is at a different revision than expected.
    #[error("the workflow has changed since it was read: it is at revision {0}")]
    Stale(i32),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Whether the constraint on workflow names was violated.
fn is_name(error: &StoreError) -> bool {
    matches!(error, StoreError::Conflict(constraint) if constraint == NAME_CONSTRAINT)
}

impl From<StoreError> for CreateError {
    fn from(error: StoreError) -> Self {
        if is_name(&error) { Self::NameTaken } else { Self::Store(error) }
    }
}

impl From<StoreError> for DraftError {
    fn from(error: StoreError) -> Self {
        if is_name(&error) { Self::NameTaken } else { Self::Store(error) }
    }
}
