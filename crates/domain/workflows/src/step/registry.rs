//! The step types that a process knows.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::expressions::{definitions, widened};
use super::{StepOutput, StepType, Timeouts, condition, delay, transform};
use crate::input::{InputProblem, InputSchema, visit};

/// The prefix of the name of a type's `with` definition in the published schema.
pub(super) const WITH: &str = "with.";

/// The maximum number of characters in a name.
const MAX_NAME: usize = 64;

/// Why a step type could not be registered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StepTypeError {
    /// The name is malformed.
    #[error(
        "`{0}` cannot name a step type: a name is words of lower-case letters, digits and `_`, joined by dots, each \
         beginning with a letter, of 64 characters at most"
    )]
    Name(String),
    /// A step type with this name already exists.
    #[error("there is another step type `{0}`")]
    Duplicate(String),
    /// The summary does not fit into a table row.
    #[error("the summary of the step type `{0}` has to be one line of text without `|`")]
    Summary(String),
    /// A schema is invalid.
    #[error("the schema of `{part}` of the step type `{name}` cannot be used: {detail}")]
    Schema {
        /// The type.
        name: String,
        /// `with` or `output`.
        part: &'static str,
        /// What is wrong, and where.
        detail: String,
    },
    /// The default timeout is zero or exceeds the maximum, or the maximum exceeds [`Timeouts::LONGEST`].
    #[error(
        "the time-outs of the step type `{0}` have to be longer than nothing, the default at most the longest, and that at most a day"
    )]
    Timeouts(String),
}

/// A type with its schemas compiled.
#[derive(Debug, Clone)]
pub(crate) struct RegisteredStep {
    pub(crate) step: Arc<StepType>,
    /// The schema for a `with` without expressions.
    pub(crate) exact: InputSchema,
    /// The schema for a `with` with expressions, as published.
    pub(crate) wide: InputSchema,
    /// The names in the output, if the schema declares them.
    pub(crate) output: Option<Vec<String>>,
}

/// The step types that a process knows, by name.
///
/// The code that compiles documents and the code that drives their runs MUST use the same registry.
#[derive(Debug, Clone, Default)]
pub struct StepRegistry {
    types: BTreeMap<String, RegisteredStep>,
}

impl StepRegistry {
    /// The types without external effects: `transform`, `condition` and `delay`.
    ///
    /// # Errors
    /// [`StepTypeError`] if a built-in type is malformed, which is a defect of the program.
    pub fn built_in() -> Result<Self, StepTypeError> {
        let mut registry = Self::default();
        for step in [transform::step_type(), condition::step_type(), delay::step_type()] {
            registry.register(step)?;
        }
        Ok(registry)
    }

    /// Adds a type.
    ///
    /// # Errors
    /// [`StepTypeError`] if the name is taken or malformed, a schema is invalid, or a limit is wrong. The type is not
    /// added then.
    pub fn register(&mut self, step: StepType) -> Result<(), StepTypeError> {
        let name = step.name.clone();
        if !is_name(&name) {
            return Err(StepTypeError::Name(name));
        }
        if self.types.contains_key(&name) {
            return Err(StepTypeError::Duplicate(name));
        }
        if step.summary.trim().is_empty() || step.summary.contains(['\n', '\r', '|']) {
            return Err(StepTypeError::Summary(name));
        }
        let Timeouts { default, max } = step.timeouts;
        if default.is_zero() || default > max || max > Timeouts::LONGEST {
            return Err(StepTypeError::Timeouts(name));
        }
        let failed = |part| {
            let name = name.clone();
            move |detail| StepTypeError::Schema { name, part, detail }
        };
        let exact = compiled(&step.with).map_err(failed("with"))?;
        if step.with.get("type") != Some(&json!("object")) {
            return Err(failed("with")("`with` is an object: write \"type\": \"object\"".to_owned()));
        }
        let wide = wide(&name, &step.with).map_err(failed("with"))?;
        let output = match &step.output {
            StepOutput::With => None,
            StepOutput::Schema(schema) => {
                compiled(schema).map_err(failed("output"))?;
                names(schema)
            }
        };
        self.types.insert(name, RegisteredStep { step: Arc::new(step), exact, wide, output });
        Ok(())
    }

    /// The type with this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<StepType>> {
        self.types.get(name).map(|found| &found.step)
    }

    /// Every type, ordered by name.
    pub fn types(&self) -> impl Iterator<Item = &StepType> {
        self.types.values().map(|found| &*found.step)
    }

    /// Every name, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.types.keys().map(String::as_str)
    }

    pub(crate) fn registered(&self, name: &str) -> Option<&RegisteredStep> {
        self.types.get(name)
    }
}

