//! Checks the `with` of a step against the schema of its type.

use jsonschema::ValidationError;
use serde_json::{Map, Value, json};

use super::checker::{Checker, Part};
use super::document::{Content, Node};
use super::mismatch::{Mismatch, Place, mismatches};
use super::names::Names;
use crate::expression::{Shape, ValueTemplate, shape};
use crate::input::InputSchema;
use crate::step::RegisteredStep;

/// The compiled `with` of a step; an empty object if it is absent.
pub(super) fn parameters(
    checker: &mut Checker<'_>,
    step: &Part<'_>,
    uses: Option<&RegisteredStep>,
    with: Option<Part<'_>>,
    names: &Names<'_>,
) -> Option<ValueTemplate> {
    let Some(part) = with else {
        let empty = json!({});
        let missing = uses.filter(|uses| !uses.exact.errors(&empty).is_empty());
        if let Some(uses) = missing {
            let required = uses.step.with["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
            let required: Vec<String> = required.map(|name| format!("`{name}`")).collect();
            let needs = if required.is_empty() { "parameters".to_owned() } else { required.join(", ") };
            checker.problem(step, format!("`with` is missing; {} needs {needs}", uses.step.name));
            return None;
        }
        return Some(ValueTemplate::Literal(empty));
    };
    if part.members().is_none() {
        checker.problem(&part, format!("expected an object, this is {}", part.node.describe()));
        return None;
    }
    // A step of an unknown type accepts anything, but its expressions are checked.
    if let Some(uses) = uses {
        check(checker, &part, uses);
    }
    checker.template(&part, names)
}

/// Checks the literal parts. The values of expressions are known only at run time.
fn check(checker: &mut Checker<'_>, part: &Part<'_>, uses: &RegisteredStep) {
    let mut expressions = false;
    let with = seen(part.node, &mut expressions);
    let schema: &InputSchema = if expressions { &uses.wide } else { &uses.exact };
    let errors: Vec<ValidationError<'_>> = schema.errors(&with);
    let mut found = mismatches(schema.schema(), &errors);
    let beyond = uses.step.check.map(|check| check(&part.node.to_json())).unwrap_or_default();
    for problem in beyond {
        if found.iter().all(|known| known.pointer != problem.pointer) {
            found.push(Mismatch::at(problem.pointer, problem.detail));
        }
    }
    for Mismatch { pointer, place, detail, names, shows_kind } in found {
        if checker.is_full() {
            // Finding the place of a problem is expensive.
            checker.unlisted();
            continue;
        }
        let (node, pointer) = (part.node.nearest(&pointer), format!("{}{pointer}", part.pointer));
        let part = Part { node, pointer };
        match place {
            Place::Key(key) => {
                let (at, member) = part.member(&key);
                let suggestion = checker.nearest(&key, names.iter().map(String::as_str));
                checker.push(at, &member.pointer, detail, suggestion);
            }
            // The problem was already reported.
            Place::Value if matches!(node.content, Content::Unfit(_)) => {}
            Place::Value if shows_kind => {
                checker.problem(&part, format!("{detail}, this is {}", part.node.describe()));
            }
            Place::Value if names.is_empty() => checker.problem(&part, detail),
            Place::Value => {
                let suggestion = part.node.as_text().and_then(|text| meant(checker, text, &names));
                checker.suggest(&part, detail, suggestion);
            }
        }
    }
}

/// The word of `words` of which `text` is probably a misspelling, ignoring case.
fn meant(checker: &Checker<'_>, text: &str, words: &[String]) -> Option<String> {
    let same = words.iter().find(|word| word.eq_ignore_ascii_case(text)).cloned();
    let words = || words.iter().map(String::as_str);
    same.or_else(|| checker.nearest(text, words())).or_else(|| checker.nearest(&text.to_ascii_uppercase(), words()))
}

/// The value for validation against the schema. A text with expressions is replaced by a placeholder that only shows
/// whether it becomes any value or a text.
fn seen(node: &Node, expressions: &mut bool) -> Value {
    match &node.content {
        Content::Scalar(Value::String(text)) if text.contains("${{") => match shape(text) {
            Shape::Literal(text) => Value::String(text),
            shape => {
                *expressions = true;
                Value::from(if shape == Shape::Whole { "${{ }}" } else { "a text with ${{ }} in it" })
            }
        },
        Content::Scalar(value) => value.clone(),
        Content::Unfit(_) => Value::Null,
        Content::List(items) => items.iter().map(|item| seen(item, expressions)).collect(),
        Content::Object(members) => {
            let members = members.iter().map(|member| (member.key.clone(), seen(&member.value, expressions)));
            Value::Object(members.collect::<Map<_, _>>())
        }
    }
}
