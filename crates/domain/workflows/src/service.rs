//! Use cases of workflows: create, read, change, publish.

use std::sync::Arc;

use chrono::{DateTime, SubsecRound, Utc};
use serde_json::json;
use tidegate_kernel::{
    AuditEntry, Environment, Limit, Meter, NoQuota, Page, PageSize, Permission, Quota, StoreError, UnitOfWork,
    WorkflowId, WorkspaceScope,
};

use crate::compute::{ComputePool, Inline, compute};
use crate::definition::{Definition, DefinitionError};
use crate::error::{CheckError, CreateError, DraftError, PublishError, ReadError, WithdrawError};
use crate::model::{Document, Expected, Version, VersionDetails, Workflow, WorkflowDetails};
use crate::ports::{Placement, TriggerCondition, WorkflowsTx};
use crate::step::StepRegistry;
use crate::trigger::Trigger;

/// How often publishing the latest version is tried while new drafts keep arriving.
const ATTEMPTS: usize = 3;

/// The use cases of workflows.
#[derive(Clone)]
pub struct Workflows {
    store: Arc<dyn UnitOfWork<dyn WorkflowsTx>>,
    steps: Arc<StepRegistry>,
    pool: Arc<dyn ComputePool>,
    quota: Arc<dyn Quota>,
    env: Environment,
}

impl std::fmt::Debug for Workflows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Workflows").finish_non_exhaustive()
    }
}

impl Workflows {
    /// The use cases over `store`, for documents whose step types are in `steps`.
    #[must_use]
    pub fn new(store: Arc<dyn UnitOfWork<dyn WorkflowsTx>>, steps: Arc<StepRegistry>, env: Environment) -> Self {
        Self { store, steps, pool: Arc::new(Inline), quota: Arc::new(NoQuota), env }
    }

    /// Limits the workflows of a workspace by `quota`.
    #[must_use]
    pub fn limited_by(mut self, quota: Arc<dyn Quota>) -> Self {
        self.quota = quota;
        self
    }

    /// How many workflows the plan of the workspace allows. The caller MUST NOT hold a transaction.
    ///
    /// # Errors
    /// [`StoreError`] if the plan could not be read.
    pub async fn limit(&self, scope: &WorkspaceScope) -> Result<Limit, StoreError> {
        self.quota.limit(scope, Meter::Workflows).await
    }

    /// Compiles documents on `pool` instead of the calling thread.
    #[must_use]
    pub fn computing_on(mut self, pool: Arc<dyn ComputePool>) -> Self {
        self.pool = pool;
        self
    }

    async fn compile(&self, document: &Document) -> Result<Result<Definition, DefinitionError>, StoreError> {
        let (document, steps) = (document.clone(), Arc::clone(&self.steps));
        compute(&*self.pool, move || Definition::compile(&document.source, document.format, &steps)).await
    }

    /// The current time with the precision of stores, one microsecond, so that the returned value equals the stored
    /// one.
    fn now(&self) -> DateTime<Utc> {
        self.env.now().trunc_subsecs(6)
    }

    /// Checks a document and changes nothing.
    ///
    /// # Errors
    /// [`CheckError`] if the caller lacks the permission or the document has problems; it lists all of them.
    pub async fn check(&self, scope: &WorkspaceScope, document: &Document) -> Result<Definition, CheckError> {
        scope.require(Permission::WorkflowsWrite)?;
        Ok(self.compile(document).await??)
    }

    /// Checks a document as the next draft of an existing workflow and changes nothing.
    ///
    /// # Errors
    /// [`DraftError`] if the caller lacks `workflows:write`, the workspace has no such workflow, or the document has
    /// problems. Whether its name is taken is not checked.
    pub async fn check_for(
        &self,
        scope: &WorkspaceScope,
        id: WorkflowId,
        document: &Document,
    ) -> Result<Definition, DraftError> {
        scope.require(Permission::WorkflowsWrite)?;
        let found = self.store.begin(scope).await?.workflows().find(id).await?;
        found.ok_or(DraftError::NotFound)?;
        Ok(self.compile(document).await??)
    }

