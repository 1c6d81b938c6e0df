//! Whom a job tells about a workspace: its owners.

use std::sync::Arc;

use tidegate_kernel::{StoreError, WorkspaceScope};
use tidegate_tenancy::Person;
use tidegate_tenancy::error::{MemberError, WorkspaceError};
use tidegate_tenancy::service::{Members, Workspaces};

/// Finds the owners of workspaces.
#[derive(Clone)]
pub struct Owners {
    workspaces: Arc<Workspaces>,
    members: Arc<Members>,
}

impl Owners {
    /// Finds them by these use cases.
    #[must_use]
    pub const fn new(workspaces: Arc<Workspaces>, members: Arc<Members>) -> Self {
        Self { workspaces, members }
    }

    /// The name of the workspace and its owners; `None` if it is deleted.
    ///
    /// # Errors
    /// [`StoreError`] if they could not be read.
    pub(crate) async fn of(&self, scope: &WorkspaceScope) -> Result<Option<(String, Vec<Person>)>, StoreError> {
        let workspace = match self.workspaces.get(scope).await {
            Ok(workspace) => workspace,
            Err(WorkspaceError::NotFound) => return Ok(None),
            Err(WorkspaceError::Store(error)) => return Err(error),
            Err(error) => return Err(StoreError::Internal(Box::new(error))),
        };
        let owners = self.members.owners(scope).await.map_err(|error| match error {
            MemberError::Store(error) => error,
            error => StoreError::Internal(Box::new(error)),
        })?;
        Ok(Some((workspace.name.to_string(), owners)))
    }
}

impl std::fmt::Debug for Owners {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Owners").finish_non_exhaustive()
    }
}
