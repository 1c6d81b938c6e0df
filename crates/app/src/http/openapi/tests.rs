//! Tests of the document's promises to client generators.

use super::*;
use serde_json::Value;
use std::collections::BTreeSet;

#[test]
fn every_operation_has_a_name_of_its_own_and_a_summary() {
    let mut document = document();
    let mut names = BTreeSet::new();
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in operations_mut(item) {
            let name = operation.operation_id.clone().unwrap_or_default();
            assert!(!name.starts_with('_') && !name.ends_with('_'), "{method} {path}: {name}");
            assert!(names.insert(name.clone()), "{method} {path}: another operation is named {name}");
            assert!(operation.summary.as_ref().is_some_and(|summary| !summary.is_empty()), "{method} {path}");
        }
    }
}

#[test]
fn every_name_in_a_path_is_a_parameter() {
    let mut document = document();
    for (path, item) in &mut document.paths.paths {
        let names: Vec<&str> = bounds::names(path).collect();
        for (method, operation) in operations_mut(item) {
            let parameters = operation.parameters.iter().flatten().filter_map(|parameter| match parameter {
                RefOr::T(parameter) if parameter.parameter_in == ParameterIn::Path => Some(parameter.name.as_str()),
                _ => None,
            });
            assert_eq!(
                parameters.collect::<Vec<_>>(),
                names,
                "{method} {path}: `support/path.rs` has to know each name"
            );
        }
    }
}

#[test]
fn the_committed_document_is_what_is_served() {
    let committed = include_str!("../../../../../docs/openapi.json");
    assert!(committed.trim_end() == json(), "run `cargo xtask codegen`, and read the difference as a caller would");
}

/// Names of properties whose values must be bounded wherever they occur, besides ids, which are found by their names.
const RULED: [&str; 22] = [
    "limit",
    "cursor",
    "slug",
    "Idempotency-Key",
    "role",
    "kind",
    "status",
    "version",
    "published_version",
    "revision",
    "id",
    "created_by",
    "email",
    "code",
    "uses",
    "format",
    "interval",
    "meter",
    "scopes",
    "evidence",
    "confidence",
    "min_confidence",
];

fn is_ruled(name: &str) -> bool {
    RULED.contains(&name) || name.ends_with("_id")
}

/// Follows a reference to its schema.
fn resolved<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    match schema["$ref"].as_str() {
        Some(reference) => document.pointer(reference.trim_start_matches('#')).expect("a reference leads somewhere"),
        None => schema,
    }
}

/// Whether a schema has more than a type: an enumeration, a pattern or bounds.
fn is_bounded(document: &Value, schema: &Value) -> bool {
    let schema = resolved(document, schema);
    if let Some(ways) = schema["oneOf"].as_array() {
        return ways.iter().all(|way| way["type"] == "null" || is_bounded(document, way));
    }
    let has = |name: &str| schema.get(name).is_some();
    let kinds = match &schema["type"] {
        Value::Array(kinds) => kinds.clone(),
        kind => vec![kind.clone()],
    };
    kinds.iter().all(|kind| match kind.as_str() {
        Some("string") => has("enum") || has("pattern") || has("format") || (has("minLength") && has("maxLength")),
        Some("integer" | "number") => has("minimum"),
        Some("array") => is_bounded(document, &schema["items"]),
        Some("null" | "boolean") => true,
        _ => false,
    })
}

