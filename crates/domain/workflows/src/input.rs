//! The input of a run, and the JSON Schema that it has to meet.

use std::collections::{BTreeMap, BTreeSet};

use jsonschema::{Draft, PatternOptions, ValidationError, Validator};
use serde_json::{Value, json};

/// One thing that is wrong with an input, or with a schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputProblem {
    /// The JSON pointer to the part that is wrong.
    pub pointer: String,
    /// What is wrong.
    pub detail: String,
}

/// The most problems that one answer lists.
const MAX_PROBLEMS: usize = 50;

/// A schema that compiles: JSON Schema 2020-12, references within the schema only.
#[derive(Debug, Clone)]
pub struct InputSchema {
    schema: Value,
    validator: Validator,
}

impl InputSchema {
    /// The schema where a document declares none: any object.
    #[must_use]
    pub fn open() -> Value {
        json!({"type": "object"})
    }

    /// Compiles `schema`.
    ///
    /// # Errors
    /// What is wrong with it, with pointers into it.
    pub fn compile(schema: &Value) -> Result<Self, Vec<InputProblem>> {
        if !schema.is_object() {
            let detail = "a schema is an object".to_owned();
            return Err(vec![InputProblem { pointer: String::new(), detail }]);
        }
        let outside = references(schema);
        if !outside.is_empty() {
            return Err(outside);
        }
        let meta = jsonschema::draft202012::meta::validator();
        let problems: Vec<_> = meta.iter_errors(schema).take(MAX_PROBLEMS).map(|error| problem(&error)).collect();
        if !problems.is_empty() {
            return Err(problems);
        }
        let validator = jsonschema::options()
            .with_draft(Draft::Draft202012)
            .with_pattern_options(PatternOptions::regex().size_limit(1 << 16).dfa_size_limit(1 << 18))
            .offline()
            .build(schema)
            .map_err(|error| vec![problem(&error)])?;
        Ok(Self { schema: schema.clone(), validator })
    }

    /// The schema.
    #[must_use]
    pub fn schema(&self) -> &Value {
        &self.schema
    }

    /// Everything in `input` that does not meet the schema.
    #[must_use]
    pub fn problems(&self, input: &Value) -> Vec<InputProblem> {
        if !input.is_object() {
            return vec![InputProblem { pointer: String::new(), detail: "the input has to be an object".to_owned() }];
        }
        self.validator.iter_errors(input).take(MAX_PROBLEMS).map(|error| problem(&error)).collect()
    }

    /// The names that the schema declares; `None` where it allows any others.
    #[must_use]
    pub fn declared(schema: &Value) -> Option<BTreeSet<String>> {
        let open = match schema.get("additionalProperties") {
            None | Some(Value::Bool(false)) => false,
            Some(_) => true,
        };
        let composed = ["patternProperties", "allOf", "anyOf", "oneOf", "$ref", "if"];
        if open || composed.iter().any(|keyword| schema.get(keyword).is_some()) {
            return None;
        }
        let properties = schema.get("properties").and_then(Value::as_object);
        Some(properties.into_iter().flat_map(|map| map.keys().cloned()).collect())
    }
}

/// A message never repeats the value: it may be long, or a secret.
fn problem(error: &ValidationError<'_>) -> InputProblem {
    let detail: String = error.masked_with("this value").to_string().chars().take(300).collect();
    InputProblem { pointer: error.instance_path().to_string(), detail }
}

/// The most parts that a schema may have once its references are written out. It bounds what checking one value costs:
/// thirty definitions that each refer twice to the next would check it a thousand million times.
const MAX_PARTS: usize = 5_000;

/// References to other documents, references that lead back to themselves, and too many of them.
fn references(schema: &Value) -> Vec<InputProblem> {
    let mut found = Vec::new();
    let mut sizes = Sizes { schema, known: BTreeMap::new() };
    visit(schema, "", &mut |pointer, part| {
        for keyword in ["$ref", "$dynamicRef", "$recursiveRef"] {
            let Some(target) = part.get(keyword).and_then(Value::as_str) else { continue };
            let detail = if !target.starts_with('#') {
                "a reference has to stay in this schema: #/…"
            } else if sizes.of_target(target).is_none() {
                "this reference leads back to itself"
            } else {
                continue;
            };
            found.push(InputProblem { pointer: format!("{pointer}/{keyword}"), detail: detail.to_owned() });
        }
        for keyword in ["$id", "$anchor", "$dynamicAnchor", "$recursiveAnchor"] {
            if part.get(keyword).is_some() {
                let pointer = format!("{pointer}/{keyword}");
                found.push(InputProblem { pointer, detail: format!("`{keyword}` is not used in workflows") });
            }
        }
    });
    if found.is_empty() && sizes.of(schema).is_none_or(|parts| parts > MAX_PARTS) {
        let detail = format!("the schema has more than {MAX_PARTS} parts once its references are written out");
        found.push(InputProblem { pointer: String::new(), detail });
    }
    found
}

/// How many parts a schema has once its references are written out.
struct Sizes<'v> {
    schema: &'v Value,
    /// By target; `None` for one that is being counted, so that meeting it again is a circle, and for one in a circle.
    known: BTreeMap<&'v str, Option<usize>>,
}

