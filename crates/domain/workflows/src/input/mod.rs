//! The input of a run, and its JSON Schema.
//!
//! Schemas come from tenants, so the cost of a validation is bounded before it starts: `outline` resolves references
//! as the validator does, and `cost` counts what the validator would do with an input.

mod cost;
mod keywords;
mod outline;
mod pattern;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use jsonschema::{Draft, PatternOptions, ValidationError, ValidationOptions, Validator};
use serde_json::{Value, json};

use cost::Part;
pub(crate) use keywords::visit;

/// One problem with an input or with a schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputProblem {
    /// The JSON pointer to the wrong part.
    pub pointer: String,
    /// What is wrong.
    pub detail: String,
}

impl InputProblem {
    /// A problem with the part at `pointer`.
    #[must_use]
    pub fn new(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), detail: detail.into() }
    }
}

/// The maximum number of problems in one answer.
const MAX_PROBLEMS: usize = 50;

/// The maximum number of steps for validating one input. A step is one keyword applied to one value, about 50 ns.
pub const MAX_STEPS: u64 = 10_000_000;

/// The maximum number of steps for listing all problems of an input. The validator keeps every problem in memory, about
/// 400 bytes each, until it has found the last one.
const MAX_LISTED_STEPS: u64 = 200_000;

/// The maximum number of steps of a quick validation, which takes less than a millisecond.
const MAX_QUICK_STEPS: u64 = 10_000;

/// The formats that are validated: all that JSON Schema 2020-12 defines (Validation, section 7.3).
pub const FORMATS: [&str; 19] = [
    "date",
    "date-time",
    "duration",
    "email",
    "hostname",
    "idn-email",
    "idn-hostname",
    "ipv4",
    "ipv6",
    "iri",
    "iri-reference",
    "json-pointer",
    "regex",
    "relative-json-pointer",
    "time",
    "uri",
    "uri-reference",
    "uri-template",
    "uuid",
];

/// A compiled schema: JSON Schema 2020-12 with validated formats. References stay within the schema.
#[derive(Debug, Clone)]
pub struct InputSchema {
    schema: Value,
    validator: Validator,
    part: Part,
}

impl InputSchema {
    /// The schema for documents that declare none: any object.
    #[must_use]
    pub fn open() -> Value {
        json!({"type": "object"})
    }

    /// Compiles `schema`.
    ///
    /// # Errors
    /// The problems of the schema, each with the JSON pointer to its place.
    pub fn compile(schema: &Value) -> Result<Self, Vec<InputProblem>> {
        if !schema.is_object() {
            return Err(vec![InputProblem::new("", "a schema is an object")]);
        }
        Self::compile_any(schema)
    }

    /// Compiles a schema for values that need not be objects.
    ///
    /// # Errors
    /// The problems of the schema, each with the JSON pointer to its place.
    pub fn compile_any(schema: &Value) -> Result<Self, Vec<InputProblem>> {
        let meta = jsonschema::draft202012::meta::validator();
        let mut problems = if schema.is_object() { keywords::problems(schema) } else { Vec::new() };
        // A problem with a pattern is reported once, with its reason, not again by the meta-schema.
        let known: BTreeSet<String> = problems.iter().map(|problem| problem.pointer.clone()).collect();
        let meta_problems = meta.iter_errors(schema).map(|error| problem(&error));
        problems.extend(meta_problems.filter(|problem| !known.contains(&problem.pointer)).take(MAX_PROBLEMS));
        if !problems.is_empty() {
            problems.truncate(MAX_PROBLEMS);
            return Err(problems);
        }
        let part = outline::outline(schema)?;
        let validator = options().build(schema).map_err(|error| vec![problem(&error)])?;
        Ok(Self { schema: schema.clone(), validator, part })
    }

    /// The schema.
    #[must_use]
    pub fn schema(&self) -> &Value {
        &self.schema
    }

    /// Whether validating `input` is cheap enough for the calling thread.
    #[must_use]
    pub fn is_quick(&self, input: &Value) -> bool {
        self.part.cost_within(MAX_QUICK_STEPS, input).list <= MAX_QUICK_STEPS
    }

    /// All problems with `input`.
    ///
    /// With the largest inputs and schemas it takes up to half a second. The caller MUST NOT hold a database
    /// connection, and MUST NOT block a thread that other requests need.
    #[must_use]
    pub fn problems(&self, input: &Value) -> Vec<InputProblem> {
        if !input.is_object() {
            return vec![InputProblem::new("", "the input has to be an object")];
        }
        self.problems_of(input)
    }

    /// All problems with a value, which need not be an object.
    #[must_use]
    pub fn problems_of(&self, value: &Value) -> Vec<InputProblem> {
        let cost = self.part.cost(value);
        if cost.check > MAX_STEPS {
            let detail = format!(
                "comparing this input with the schema takes over {MAX_STEPS} steps; make the input smaller or the schema simpler"
            );
            return vec![InputProblem::new("", detail)];
        }
        if self.validator.is_valid(value) {
            return Vec::new();
        }
        if cost.list <= MAX_LISTED_STEPS {
            return self.validator.iter_errors(value).take(MAX_PROBLEMS).map(|error| problem(&error)).collect();
        }
        if self.part.keeps_alternatives() {
            return vec![InputProblem::new("", "the input does not meet the schema, and is too large to say where")];
        }
        self.validator.validate(value).err().iter().map(problem).collect()
    }

    /// The validator's errors for `value`; only the first one if finding all of them takes too many steps.
    ///
    /// Use it only for schemas that no tenant wrote.
    pub(crate) fn errors<'v>(&'v self, value: &'v Value) -> Vec<ValidationError<'v>> {
        if self.part.cost(value).list <= MAX_LISTED_STEPS {
            self.validator.iter_errors(value).collect()
        } else {
            self.validator.validate(value).err().into_iter().collect()
        }
    }

    /// The names that the schema declares; `None` if it allows others explicitly or is composed of other schemas.
    #[must_use]
    pub fn declared(schema: &Value) -> Option<BTreeSet<String>> {
        let open = match schema.get("additionalProperties") {
            None | Some(Value::Bool(false)) => false,
            Some(_) => true,
        };
        let composed = ["patternProperties", "allOf", "anyOf", "oneOf", "$ref", "$dynamicRef", "if"];
        if open || composed.iter().any(|keyword| schema.get(keyword).is_some()) {
            return None;
        }
        let properties = schema.get("properties").and_then(Value::as_object);
        Some(properties.into_iter().flat_map(|map| map.keys().cloned()).collect())
    }
}

/// The validator's options.
fn options() -> ValidationOptions<'static> {
    jsonschema::options()
        .with_draft(Draft::Draft202012)
        .with_pattern_options(PatternOptions::regex().size_limit(pattern::MAX_BYTES).dfa_size_limit(1 << 18))
        .should_validate_formats(true)
        .should_ignore_unknown_formats(false)
        .offline()
}

/// A message never repeats the value, which may be long or secret.
fn problem(error: &ValidationError<'_>) -> InputProblem {
    let detail: String = error.masked_with("this value").to_string().chars().take(300).collect();
    InputProblem { pointer: error.instance_path().to_string(), detail }
}

/// `token` as a part of a JSON pointer (RFC 6901, section 3).
fn escaped(token: &str) -> String {
    token.replace('~', "~0").replace('/', "~1")
}
