//! Checks the keywords of a schema, each at its place.
//!
//! Only places where a schema can stand are checked: `enum`, `const`, `default` and `examples` hold data, and the names
//! below `properties` are chosen by the author.

use jsonschema::Draft;
use serde_json::{Map, Value};

use super::pattern::Patterns;
use super::{FORMATS, InputProblem, escaped, options};
use crate::expression::nearest;

/// The supported dialect.
const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// All problems with single keywords.
pub(super) fn problems(schema: &Value) -> Vec<InputProblem> {
    let mut found = Vec::new();
    let mut patterns = Patterns::default();
    visit(schema, "", &mut |pointer, map| keywords(pointer, map, &mut patterns, &mut found));
    found
}

/// Calls `see` for every object that is a schema, with the JSON pointer to it.
pub(crate) fn visit<'v>(schema: &'v Value, pointer: &str, see: &mut impl FnMut(&str, &'v Map<String, Value>)) {
    let Some(map) = schema.as_object() else { return };
    see(pointer, map);
    for (keyword, value) in map {
        let below = format!("{pointer}/{}", escaped(keyword));
        match keyword.as_str() {
            "additionalProperties"
            | "contains"
            | "contentSchema"
            | "else"
            | "if"
            | "items"
            | "not"
            | "propertyNames"
            | "then"
            | "unevaluatedItems"
            | "unevaluatedProperties" => visit(value, &below, see),
            "allOf" | "anyOf" | "oneOf" | "prefixItems" => {
                for (index, schema) in value.as_array().into_iter().flatten().enumerate() {
                    visit(schema, &format!("{below}/{index}"), see);
                }
            }
            "$defs" | "definitions" | "dependencies" | "dependentSchemas" | "patternProperties" | "properties" => {
                for (name, schema) in value.as_object().into_iter().flatten() {
                    visit(schema, &format!("{below}/{}", escaped(name)), see);
                }
            }
            _ => {}
        }
    }
}

fn keywords(pointer: &str, map: &Map<String, Value>, patterns: &mut Patterns, found: &mut Vec<InputProblem>) {
    let mut problem = |keyword: &str, detail: String| {
        found.push(InputProblem::new(format!("{pointer}/{keyword}"), detail));
    };
    if let Some(dialect) = map.get("$schema").and_then(Value::as_str)
        && dialect.trim_end_matches('#') != DIALECT
    {
        problem(
            "$schema",
            format!("inputs are checked as JSON Schema 2020-12: leave `$schema` out or write {DIALECT}"),
        );
    }
    for (old, new) in [("$recursiveRef", "$dynamicRef"), ("$recursiveAnchor", "$dynamicAnchor")] {
        if map.contains_key(old) {
            problem(old, format!("JSON Schema 2020-12 has no `{old}`; write `{new}`"));
        }
    }
    if let Some(format) = map.get("format").and_then(Value::as_str)
        && !options().is_known_format(Draft::Draft202012, format)
    {
        let shown: String = format.chars().take(50).collect();
        let meant = nearest(format, FORMATS).map(|meant| format!(" (did you mean `{meant}`?)")).unwrap_or_default();
        problem("format", format!("there is no format `{shown}`{meant}; there are {}", FORMATS.join(", ")));
    }
    if let Some(Err(reason)) = map.get("pattern").and_then(Value::as_str).map(|text| patterns.weight(text)) {
        problem("pattern", reason);
    }
    for text in map.get("patternProperties").and_then(Value::as_object).into_iter().flat_map(Map::keys) {
        if let Err(reason) = patterns.weight(text) {
            problem(&format!("patternProperties/{}", escaped(text)), reason);
        }
    }
}
