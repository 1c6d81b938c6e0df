//! Describes why a value does not match a schema, in the terms of workflow documents.

use jsonschema::ValidationError;
use jsonschema::error::ValidationErrorKind as Kind;
use serde_json::Value;

use super::checker::shown;
use crate::step::is_expression;

/// One mismatch.
#[derive(Debug, PartialEq)]
pub(super) struct Mismatch {
    /// The JSON pointer to the value.
    pub(super) pointer: String,
    pub(super) place: Place,
    pub(super) detail: String,
    /// Names of which one was probably meant.
    pub(super) names: Vec<String>,
    /// Whether the message should name the kind of the value.
    pub(super) shows_kind: bool,
}

/// The wrong part of the value.
#[derive(Debug, PartialEq)]
pub(super) enum Place {
    /// All of it.
    Value,
    /// One of its keys.
    Key(String),
}

impl Mismatch {
    /// A mismatch of the value at `pointer`.
    pub(super) fn at(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        let (pointer, detail) = (pointer.into(), detail.into());
        Self { pointer, place: Place::Value, detail, names: Vec::new(), shows_kind: false }
    }
}

/// The mismatches that the errors of validating a value against `schema` describe, without consecutive duplicates.
pub(super) fn mismatches(schema: &Value, errors: &[ValidationError<'_>]) -> Vec<Mismatch> {
    let mut found = Vec::new();
    errors.iter().for_each(|error| add_mismatches(schema, error, &mut found));
    found
}

fn add_mismatches(schema: &Value, error: &ValidationError<'_>, found: &mut Vec<Mismatch>) {
    let keyword = error.schema_path().as_str();
    let owner = keyword.rsplit_once('/').and_then(|(owner, _)| schema.pointer(owner)).unwrap_or(&Value::Null);
    let at = |detail: String| Mismatch::at(error.instance_path().as_str(), detail);
    let key = |key: &str, detail: String, names| Mismatch { place: Place::Key(key.to_owned()), names, ..at(detail) };
    let counted = |word: &str, limit: &u64, of: &str| {
        at(format!("expected {word} {limit} {of}{}", if *limit == 1 { "" } else { "s" }))
    };
    let mismatch = match error.kind() {
        Kind::AnyOf { context } | Kind::OneOfNotValid { context } => match branch(schema, error, context) {
            Ok(errors) => {
                errors.iter().for_each(|error| add_mismatches(schema, error, found));
                return;
            }
            Err(shows_kind) => Mismatch { shows_kind, ..at(format!("expected {}", expected(owner))) },
        },
        Kind::AdditionalProperties { unexpected } | Kind::UnevaluatedProperties { unexpected } => {
            let names: Vec<String> =
                owner["properties"].as_object().into_iter().flat_map(|map| map.keys().cloned()).collect();
            let there = if names.is_empty() { String::new() } else { format!("; there are {}", names.join(", ")) };
            let unknown =
                |name: &String| key(name, format!("there is no field `{}` here{there}", shown(name)), names.clone());
            found.extend(unexpected.iter().map(unknown));
            return;
        }
        Kind::PropertyNames { error } => {
            // The error's schema path is that of the rule for names.
            let name = error.instance().as_str().unwrap_or_default();
            key(name, format!("expected {}, this is `{}`", expected(owner), shown(name)), words(owner))
        }
        Kind::Required { property } => at(format!("`{}` is missing", property.as_str().unwrap_or_default())),
        Kind::FalseSchema => at("this cannot be here".to_owned()),
        Kind::Enum { .. } => Mismatch { names: words(owner), ..at(format!("expected {}", expected(owner))) },
        Kind::Type { .. } => Mismatch { shows_kind: true, ..at(format!("expected {}", expected(owner))) },
        Kind::UniqueItems => at("the items have to differ from one another".to_owned()),
        Kind::MinItems { limit } => counted("at least", limit, "item"),
        Kind::MaxItems { limit } => counted("at most", limit, "item"),
        Kind::MinProperties { limit } => counted("at least", limit, "field"),
        Kind::MaxProperties { limit } => counted("at most", limit, "field"),
        _ => match (owner["title"].as_str(), plain(owner)) {
            (Some(title), _) => at(format!("expected {title}")),
            (None, Some(plain)) => at(format!("expected {plain}")),
            (None, None) => at(error.masked_with("this value").to_string().chars().take(300).collect()),
        },
    };
    // Two keywords of one schema can report the same mismatch, one right after the other.
    if found.last() != Some(&mismatch) {
        found.push(mismatch);
    }
}

/// The errors of the one branch that can be meant: the only branch that is not for expressions, or the only one for
/// values of this kind. If there is no such branch, whether that is because of the value's kind.
fn branch<'e>(
    schema: &Value,
    error: &ValidationError<'_>,
    context: &'e [Vec<ValidationError<'static>>],
) -> Result<&'e [ValidationError<'static>], bool> {
    let branches = schema.pointer(error.schema_path().as_str()).and_then(Value::as_array);
    let meant = branches.into_iter().flatten().zip(context).filter(|(branch, _)| !is_expression(branch));
    let meant: Vec<_> = meant.map(|(_, errors)| errors).collect();
    let another_kind = |errors: &Vec<ValidationError<'_>>| {
        errors
            .iter()
            .any(|inner| matches!(inner.kind(), Kind::Type { .. }) && inner.instance_path() == error.instance_path())
    };
    let fitting: Vec<_> = meant.iter().copied().filter(|errors| !another_kind(errors)).collect();
    match (meant.as_slice(), fitting.as_slice()) {
        ([only], _) | (_, [only]) => Ok(only),
        (_, fitting) => Err(fitting.is_empty()),
    }
}

