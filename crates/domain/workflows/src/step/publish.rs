//! What the registry contributes to the JSON Schema of documents and to the table in the documentation.

use std::fmt::Write;

use serde_json::{Map, Value, json};

use super::expressions::definitions;
use super::registry::{RegisteredStep, StepRegistry, WITH};
use super::{StepOutput, Timeouts};
use crate::definition::shown_duration;

impl StepRegistry {
    /// The definitions for the published schema: the `with` of each type.
    pub(crate) fn definitions(&self) -> Map<String, Value> {
        let mut all = Map::from_iter(definitions().map(|(name, schema)| (name.to_owned(), schema)));
        for (name, place) in self.places() {
            let schema =
                self.registered(name).and_then(|found| found.wide.schema().pointer(&format!("/$defs/{place}")));
            all.extend(schema.map(|schema| (place, schema.clone())));
        }
        all
    }

    /// The rules of the published schema for steps, one per type.
    pub(crate) fn rules(&self) -> Vec<Value> {
        let rule = |(name, place): (&str, String)| {
            let found = self.registered(name)?;
            let mut properties = Map::new();
            properties.insert("with".to_owned(), json!({"$ref": format!("#/$defs/{place}")}));
            if found.step.timeouts != Timeouts::default() {
                properties.insert("timeout".to_owned(), timeout(found.step.timeouts));
            }
            let mut then = json!({ "properties": properties });
            if !found.exact.problems(&json!({})).is_empty() {
                then["required"] = json!(["with"]);
            }
            Some(json!({"if": {"properties": {"uses": {"const": name}}}, "then": then}))
        };
        self.places().filter_map(rule).collect()
    }

    fn places(&self) -> impl Iterator<Item = (&str, String)> {
        self.names().map(|name| (name, format!("{WITH}{name}")))
    }

    /// The types as a table in Markdown.
    #[must_use]
    pub fn to_markdown(&self) -> String {
        let mut table = "| `uses` | what it does | `with` | output |\n|---|---|---|---|\n".to_owned();
        for found in self.names().filter_map(|name| self.registered(name)) {
            let step = &found.step;
            let _ =
                writeln!(table, "| `{}` | {} | {} | {} |", step.name, step.summary, with(&step.with), output(found));
        }
        table
    }
}

/// The published schema of a type's timeout.
fn timeout(timeouts: Timeouts) -> Value {
    let Timeouts { default, max } = timeouts;
    json!({"default": shown_duration(default), "description": format!("Of one attempt; at most {}.", shown_duration(max))})
}

/// The parameters, the required ones first; optional ones with a question mark.
fn with(schema: &Value) -> String {
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let optional = schema["properties"].as_object().into_iter().flat_map(Map::keys);
    let optional = optional.filter(|name| !required.contains(&name.as_str())).map(|name| format!("`{name}?`"));
    listed(required.iter().map(|name| format!("`{name}`")).chain(optional))
}

fn output(found: &RegisteredStep) -> String {
    match &found.step.output {
        StepOutput::With => "`with`, evaluated".to_owned(),
        StepOutput::Schema(schema) if schema["type"] == "null" => "null".to_owned(),
        StepOutput::Schema(_) => listed(found.output.iter().flatten().map(|name| format!("`{name}`"))),
    }
}

fn listed(names: impl IntoIterator<Item = String>) -> String {
    let names: Vec<String> = names.into_iter().collect();
    if names.is_empty() { "anything".to_owned() } else { names.join(", ") }
}
