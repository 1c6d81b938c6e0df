//! Derives the schema of a `with` whose values may be expressions.
//!
//! A text that is exactly one `${{ }}` can become any value; a text with `${{ }}` inside is some text. So the schema of
//! every value is widened to accept both. Keywords that cannot be checked on an unknown value are left out, so that no
//! document is rejected whose value may be valid at run time: `not`, `if`, that exactly one branch of `oneOf` matches,
//! `unevaluated…`, and lists and objects in `enum` and `const`.

use serde_json::{Map, Value, json};

/// The published schema's definition of a text that is exactly one `${{ }}`.
const EXPRESSION: &str = "#/$defs/expression";
/// The published schema's definition of a text with `${{ }}` inside.
const TEMPLATE: &str = "#/$defs/template";

/// Keywords that do not restrict a value.
const ANNOTATIONS: [&str; 6] = ["title", "description", "default", "examples", "deprecated", "$comment"];

/// The definitions to which [`widened`] refers.
pub(crate) fn definitions() -> [(&'static str, Value); 2] {
    [
        (
            "expression",
            json!({
                "type": "string",
                "pattern": r"^\$\{\{[\s\S]*\}\}$",
                "description": "One ${{ }} and nothing beside it: it has any type of value.",
            }),
        ),
        (
            "template",
            json!({
                "type": "string",
                "pattern": r"\$\{\{",
                "description": "A text with ${{ }}: its value is known when it is used.",
            }),
        ),
    ]
}

/// Whether this is the schema with which [`widened`] admits expressions.
pub(crate) fn is_expression(schema: &Value) -> bool {
    let reference = schema.get("$ref").and_then(Value::as_str);
    reference.is_some_and(|reference| [EXPRESSION, TEMPLATE].contains(&reference))
}

/// `schema`, widened so that every value below may be an expression. `base` is its place in the published schema, such
/// as `#/$defs/with.delay`.
pub(super) fn widened(schema: &Value, base: &str) -> Value {
    let Some(map) = schema.as_object() else { return schema.clone() };
    let mut wide = Map::new();
    let mut any_of = Vec::new();
    for (keyword, value) in map {
        let value = match keyword.as_str() {
            "not" | "if" | "then" | "else" | "unevaluatedProperties" | "unevaluatedItems" | "maxContains" => continue,
            "enum" if value.as_array().into_iter().flatten().any(is_container) => continue,
            "const" if is_container(value) => continue,
            "anyOf" | "oneOf" => {
                any_of.push(each(value, |branch| widened(branch, base)));
                continue;
            }
            "$ref" => match value.as_str().and_then(|reference| reference.strip_prefix('#')) {
                Some(place) => json!(format!("{base}{place}")),
                None => value.clone(),
            },
            "allOf" => each(value, |branch| widened(branch, base)),
            "$defs" | "dependentSchemas" => each(value, |schema| widened(schema, base)),
            "properties" | "patternProperties" | "prefixItems" => each(value, |schema| value_of(schema, base)),
            "additionalProperties" | "items" | "contains" => value_of(value, base),
            _ => value.clone(),
        };
        wide.insert(keyword.clone(), value);
    }
    if any_of.len() > 1 {
        let all = wide.entry("allOf").or_insert_with(|| json!([]));
        if let Some(all) = all.as_array_mut() {
            all.extend(any_of.into_iter().map(|branches| json!({"anyOf": branches})));
        }
    } else if let Some(branches) = any_of.pop() {
        wide.insert("anyOf".to_owned(), branches);
    }
    Value::Object(wide)
}

/// The schema of a value that may also be an expression.
fn value_of(schema: &Value, base: &str) -> Value {
    let reference = match texts(schema) {
        Texts::Every => return widened(schema, base),
        Texts::Some => TEMPLATE,
        Texts::None if *schema == Value::Bool(false) => return schema.clone(),
        Texts::None => EXPRESSION,
    };
    let mut inner = widened(schema, base);
    let mut wide = Map::new();
    // Editors show these keywords for the value as a whole.
    for keyword in ["description", "default"] {
        if let Some(told) = inner.as_object_mut().and_then(|inner| inner.remove(keyword)) {
            wide.insert(keyword.to_owned(), told);
        }
    }
    wide.insert("anyOf".to_owned(), json!([inner, {"$ref": reference}]));
    Value::Object(wide)
}

/// Which texts a schema accepts.
enum Texts {
    Every,
    Some,
    None,
}

fn texts(schema: &Value) -> Texts {
    let Some(map) = schema.as_object() else {
        return if *schema == Value::Bool(false) { Texts::None } else { Texts::Every };
    };
    let admits = |of: &Value| !matches!(texts(of), Texts::None);
    let branches = |keyword| map.get(keyword).and_then(Value::as_array).map(|branches| branches.iter().any(admits));
    let refused = match map.get("type") {
        Some(Value::String(one)) => one != "string",
        Some(Value::Array(types)) => types.iter().all(|one| one != "string"),
        _ => false,
    } || map.get("enum").and_then(Value::as_array).is_some_and(|all| !all.iter().any(Value::is_string))
        || map.get("const").is_some_and(|only| !only.is_string())
        || ["anyOf", "oneOf"].into_iter().filter_map(branches).any(|admitted| !admitted);
    if refused {
        Texts::None
    } else if map.keys().all(|keyword| keyword == "type" || ANNOTATIONS.contains(&keyword.as_str())) {
        Texts::Every
    } else {
        Texts::Some
    }
}

/// Applies `change` to every item of a list or every member of an object.
fn each(value: &Value, change: impl Fn(&Value) -> Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(change).collect(),
        Value::Object(members) => {
            Value::Object(members.iter().map(|(name, value)| (name.clone(), change(value))).collect())
        }
        other => other.clone(),
    }
}

fn is_container(value: &Value) -> bool {
    value.is_array() || value.is_object()
}