/// The expected value, as a noun.
fn expected(schema: &Value) -> String {
    let title = schema["title"].as_str().map(str::to_owned);
    title.or_else(|| plain(schema)).unwrap_or_else(|| "another value".to_owned())
}

fn plain(schema: &Value) -> Option<String> {
    if let Some(options) = schema["enum"].as_array() {
        let options: Vec<String> = options.iter().map(literal).collect();
        return Some(if options.len() == 1 { options.concat() } else { format!("one of {}", options.join(", ")) });
    }
    if let Some(only) = schema.get("const") {
        return Some(literal(only));
    }
    if let Some(branches) = schema.get("anyOf").or_else(|| schema.get("oneOf")).and_then(Value::as_array) {
        let branches = branches.iter().filter(|branch| !is_expression(branch)).map(expected);
        return Some(alternatives(&branches.collect::<Vec<_>>()));
    }
    match &schema["type"] {
        Value::String(kind) => Some(of_kind(schema, kind)),
        Value::Array(kinds) => {
            let kinds: Vec<String> = kinds.iter().filter_map(Value::as_str).map(|kind| of_kind(schema, kind)).collect();
            Some(alternatives(&kinds))
        }
        _ => None,
    }
}

fn alternatives(all: &[String]) -> String {
    match all.split_last() {
        Some((last, before)) if !before.is_empty() => format!("{} or {last}", before.join(", ")),
        _ => all.concat(),
    }
}

fn of_kind(schema: &Value, kind: &str) -> String {
    let noun = match kind {
        "integer" => "a whole number",
        "number" => "a number",
        "string" => "a text",
        "boolean" => "true or false",
        "array" => "a list",
        "object" => "an object",
        other => other,
    };
    let bounds = |least: &str, most: &str, unit: &str| match (schema.get(least), schema.get(most)) {
        (Some(least), Some(most)) => format!("{least} to {most}{unit}"),
        (Some(least), None) => format!("at least {least}{unit}"),
        (None, Some(most)) => format!("at most {most}{unit}"),
        (None, None) => String::new(),
    };
    let of = |bounds: String, word: &str| if bounds.is_empty() { bounds } else { format!(" {word} {bounds}") };
    match kind {
        "integer" | "number" => {
            let bounds = bounds("minimum", "maximum", "");
            let word = if bounds.starts_with("at ") { "of" } else { "from" };
            format!("{noun}{}", of(bounds, word))
        }
        "string" => {
            let length = of(bounds("minLength", "maxLength", " characters"), "of");
            let format = schema["format"].as_str().map(|format| format!(" in the format `{format}`"));
            let pattern = schema["pattern"].as_str().map(|pattern| format!(" that matches `{pattern}`"));
            format!("{noun}{length}{}{}", format.unwrap_or_default(), pattern.unwrap_or_default())
        }
        _ => noun.to_owned(),
    }
}

/// The texts of an `enum`.
fn words(schema: &Value) -> Vec<String> {
    schema["enum"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn literal(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
