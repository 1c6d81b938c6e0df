//! What the deletion of a workspace reaches, tenancy's part and that of workflows.

use async_trait::async_trait;
use tidegate_kernel::{StoreError, UnitOfWork, WorkspaceScope};
use tidegate_tenancy::TenancyTx;
use tidegate_use_cases::DeleteWorkspaceTx;
use tidegate_workflows::ports::TriggerPlacements;
use tidegate_workflows::run::ports::RunRepository;

use crate::store::PgStore;
use crate::transaction::{PgTx, Tenant};

#[async_trait]
impl UnitOfWork<dyn DeleteWorkspaceTx> for PgStore {
    async fn begin(&self, scope: &WorkspaceScope) -> Result<Box<dyn DeleteWorkspaceTx>, StoreError> {
        Ok(self.begin_tenant(scope).await?)
    }
}

impl DeleteWorkspaceTx for PgTx<Tenant> {
    fn as_tenancy(&mut self) -> &mut dyn TenancyTx {
        self
    }

    fn placements(&mut self) -> &mut dyn TriggerPlacements {
        self
    }

    fn runs(&mut self) -> &mut dyn RunRepository {
        self
    }
}
