//! Holds the JSON Schema against the checker: what the schema refuses the checker refuses too, and where the
//! structure alone decides, they agree.

use jsonschema::Validator;
use serde_json::{Value, json};

use super::checker::shown_duration;
use super::{Definition, Format, JSON_SCHEMA};
use crate::compiled::{DEFAULT_TIMEOUT, MAX_STEPS, RetryPolicy, StepId, StepKind};

fn schema() -> Value {
    serde_json::from_str(JSON_SCHEMA).unwrap()
}

fn accepted(document: &Value) -> bool {
    Definition::compile(document.to_string().as_bytes(), Format::Json).is_ok()
}

/// A document with every field of the language.
fn whole() -> Value {
    json!({
        "tidegate": 1, "name": "whole", "description": "all there is",
        "inputs": {"type": "object", "properties": {"path": {"type": "string"}}},
        "triggers": [
            {"cron": "0 9 * * MON", "timezone": "Europe/Berlin", "input": {"path": "a"}},
            {"event": {"type": "file.modified", "filter": "${{ event.subject != '' }}"}, "input": {}},
        ],
        "concurrency": {"key": "${{ inputs.path }}", "limit": 2},
        "steps": [
            {"id": "call", "uses": "http.request", "if": true, "timeout": "30s",
                "with": {"method": "POST", "url": "https://x/y", "headers": {"a": "b"}, "body": {}, "expect_status": [200], "as": "text"},
                "retry": {"max_attempts": 2, "initial": "1s", "factor": 2, "max": "3s"}},
            {"id": "shape", "uses": "transform", "needs": ["call"], "with": {"n": 1}},
            {"id": "check", "uses": "condition", "with": {"if": "${{ 1 > 0 }}"}},
            {"id": "wait", "uses": "delay", "with": {"for": "5m"}},
            {"id": "tell", "uses": "emit_event", "with": {"type": "a.b", "subject": "c", "data": null}},
        ],
        "outputs": {"n": "${{ steps.shape.output.n }}"},
    })
}

#[test]
fn both_take_the_whole_language() {
    let schema = schema();
    jsonschema::draft202012::meta::validate(&schema).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    assert!(validator.is_valid(&whole()) && accepted(&whole()));
    let kinds: Vec<Value> = StepKind::ALL.iter().map(|kind| json!(kind.as_str())).collect();
    assert_eq!(schema["$defs"]["step"]["properties"]["uses"]["enum"], json!(kinds));
}

#[test]
fn the_schema_names_the_limits_and_defaults_of_the_checker() {
    let schema = schema();
    let at = |pointer: &str| schema.pointer(pointer).cloned().unwrap_or_else(|| panic!("there is no {pointer}"));
    let retry = RetryPolicy::default();
    for (pointer, expected) in [
        ("/properties/tidegate/const", json!(crate::compiled::CURRENT_SEMANTICS)),
        ("/properties/name/maxLength", json!(super::parts::MAX_NAME)),
        ("/properties/description/maxLength", json!(super::parts::MAX_DESCRIPTION)),
        ("/properties/triggers/maxItems", json!(super::parts::MAX_TRIGGERS)),
        ("/properties/steps/maxItems", json!(MAX_STEPS)),
        ("/$defs/step/properties/id/pattern", json!(format!("^[A-Za-z_][A-Za-z0-9_]{{0,{}}}$", StepId::MAX - 1))),
        ("/$defs/step/properties/timeout/default", json!(format!("{}s", DEFAULT_TIMEOUT.as_secs()))),
        ("/$defs/retry/properties/max_attempts/default", json!(retry.max_attempts)),
        ("/$defs/retry/properties/initial/default", json!(shown_duration(retry.initial))),
        ("/$defs/retry/properties/max/default", json!(format!("{}s", retry.max.as_secs()))),
    ] {
        assert_eq!(at(pointer), expected, "{pointer}");
    }
    assert_eq!(at("/$defs/retry/properties/factor/default").as_f64(), Some(retry.factor));
}

#[test]
fn the_committed_copy_is_the_schema() {
    let copy = include_str!("../../../../../docs/workflow.schema.json");
    assert!(copy.trim_end() == JSON_SCHEMA.trim_end(), "run `cargo xtask codegen`");
}

#[test]
fn both_refuse_each_part_that_is_missing_wrong_or_unknown() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    let mut pointers = Vec::new();
    collect(&whole(), String::new(), &mut pointers);
    for pointer in pointers {
        for wrong in [json!("\u{7}? !"), json!(-7), json!([[1]]), json!({"zz": 1}), Value::Bool(true), Value::Null] {
            compare(&validator, &pointer, |place| *place = wrong.clone());
        }
        compare(&validator, &pointer, |place| {
            if let Value::Object(map) = place {
                map.insert("zz".to_owned(), json!(1));
            }
        });
        let (parent, key) = pointer.rsplit_once('/').unwrap_or_default();
        compare(&validator, parent, |place| {
            if let Value::Object(map) = place {
                map.remove(key);
            }
        });
    }
}

/// Changes the whole document in one place and holds the two verdicts against each other.
fn compare(validator: &Validator, pointer: &str, change: impl Fn(&mut Value)) {
    let mut document = whole();
    change(document.pointer_mut(pointer).unwrap());
    let (schema, checker) = (validator.is_valid(&document), accepted(&document));
    assert!(schema || !checker, "the schema alone refuses {pointer}: {document}");
    // A schema cannot know names, schedules, schemas and what a text that is an address looks like.
    let beyond = ["/inputs", "/cron", "/timezone", "/needs", "/id", "/name", "/url", "/headers", "/subject", "/filter"];
    let named = beyond.iter().any(|part| pointer.contains(part)) || pointer.ends_with("/input") || pointer.is_empty();
    // What others read of a step is gone with the step, or with its parameters.
    let steps = ["/steps", "/steps/0"].contains(&pointer) || pointer.starts_with("/steps/1");
    assert!(
        checker || !schema || named || steps || pointer.starts_with("/outputs"),
        "the checker alone refuses {pointer}: {document}"
    );
}

fn collect(value: &Value, pointer: String, found: &mut Vec<String>) {
    // What is inside of these is the author's own.
    let own = ["/inputs", "/body", "/data", "/outputs"].iter().any(|end| pointer.ends_with(end));
    match value {
        Value::Object(map) if !own => {
            map.iter().for_each(|(key, value)| collect(value, format!("{pointer}/{key}"), found));
        }
        Value::Array(items) if !own => {
            items.iter().enumerate().for_each(|(index, value)| collect(value, format!("{pointer}/{index}"), found));
        }
        _ => {}
    }
    found.push(pointer);
}
