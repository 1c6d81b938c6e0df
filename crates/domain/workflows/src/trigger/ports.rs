//! The store ports of triggers.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tidegate_kernel::{Position, StoreError, SystemScope, WorkflowId, WorkspaceId};

use crate::ports::WorkflowRepository;
use crate::run::ports::RunsTx;

/// The slice of a store in which triggers start runs.
pub trait TriggersTx: RunsTx {
    /// The placed triggers.
    fn triggers(&mut self) -> Box<dyn TriggerRepository + '_>;
    /// Workflows, for the documents of the triggers.
    fn documents(&mut self) -> Box<dyn WorkflowRepository + '_>;
}

/// A placed trigger that waits for a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeTrigger {
    /// The workflow.
    pub workflow: WorkflowId,
    /// The index of the trigger in the version's document.
    pub ordinal: i16,
    /// The version.
    pub version: i32,
    /// The time for which it waits.
    pub due: DateTime<Utc>,
}

/// A placed trigger that waits for events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListeningTrigger {
    /// The workflow.
    pub workflow: WorkflowId,
    /// The index of the trigger in the version's document.
    pub ordinal: i16,
    /// The version.
    pub version: i32,
    /// The type of the events.
    pub event_type: String,
    /// Only events after this position fire it.
    pub after: Position,
}

/// The placed triggers of one workspace.
#[async_trait]
pub trait TriggerRepository: Send {
    /// Advances a trigger from the time for which it waits to `next`, or deletes it if `next` is `None`. MUST change
    /// nothing and return false if the trigger is gone, belongs to another version or waits for another time. A second
    /// transaction that tries the same MUST wait until the first has ended.
    async fn advance(&mut self, trigger: &TimeTrigger, next: Option<DateTime<Utc>>) -> Result<bool, StoreError>;

    /// The distinct event types for which triggers wait.
    async fn awaited(&mut self) -> Result<Vec<String>, StoreError>;

    /// The triggers for events of these types, grouped by workflow and in document order within a workflow.
    async fn listening(&mut self, types: &[String]) -> Result<Vec<ListeningTrigger>, StoreError>;
}

/// Finds triggers that are due, or will be soon, in all workspaces.
#[async_trait]
pub trait DueTriggers: Send + Sync {
    /// Returns up to `limit` triggers that are due at or before `until`, the longest due first.
    ///
    /// If more are due, up to half of the result MUST come from other workspaces in turn, one trigger each, before the
    /// rest. So consecutive calls return triggers of every workspace that has a due one, even if another workspace's
    /// triggers are never fired. A call MUST read a bounded number of triggers and workspaces.
    async fn due(
        &self,
        scope: &SystemScope,
        until: DateTime<Utc>,
        limit: u32,
    ) -> Result<Vec<(WorkspaceId, TimeTrigger)>, StoreError>;
}
