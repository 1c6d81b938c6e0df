//! What runs follow.

use async_trait::async_trait;
use tidegate_kernel::{AuditLog, StoreError, UnitOfWork, WorkflowId, WorkspaceScope};
use tidegate_workflows::model::Document;
use tidegate_workflows::ports::WorkflowRepository;
use tidegate_workflows::run::ports::{PlanRepository, RunRepository, RunsTx, Startable};

use crate::store::PgStore;
use crate::transaction::PgTx;

impl RunsTx for PgTx {
    fn runs(&mut self) -> &mut dyn RunRepository {
        self
    }

    fn plans(&mut self) -> &mut dyn PlanRepository {
        self
    }

    fn audit(&mut self) -> &mut dyn AuditLog {
        self
    }
}

#[async_trait]
impl UnitOfWork<dyn RunsTx> for PgStore {
    async fn begin(&self, scope: &WorkspaceScope) -> Result<Box<dyn RunsTx>, StoreError> {
        Ok(self.begin_tenant(scope).await?)
    }
}

#[async_trait]
impl PlanRepository for PgTx {
    async fn startable(&mut self, workflow: WorkflowId) -> Result<Option<Startable>, StoreError> {
        let workflow = WorkflowRepository::find(self, workflow).await?;
        Ok(workflow.map(|workflow| workflow.published.map_or(Startable::Unpublished, Startable::Version)))
    }

    async fn document(&mut self, workflow: WorkflowId, version: i32) -> Result<Option<Document>, StoreError> {
        WorkflowRepository::document(self, workflow, version).await
    }
}
