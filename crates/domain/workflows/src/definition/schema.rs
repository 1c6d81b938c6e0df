//! The structure of documents as a JSON Schema (2020-12), for editors.
//!
//! It describes the same language as the checker and checks less, because a schema cannot know names. The rules for
//! `with` come from the step types.

use serde_json::{Value, json};

use super::duration::shown_duration;
use super::parts::{MAX_CONCURRENCY, MAX_DESCRIPTION, MAX_NAME, MAX_TRIGGERS};
use super::steps::{MAX_ATTEMPTS, MAX_FACTOR};
use crate::compiled::{CURRENT_SEMANTICS, MAX_STEPS, RetryPolicy, StepId};
use crate::step::{StepRegistry, Timeouts};

/// The schema for documents with these step types. `docs/workflow.schema.json` is the schema of the released program.
#[must_use]
pub fn json_schema(steps: &StepRegistry) -> Value {
    let mut schema = document();
    let definitions = [
        ("inputs", inputs()),
        ("condition", condition()),
        ("duration", duration()),
        ("trigger", trigger()),
        ("event_trigger", event_trigger()),
        ("concurrency", concurrency()),
        ("retry", retry()),
        ("step", step(steps)),
    ];
    let own = definitions.into_iter().map(|(name, schema)| (name.to_owned(), schema));
    schema["$defs"] = own.chain(steps.definitions()).collect();
    schema
}

fn document() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Tidegate workflow",
        "description": "One workflow, in YAML or JSON. Names in expressions, the order of steps and schedules are checked by the \
            server and by `tidegate workflow validate`; a schema cannot know them.",
        "type": "object",
        "required": ["name", "steps"],
        "additionalProperties": false,
        "properties": {
            "tidegate": {"const": CURRENT_SEMANTICS, "description": "The version of this language."},
            "name": {"type": "string", "minLength": 1, "maxLength": MAX_NAME, "description": "Unique within the workspace."},
            "description": {"type": "string", "maxLength": MAX_DESCRIPTION},
            "inputs": {"$ref": "#/$defs/inputs"},
            "triggers": {"type": "array", "maxItems": MAX_TRIGGERS, "items": {"$ref": "#/$defs/trigger"}},
            "concurrency": {"$ref": "#/$defs/concurrency"},
            "steps": {"type": "array", "minItems": 1, "maxItems": MAX_STEPS, "items": {"$ref": "#/$defs/step"}},
            "outputs": {"type": "object", "description": "What a completed run answers. Texts may hold ${{ }}."},
        },
    })
}

fn inputs() -> Value {
    json!({
        "type": "object",
        "description": "A JSON Schema (2020-12) for the input of a run; references stay within it. The input is an object.",
        "properties": {"type": {"const": "object"}},
    })
}

fn condition() -> Value {
    json!({
        "description": "true, false, or one ${{ }} with nothing beside it.",
        "oneOf": [{"type": "boolean"}, {"$ref": "#/$defs/expression"}],
    })
}

fn duration() -> Value {
    json!({
        "type": "string",
        "pattern": "^[0-9]+(ms|s|m|h|d)$",
        "description": "A whole number and a unit: 500ms, 1s, 5m, 2h, 3d.",
    })
}

fn trigger() -> Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "cron": {"type": "string", "description": "Five fields: minute, hour, day of the month, month, day of the week."},
            "timezone": {"type": "string", "description": "A name of the IANA database; UTC where absent."},
            "event": {"$ref": "#/$defs/event_trigger"},
            "input": {"type": "object", "description": "The input of the run, over event, trigger and workflow."},
        },
        "oneOf": [{"required": ["cron"]}, {"required": ["event"], "not": {"required": ["timezone"]}}],
    })
}

fn event_trigger() -> Value {
    json!({
        "type": "object",
        "required": ["type"],
        "additionalProperties": false,
        "properties": {
            "type": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^\\S+$"},
            "filter": {"$ref": "#/$defs/condition"},
        },
    })
}

fn concurrency() -> Value {
    json!({
        "type": "object",
        "required": ["limit"],
        "additionalProperties": false,
        "properties": {
            "key": {
                "type": "string",
                "description": "Runs with the same key count together. Over inputs, event, run, workflow and trigger.",
            },
            "limit": {"type": "integer", "minimum": 1, "maximum": MAX_CONCURRENCY},
        },
    })
}

fn retry() -> Value {
    let default = RetryPolicy::default();
    let duration = |of| json!({"$ref": "#/$defs/duration", "default": shown_duration(of)});
    json!({
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "max_attempts": {"type": "integer", "minimum": 1, "maximum": MAX_ATTEMPTS, "default": default.max_attempts},
            "initial": duration(default.initial),
            "factor": {"type": "number", "minimum": 1, "maximum": MAX_FACTOR, "default": default.factor},
            "max": duration(default.max),
        },
    })
}

fn step(steps: &StepRegistry) -> Value {
    let Timeouts { default, max } = Timeouts::default();
    json!({
        "type": "object",
        "required": ["id", "uses"],
        "additionalProperties": false,
        "properties": {
            "id": {"type": "string", "pattern": format!("^[A-Za-z_][A-Za-z0-9_]{{0,{}}}$", StepId::MAX - 1)},
            "uses": {"enum": steps.names().collect::<Vec<_>>()},
            "with": {"type": "object"},
            "needs": {"type": "array", "uniqueItems": true, "items": {"type": "string"}},
            "if": {"$ref": "#/$defs/condition"},
            "retry": {"$ref": "#/$defs/retry"},
            "timeout": {
                "$ref": "#/$defs/duration",
                "default": shown_duration(default),
                "description": format!("Of one attempt; at most {}.", shown_duration(max)),
            },
        },
        "allOf": steps.rules(),
    })
}
