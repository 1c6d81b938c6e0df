//! HTTP calls of workflows, guarded against SSRF: no URL of a tenant reaches the private network of the server.
//!
//! Names are resolved only here, and the connection goes to the addresses that were checked. So a name cannot resolve
//! to one address for the check and to another for the connection (DNS rebinding). Redirects are refused, proxies of
//! the environment are ignored, and time and size are limited, the size also after decompression.

mod address;
mod coding;
mod resolver;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::header::{ACCEPT_ENCODING, HeaderMap, HeaderName, HeaderValue, LOCATION};
use reqwest::{Client, Method, Response, Url, redirect};
use tidegate_engine::ports::{OutboundError, OutboundHttp, OutboundRequest, OutboundResponse};

pub use address::{canonical_host, is_public};
use resolver::{Checked, Refusal, Unchecked};

/// The methods that a workflow may use.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// The timeout for opening a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The limits of calls.
#[derive(Debug, Clone)]
pub struct OutboundConfig {
    /// `HOST:PORT` pairs that may be called although their addresses are private.
    pub allow_hosts: Vec<String>,
    /// The largest body of a response, in bytes, before and after decompression.
    pub max_bytes: usize,
}

impl Default for OutboundConfig {
    fn default() -> Self {
        Self { allow_hosts: Vec::new(), max_bytes: 1024 * 1024 }
    }
}

/// Makes ring the TLS library of this process, unless another was installed before. Every [`Client`] needs it.
pub fn install_tls() {
    // A second call keeps the library that is already installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// An HTTP client for calls of workflows, on reqwest.
#[derive(Debug, Clone)]
pub struct GuardedHttp {
    /// The client for all hosts: it connects to public addresses only.
    guarded: Client,
    /// The client for hosts that the operator has allowed.
    allowed: Client,
    config: OutboundConfig,
}

impl GuardedHttp {
    /// A client with the limits of `config`.
    ///
    /// # Errors
    /// An error of reqwest if the TLS library cannot be set up on this machine.
    pub fn new(config: &OutboundConfig) -> Result<Self, reqwest::Error> {
        install_tls();
        let client = || {
            Client::builder()
                .redirect(redirect::Policy::none())
                .no_proxy()
                .connect_timeout(CONNECT_TIMEOUT)
                .pool_idle_timeout(Duration::from_secs(30))
                .referer(false)
        };
        let allow_hosts = config.allow_hosts.iter().map(|host| host.to_ascii_lowercase()).collect();
        Ok(Self {
            guarded: client().dns_resolver(Arc::new(Checked)).build()?,
            allowed: client().dns_resolver(Arc::new(Unchecked)).build()?,
            config: OutboundConfig { allow_hosts, max_bytes: config.max_bytes },
        })
    }

    /// The client for `url`.
    fn client_for(&self, url: &Url) -> Result<&Client, OutboundError> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(OutboundError::Refused(format!("only http and https can be called, not {}", url.scheme())));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(OutboundError::Refused("put credentials into a header, not into the address".to_owned()));
        }
        let host = url.host().ok_or_else(|| OutboundError::Invalid("the address has no host".to_owned()))?;
        let port = url.port_or_known_default().unwrap_or_default();
        if self.config.allow_hosts.contains(&format!("{host}:{port}").to_ascii_lowercase()) {
            return Ok(&self.allowed);
        }
        // A literal IP address is never resolved, so it is checked here.
        let literal = match url.host_str().map(|host| host.trim_matches(['[', ']']).parse()) {
            Some(Ok(address)) => Some(address),
            _ => None,
        };
        match literal {
            Some(address) if !is_public(address) => Err(OutboundError::Refused(Refusal.to_string())),
            _ => Ok(&self.guarded),
        }
    }

    async fn exchange(&self, request: OutboundRequest) -> Result<OutboundResponse, OutboundError> {
        let url = Url::parse(&request.url).map_err(|error| OutboundError::Invalid(format!("the url: {error}")))?;
        let client = self.client_for(&url)?;
        if !METHODS.contains(&request.method.as_str()) {
            return Err(OutboundError::Invalid(format!("the method is one of {}", METHODS.join(", "))));
        }
        let method = Method::from_bytes(request.method.as_bytes())
            .map_err(|_| OutboundError::Invalid("the method is not valid".to_owned()))?;
        let mut headers = headers(&request.headers)?;
        headers.entry(ACCEPT_ENCODING).or_insert(HeaderValue::from_static(coding::ACCEPTED));
        let mut call = client.request(method, url).headers(headers);
        if let Some(body) = request.body {
            call = call.body(body);
        }
        let response = call.send().await.map_err(|error| failure(&error))?;
        let status = response.status().as_u16();
        if (300..400).contains(&status) && response.headers().contains_key(LOCATION) {
            return Err(OutboundError::Redirect(status));
        }
        let mut headers = response.headers().clone();
        let body = self.body(response).await?;
        let body = coding::unpack(&mut headers, body, self.config.max_bytes).await?;
        Ok(OutboundResponse { status, headers: flatten(&headers), body })
    }

    async fn body(&self, mut response: Response) -> Result<Vec<u8>, OutboundError> {
        let max = self.config.max_bytes;
        let too_large = || OutboundError::TooLarge(max);
        if response.content_length().is_some_and(|length| usize::try_from(length).map_or(true, |length| length > max)) {
            return Err(too_large());
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| failure(&error))? {
            if body.len() + chunk.len() > max {
                return Err(too_large());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

#[async_trait]
impl OutboundHttp for GuardedHttp {
    async fn call(&self, request: OutboundRequest) -> Result<OutboundResponse, OutboundError> {
        let limit = request.timeout;
        tokio::time::timeout(limit, self.exchange(request)).await.unwrap_or(Err(OutboundError::TimedOut(limit)))
    }
}

fn headers(of: &BTreeMap<String, String>) -> Result<HeaderMap, OutboundError> {
    of.iter()
        .map(|(name, value)| {
            let invalid = |_| OutboundError::Invalid(format!("the header {name:?} is not valid"));
            let value = HeaderValue::from_str(value)
                .map_err(|_| OutboundError::Invalid(format!("the value of the header {name:?} is not valid")))?;
            Ok((HeaderName::from_bytes(name.as_bytes()).map_err(invalid)?, value))
        })
        .collect()
}

fn flatten(headers: &HeaderMap) -> BTreeMap<String, String> {
    let mut flat: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        flat.entry(name.as_str().to_owned())
            .and_modify(|values| {
                values.push_str(", ");
                values.push_str(&value);
            })
            .or_insert_with(|| value.into_owned());
    }
    flat
}

/// The error for the tenant, without details of the server's network.
fn failure(error: &reqwest::Error) -> OutboundError {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(cause) = source {
        if cause.downcast_ref::<Refusal>().is_some() {
            return OutboundError::Refused(Refusal.to_string());
        }
        source = cause.source();
    }
    OutboundError::Unreachable(if error.is_connect() {
        "no connection to the server could be made".to_owned()
    } else if error.is_builder() {
        "the request cannot be sent".to_owned()
    } else {
        "the connection broke before the answer was complete".to_owned()
    })
}
