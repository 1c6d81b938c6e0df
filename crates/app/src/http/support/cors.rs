//! CORS: the origins whose pages may call the API from a browser, and the headers that they may read (Fetch, section
//! 3.2).
//!
//! Callers send tokens and never cookies, so credentials are not allowed. If the settings have no origin, no response
//! has a CORS header.

use actix_cors::Cors;
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::InternalError;
use actix_web::http::Method;
use actix_web::http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ALLOW, ETAG, HeaderName, HeaderValue, LOCATION, ORIGIN,
    RETRY_AFTER, VARY,
};
use actix_web::middleware::{Condition, Next};
use actix_web::{Error, web};

use super::envelope::REQUEST_ID;
use super::idempotency::REPLAYED;
use super::position::{POSITION, WATERMARK};
use super::rate::{RATE_LIMIT, RATE_LIMIT_POLICY};

/// How long a browser may cache a preflight response, in seconds. No browser caches longer.
const REMEMBERED: usize = 7200;

/// Response headers that pages may read, besides those that every page may read.
const EXPOSED: [HeaderName; 10] =
    [ALLOW, ETAG, REPLAYED, LOCATION, RATE_LIMIT, RATE_LIMIT_POLICY, RETRY_AFTER, POSITION, WATERMARK, REQUEST_ID];

/// Checks that a text is an origin exactly as browsers send it.
///
/// # Errors
/// What to write instead.
pub(crate) fn exact_origin(text: &str) -> Result<(), String> {
    // A host may contain `*`, but whoever writes that means a wildcard, and wildcards are not supported.
    let url = reqwest::Url::parse(text).ok().filter(|_| !text.contains('*'));
    let url = url.filter(|url| matches!(url.scheme(), "http" | "https"));
    match url.map(|url| url.origin().ascii_serialization()) {
        Some(origin) if origin == *text => Ok(()),
        Some(origin) => Err(format!("browsers would send `{origin}`")),
        None => Err("an origin is a scheme, a host and perhaps a port, such as `https://console.example.org`".into()),
    }
}

/// The origins whose pages may call the API.
#[derive(Debug, Clone, Default)]
pub struct Origins(Vec<String>);

impl Origins {
    /// Parses the origins of the settings.
    ///
    /// # Errors
    /// A sentence about the first origin that no browser would send.
    pub fn new(origins: &[String]) -> Result<Self, String> {
        for text in origins {
            exact_origin(text).map_err(|advice| format!("--cors-origin {text:?}: {advice}"))?;
        }
        Ok(Self(origins.to_vec()))
    }

    /// The middleware that answers preflights and adds CORS headers.
    #[must_use]
    pub fn middleware(&self) -> Condition<Cors> {
        let methods = [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
        // Any request header is allowed: attributes of events in binary mode are headers with names of their own.
        let cors =
            Cors::default().allowed_methods(methods).allow_any_header().expose_headers(EXPOSED).max_age(REMEMBERED);
        let cors = self.0.iter().fold(cors, |cors, origin| cors.allowed_origin(origin));
        Condition::new(!self.0.is_empty(), cors)
    }

    fn allows(&self, origin: &HeaderValue) -> bool {
        self.0.iter().any(|allowed| origin == allowed.as_str())
    }
}

/// The outer middleware. It adds CORS headers to responses that the inner one does not see: errors of other
/// middlewares, such as an exceeded time limit.
///
/// # Errors
/// Errors of the request, with CORS headers.
pub async fn mark_errors(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let origins = request.app_data::<web::Data<Origins>>().cloned().filter(|origins| !origins.0.is_empty());
    let origin = request.headers().get(ORIGIN).cloned();
    let error = match next.call(request).await {
        Ok(response) => return Ok(response.map_into_boxed_body()),
        Err(error) => error,
    };
    let Some(origins) = origins else { return Err(error) };
    let mut response = error.error_response();
    let headers = response.headers_mut();
    headers.append(VARY, HeaderValue::from_static("Origin"));
    if let Some(origin) = origin.filter(|origin| origins.allows(origin)) {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        let exposed = EXPOSED.map(|name| name.to_string()).join(", ");
        headers.insert(
            ACCESS_CONTROL_EXPOSE_HEADERS,
            HeaderValue::from_str(&exposed).unwrap_or(HeaderValue::from_static("*")),
        );
    }
    Err(InternalError::from_response("a problem", response).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_what_browsers_send() {
        let read = |text: &str| Origins::new(&[text.to_owned()]);
        for good in [
            "https://console.example.org",
            "http://127.0.0.1:5173",
            "http://[::1]:8080",
            "https://xn--bcher-kva.example",
        ] {
            assert!(read(good).is_ok(), "{good}");
        }
        for (bad, told) in [
            ("https://example.org/", "`https://example.org`"),
            ("https://example.org:443", "`https://example.org`"),
            ("HTTPS://Example.org", "`https://example.org`"),
            ("https://bücher.example", "`https://xn--bcher-kva.example`"),
            ("https://ada@example.org/path?q#f", "`https://example.org`"),
            ("example.org", "an origin is"),
            ("*", "an origin is"),
            ("null", "an origin is"),
            ("", "an origin is"),
            ("file:///tmp", "an origin is"),
        ] {
            let error = read(bad).unwrap_err();
            assert!(error.contains(bad) && error.contains(told), "{bad}: {error}");
        }
        assert!(read("https://*.example.org").is_err());
    }
}
