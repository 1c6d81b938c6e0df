//! The input of a run, and the JSON Schema that it has to meet.
//!
//! Schemas come from tenants, so the work of checking an input is known before it begins: references are followed as the
//! validator follows them ([`outline`]), and what the validator would do with an input is counted first ([`cost`]).

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

/// One thing that is wrong with an input, or with a schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputProblem {
    /// The JSON pointer to the part that is wrong.
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

/// The most problems that one answer lists.
const MAX_PROBLEMS: usize = 50;

/// The most steps that checking one input may take. A step is one keyword applied to one value, some 50 ns.
pub const MAX_STEPS: u64 = 10_000_000;

/// The most steps after which all problems of an input are listed. The validator keeps each problem that it meets, some
/// 400 bytes, until it has met the last.
const MAX_LISTED_STEPS: u64 = 200_000;

/// The most steps of what is quick: under a millisecond.
const MAX_QUICK_STEPS: u64 = 10_000;

/// The formats that are asserted: all that JSON Schema 2020-12 defines (Validation, section 7.3).
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

/// A schema that compiles: JSON Schema 2020-12, formats asserted, references within the schema only.
#[derive(Debug, Clone)]
pub struct InputSchema {
    schema: Value,
    validator: Validator,
    part: Part,
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
            return Err(vec![InputProblem::new("", "a schema is an object")]);
        }
        Self::compile_any(schema)
    }

    /// Compiles a schema of values that need not be objects.
    ///
    /// # Errors
    /// What is wrong with it, with pointers into it.
    pub fn compile_any(schema: &Value) -> Result<Self, Vec<InputProblem>> {
        let meta = jsonschema::draft202012::meta::validator();
        let mut problems = if schema.is_object() { keywords::problems(schema) } else { Vec::new() };
        // Of a pattern that the meta-schema refuses too, the reason is told.
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

    /// Whether checking `input` takes so little that it need not be done elsewhere.
    #[must_use]
    pub fn is_quick(&self, input: &Value) -> bool {
        self.part.cost_within(MAX_QUICK_STEPS, input).list <= MAX_QUICK_STEPS
    }

    /// Everything in `input` that does not meet the schema.
    ///
    /// It takes up to half a second for the largest inputs and schemas together, so it is called where neither a database
    /// connection nor a thread of others waits for it.
    #[must_use]
    pub fn problems(&self, input: &Value) -> Vec<InputProblem> {
        if !input.is_object() {
            return vec![InputProblem::new("", "the input has to be an object")];
        }
        self.problems_of(input)
    }

    /// Everything in a value, which need not be an object, that does not meet the schema.
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

    /// The validator's errors in `value`; the first alone where finding all of them takes too many steps.
    ///
    /// It is for schemas that no tenant wrote.
    pub(crate) fn errors<'v>(&'v self, value: &'v Value) -> Vec<ValidationError<'v>> {
        if self.part.cost(value).list <= MAX_LISTED_STEPS {
            self.validator.iter_errors(value).collect()
        } else {
            self.validator.validate(value).err().into_iter().collect()
        }
    }

    /// The names that the schema declares; `None` where it allows any others.
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

/// How the validator is built.
fn options() -> ValidationOptions<'static> {
    jsonschema::options()
        .with_draft(Draft::Draft202012)
        .with_pattern_options(PatternOptions::regex().size_limit(pattern::MAX_BYTES).dfa_size_limit(1 << 18))
        .should_validate_formats(true)
        .should_ignore_unknown_formats(false)
        .offline()
}

/// A message never repeats the value: it may be long, or a secret.
fn problem(error: &ValidationError<'_>) -> InputProblem {
    let detail: String = error.masked_with("this value").to_string().chars().take(300).collect();
    InputProblem { pointer: error.instance_path().to_string(), detail }
}

/// `token` as a part of a JSON pointer (RFC 6901, section 3).
fn escaped(token: &str) -> String {
    token.replace('~', "~0").replace('/', "~1")
}
