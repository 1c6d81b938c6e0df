//! Conditional reads: every JSON response to a GET has an `ETag`, and a caller who sends it in `If-None-Match` gets 304
//! without a body (RFC 9110, sections 8.8.3, 13.1.2 and 15.4.5).
//!
//! A handler may set the tag itself: the revision of a resource, or the tag that is cached with a list. Otherwise the
//! tag is a hash of the body. A malformed `If-None-Match` is ignored, so its caller gets the whole response.

use actix_web::Error;
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderValue, IF_NONE_MATCH,
};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use super::entity_tag::Tags;

/// What a cache may do with a read: it belongs to one caller, and is used only after the server has confirmed it.
const REVALIDATE: HeaderValue = HeaderValue::from_static("private, no-cache");

/// The length of the hash in a tag, in bytes.
const HASH: usize = 16;

/// The middleware. It runs inside the one that compresses, so it sees bodies as handlers wrote them.
///
/// # Errors
/// Errors of the request.
pub async fn middleware(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    if request.method() != Method::GET {
        return next.call(request).await.map(ServiceResponse::map_into_boxed_body);
    }
    let asked = Tags::of(request.request(), &IF_NONE_MATCH).and_then(Result::ok);
    let mut response = next.call(request).await?.map_into_boxed_body();
    if response.status() != StatusCode::OK {
        return Ok(response);
    }
    if !response.headers().contains_key(ETAG) {
        response = with_hash(response);
    }
    let Some(current) = response.headers().get(ETAG).cloned() else { return Ok(response) };
    if !response.headers().contains_key(CACHE_CONTROL) {
        response.headers_mut().insert(CACHE_CONTROL, REVALIDATE);
    }
    let Some(known) = asked.and_then(|asked| asked.known(&current)) else { return Ok(response) };
    *response.response_mut().status_mut() = StatusCode::NOT_MODIFIED;
    let headers = response.headers_mut();
    headers.insert(ETAG, known);
    // They describe a body that is not sent.
    for name in [CONTENT_TYPE, CONTENT_LENGTH, CONTENT_ENCODING] {
        headers.remove(name);
    }
    Ok(response.map_body(|_, _| BoxBody::new(())))
}

/// The response with a hash of its body as its tag. It stays as it is if it is not JSON, or if it is written piece
/// by piece.
fn with_hash(response: ServiceResponse) -> ServiceResponse {
    let is_json = response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().ends_with(b"json"));
    if !is_json {
        return response;
    }
    let mut tag = None;
    let mut response = response.map_body(|_, body| match body.try_into_bytes() {
        Ok(bytes) => {
            tag = Some(hash(&bytes));
            BoxBody::new(bytes)
        }
        Err(body) => body,
    });
    if let Some(tag) = tag {
        response.headers_mut().insert(ETAG, tag);
    }
    response
}

/// The tag of a representation.
pub(crate) fn hash(body: &[u8]) -> HeaderValue {
    let digest = Sha256::digest(body);
    let tag = format!("\"{}\"", URL_SAFE_NO_PAD.encode(&digest[..HASH]));
    // Base64 in quotes is always a valid header value.
    HeaderValue::from_str(&tag).unwrap_or(HeaderValue::from_static("\"\""))
}
