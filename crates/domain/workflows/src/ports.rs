//! What workflows need from a store.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tidegate_kernel::{AuditLog, Page, PageSize, StoreError, Transaction, WorkflowId};

use crate::model::{Document, Version, Workflow};

/// The constraint that refuses a name which the workspace has already.
pub const NAME_CONSTRAINT: &str = "workflow_name";

/// The slice of a store that the use cases of workflows work on.
pub trait WorkflowsTx: Transaction {
    /// Workflows and their versions.
    fn workflows(&mut self) -> Box<dyn WorkflowRepository + '_>;
    /// What starts them by itself.
    fn placements(&mut self) -> Box<dyn TriggerPlacements + '_>;
    /// Who did what.
    fn audit(&mut self) -> Box<dyn AuditLog + '_>;
}

/// The workflows of one workspace.
#[async_trait]
pub trait WorkflowRepository: Send {
    /// Keeps a new workflow with its first version. MUST fail with [`StoreError::Conflict`] of [`NAME_CONSTRAINT`] where the
    /// workspace has the name; another workspace's names MUST NOT matter.
    async fn add(&mut self, workflow: &Workflow, document: &Document) -> Result<(), StoreError>;

    /// The workflow, or `None` where the workspace has none with this id.
    async fn find(&mut self, id: WorkflowId) -> Result<Option<Workflow>, StoreError>;

    /// As [`WorkflowRepository::find`]; until the end of the transaction nobody else can change the workflow.
    async fn lock(&mut self, id: WorkflowId) -> Result<Option<Workflow>, StoreError>;

    /// The workspace's workflows, newest first, those before `after`.
    async fn list(
        &mut self,
        after: Option<WorkflowId>,
        size: PageSize,
    ) -> Result<Page<Workflow, WorkflowId>, StoreError>;

    /// Writes name, description, revision, latest and published version of a workflow that was locked. MUST fail with
    /// [`StoreError::Conflict`] of [`NAME_CONSTRAINT`] where another workflow of the workspace has the name, and MUST report
    /// false where the workspace has no such workflow.
    async fn update(&mut self, workflow: &Workflow) -> Result<bool, StoreError>;

    /// Keeps another version. A version MUST never change afterwards, and one that is there MUST be refused.
    async fn add_version(&mut self, id: WorkflowId, version: &Version, document: &Document) -> Result<(), StoreError>;

    /// A version with its document, or `None` where the workspace has no such version.
    async fn version(&mut self, id: WorkflowId, version: i32) -> Result<Option<(Version, Document)>, StoreError>;

    /// Deletes a workflow that was locked. MUST make it one that is not found, locked, listed or changed any more, MUST free
    /// its name, and MUST keep the documents of its versions, which runs that are under way follow and past ones are read
    /// with. MUST report false where the workspace has no such workflow.
    async fn delete(&mut self, id: WorkflowId, now: DateTime<Utc>) -> Result<bool, StoreError>;

    /// The document of a version of a workflow, be it deleted, or `None` where the workspace has no such version.
    async fn document(&mut self, id: WorkflowId, version: i32) -> Result<Option<Document>, StoreError>;

    /// The versions of a workflow, newest first, those before `before`.
    async fn versions(
        &mut self,
        id: WorkflowId,
        before: Option<i32>,
        size: PageSize,
    ) -> Result<Page<Version, i32>, StoreError>;
}

/// A trigger of a published version, as far as a store has to find it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// Which of the version's triggers: its place in the document.
    pub ordinal: i16,
    /// What sets it off.
    pub condition: TriggerCondition,
}

/// What sets a trigger off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TriggerCondition {
    /// A time, next at this one.
    Time(DateTime<Utc>),
    /// An event of this type.
    Event(String),
}

/// The triggers of one workspace's workflows.
#[async_trait]
pub trait TriggerPlacements: Send {
    /// Replaces all triggers of a workflow by those of `version`. Triggers for events MUST be set off only by events that
    /// are committed after the events which the transaction sees.
    async fn place(&mut self, workflow: WorkflowId, version: i32, triggers: &[Placement]) -> Result<(), StoreError>;

    /// Takes away all triggers of all workflows of the workspace.
    async fn clear(&mut self) -> Result<(), StoreError>;
}
