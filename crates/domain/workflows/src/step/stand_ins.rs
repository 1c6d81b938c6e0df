//! Test stand-ins for the engine's types with effects, and example types of an embedding program.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::{StepOutput, StepRegistry, StepType, Timeouts};
use crate::run::StepError;

/// The built-in types, and the types with effects that the tests of documents use.
pub(crate) fn registry() -> StepRegistry {
    let mut registry = StepRegistry::built_in().unwrap();
    for step in [http_request(), emit_event()] {
        registry.register(step).unwrap();
    }
    registry
}

/// The same, with example types of an embedding program.
pub(crate) fn embedded() -> StepRegistry {
    let mut registry = registry();
    for step in [double(), next_minute()] {
        registry.register(step).unwrap();
    }
    registry
}

fn http_request() -> StepType {
    let status = json!({"title": "a whole number from 100 to 599", "type": "integer", "minimum": 100, "maximum": 599});
    StepType {
        with: json!({
            "type": "object",
            "required": ["url"],
            "additionalProperties": false,
            "properties": {
                "url": {"type": "string", "pattern": "^https?://", "title": "an address"},
                "method": {"enum": ["GET", "POST"]},
                "body": {},
                "expect_status": {"anyOf": [status, {"type": "array", "minItems": 1, "items": status}]},
                "headers": {
                    "type": "object",
                    "propertyNames": {"pattern": "^[a-z-]+$", "title": "the name of a header"},
                    "additionalProperties": {"type": ["string", "number", "boolean"]},
                },
            },
        }),
        output: StepOutput::Schema(json!({"properties": {"status": {}, "headers": {}, "body": {}}})),
        timeouts: Timeouts { default: Duration::from_secs(60), max: Duration::from_secs(3_600) },
        ..StepType::effect("http.request", "Calls out.")
    }
}

fn emit_event() -> StepType {
    StepType {
        with: json!({
            "type": "object",
            "required": ["type"],
            "additionalProperties": false,
            "properties": {"type": {"type": "string", "minLength": 1}, "subject": {"type": "string"}, "data": {}},
        }),
        output: StepOutput::Schema(json!({"properties": {"id": {}}})),
        ..StepType::effect("emit_event", "Sends an event.")
    }
}

/// Doubles `n`; zero stays zero.
fn double() -> StepType {
    StepType::pure("double", "Doubles a number.", |input: &Value| match input.get("n").and_then(Value::as_i64) {
        Some(n) => Ok(json!({"n": n * 2})),
        None => Err(StepError::permanent("double", "`n` has to be a whole number")),
    })
}

/// Waits until a time that also depends on the current time.
fn next_minute() -> StepType {
    StepType::waits("next_minute", "Waits for the next minute.", |_: &Value, now: DateTime<Utc>| {
        Ok(now + TimeDelta::seconds(60 - now.timestamp() % 60))
    })
}