    /// Creates a workflow whose first version is a draft.
    ///
    /// # Errors
    /// [`CreateError`] if the caller lacks `workflows:write`, the name is taken, the document has problems, or the plan
    /// does not allow another workflow. Nothing was created then.
    pub async fn create(&self, scope: &WorkspaceScope, document: Document) -> Result<WorkflowDetails, CreateError> {
        scope.require(Permission::WorkflowsWrite)?;
        let definition = self.compile(&document).await??;
        let limit = self.limit(scope).await?;
        let mut tx = self.store.begin(scope).await?;
        let details = self.add_in(&mut *tx, &definition, document, limit).await?;
        tx.commit().await?;
        Ok(details)
    }

    /// Creates a workflow as part of a larger transaction, if the workspace then has no more than `limit`. The caller
    /// checks the permission and commits.
    ///
    /// # Errors
    /// [`CreateError`] as for [`Workflows::create`]. The caller has to roll the transaction back.
    pub async fn create_in(
        &self,
        tx: &mut dyn WorkflowsTx,
        document: Document,
        limit: Limit,
    ) -> Result<WorkflowDetails, CreateError> {
        let definition = Definition::compile(&document.source, document.format, &self.steps)?;
        self.add_in(tx, &definition, document, limit).await
    }

    async fn add_in(
        &self,
        tx: &mut dyn WorkflowsTx,
        definition: &Definition,
        document: Document,
        limit: Limit,
    ) -> Result<WorkflowDetails, CreateError> {
        let now = self.now();
        let workflow = Workflow {
            id: WorkflowId::generate(&self.env),
            name: definition.name.clone(),
            description: definition.description.clone(),
            revision: 1,
            latest: 1,
            published: None,
            created_at: now,
            updated_at: now,
        };
        tx.workflows().add(&workflow, &document).await?;
        tx.levels().take(Meter::Workflows, 1, limit).await?;
        let details = json!({"name": workflow.name, "version": 1});
        tx.audit().record(AuditEntry::new("workflow.created", workflow.id).with(details)).await?;
        Ok(WorkflowDetails { workflow, version: 1, document })
    }

    /// A workflow with the document of its latest version.
    ///
    /// # Errors
    /// [`ReadError`] if the caller lacks `workflows:read` or the workspace has no such workflow.
    pub async fn get(&self, scope: &WorkspaceScope, id: WorkflowId) -> Result<WorkflowDetails, ReadError> {
        scope.require(Permission::WorkflowsRead)?;
        let mut tx = self.store.begin(scope).await?;
        let workflow = tx.workflows().find(id).await?.ok_or(ReadError::NotFound)?;
        let version = workflow.latest;
        let document = tx.workflows().document(id, version).await?.ok_or(ReadError::NotFound)?;
        Ok(WorkflowDetails { workflow, version, document })
    }

    /// The workspace's workflows, newest first.
    ///
    /// # Errors
    /// [`ReadError::Forbidden`] if the caller lacks `workflows:read`.
    pub async fn list(
        &self,
        scope: &WorkspaceScope,
        after: Option<WorkflowId>,
        size: PageSize,
    ) -> Result<Page<Workflow, WorkflowId>, ReadError> {
        scope.require(Permission::WorkflowsRead)?;
        Ok(self.store.begin(scope).await?.workflows().list(after, size).await?)
    }

    /// The versions of a workflow, newest first, and which of them is published.
    ///
    /// # Errors
    /// [`ReadError`] if the caller lacks `workflows:read` or the workspace has no such workflow.
    pub async fn versions(
        &self,
        scope: &WorkspaceScope,
        id: WorkflowId,
        before: Option<i32>,
        size: PageSize,
    ) -> Result<(Workflow, Page<Version, i32>), ReadError> {
        scope.require(Permission::WorkflowsRead)?;
        let mut tx = self.store.begin(scope).await?;
        let workflow = tx.workflows().find(id).await?.ok_or(ReadError::NotFound)?;
        let versions = tx.workflows().versions(id, before, size).await?;
        Ok((workflow, versions))
    }