fn is_name(text: &str) -> bool {
    let word = |word: &str| {
        word.starts_with(|c: char| c.is_ascii_lowercase())
            && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    text.len() <= MAX_NAME && text.split('.').all(word)
}

/// Compiles the schema if it can also be embedded in the published schema.
fn compiled(schema: &Value) -> Result<InputSchema, String> {
    let compiled = InputSchema::compile(schema).map_err(|problems| told(&problems))?;
    let mut elsewhere = None;
    visit(schema, "", &mut |pointer, map| {
        let named =
            ["$id", "$anchor", "$dynamicAnchor", "$dynamicRef"].into_iter().find(|keyword| map.contains_key(*keyword));
        let reference = map.get("$ref").and_then(Value::as_str).filter(|reference| !reference.starts_with("#/"));
        if let Some(keyword) = named.or(reference.map(|_| "$ref")) {
            elsewhere
                .get_or_insert(format!("{pointer}/{keyword}: references are JSON pointers such as #/$defs/colour"));
        }
    });
    elsewhere.map_or(Ok(compiled), Err)
}

/// The schema of a `with` whose values may be expressions, with all definitions to which it refers.
fn wide(name: &str, with: &Value) -> Result<InputSchema, String> {
    let place = format!("{WITH}{name}");
    let reference = format!("#/$defs/{place}");
    let mut defs = Map::from_iter(definitions().map(|(name, schema)| (name.to_owned(), schema)));
    defs.insert(place, widened(with, &reference));
    InputSchema::compile(&json!({"$ref": reference, "$defs": defs})).map_err(|problems| told(&problems))
}

fn told(problems: &[InputProblem]) -> String {
    let told: Vec<String> = problems.iter().map(|problem| format!("{}: {}", problem.pointer, problem.detail)).collect();
    told.join("; ")
}

/// The names that the schema declares, if it does.
fn names(schema: &Value) -> Option<Vec<String>> {
    schema.get("properties")?;
    InputSchema::declared(schema).map(|names| names.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn refused(step: StepType) -> String {
        StepRegistry::built_in().unwrap().register(step).unwrap_err().to_string()
    }

    #[test]
    fn a_malformed_type_is_refused_with_what_is_wrong() {
        for name in ["", "Slack", "slack.", ".post", "slack..post", "9a", "a-b", "ä", "a b", &"a".repeat(65)] {
            assert!(refused(StepType::effect(name, "Posts.")).contains("cannot name a step type"), "{name}");
        }
        assert_eq!(refused(StepType::effect("delay", "Posts.")), "there is another step type `delay`");
        for summary in ["", " ", "a\nb", "a | b"] {
            assert!(refused(StepType::effect("post", summary)).contains("one line"), "{summary:?}");
        }
        for (default, max) in [(0, 1), (2, 1), (1, 86_401)] {
            let timeouts = Timeouts { default: Duration::from_secs(default), max: Duration::from_secs(max) };
            assert!(refused(StepType { timeouts, ..StepType::effect("post", "Posts.") }).contains("time-outs"));
        }
        for (with, part) in [
            (json!({"type": "objekt"}), "/type: "),
            (json!({"type": "object", "required": "to"}), "/required: "),
            (json!({"type": "object", "properties": {"to": {"pattern": "("}}}), "/properties/to/pattern: "),
            (json!({"type": "object", "properties": {"to": {"$ref": "#/$defs/to"}}}), "/properties/to/$ref: "),
            (json!({"type": "object", "properties": {"to": {"$ref": "https://example.com/to"}}}), "$ref: "),
            (json!({"type": "object", "$id": "https://example.com/"}), "/$id: references are JSON pointers"),
            (json!({"type": "object", "$defs": {"a": {"$anchor": "a"}}}), "/$defs/a/$anchor: references are JSON"),
            (json!({"type": "string"}), "`with` is an object"),
            (json!({}), "`with` is an object"),
            (json!([]), "a schema is an object"),
        ] {
            let told = refused(StepType { with: with.clone(), ..StepType::effect("post", "Posts.") });
            assert!(
                told.starts_with("the schema of `with` of the step type `post`") && told.contains(part),
                "{with}: {told}"
            );
        }
        let output = StepOutput::Schema(json!({"properties": []}));
        let told = refused(StepType { output, ..StepType::effect("post", "Posts.") });
        assert!(told.starts_with("the schema of `output` of the step type `post`"), "{told}");
    }

    #[test]
    fn what_was_refused_is_not_there() {
        let mut steps = StepRegistry::built_in().unwrap();
        let before: Vec<String> = steps.names().map(str::to_owned).collect();
        assert_eq!(before, ["condition", "delay", "transform"]);
        let with = json!({"type": "object", "required": 1});
        assert!(steps.register(StepType { with, ..StepType::effect("post", "Posts.") }).is_err());
        assert!(steps.get("post").is_none() && steps.names().eq(before));
        steps.register(StepType::effect("chat.post_2", "Posts.")).unwrap();
        assert_eq!(steps.get("chat.post_2").unwrap().summary, "Posts.");
    }

    #[test]
    fn the_table_has_a_row_for_each_type() {
        let table = super::super::stand_ins::embedded().to_markdown();
        let rows: Vec<&str> = table.lines().skip(2).collect();
        assert_eq!(
            rows,
            [
                "| `condition` | Says whether something is so. | `if` | `result` |",
                "| `delay` | Waits for some time. | `for` | null |",
                "| `double` | Doubles a number. | anything | anything |",
                "| `emit_event` | Sends an event. | `type`, `data?`, `subject?` | `id` |",
                "| `http.request` | Calls out. | `url`, `body?`, `expect_status?`, `headers?`, `method?` | `body`, `headers`, `status` |",
                "| `next_minute` | Waits for the next minute. | anything | null |",
                "| `transform` | Makes a value of other values. | anything | `with`, evaluated |",
            ]
        );
    }
}
