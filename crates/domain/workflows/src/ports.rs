//! The store ports of workflows.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tidegate_kernel::{AuditLog, Page, PageSize, QuotaLevels, StoreError, Transaction, WorkflowId};

use crate::model::{Document, Version, Workflow};

/// The constraint that makes workflow names unique in a workspace.
pub const NAME_CONSTRAINT: &str = "workflow_name";

/// The slice of a store for the use cases of workflows.
pub trait WorkflowsTx: Transaction {
    /// Workflows and their versions.
    fn workflows(&mut self) -> Box<dyn WorkflowRepository + '_>;
    /// The placed triggers of workflows.
    fn placements(&mut self) -> Box<dyn TriggerPlacements + '_>;
    /// What counts against the plan of the workspace.
    fn levels(&mut self) -> Box<dyn QuotaLevels + '_>;
    /// The audit log.
    fn audit(&mut self) -> Box<dyn AuditLog + '_>;
}

/// The workflows of one workspace.
#[async_trait]
pub trait WorkflowRepository: Send {
    /// Stores a new workflow with its first version. MUST fail with [`StoreError::Conflict`] of [`NAME_CONSTRAINT`] if
    /// the workspace already has the name. Names in other workspaces MUST NOT matter.
    async fn add(&mut self, workflow: &Workflow, document: &Document) -> Result<(), StoreError>;

    /// The workflow, or `None` if the workspace has none with this id.
    async fn find(&mut self, id: WorkflowId) -> Result<Option<Workflow>, StoreError>;

    /// Like [`WorkflowRepository::find`], and locks the workflow: no other transaction can change it until this one
    /// ends.
    async fn lock(&mut self, id: WorkflowId) -> Result<Option<Workflow>, StoreError>;

    /// The workspace's workflows, newest first, those before `after`.
    async fn list(
        &mut self,
        after: Option<WorkflowId>,
        size: PageSize,
    ) -> Result<Page<Workflow, WorkflowId>, StoreError>;

    /// Updates name, description, revision, latest and published version of a locked workflow. MUST fail with
    /// [`StoreError::Conflict`] of [`NAME_CONSTRAINT`] if another workflow of the workspace has the name. MUST return
    /// false if the workspace has no such workflow.
    async fn update(&mut self, workflow: &Workflow) -> Result<bool, StoreError>;

    /// Stores another version. A version MUST never change afterwards. An existing version number MUST be rejected.
    async fn add_version(&mut self, id: WorkflowId, version: &Version, document: &Document) -> Result<(), StoreError>;

    /// A version with its document, or `None` if the workspace has no such version.
    async fn version(&mut self, id: WorkflowId, version: i32) -> Result<Option<(Version, Document)>, StoreError>;

    /// Deletes a locked workflow. Afterwards it MUST NOT be found, locked, listed or changed. MUST free its name. MUST
    /// keep the documents of its versions, because current runs execute them and past runs are shown with them. MUST
    /// return false if the workspace has no such workflow.
    async fn delete(&mut self, id: WorkflowId, now: DateTime<Utc>) -> Result<bool, StoreError>;

    /// The document of a version of a workflow, which may be deleted; `None` if the workspace has no such version.
    async fn document(&mut self, id: WorkflowId, version: i32) -> Result<Option<Document>, StoreError>;

    /// The versions of a workflow, newest first, those before `before`.
    async fn versions(
        &mut self,
        id: WorkflowId,
        before: Option<i32>,
        size: PageSize,
    ) -> Result<Page<Version, i32>, StoreError>;
}

/// A trigger of a published version, as far as a store needs it for lookups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// The index of the trigger in the version's document.
    pub ordinal: i16,
    /// The condition that fires it.
    pub condition: TriggerCondition,
}

/// The condition that fires a trigger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TriggerCondition {
    /// A time: the next one.
    Time(DateTime<Utc>),
    /// An event of this type.
    Event(String),
}

/// The triggers of one workspace's workflows.
#[async_trait]
pub trait TriggerPlacements: Send {
    /// Replaces all triggers of a workflow by those of `version`. An event MUST fire a trigger only if it is committed
    /// after the events that this transaction sees.
    async fn place(&mut self, workflow: WorkflowId, version: i32, triggers: &[Placement]) -> Result<(), StoreError>;

    /// Deletes all triggers of all workflows of the workspace.
    async fn clear(&mut self) -> Result<(), StoreError>;
}