    /// One version of a workflow with its document.
    ///
    /// # Errors
    /// [`ReadError`] if the caller lacks `workflows:read`, or there is no such workflow or version.
    pub async fn version(
        &self,
        scope: &WorkspaceScope,
        id: WorkflowId,
        number: i32,
    ) -> Result<VersionDetails, ReadError> {
        scope.require(Permission::WorkflowsRead)?;
        let mut tx = self.store.begin(scope).await?;
        let workflow = tx.workflows().find(id).await?.ok_or(ReadError::NotFound)?;
        let (version, document) = tx.workflows().version(id, number).await?.ok_or(ReadError::NotFound)?;
        Ok(VersionDetails { version, document, published: workflow.published == Some(number) })
    }

    /// Adds a draft as the next version of a workflow at an expected revision. The published version stays published.
    ///
    /// # Errors
    /// [`DraftError`] if the caller lacks `workflows:write`, there is no such workflow, it is at another revision, the
    /// name is taken, or the document has problems. Nothing was changed then.
    pub async fn draft(
        &self,
        scope: &WorkspaceScope,
        id: WorkflowId,
        expected: &Expected,
        document: Document,
    ) -> Result<WorkflowDetails, DraftError> {
        scope.require(Permission::WorkflowsWrite)?;
        let compiled = self.compile(&document).await?;
        let mut tx = self.store.begin(scope).await?;
        let mut workflow = tx.workflows().lock(id).await?.ok_or(DraftError::NotFound)?;
        let definition = compiled?;
        if !expected.admits(workflow.revision) {
            return Err(DraftError::Stale(workflow.revision));
        }
        let version = Version { number: workflow.latest + 1, name: definition.name.clone(), created_at: self.now() };
        tx.workflows().add_version(id, &version, &document).await?;
        workflow.name = definition.name;
        workflow.description = definition.description;
        workflow.latest = version.number;
        self.changed(&mut *tx, &mut workflow).await?;
        let details = json!({"name": workflow.name, "version": version.number});
        tx.audit().record(AuditEntry::new("workflow.drafted", id).with(details)).await?;
        tx.commit().await?;
        Ok(WorkflowDetails { workflow, version: version.number, document })
    }

    /// Publishes the latest version. Its triggers replace those of the previously published version.
    ///
    /// # Errors
    /// [`PublishError`] if the caller lacks `workflows:write`, there is no such workflow or version, or the workflow is
    /// at another revision. Nothing was changed then.
    pub async fn publish(
        &self,
        scope: &WorkspaceScope,
        id: WorkflowId,
        expected: &Expected,
    ) -> Result<Workflow, PublishError> {
        self.publish_version(scope, id, expected, None).await
    }

    /// Publishes an earlier version again.
    ///
    /// # Errors
    /// [`PublishError`] if the caller lacks `workflows:write`, there is no such workflow or version, or the workflow is
    /// at another revision. Nothing was changed then.
    pub async fn rollback(
        &self,
        scope: &WorkspaceScope,
        id: WorkflowId,
        expected: &Expected,
        version: i32,
    ) -> Result<Workflow, PublishError> {
        self.publish_version(scope, id, expected, Some(version)).await
    }

    async fn publish_version(
        &self,
        scope: &WorkspaceScope,
        id: WorkflowId,
        expected: &Expected,
        version: Option<i32>,
    ) -> Result<Workflow, PublishError> {
        scope.require(Permission::WorkflowsWrite)?;
        let mut attempt = 1;
        loop {
            // The document is compiled between two transactions. The first selects the version, the second checks it is
            // current.
            let mut tx = self.store.begin(scope).await?;
            let workflow = tx.workflows().find(id).await?.ok_or(PublishError::NotFound)?;
            if !expected.admits(workflow.revision) {
                return Err(PublishError::Stale(workflow.revision));
            }
            let number = version.unwrap_or(workflow.latest);
            if workflow.published == Some(number) {
                return Ok(workflow);
            }
            let document = tx.workflows().document(id, number).await?.ok_or(PublishError::NoSuchVersion(number))?;
            drop(tx);
            let definition = self.compile(&document).await??;

            let mut tx = self.store.begin(scope).await?;
            let mut workflow = tx.workflows().lock(id).await?.ok_or(PublishError::NotFound)?;
            let wanted = version.unwrap_or(workflow.latest);
            if !expected.admits(workflow.revision) || (wanted != number && attempt == ATTEMPTS) {
                return Err(PublishError::Stale(workflow.revision));
            }
            if workflow.published == Some(wanted) {
                return Ok(workflow);
            }
            if wanted != number {
                attempt += 1;
                continue;
            }
            let before = workflow.published.replace(number);
            self.changed(&mut *tx, &mut workflow).await?;
            tx.placements().place(id, number, &self.placements(&definition)).await?;
            let action = if version.is_some() { "workflow.rolled_back" } else { "workflow.published" };
            let details = json!({"version": number, "before": before});
            tx.audit().record(AuditEntry::new(action, id).with(details)).await?;
            tx.commit().await?;
            return Ok(workflow);
        }
    }

