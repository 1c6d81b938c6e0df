//! `http.request`: `{method?, url, headers?, body?, expect_status?, as?}` → `{status, headers, body}`.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Value, json};
use tidegate_workflows::input::InputProblem;
use tidegate_workflows::run::StepError;
use tidegate_workflows::step::{StepOutput, StepType};

use super::body::{self, Reading};
use crate::ports::{OutboundError, OutboundHttp, OutboundRequest, StepHandler, StepTask};

pub(super) const NAME: &str = "http.request";

/// The step type, with the schemas of its input and its output.
pub(super) fn step_type() -> StepType {
    // A status may also be a string, because a string with an expression inside is a string.
    let status = json!({
        "type": ["integer", "string"],
        "minimum": 100,
        "maximum": 599,
        "pattern": "^[1-5][0-9][0-9]$",
        "title": "a whole number from 100 to 599",
    });
    StepType {
        with: json!({
            "type": "object",
            "required": ["url"],
            "additionalProperties": false,
            "properties": {
                "method": {"enum": ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]},
                "url": {"type": "string", "description": "Begins with http:// or https://."},
                "headers": {
                    "type": "object",
                    "propertyNames": {"pattern": "^[A-Za-z0-9!#$%&'*+.^_`|~-]+$", "title": "the name of a header"},
                    "additionalProperties": {
                        "type": ["string", "number", "boolean"],
                        "pattern": "^[^\\r\\n\\u0000]*$",
                        "title": "one line of text",
                    },
                },
                "body": {"description": "An object or a list is sent as JSON, a text as it is."},
                "expect_status": {
                    "anyOf": [status, {"type": "array", "minItems": 1, "items": status}],
                    "description": "Where absent, 200 to 399.",
                },
                "as": {
                    "enum": ["auto", "json", "text", "base64"],
                    "description": "What the body of the answer becomes; auto, the default, goes by its type.",
                },
            },
            "examples": [{
                "method": "POST",
                "url": "https://example.com/hooks",
                "headers": {"accept": "application/json"},
                "body": {"n": 1},
                "expect_status": [200],
                "as": "json",
            }],
        }),
        check: Some(check),
        output: StepOutput::Schema(json!({
            "type": "object",
            "required": ["status", "headers", "body"],
            "properties": {"status": {"type": "integer"}, "headers": {"type": "object"}, "body": {}},
        })),
        ..StepType::effect(NAME, "Makes one HTTP call.")
    }
}

/// Checks the literal text before the first expression: `url` has to begin with a scheme, and a header must not have a
/// line break.
fn check(with: &Value) -> Vec<InputProblem> {
    let before = |text: &str| text.split("${{").next().unwrap_or_default().to_owned();
    let headers = with.get("headers").and_then(Value::as_object).into_iter().flatten();
    let mut problems: Vec<InputProblem> = headers
        .filter(|(_, value)| value.as_str().is_some_and(|text| before(text).contains(['\r', '\n', '\0'])))
        .map(|(name, _)| format!("/headers/{}", name.replace('~', "~0").replace('/', "~1")))
        .map(|pointer| InputProblem::new(pointer, "expected one line of text"))
        .collect();
    let Some(url) = with.get("url").and_then(Value::as_str) else { return problems };
    let start = before(url);
    let lower = start.to_ascii_lowercase();
    let whole = start.len() == url.len();
    let fits = ["http://", "https://"].iter().any(|scheme| {
        lower.starts_with(scheme) && (!whole || lower.len() > scheme.len()) || !whole && scheme.starts_with(&lower)
    });
    if !fits || start.chars().any(|c| c.is_control() || c == ' ') {
        problems.push(InputProblem::new("/url", "expected an address that begins with http:// or https://"));
    }
    problems
}

/// Makes HTTP calls.
pub struct HttpRequest {
    http: Arc<dyn OutboundHttp>,
}

impl std::fmt::Debug for HttpRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpRequest").finish_non_exhaustive()
    }
}

/// Headers that a workflow may not set, because they belong to the connection or to the engine.
const RESERVED: [&str; 6] = ["host", "content-length", "transfer-encoding", "connection", "upgrade", "idempotency-key"];

/// Statuses after which the same call may succeed: RFC 9110, sections 15.5.9 and 15.6; RFC 8470; RFC 6585.
const TRANSIENT: [u16; 3] = [408, 425, 429];

impl HttpRequest {
    /// A handler that calls through `http`.
    #[must_use]
    pub fn new(http: Arc<dyn OutboundHttp>) -> Self {
        Self { http }
    }
}

