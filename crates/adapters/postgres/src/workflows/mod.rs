//! Workflows, their versions and their triggers.

mod placements;
mod repository;
mod triggers;

use async_trait::async_trait;
use tidegate_kernel::{AuditLog, StoreError, UnitOfWork, WorkspaceScope};
use tidegate_workflows::ports::{TriggerPlacements, WorkflowRepository, WorkflowsTx};

use crate::store::PgStore;
use crate::transaction::{PgTx, Tenant};

impl WorkflowsTx for PgTx<Tenant> {
    fn workflows(&mut self) -> &mut dyn WorkflowRepository {
        self
    }

    fn placements(&mut self) -> &mut dyn TriggerPlacements {
        self
    }

    fn audit(&mut self) -> &mut dyn AuditLog {
        self
    }
}

#[async_trait]
impl UnitOfWork<dyn WorkflowsTx> for PgStore {
    async fn begin(&self, scope: &WorkspaceScope) -> Result<Box<dyn WorkflowsTx>, StoreError> {
        Ok(self.begin_tenant(scope).await?)
    }
}

/// A row that no version of this program writes.
fn broken(what: &'static str) -> StoreError {
    StoreError::Internal(what.into())
}