    /// Unpublishes the workflow: nothing starts it until a version is published again. Current runs continue.
    ///
    /// # Errors
    /// [`WithdrawError`] if the caller lacks `workflows:write`, there is no such workflow, or it is at another
    /// revision. Nothing was changed then.
    pub async fn unpublish(
        &self,
        scope: &WorkspaceScope,
        id: WorkflowId,
        expected: &Expected,
    ) -> Result<Workflow, WithdrawError> {
        scope.require(Permission::WorkflowsWrite)?;
        let mut tx = self.store.begin(scope).await?;
        let mut workflow = tx.workflows().lock(id).await?.ok_or(WithdrawError::NotFound)?;
        if !expected.admits(workflow.revision) {
            return Err(WithdrawError::Stale(workflow.revision));
        }
        let Some(before) = workflow.published.take() else { return Ok(workflow) };
        self.changed(&mut *tx, &mut workflow).await?;
        tx.placements().place(id, before, &[]).await?;
        tx.audit().record(AuditEntry::new("workflow.unpublished", id).with(json!({"before": before}))).await?;
        tx.commit().await?;
        Ok(workflow)
    }

    /// Deletes a workflow with its versions: nothing starts it any more, it is not found any more, and its name is
    /// free. Current runs continue to their end, and all of its runs stay readable.
    ///
    /// # Errors
    /// [`WithdrawError`] if the caller lacks `workflows:write`, there is no such workflow, or it is at another
    /// revision. Nothing was changed then.
    pub async fn delete(
        &self,
        scope: &WorkspaceScope,
        id: WorkflowId,
        expected: &Expected,
    ) -> Result<(), WithdrawError> {
        scope.require(Permission::WorkflowsWrite)?;
        let mut tx = self.store.begin(scope).await?;
        let workflow = tx.workflows().lock(id).await?.ok_or(WithdrawError::NotFound)?;
        if !expected.admits(workflow.revision) {
            return Err(WithdrawError::Stale(workflow.revision));
        }
        tx.placements().place(id, workflow.latest, &[]).await?;
        // The workflow is locked, so it exists.
        tx.workflows().delete(id, self.now()).await?;
        tx.levels().give_back(Meter::Workflows, 1).await?;
        let details = json!({"name": workflow.name, "version": workflow.latest, "published": workflow.published});
        tx.audit().record(AuditEntry::new("workflow.deleted", id).with(details)).await?;
        Ok(tx.commit().await?)
    }

    async fn changed(&self, tx: &mut dyn WorkflowsTx, workflow: &mut Workflow) -> Result<(), StoreError> {
        workflow.revision += 1;
        workflow.updated_at = self.now();
        // The workflow is locked, so it exists.
        tx.workflows().update(workflow).await.map(drop)
    }

    fn placements(&self, definition: &Definition) -> Vec<Placement> {
        let now = self.now();
        let placement = |(ordinal, trigger): (i16, &Trigger)| {
            let condition = match trigger {
                // A schedule without a future time needs no trigger.
                Trigger::Cron(cron) => TriggerCondition::Time(cron.schedule.next_after(now)?),
                Trigger::Event(event) => TriggerCondition::Event(event.kind.clone()),
            };
            Some(Placement { ordinal, condition })
        };
        (0i16..).zip(&definition.triggers).filter_map(placement).collect()
    }
}
