//! The origin of a run, and what expressions can read of it.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};
use tidegate_kernel::{RunId, StoreError, WorkflowId, WorkspaceScope};

use super::model::RunContext;
use crate::compiled::CompiledWorkflow;

/// The origin of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct RunOrigin {
    /// The run.
    pub run: RunId,
    /// When the run was created.
    pub created_at: DateTime<Utc>,
    /// Its workflow.
    pub workflow: WorkflowId,
    /// The version that it is pinned to.
    pub version: i32,
    /// What started it: `{kind, …}`.
    pub trigger: Value,
    /// The event that started it, or null.
    pub event: Value,
    /// Its input.
    pub inputs: Value,
}

impl RunOrigin {
    /// The context for the run's expressions. `name` is the workflow's name in this version.
    #[must_use]
    pub fn context(self, name: &str) -> RunContext {
        let created_at = self.created_at.to_rfc3339_opts(SecondsFormat::Micros, true);
        RunContext {
            id: self.run,
            inputs: self.inputs,
            event: self.event,
            run: json!({"id": self.run, "created_at": created_at, "started_at": created_at}),
            workflow: json!({"id": self.workflow, "name": name, "version": self.version}),
            trigger: self.trigger,
        }
    }
}

/// Provides compiled versions.
#[async_trait]
pub trait CompiledWorkflows: Send + Sync {
    /// The compiled workflow of a version, or `None` if the workspace has no such version.
    async fn compiled(
        &self,
        scope: &WorkspaceScope,
        workflow: WorkflowId,
        version: i32,
    ) -> Result<Option<Arc<CompiledWorkflow>>, StoreError>;
}

/// No workflows: for programs that embed the engine only for its background jobs.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoWorkflows;

#[async_trait]
impl CompiledWorkflows for NoWorkflows {
    async fn compiled(
        &self,
        _: &WorkspaceScope,
        _: WorkflowId,
        _: i32,
    ) -> Result<Option<Arc<CompiledWorkflow>>, StoreError> {
        Ok(None)
    }
}