#[async_trait]
impl StepHandler for HttpRequest {
    async fn execute(&self, task: &StepTask) -> Result<Value, StepError> {
        let expected = expected(&task.input)?;
        let reading = Reading::named(task.input.get("as"))?;
        let answer = self.http.call(request(task)?).await.map_err(failure)?;
        let fits =
            if expected.is_empty() { (200..400).contains(&answer.status) } else { expected.contains(&answer.status) };
        if !fits {
            let message = format!("the server answered {}", answer.status);
            let transient = answer.status >= 500 || TRANSIENT.contains(&answer.status);
            return Err(if transient {
                StepError::transient("unexpected-status", message)
            } else {
                StepError::permanent("unexpected-status", message)
            });
        }
        let body = body::read(reading, answer.headers.get("content-type").map(String::as_str), &answer.body)?;
        Ok(json!({"status": answer.status, "headers": answer.headers, "body": body}))
    }
}

fn invalid(message: impl Into<String>) -> StepError {
    StepError::permanent("http-request", message)
}

fn request(task: &StepTask) -> Result<OutboundRequest, StepError> {
    let text = |name: &str| task.input.get(name).and_then(Value::as_str);
    let method = text("method").unwrap_or("GET").to_ascii_uppercase();
    let url = text("url").ok_or_else(|| invalid("`url` has to be a text"))?.to_owned();
    let mut headers = BTreeMap::new();
    match task.input.get("headers") {
        None | Some(Value::Null) => {}
        Some(Value::Object(members)) => {
            for (name, value) in members {
                let name = name.to_ascii_lowercase();
                if RESERVED.contains(&name.as_str()) {
                    return Err(invalid(format!("the header {name} cannot be set")));
                }
                let value = match value {
                    Value::String(value) => value.clone(),
                    Value::Number(_) | Value::Bool(_) => value.to_string(),
                    _ => return Err(invalid(format!("the header {name} has to be a text"))),
                };
                headers.insert(name, value);
            }
        }
        Some(_) => return Err(invalid("`headers` has to be an object")),
    }
    let body = match task.input.get("body") {
        None | Some(Value::Null) => None,
        Some(Value::String(body)) => Some(body.clone().into_bytes()),
        Some(body) => {
            headers.entry("content-type".to_owned()).or_insert_with(|| "application/json".to_owned());
            Some(body.to_string().into_bytes())
        }
    };
    headers.insert("idempotency-key".to_owned(), task.idempotency_key.clone());
    headers.entry("user-agent".to_owned()).or_insert_with(|| "tidegate".to_owned());
    Ok(OutboundRequest { method, url, headers, body, timeout: task.timeout })
}

/// The statuses that count as success: one or a list. The result is empty if `expect_status` is absent; then 2xx and
/// 304 count.
fn expected(input: &Value) -> Result<Vec<u16>, StepError> {
    let status = |value: &Value| {
        // JSON has only one kind of number, so 200.0 is a status.
        let number = value.as_f64().or_else(|| value.as_str()?.parse::<u16>().ok().map(f64::from));
        (100..600)
            .find(|status: &u16| number == Some(f64::from(*status)))
            .ok_or_else(|| invalid("`expect_status` has to be a status such as 200, or a list of them"))
    };
    match input.get("expect_status") {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(list)) => list.iter().map(status).collect(),
        Some(one) => Ok(vec![status(one)?]),
    }
}

fn failure(error: OutboundError) -> StepError {
    match error {
        OutboundError::Invalid(message) => invalid(message),
        OutboundError::Refused(message) => StepError::permanent("address-refused", message),
        OutboundError::Redirect(_) => StepError::permanent("redirect-refused", error.to_string()),
        OutboundError::TooLarge(_) => StepError::permanent("answer-too-large", error.to_string()),
        OutboundError::Undecodable(message) => StepError::permanent("answer-unreadable", message),
        OutboundError::TimedOut(after) => StepError::timed_out(after),
        OutboundError::Unreachable(message) => StepError::transient("unreachable", message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_a_whole_number_however_it_is_written() {
        let statuses = |value: Value| expected(&json!({ "expect_status": value })).map_err(|error| error.code);
        for same in [json!(204), json!(204.0), json!("204"), json!([204.0])] {
            assert_eq!(statuses(same.clone()), Ok(vec![204]), "{same}");
        }
        assert_eq!(statuses(json!([200, "404"])), Ok(vec![200, 404]));
        assert_eq!(statuses(Value::Null), Ok(Vec::new()));
        for wrong in [json!(99), json!(600), json!(200.5), json!("2xx"), json!("2e2"), json!(true), json!([null])] {
            assert!(statuses(wrong.clone()).is_err(), "{wrong}");
        }
    }
}
