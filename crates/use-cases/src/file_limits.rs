//! Applies the plan of a workspace to single files.

use async_trait::async_trait;
use tidegate_billing::{Billing, PlanError};
use tidegate_files::FileLimits;
use tidegate_kernel::{Limit, StoreError, WorkspaceScope};

/// Limits files by the workspace's plan.
#[derive(Debug, Clone)]
pub struct FilesByPlan(Billing);

impl FilesByPlan {
    /// The limits from these plans.
    #[must_use]
    pub const fn new(billing: Billing) -> Self {
        Self(billing)
    }
}

#[async_trait]
impl FileLimits for FilesByPlan {
    async fn largest_file(&self, scope: &WorkspaceScope) -> Result<Limit, StoreError> {
        let plan = self.0.plan_of(scope).await.map_err(|error| match error {
            PlanError::Store(error) => error,
            unknown @ PlanError::Unknown(_) => StoreError::Internal(Box::new(unknown)),
        })?;
        Ok(plan.entitlements.file_bytes)
    }
}
