//! What runs follow.

use async_trait::async_trait;
use tidegate_kernel::{StoreError, WorkflowId};
use tidegate_workflows::model::Document;
use tidegate_workflows::ports::WorkflowRepository;
use tidegate_workflows::run::ports::{PublishedVersions, Startable};

use crate::transaction::PgTx;

#[async_trait]
impl PublishedVersions for PgTx {
    async fn startable(&mut self, workflow: WorkflowId) -> Result<Option<Startable>, StoreError> {
        let workflow = WorkflowRepository::find(self, workflow).await?;
        Ok(workflow.map(|workflow| workflow.published.map_or(Startable::Unpublished, Startable::Version)))
    }

    async fn document(&mut self, workflow: WorkflowId, version: i32) -> Result<Option<Document>, StoreError> {
        WorkflowRepository::document(self, workflow, version).await
    }
}
