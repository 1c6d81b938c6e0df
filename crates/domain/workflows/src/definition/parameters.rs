//! What each kind of step takes in `with`.

use std::time::Duration;

use serde_json::Value;

use super::checker::{Checker, Fields, Part};
use super::document::Content;
use super::names::Names;
use super::parts::event_type;
use crate::compiled::StepKind;
use crate::expression::{TextPart, ValueTemplate};

/// The longest `delay`.
const MAX_DELAY: Duration = Duration::from_secs(366 * 86_400);

/// What `as` may say of the body of an answer.
const READINGS: [&str; 4] = ["auto", "json", "text", "base64"];

const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// The compiled `with` of a step; an empty object where there is none.
pub(super) fn parameters(
    checker: &mut Checker<'_>,
    step: &Part<'_>,
    kind: Option<StepKind>,
    with: Option<Part<'_>>,
    names: &Names<'_>,
) -> Option<ValueTemplate> {
    let Some(part) = with else {
        if let Some(kind) = kind.filter(|kind| *kind != StepKind::Transform) {
            checker.problem(step, format!("`with` is missing; {kind} needs {}", required(kind)));
            return None;
        }
        return Some(ValueTemplate::Literal(Value::Object(serde_json::Map::new())));
    };
    if part.members().is_none() {
        checker.problem(&part, format!("expected an object, this is {}", part.node.describe()));
        return None;
    }
    // A step that is not known may take anything; its expressions are checked all the same.
    if let Some(kind) = kind {
        check(checker, &part, kind);
    }
    checker.template(&part, names)
}

const fn required(kind: StepKind) -> &'static str {
    match kind {
        StepKind::HttpRequest => "`url`",
        StepKind::Transform => "nothing",
        StepKind::Condition => "`if`",
        StepKind::Delay => "`for`",
        StepKind::EmitEvent => "`type`",
    }
}

/// Checks what is written out; a value with `${{ }}` is checked when the step runs.
fn check(checker: &mut Checker<'_>, part: &Part<'_>, kind: StepKind) {
    match kind {
        StepKind::Transform => {}
        StepKind::HttpRequest => {
            if let Some(fields) = checker.object(part, &["method", "url", "headers", "body", "expect_status", "as"]) {
                http_request(checker, &fields);
            }
        }
        StepKind::Condition => {
            if let Some(fields) = checker.object(part, &["if"])
                && let Some(part) = fields.require(checker, "if")
                && !matches!(part.node.content, Content::Scalar(Value::Bool(_)))
                && !is_hole(&part)
            {
                checker.problem(&part, "a condition is true, false or one `${{ … }}`");
            }
        }
        StepKind::Delay => {
            if let Some(fields) = checker.object(part, &["for"])
                && let Some(part) = fields.require(checker, "for")
                && !has_hole(&part)
            {
                let _ = checker.duration(&part, MAX_DELAY);
            }
        }
        StepKind::EmitEvent => {
            if let Some(fields) = checker.object(part, &["type", "subject", "data"]) {
                if let Some(part) = fields.require(checker, "type")
                    && !has_hole(&part)
                {
                    let _ = event_type(checker, &part);
                }
                if let Some(part) = fields.get("subject") {
                    let _ = checker.text(&part);
                }
            }
        }
    }
}

fn http_request(checker: &mut Checker<'_>, fields: &Fields<'_>) {
    if let Some(part) = fields.get("method")
        && let Some(method) = checker.text(&part)
        && !has_hole(&part)
        && !METHODS.contains(&method)
    {
        let suggestion = checker
            .nearest(&method.to_ascii_uppercase(), METHODS)
            .or_else(|| METHODS.contains(&method.to_ascii_uppercase().as_str()).then(|| method.to_ascii_uppercase()));
        checker.suggest(&part, format!("expected one of {}", METHODS.join(", ")), suggestion);
    }
    if let Some(part) = fields.require(checker, "url")
        && let Some(url) = checker.text(&part)
    {
        let start = url.split("${{").next().unwrap_or_default();
        let lower = start.to_ascii_lowercase();
        let whole = start.len() == url.len();
        let fits = ["http://", "https://"].iter().any(|scheme| {
            lower.starts_with(scheme) && (!whole || lower.len() > scheme.len()) || !whole && scheme.starts_with(&lower)
        });
        if !fits || start.chars().any(|c| c.is_control() || c == ' ') {
            checker.problem(&part, "expected an address that begins with http:// or https://");
        }
    }
    if let Some(part) = fields.get("headers") {
        match part.members() {
            Some(members) => members.iter().for_each(|(name, at, member)| header(checker, name, *at, member)),
            None if has_hole(&part) => {}
            None => checker.problem(&part, format!("expected an object, this is {}", part.node.describe())),
        }
    }
    if let Some(part) = fields.get("expect_status")
        && !has_hole(&part)
    {
        match part.items() {
            Some(items) if items.is_empty() => checker.problem(&part, "expected at least one status"),
            Some(items) => items.iter().for_each(|item| status(checker, item)),
            None => status(checker, &part),
        }
    }
    if let Some(part) = fields.get("as")
        && let Some(reading) = checker.text(&part)
        && !has_hole(&part)
        && !READINGS.contains(&reading)
    {
        let suggestion = checker.nearest(reading, READINGS);
        checker.suggest(&part, format!("expected one of {}", READINGS.join(", ")), suggestion);
    }
}

fn status(checker: &mut Checker<'_>, part: &Part<'_>) {
    if !has_hole(part) {
        let _ = checker.whole(part, 100..=599);
    }
}

fn header(checker: &mut Checker<'_>, name: &str, at: super::document::Mark, part: &Part<'_>) {
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if name.is_empty() || !name.bytes().all(token) {
        checker.push(at, &part.pointer, "this cannot be the name of a header".to_owned(), None);
    }
    match &part.node.content {
        Content::Scalar(Value::String(text)) if text.contains(['\r', '\n', '\0']) => {
            checker.problem(part, "the value of a header is one line");
        }
        Content::Scalar(Value::String(_) | Value::Number(_) | Value::Bool(_)) => {}
        _ => checker.problem(part, format!("expected a text, this is {}", part.node.describe())),
    }
}

/// Whether the value is a text with `${{ }}`, whose value is known only when the step runs.
fn has_hole(part: &Part<'_>) -> bool {
    part.node.as_text().is_some_and(|text| text.contains("${{"))
}

/// Whether the value is one `${{ }}` and nothing else; where it is malformed, that is told elsewhere.
fn is_hole(part: &Part<'_>) -> bool {
    part.node.as_text().is_some_and(|text| match ValueTemplate::check_text(text) {
        Ok(ValueTemplate::Whole(_)) | Err(_) => true,
        Ok(ValueTemplate::Text(parts)) => parts.iter().all(|part| matches!(part, TextPart::Hole(_))),
        Ok(_) => false,
    })
}
