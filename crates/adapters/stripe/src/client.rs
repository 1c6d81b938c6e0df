//! Requests to the API of Stripe (<https://docs.stripe.com/api>): form-encoded, answered with JSON.

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Method, Response, StatusCode};
use serde_json::Value;
use tidegate_billing::payment::ProviderError;
use url::Url;

/// The version of the API. Answers keep its form whatever version the account has.
const VERSION: &str = "2024-06-20";

/// The timeout of one attempt.
const TIMEOUT: Duration = Duration::from_secs(20);

/// The pauses before further attempts.
const PAUSES: [Duration; 3] = [Duration::from_millis(250), Duration::from_secs(1), Duration::from_secs(3)];

/// The largest answer, in bytes.
const MAX_BYTES: usize = 1024 * 1024;

/// The secret key of an account.
#[derive(Clone)]
pub struct SecretKey(HeaderValue);

impl SecretKey {
    /// The key with this text; `None` if it cannot be one.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let mut value = HeaderValue::from_str(&format!("Bearer {text}")).ok().filter(|_| !text.trim().is_empty())?;
        value.set_sensitive(true);
        Some(Self(value))
    }
}

impl std::fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretKey(…)")
    }
}

/// Where the API is, and who asks.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// The secret key.
    pub key: SecretKey,
    /// The API without `/v1`: `https://api.stripe.com`, or a server of tests.
    pub base: Url,
}

/// Why Stripe refused a request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Refusal {
    /// The kind of error, such as `card_error`.
    pub kind: String,
    /// The code, such as `card_declined`.
    pub code: Option<String>,
    /// Why the bank declined, such as `insufficient_funds`.
    pub decline_code: Option<String>,
    /// The text for developers. It has no secrets.
    pub message: String,
}

/// Why a request has no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallError {
    /// No answer, or one that may be different later.
    Unavailable(String),
    /// Stripe refused.
    Refused(Refusal),
}

impl From<CallError> for ProviderError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Unavailable(error) => Self::Unavailable(error),
            CallError::Refused(refusal) => {
                let code = refusal.code.unwrap_or(refusal.kind);
                Self::Refused(format!("{code}: {}", refusal.message))
            }
        }
    }
}

/// Sends requests, and again after a lost connection, 409, 429 and 5xx.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    config: ClientConfig,
}

impl Client {
    /// A client.
    ///
    /// # Errors
    /// An error of reqwest if the TLS library cannot be set up on this machine.
    pub fn new(config: ClientConfig) -> Result<Self, reqwest::Error> {
        tidegate_outbound_http::install_tls();
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(TIMEOUT)
            .connect_timeout(Duration::from_secs(10))
            .build()?;
        Ok(Self { http, config })
    }

    /// Reads an object.
    ///
    /// # Errors
    /// [`CallError`] if there is no answer or a refusal.
    pub async fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Value, CallError> {
        let mut url = self.url(path)?;
        url.query_pairs_mut().extend_pairs(query);
        self.send(Method::GET, url, None, None).await
    }

    /// Creates or changes an object. Equal keys have one effect.
    ///
    /// # Errors
    /// [`CallError`] if there is no answer or a refusal.
    pub async fn post(&self, path: &str, form: &[(&str, &str)], key: Option<&str>) -> Result<Value, CallError> {
        let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        self.send(Method::POST, self.url(path)?, Some(form), key).await
    }

    fn url(&self, path: &str) -> Result<Url, CallError> {
        let base = self.config.base.as_str().trim_end_matches('/');
        Url::parse(&format!("{base}/v1/{path}")).map_err(|error| CallError::Unavailable(error.to_string()))
    }

    async fn send(
        &self,
        method: Method,
        url: Url,
        form: Option<String>,
        key: Option<&str>,
    ) -> Result<Value, CallError> {
        let mut pauses = PAUSES.into_iter();
        loop {
            let mut request = self
                .http
                .request(method.clone(), url.clone())
                .header(AUTHORIZATION, self.config.key.0.clone())
                .header("Stripe-Version", VERSION);
            if let Some(key) = key {
                request = request.header("Idempotency-Key", key);
            }
            if let Some(form) = &form {
                request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form.clone());
            }
            // The error of reqwest names the address, which has ids but no secrets.
            let failed = match request.send().await {
                Ok(response) => match read(response).await {
                    Err(CallError::Unavailable(error)) => error,
                    answer => return answer,
                },
                Err(error) => error.without_url().to_string(),
            };
            match pauses.next() {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return Err(CallError::Unavailable(failed)),
            }
        }
    }
}

async fn read(mut response: Response) -> Result<Value, CallError> {
    let status = response.status();
    let mut body = Vec::new();
    while let Some(chunk) =
        response.chunk().await.map_err(|error| CallError::Unavailable(error.without_url().to_string()))?
    {
        if body.len() + chunk.len() > MAX_BYTES {
            return Err(CallError::Unavailable("the answer is too large".to_owned()));
        }
        body.extend_from_slice(&chunk);
    }
    if matches!(status, StatusCode::CONFLICT | StatusCode::TOO_MANY_REQUESTS) || status.is_server_error() {
        return Err(CallError::Unavailable(format!("status {status}")));
    }
    let answer: Value =
        serde_json::from_slice(&body).map_err(|_| CallError::Unavailable(format!("status {status} without JSON")))?;
    if status.is_success() {
        return Ok(answer);
    }
    let error = &answer["error"];
    let text = |name: &str| error[name].as_str().map(str::to_owned);
    // A key that is wrong or was replaced can be set right: it says nothing about the request.
    if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
        return Err(CallError::Unavailable(format!("status {status}: the secret key is refused")));
    }
    Err(CallError::Refused(Refusal {
        kind: text("type").unwrap_or_else(|| status.to_string()),
        code: text("code"),
        decline_code: text("decline_code"),
        message: text("message").unwrap_or_default(),
    }))
}
