//! Documents with the engine's step types: their problems, and the agreement of the checker with the published schema.

use std::fmt::Write;

use jsonschema::Validator;
use serde_json::{Value, json};
use tidegate_engine::handlers::step_types;
use tidegate_workflows::definition::{Definition, DefinitionError, Format, json_schema};
use tidegate_workflows::step::StepRegistry;

fn steps() -> StepRegistry {
    step_types().unwrap()
}

fn schema() -> Value {
    json_schema(&steps())
}

fn accepted(document: &Value, steps: &StepRegistry) -> bool {
    Definition::compile(document.to_string().as_bytes(), Format::Json, steps).is_ok()
}

/// The problems of a step with this `with`.
fn problems(uses: &str, with: &Value) -> String {
    let document = json!({"name": "x", "steps": [{"id": "a", "uses": uses, "with": with}]}).to_string();
    let mut text = String::new();
    match Definition::compile(document.as_bytes(), Format::Json, &steps()) {
        Ok(_) => {}
        Err(DefinitionError::Unreadable(problem)) => text = problem.detail,
        Err(DefinitionError::Invalid(problems)) => {
            for problem in problems {
                let pointer = problem.pointer.strip_prefix("/steps/0/with").unwrap_or(&problem.pointer);
                let _ = write!(text, "{pointer} {}", problem.detail);
                let _ = problem.suggestion.map(|meant| write!(text, " [{meant}?]"));
                text.push('\n');
            }
        }
    }
    text
}

#[test]
fn what_is_wrong_with_a_call_is_told_in_its_place() {
    let wrong = json!({
        "method": "get", "url": "ftp://x", "headers": {"bad name": [1], "a": "b\nc"}, "expect_status": 99, "as": "jsn", "bdy": 1,
    });
    assert_eq!(
        problems("http.request", &wrong),
        "/as expected one of auto, json, text, base64 [json?]\n\
         /bdy there is no field `bdy` here; there are as, body, expect_status, headers, method, url [body?]\n\
         /expect_status expected a whole number from 100 to 599\n\
         /headers/a expected one line of text\n\
         /headers/bad name expected the name of a header, this is `bad name`\n\
         /headers/bad name expected one line of text, this is a list\n\
         /method expected one of GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS [GET?]\n\
         /url expected an address that begins with http:// or https://\n"
    );
    let hole = "${{ event.data.a }}";
    for (with, expected) in [
        (
            json!({"url": "https://x", "expect_status": [200, "404", hole, "4${{ event.n }}"], "headers": {"n": 1, "b": hole}}),
            "",
        ),
        (json!({"url": hole, "method": hole, "headers": hole, "body": hole, "expect_status": hole, "as": hole}), ""),
        (
            json!({"url": "https://${{ event.host }}/a", "method": "P${{ event.m }}", "body": {"a": [hole, "b${{ event.n }}"]}}),
            "",
        ),
        (json!({"url": "htt${{ event.rest }}"}), ""),
        (json!({"url": "ftp://${{ event.host }}"}), "/url expected an address that begins with http:// or https://\n"),
        (json!({"url": "https://"}), "/url expected an address that begins with http:// or https://\n"),
        (json!({"url": 1}), "/url expected a text, this is a number\n"),
        (json!({"url": "https://x", "expect_status": []}), "/expect_status expected at least 1 item\n"),
        (
            json!({"url": "https://x", "expect_status": [200, "6x"]}),
            "/expect_status/1 expected a whole number from 100 to 599\n",
        ),
        (
            json!({"url": "https://x", "headers": {"a": {"b": hole}}}),
            "/headers/a expected one line of text, this is an object\n",
        ),
        (json!({"url": "https://x", "headers": "a: b"}), "/headers expected an object, this is a text\n"),
        (
            json!({"url": "https://x", "headers": {"a~b": format!("b\nc {hole}")}}),
            "/headers/a~0b expected one line of text\n",
        ),
        (json!({"url": "https://x", "headers": {"a": "${{ event.a\n + event.b }}"}}), ""),
        (json!({}), " `url` is missing\n"),
    ] {
        assert_eq!(problems("http.request", &with), expected, "{with}");
    }
}

#[test]
fn what_is_wrong_with_an_event_is_told_in_its_place() {
    let hole = "${{ event.data.a }}";
    let kind = "expected the type of an event: 1 to 255 visible characters";
    for (with, expected) in [
        (json!({"type": "größe.changed", "subject": "a b", "data": [1]}), String::new()),
        (json!({"type": format!("a.{hole}"), "subject": hole, "data": {"a": hole}}), String::new()),
        (json!({"type": ""}), format!("/type {kind}\n")),
        (json!({"type": "a b"}), format!("/type {kind}\n")),
        (json!({"type": "a\u{7}"}), format!("/type {kind}\n")),
        (json!({"type": "a".repeat(256)}), format!("/type {kind}\n")),
        (json!({"type": null}), format!("/type {kind}, this is nothing\n")),
        (json!({"type": "a", "subject": 1}), "/subject expected a text, this is a number\n".to_owned()),
        (
            json!({"typ": "a"}),
            " `type` is missing\n/typ there is no field `typ` here; there are data, subject, type [type?]\n".to_owned(),
        ),
    ] {
        assert_eq!(problems("emit_event", &with), expected, "{with}");
    }
}

