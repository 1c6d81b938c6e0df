//! What triggers need from a store.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tidegate_kernel::{Position, StoreError, SystemScope, WorkflowId, WorkspaceId};

use crate::ports::WorkflowRepository;
use crate::run::ports::RunsTx;

/// The slice of a store in which a trigger starts a run.
pub trait TriggersTx: RunsTx {
    /// Where triggers are placed.
    fn triggers(&mut self) -> Box<dyn TriggerRepository + '_>;
    /// Workflows, for the documents that triggers are written in.
    fn documents(&mut self) -> Box<dyn WorkflowRepository + '_>;
}

/// A trigger that waits for a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeTrigger {
    /// The workflow.
    pub workflow: WorkflowId,
    /// Its place among the version's triggers.
    pub ordinal: i16,
    /// The version.
    pub version: i32,
    /// The time that it waits for.
    pub due: DateTime<Utc>,
}

/// A trigger that waits for events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListeningTrigger {
    /// The workflow.
    pub workflow: WorkflowId,
    /// Its place among the version's triggers.
    pub ordinal: i16,
    /// The version.
    pub version: i32,
    /// The type of its events.
    pub event_type: String,
    /// Only events after this position set it off.
    pub after: Position,
}

/// The placed triggers of one workspace.
#[async_trait]
pub trait TriggerRepository: Send {
    /// Moves a trigger on from the time that it waits for to `next`, or takes it away where there is none. MUST change
    /// nothing and return false where the trigger is gone, of another version or waits for another time, and MUST make a
    /// second transaction that tries the same wait for this one.
    async fn advance(&mut self, trigger: &TimeTrigger, next: Option<DateTime<Utc>>) -> Result<bool, StoreError>;

    /// The types of events that triggers wait for, each once.
    async fn awaited(&mut self) -> Result<Vec<String>, StoreError>;

    /// The triggers that wait for events of one of these types: those of a workflow together, in the order of its document.
    async fn listening(&mut self, types: &[String]) -> Result<Vec<ListeningTrigger>, StoreError>;
}

/// Finds triggers whose time has come or comes soon, across workspaces.
#[async_trait]
pub trait DueTriggers: Send + Sync {
    /// Up to `limit` triggers that wait for a time at or before `until`, the longest due first. Where more are due, up to half of
    /// them MUST be of other workspaces in turn, one each and before the others, so that calls in a row bring every workspace that
    /// has one, whether or not those of another are ever fired. A call MUST read a bounded number of triggers and workspaces.
    async fn due(
        &self,
        scope: &SystemScope,
        until: DateTime<Utc>,
        limit: u32,
    ) -> Result<Vec<(WorkspaceId, TimeTrigger)>, StoreError>;
}