/// Calls `look` with every property of every schema and the path to it.
fn each_property<'a>(value: &'a Value, way: &str, look: &mut impl FnMut(&str, &str, &'a Value)) {
    match value {
        Value::Object(members) => {
            for (name, property) in members.get("properties").and_then(Value::as_object).into_iter().flatten() {
                look(way, name, property);
            }
            for (name, member) in members {
                each_property(member, &format!("{way}/{name}"), look);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| each_property(item, way, look)),
        _ => {}
    }
}

/// Every operation with its method and path.
fn operations(document: &Value) -> impl Iterator<Item = (String, &Value)> {
    let paths = document["paths"].as_object().expect("there are paths");
    paths.iter().flat_map(|(path, item)| {
        let operations = item.as_object().expect("a path has operations");
        operations.iter().map(move |(method, operation)| (format!("{} {path}", method.to_uppercase()), operation))
    })
}

#[test]
fn every_field_and_parameter_with_a_rule_says_it() {
    let document: Value = serde_json::from_str(&json()).unwrap();
    let mut seen = BTreeSet::new();
    each_property(&document["components"]["schemas"], "", &mut |way, name, schema| {
        if is_ruled(name) {
            seen.insert(name.to_owned());
            assert!(is_bounded(&document, schema), "{way}: `{name}` has no bound, pattern or list of words: {schema}");
        }
    });
    for (operation, described) in operations(&document) {
        for parameter in described["parameters"].as_array().into_iter().flatten() {
            let (name, schema) = (parameter["name"].as_str().unwrap(), &parameter["schema"]);
            if is_ruled(name) || parameter["in"] == "path" {
                seen.insert(name.to_owned());
                let advice = "give it a bound, or say in `openapi/bounds.rs` what this name in a path stands for";
                assert!(is_bounded(&document, schema), "{operation}: `{name}`: {advice}: {schema}");
            }
            let text = schema.to_string();
            assert!(parameter["in"] != "query" || !text.contains("\"null\""), "{operation}: `{name}` is never null");
            assert!(schema["type"] != "array" || schema["maxItems"].is_u64(), "{operation}: `{name}` may be repeated");
            assert!(parameter["description"].as_str().is_some_and(|text| !text.is_empty()), "{operation}: `{name}`");
        }
    }
    for name in RULED {
        assert!(seen.contains(name), "nothing is named `{name}` any more; take it off the list");
    }
}

#[test]
fn every_response_is_described() {
    let document: Value = serde_json::from_str(&json()).unwrap();
    for (operation, described) in operations(&document) {
        for (status, response) in described["responses"].as_object().expect("there are responses") {
            let description = response["description"].as_str().unwrap_or_default();
            assert!(!description.is_empty(), "{operation}: {status} needs a description");
        }
    }
}

#[test]
fn a_list_names_its_items_and_no_reference_leads_nowhere() {
    let document: Value = serde_json::from_str(&json()).unwrap();
    let schemas = document["components"]["schemas"].as_object().unwrap();
    for (name, schema) in schemas.iter().filter(|(name, _)| name.starts_with("List_")) {
        let item = schema["properties"]["items"]["items"]["$ref"].as_str().unwrap_or_default();
        assert!(name.ends_with(item.rsplit('/').next().unwrap()), "{name}: {schema}");
    }
    fn references<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
        match value {
            Value::Object(members) => {
                found.extend(members.get("$ref").and_then(Value::as_str));
                members.values().for_each(|member| references(member, found));
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    for reference in found {
        assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference} leads nowhere");
    }
}

#[test]
fn every_body_and_every_header_that_is_needed_has_an_example() {
    let document: Value = serde_json::from_str(&json()).unwrap();
    for (operation, described) in operations(&document) {
        if let Some(content) = described["requestBody"]["content"].as_object() {
            let advice = "write `request_body(content = …, example = json!(…))` at its handler";
            assert!(content.values().any(|media| media.get("example").is_some()), "{operation}: {advice}");
        }
        for parameter in described["parameters"].as_array().into_iter().flatten() {
            let needed = parameter["required"] == true && parameter["in"] != "path";
            let name = &parameter["name"];
            assert!(!needed || parameter.get("example").is_some(), "{operation}: write `example = …` at {name}");
        }
    }
}

#[test]
fn events_are_sent_in_every_content_type() {
    let document: Value = serde_json::from_str(&json()).unwrap();
    let ingest = &document["paths"]["/api/v1/workspaces/{ws}/events"]["post"];
    let types: Vec<_> = ingest["requestBody"]["content"].as_object().unwrap().keys().cloned().collect();
    let batch = "application/cloudevents-batch+json";
    let known = [batch, "application/cloudevents+json", "application/octet-stream", "application/x-ndjson"];
    assert_eq!(BTreeSet::from_iter(types), BTreeSet::from(known.map(str::to_owned)));
    let event = resolved(&document, &ingest["requestBody"]["content"]["application/cloudevents+json"]["schema"]);
    assert_eq!(event["required"], serde_json::json!(["specversion", "id", "source", "type"]));
}
