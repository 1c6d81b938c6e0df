//! `emit_event`: `{type, subject?, data?}` → `{id}`.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Value, json};
use tidegate_workflows::run::{MAX_DEPTH, StepError};
use tidegate_workflows::step::{StepOutput, StepType};

use crate::ports::{EmittedEvent, EventEmitter, StepHandler, StepTask};

pub(super) const NAME: &str = "emit_event";

/// The step type, with the schemas of its input and its output.
pub(super) fn step_type() -> StepType {
    StepType {
        with: json!({
            "type": "object",
            "required": ["type"],
            "additionalProperties": false,
            "properties": {
                "type": {
                    "type": "string",
                    "minLength": 1,
                    "maxLength": 255,
                    "pattern": "^[^\\s\\u0000-\\u001f\\u007f-\\u009f]*$",
                    "title": "the type of an event: 1 to 255 visible characters",
                },
                "subject": {"type": "string"},
                "data": {},
            },
            "examples": [{"type": "report.ready", "subject": "reports/1", "data": null}],
        }),
        output: StepOutput::Schema(json!({
            "type": "object",
            "required": ["id"],
            "properties": {"id": {"type": "string"}},
        })),
        ..StepType::effect(NAME, "Sends an event into the workspace.")
    }
}

/// Emits events into the run's own workspace.
pub struct EmitEvent {
    events: Arc<dyn EventEmitter>,
}

impl std::fmt::Debug for EmitEvent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EmitEvent").finish_non_exhaustive()
    }
}

impl EmitEvent {
    /// A handler that emits to `events`.
    #[must_use]
    pub fn new(events: Arc<dyn EventEmitter>) -> Self {
        Self { events }
    }
}

#[async_trait]
impl StepHandler for EmitEvent {
    async fn execute(&self, task: &StepTask) -> Result<Value, StepError> {
        let depth = task.depth.saturating_add(1);
        if depth > MAX_DEPTH {
            let message =
                format!("{MAX_DEPTH} runs in a chain have led to this event; workflows that start each other end here");
            return Err(StepError::permanent("too-deep", message));
        }
        let Some(kind) = task.input.get("type").and_then(Value::as_str) else {
            return Err(StepError::permanent("emit-event", "`type` has to be a text"));
        };
        let subject = match task.input.get("subject") {
            None | Some(Value::Null) => None,
            Some(Value::String(subject)) => Some(subject.clone()),
            Some(_) => return Err(StepError::permanent("emit-event", "`subject` has to be a text")),
        };
        let event = EmittedEvent {
            id: task.idempotency_key.clone(),
            source: format!("/runs/{}", task.key.run),
            kind: kind.to_owned(),
            subject,
            data: task.input.get("data").cloned().unwrap_or(Value::Null),
            depth,
        };
        self.events.emit(&task.scope, event).await?;
        Ok(json!({"id": task.idempotency_key}))
    }
}
