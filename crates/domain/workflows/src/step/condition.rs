//! `condition`: `{if}` → `{result}`.

use serde_json::{Value, json};

use super::{StepOutput, StepType};
use crate::run::StepError;

pub(super) fn step_type() -> StepType {
    StepType {
        with: json!({
            "type": "object",
            "required": ["if"],
            "additionalProperties": false,
            "properties": {
                "if": {"type": "boolean", "title": "true, false or one `${{ … }}`"},
            },
            "examples": [{"if": true}],
        }),
        output: StepOutput::Schema(json!({
            "type": "object",
            "required": ["result"],
            "properties": {"result": {"type": "boolean"}},
        })),
        ..StepType::pure("condition", "Says whether something is so.", result)
    }
}

fn result(input: &Value) -> Result<Value, StepError> {
    match input.get("if").and_then(Value::as_bool) {
        Some(result) => Ok(json!({ "result": result })),
        None => Err(StepError::permanent("condition", "`if` has to be true or false")),
    }
}
