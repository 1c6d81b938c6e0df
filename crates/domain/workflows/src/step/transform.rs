//! `transform`: its output is its parameters, evaluated.

use serde_json::{Value, json};

use super::{StepOutput, StepType};

pub(super) fn step_type() -> StepType {
    StepType {
        with: json!({"type": "object", "examples": [{"unit": "EUR", "rates": [1, 2]}]}),
        output: StepOutput::With,
        ..StepType::pure("transform", "Makes a value of other values.", |input: &Value| Ok(input.clone()))
    }
}
