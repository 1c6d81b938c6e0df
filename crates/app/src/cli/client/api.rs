//! A client of the HTTP API. It is the only HTTP client of the command line.

use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::multipart::Form;
use reqwest::{Client, IntoUrl, Method, RequestBuilder};
use serde_json::Value;

use crate::cli::Failure;

/// The media type of JSON objects, one a line.
pub(super) const LINES: &str = "application/x-ndjson";

/// Whether requests use the proxies that the environment names.
#[derive(Debug, Clone, Copy)]
pub(super) enum Proxies {
    /// Requests go directly to the server.
    Ignored,
    /// Requests follow `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY`.
    FromEnvironment,
}

/// A server and the caller's credentials.
#[derive(Debug, Clone)]
pub(super) struct Api {
    base: String,
    client: Client,
    token: Option<String>,
}

/// A response with its body.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    /// The body as JSON; null if it is not JSON.
    pub(super) body: Value,
    /// The body as it is.
    pub(super) bytes: Vec<u8>,
}

impl Answer {
    /// A position in a header; 0 if there is none.
    pub(super) fn position(&self, name: &str) -> i64 {
        position(&self.headers, name).unwrap_or(0)
    }

    /// The items of a list.
    pub(super) fn items(&self) -> &[Value] {
        let items = self.body.get("items").unwrap_or(&self.body);
        items.as_array().map_or(&[], Vec::as_slice)
    }
}

/// A position in a header.
pub(super) fn position(headers: &HeaderMap, name: &str) -> Option<i64> {
    headers.get(name).and_then(|value| value.to_str().ok()?.parse().ok())
}

/// A member that is a text; empty if it is not one.
pub(super) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// A member that is a number; 0 if it is not one.
pub(super) fn number(value: &Value, pointer: &str) -> i64 {
    value.pointer(pointer).and_then(Value::as_i64).unwrap_or(0)
}

impl Api {
    /// The server at the address `base`. A request may take as long as `timeout`.
    ///
    /// # Errors
    /// An error if the client cannot be built, for example because TLS does not work on this machine.
    pub(super) fn new(base: &str, timeout: Duration, proxies: Proxies) -> reqwest::Result<Self> {
        let client = Client::builder().timeout(timeout);
        let client = match proxies {
            Proxies::Ignored => client.no_proxy(),
            Proxies::FromEnvironment => client,
        };
        Ok(Self { base: base.to_owned(), client: client.build()?, token: None })
    }

    /// The same server, with an access token or API key.
    pub(super) fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    /// A request to a URL of this server, with the token if there is one.
    pub(super) fn request(&self, method: Method, url: impl IntoUrl) -> RequestBuilder {
        let request = self.client.request(method, url);
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// Reads `path` below `/api/v1`.
    ///
    /// # Errors
    /// [`Failure`] if there is no response, or if its status is 400 or above. The other methods do the same.
    pub(super) async fn get(&self, path: &str) -> Result<Answer, Failure> {
        self.wanted(Method::GET, path, |request| request).await
    }

    /// Sends a JSON body.
    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<Answer, Failure> {
        self.wanted(Method::POST, path, |request| request.json(body)).await
    }

    /// Sends a JSON body in place of what is there.
    pub(super) async fn put(&self, path: &str, body: &Value) -> Result<Answer, Failure> {
        self.wanted(Method::PUT, path, |request| request.json(body)).await
    }

    /// Sends a body of JSON lines.
    pub(super) async fn post_lines(&self, path: &str, lines: &str) -> Result<Answer, Failure> {
        let lines = lines.to_owned();
        self.wanted(Method::POST, path, |request| request.header("content-type", LINES).body(lines)).await
    }

    /// Reads `path` and returns the response whatever its status is.
    pub(super) async fn try_get(&self, path: &str) -> Result<Answer, Failure> {
        self.send(Method::GET, path, |request| request).await
    }

    /// Sends a form and returns the response whatever its status is.
    pub(super) async fn try_form(&self, path: &str, form: Form) -> Result<Answer, Failure> {
        self.send(Method::POST, path, |request| request.multipart(form)).await
    }

    /// Reads `path` as it is.
    pub(super) async fn bytes(&self, path: &str) -> Result<Vec<u8>, Failure> {
        Ok(self.wanted(Method::GET, path, |request| request).await?.bytes)
    }

    async fn wanted(
        &self,
        method: Method,
        path: &str,
        fill: impl FnOnce(RequestBuilder) -> RequestBuilder,
    ) -> Result<Answer, Failure> {
        let named = format!("{method} {path}");
        let answer = self.send(method, path, fill).await?;
        if answer.status < 400 {
            return Ok(answer);
        }
        let (title, detail) = (text(&answer.body, "/title"), text(&answer.body, "/detail"));
        let (status, request) = (answer.status, text(&answer.body, "/request_id"));
        let said = format!("{named} answered {status}: {title}. {detail} (request {request})");
        Err(if matches!(status, 402 | 403) { Failure::Refused(said) } else { Failure::Failed(said) })
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        fill: impl FnOnce(RequestBuilder) -> RequestBuilder,
    ) -> Result<Answer, Failure> {
        let failed = |error: reqwest::Error| {
            let why = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
            Failure::Failed(format!("no answer from {}: {why}; is a Tidegate server running there?", self.base))
        };
        let request = self.request(method, format!("{}/api/v1{path}", self.base));
        let response = fill(request).send().await.map_err(failed)?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.bytes().await.map_err(failed)?;
        Ok(Answer { status, headers, body: serde_json::from_slice(&body).unwrap_or_default(), bytes: body.into() })
    }
}