impl<'v> Sizes<'v> {
    fn of_target(&mut self, target: &'v str) -> Option<usize> {
        if let Some(known) = self.known.get(target) {
            return *known;
        }
        self.known.insert(target, None);
        // A target that is not there is told by the compiler of schemas.
        let part = target.strip_prefix('#').and_then(|pointer| self.schema.pointer(pointer));
        let size = part.map_or(Some(0), |part| self.of(part));
        self.known.insert(target, size);
        size
    }

    fn of(&mut self, value: &'v Value) -> Option<usize> {
        let mut total: usize = 1;
        match value {
            Value::Object(map) => {
                for (key, value) in map {
                    let size = match (key.as_str(), value) {
                        ("$ref" | "$dynamicRef" | "$recursiveRef", Value::String(target)) => self.of_target(target),
                        _ => self.of(value),
                    };
                    total = total.saturating_add(size?);
                }
            }
            Value::Array(items) => {
                for item in items {
                    total = total.saturating_add(self.of(item)?);
                }
            }
            _ => {}
        }
        Some(total)
    }
}

fn visit<'v>(value: &'v Value, pointer: &str, see: &mut impl FnMut(&str, &'v Value)) {
    match value {
        Value::Object(map) => {
            see(pointer, value);
            for (key, value) in map {
                let key = key.replace('~', "~0").replace('/', "~1");
                visit(value, &format!("{pointer}/{key}"), see);
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                visit(value, &format!("{pointer}/{index}"), see);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_is_checked_with_pointers_and_without_repeating_it() {
        let schema = InputSchema::compile(&json!({
            "type": "object",
            "properties": {"path": {"type": "string", "pattern": "^src/"}, "n": {"$ref": "#/$defs/n"}},
            "required": ["path"],
            "$defs": {"n": {"type": "integer", "minimum": 1}},
        }))
        .unwrap();
        assert_eq!(schema.problems(&json!({"path": "src/a", "n": 2})), []);
        let problems = schema.problems(&json!({"path": "secret", "n": 0}));
        let mut pointers: Vec<_> = problems.iter().map(|problem| problem.pointer.as_str()).collect();
        pointers.sort_unstable();
        assert_eq!(pointers, ["/n", "/path"]);
        assert!(problems.iter().all(|problem| !problem.detail.contains("secret")), "{problems:?}");
        assert_eq!(schema.problems(&json!({}))[0].pointer, "");
        assert_eq!(schema.problems(&json!([]))[0].detail, "the input has to be an object");
    }

    #[test]
    fn a_schema_that_cannot_be_used_says_where() {
        for (schema, pointer) in [
            (json!(true), ""),
            (json!({"type": "objekt"}), "/type"),
            (json!({"properties": {"a": {"minimum": "1"}}}), "/properties/a/minimum"),
            (json!({"properties": {"a": {"$ref": "https://example.com/x"}}}), "/properties/a/$ref"),
            (json!({"properties": {"a": {"$ref": "file:///etc/passwd"}}}), "/properties/a/$ref"),
            (json!({"$ref": "#"}), "/$ref"),
            (json!({"allOf": [{"$ref": "#"}]}), "/allOf/0/$ref"),
            (json!({"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"anyOf": [{"$ref": "#/$defs/a"}]}}}), "/$defs/a/$ref"),
            (json!({"$id": "https://example.com/"}), "/$id"),
        ] {
            let problems = InputSchema::compile(&schema).expect_err(&schema.to_string());
            assert!(problems.iter().any(|problem| problem.pointer == pointer), "{schema}: {problems:?}");
        }
        assert!(InputSchema::compile(&json!({"properties": {"a": {"$ref": "#/nowhere"}}})).is_err());
        assert!(InputSchema::compile(&json!({"properties": {"a": {"pattern": "(a{1000}){1000}"}}})).is_err());
        assert!(InputSchema::compile(&json!({"properties": {"a": {"pattern": "("}}})).is_err());
    }

    /// Each of these would check a small value for minutes.
    #[test]
    fn a_schema_that_multiplies_its_work_is_refused() {
        let mut definitions = serde_json::Map::new();
        for n in 0..40 {
            let next = json!({"$ref": format!("#/$defs/d{}", n + 1)});
            definitions.insert(format!("d{n}"), json!({"allOf": [next, next]}));
        }
        definitions.insert("d40".to_owned(), json!({}));
        let doubling = json!({"$ref": "#/$defs/d0", "$defs": definitions});
        assert!(InputSchema::compile(&doubling).unwrap_err()[0].detail.contains("parts once its references"));
        let tree = json!({"type": "object", "properties": {"left": {"$ref": "#"}, "right": {"$ref": "#"}}});
        assert_eq!(InputSchema::compile(&tree).unwrap_err()[0].pointer, "/properties/left/$ref");
    }

    #[test]
    fn declared_names_are_known_unless_the_schema_is_open() {
        let names = |schema: Value| InputSchema::declared(&schema).map(|names| names.into_iter().collect::<Vec<_>>());
        assert_eq!(names(json!({"properties": {"a": {}}})), Some(vec!["a".to_owned()]));
        assert_eq!(names(json!({})), Some(vec![]));
        assert_eq!(names(json!({"additionalProperties": true})), None);
        assert_eq!(names(json!({"anyOf": []})), None);
    }
}
