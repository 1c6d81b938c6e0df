//! Runs and their steps as API responses.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use tidegate_kernel::{RunId, WorkflowId};
use tidegate_workflows::run::{AttemptView, Run, RunDetails, RunError, StepError, StepView, WaitsFor};
use utoipa::ToSchema;

use crate::http::support::schema;

/// Why a run did not complete.
#[derive(Debug, Serialize, ToSchema)]
pub struct RunErrorView {
    /// The reason as a code.
    #[schema(value_type = schema::Code)]
    code: String,
    /// The reason as a sentence.
    message: String,
    /// The failed step, if the run failed in one.
    step: Option<String>,
}

/// What started a run.
#[derive(Debug, ToSchema)]
#[schema(as = RunTrigger)]
#[expect(dead_code, reason = "it describes what is kept as JSON")]
pub struct RunTriggerView {
    /// The kind of trigger.
    #[schema(value_type = schema::TriggerKind)]
    kind: String,
    /// The scheduled time that it was started for.
    #[schema(nullable = false)]
    scheduled_at: Option<DateTime<Utc>>,
    /// The event that started it.
    #[schema(value_type = schema::EventId, required = false)]
    event_id: Option<String>,
    /// The index of the trigger in the document, from 0.
    #[schema(nullable = false)]
    trigger: Option<u16>,
}

/// A run.
#[derive(Debug, Serialize, ToSchema)]
pub struct RunView {
    /// Its id.
    #[schema(value_type = schema::RunId)]
    id: RunId,
    /// The workflow.
    #[schema(value_type = schema::WorkflowId)]
    workflow_id: WorkflowId,
    /// The version that it is pinned to.
    #[schema(minimum = 1)]
    version: i32,
    /// The status.
    #[schema(value_type = schema::RunStatus)]
    status: &'static str,
    /// What started it: `{kind, …}`.
    #[schema(value_type = RunTriggerView)]
    trigger: Value,
    /// Its input.
    #[schema(value_type = Value)]
    input: Value,
    /// Its outputs; null until it has completed.
    #[schema(value_type = Option<Object>)]
    outputs: Value,
    /// Why it did not complete; null if it did.
    error: Option<RunErrorView>,
    /// When it was created.
    created_at: DateTime<Utc>,
    /// When it began.
    started_at: Option<DateTime<Utc>>,
    /// When it ended.
    finished_at: Option<DateTime<Utc>>,
    /// The deduplication key that it was started with.
    dedupe_key: Option<String>,
}

/// Why an attempt failed.
#[derive(Debug, Serialize, ToSchema)]
pub struct StepErrorView {
    /// The reason as a code.
    #[schema(value_type = schema::Code)]
    code: String,
    /// The reason as a sentence.
    message: String,
}

/// One attempt of a step.
#[derive(Debug, Serialize, ToSchema)]
pub struct AttemptBody {
    /// Its number, from 1.
    #[schema(minimum = 1)]
    number: u32,
    /// The status.
    #[schema(value_type = schema::StepStatus)]
    status: &'static str,
    /// When it began.
    started_at: DateTime<Utc>,
    /// When it ended.
    finished_at: Option<DateTime<Utc>>,
    /// Why it failed.
    error: Option<StepErrorView>,
}

/// One step of a run.
#[derive(Debug, Serialize, ToSchema)]
pub struct StepBody {
    /// Its id in the document.
    #[schema(pattern = "^[A-Za-z_][A-Za-z0-9_]{0,63}$")]
    id: String,
    /// The step type.
    #[schema(value_type = schema::StepKind)]
    uses: String,
    /// The status.
    #[schema(value_type = schema::StepStatus)]
    status: &'static str,
    /// What it waits for, if its status is `waiting`: the end of its delay, the next attempt after a failure, or more
    /// steps than the plan of the workspace allows now.
    #[schema(value_type = Option<schema::WaitsFor>)]
    waits_for: Option<&'static str>,
    /// When its delay or the pause before the next attempt ends, or when it tries again.
    waits_until: Option<DateTime<Utc>>,
    /// Its attempts, in order.
    attempts: Vec<AttemptBody>,
    /// Its input; null before it has begun.
    #[schema(value_type = Option<Object>)]
    input: Option<Value>,
    /// Its output; null until it has completed.
    #[schema(value_type = Option<Object>)]
    output: Option<Value>,
    /// Why its last attempt failed.
    error: Option<StepErrorView>,
}

/// A run with its steps.
#[derive(Debug, Serialize, ToSchema)]
pub struct RunDetailsView {
    #[serde(flatten)]
    run: RunView,
    /// Its steps. Each comes after the steps that it needs.
    steps: Vec<StepBody>,
}

impl From<RunError> for RunErrorView {
    fn from(error: RunError) -> Self {
        Self { code: error.code, message: error.message, step: error.step }
    }
}

impl From<StepError> for StepErrorView {
    fn from(error: StepError) -> Self {
        Self { code: error.code, message: error.message }
    }
}

impl From<Run> for RunView {
    fn from(run: Run) -> Self {
        Self {
            id: run.id,
            workflow_id: run.workflow,
            version: run.version,
            status: run.status.as_str(),
            trigger: run.trigger,
            input: run.input,
            outputs: run.outputs,
            error: run.error.map(Into::into),
            created_at: run.created_at,
            started_at: run.started_at,
            finished_at: run.finished_at,
            dedupe_key: run.dedupe_key,
        }
    }
}

impl From<AttemptView> for AttemptBody {
    fn from(attempt: AttemptView) -> Self {
        Self {
            number: attempt.number,
            status: attempt.status.as_str(),
            started_at: attempt.started_at,
            finished_at: attempt.finished_at,
            error: attempt.error.map(Into::into),
        }
    }
}

impl From<StepView> for StepBody {
    fn from(step: StepView) -> Self {
        let (waits_for, waits_until) = step.waits.unzip();
        Self {
            id: step.id,
            uses: step.uses,
            status: step.status.as_str(),
            waits_for: waits_for.map(WaitsFor::as_str),
            waits_until,
            attempts: step.attempts.into_iter().map(Into::into).collect(),
            input: step.input,
            output: step.output,
            error: step.error.map(Into::into),
        }
    }
}

impl From<RunDetails> for RunDetailsView {
    fn from(details: RunDetails) -> Self {
        Self { run: details.run.into(), steps: details.steps.into_iter().map(Into::into).collect() }
    }
}