#[test]
fn a_delay_and_a_condition_that_are_written_out_are_known() {
    for (uses, with, expected) in [
        ("delay", json!({"for": "366d"}), ""),
        ("delay", json!({"for": "367d"}), "/for at most 366d\n"),
        ("delay", json!({"for": "99999999999999999999d"}), "/for at most 366d\n"),
        ("delay", json!({"for": "5 m"}), "/for expected a duration such as 500ms, 1s, 5m, 2h or 3d\n"),
        ("delay", json!({"for": "${{ event.n }}m"}), ""),
        ("condition", json!({"if": false}), ""),
        ("condition", json!({"if": "${{ event.n > 1 }}"}), ""),
        (
            "condition",
            json!({"if": "${{ event.n }} and ${{ event.m }}"}),
            "/if expected true, false or one `${{ … }}`, this is a text\n",
        ),
        ("transform", json!({"if": [{"any": "thing"}], "n": "${{ event.n }}"}), ""),
    ] {
        assert_eq!(problems(uses, &with), expected, "{uses} {with}");
    }
}

/// An example document with every field of the language, and with a step of each type.
fn whole() -> Value {
    let mut steps = vec![
        json!({"id": "first", "uses": "transform", "with": {"n": 1}}),
        json!({
            "id": "shape", "uses": "transform", "with": {"n": 1}, "needs": ["first"], "if": true, "timeout": "30s",
            "retry": {"max_attempts": 2, "initial": "1s", "factor": 2, "max": "3s"},
        }),
    ];
    for (n, step) in self::steps().types().enumerate() {
        let example = &step.with["examples"][0];
        assert!(example.is_object(), "the schema of `with` of {} has no example", step.name);
        steps.push(json!({"id": format!("s{n}"), "uses": step.name, "with": example}));
    }
    json!({
        "tidegate": 1, "name": "whole", "description": "all there is",
        "inputs": {"type": "object", "properties": {"path": {"type": "string"}}},
        "triggers": [
            {"cron": "0 9 * * MON", "timezone": "Europe/Berlin", "input": {"path": "a"}},
            {"event": {"type": "file.modified", "filter": "${{ event.subject != '' }}"}, "input": {}},
        ],
        "concurrency": {"key": "${{ inputs.path }}", "limit": 2},
        "steps": steps,
        "outputs": {"n": "${{ steps.shape.output.n }}"},
    })
}

#[test]
fn both_take_the_whole_language() {
    let (schema, steps) = (schema(), steps());
    jsonschema::draft202012::meta::validate(&schema).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    assert!(validator.is_valid(&whole()) && accepted(&whole(), &steps));
}

#[test]
fn the_committed_copies_are_up_to_date() {
    let schema_copy = include_str!("../../../../docs/workflow.schema.json");
    assert!(schema_copy.trim_end() == format!("{:#}", schema()), "run `cargo xtask codegen`");
    let documentation = include_str!("../../../../docs/workflows.md");
    assert!(documentation.contains(&steps().to_markdown()), "run `cargo xtask codegen`");
}

#[test]
fn both_refuse_each_part_that_is_missing_wrong_or_unknown() {
    let (validator, steps) = (jsonschema::validator_for(&schema()).unwrap(), steps());
    let mut pointers = Vec::new();
    collect(&whole(), String::new(), &mut pointers);
    for pointer in pointers {
        for wrong in [json!("\u{7}? !"), json!(-7), json!([[1]]), json!({"zz": 1}), Value::Bool(true), Value::Null] {
            compare(&validator, &steps, &pointer, |place| *place = wrong.clone());
        }
        compare(&validator, &steps, &pointer, |place| {
            if let Value::Object(map) = place {
                map.insert("zz".to_owned(), json!(1));
            }
        });
        let (parent, key) = pointer.rsplit_once('/').unwrap_or_default();
        compare(&validator, &steps, parent, |place| {
            if let Value::Object(map) = place {
                map.remove(key);
            }
        });
    }
}

/// Changes the example document at one place and compares the results of the schema and the checker.
fn compare(validator: &Validator, steps: &StepRegistry, pointer: &str, change: impl Fn(&mut Value)) {
    let mut document = whole();
    change(document.pointer_mut(pointer).unwrap());
    let (schema, checker) = (validator.is_valid(&document), accepted(&document, steps));
    assert!(schema || !checker, "the schema alone refuses {pointer}: {document}");
    // A schema cannot check names, schedules, schemas and literal URLs.
    let beyond = ["/inputs", "/cron", "/timezone", "/needs", "/id", "/name", "/url", "/headers", "/subject", "/filter"];
    let named = beyond.iter().any(|part| pointer.contains(part)) || pointer.ends_with("/input") || pointer.is_empty();
    // If the step or its parameters are removed, references to them are problems that a schema cannot find.
    let read = ["/steps", "/steps/0", "/steps/1"].contains(&pointer) || pointer.starts_with("/steps/1/");
    assert!(
        checker || !schema || named || read || pointer.starts_with("/outputs"),
        "the checker alone refuses {pointer}: {document}"
    );
}

fn collect(value: &Value, pointer: String, found: &mut Vec<String>) {
    // The content of these members is chosen by the author.
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
