//! `http.request`: `{method?, url, headers?, body?, expect_status?, as?}` → `{status, headers, body}`.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Value, json};
use tidegate_workflows::run::StepError;

use super::body::{self, Reading};
use crate::ports::{OutboundError, OutboundHttp, OutboundRequest, StepHandler, StepTask};

/// Makes HTTP calls.
pub struct HttpRequest {
    http: Arc<dyn OutboundHttp>,
}

impl std::fmt::Debug for HttpRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpRequest").finish_non_exhaustive()
    }
}

/// Headers that the caller of a workflow may not set: they belong to the connection or to the engine.
const RESERVED: [&str; 6] = ["host", "content-length", "transfer-encoding", "connection", "upgrade", "idempotency-key"];

/// Statuses after which the same call may pass: RFC 9110, sections 15.5.9 and 15.6; RFC 8470; RFC 6585.
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

/// The statuses that count as success: one, or a list; empty where nothing is said, which means 2xx and 304.
fn expected(input: &Value) -> Result<Vec<u16>, StepError> {
    let status = |value: &Value| {
        // JSON has one kind of number: 200.0 is a status.
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
