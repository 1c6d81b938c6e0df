//! Compression of responses with zstd, Brotli or gzip (RFC 9110, sections 8.4 and 12.5.3).
//!
//! A response is compressed if its caller accepts it, its body is over [`WORTH_IT`] bytes, in memory and of a kind that
//! shrinks, and it is whole (no range). It never is if it must not be stored (`no-store`): such responses have secrets,
//! and the length of a compressed body tells something about a secret beside text that somebody else can choose
//! (BREACH). Other responses need no such care: a request is authenticated by a header that pages of other sites cannot
//! make a browser send.

use std::io::Write;
use std::sync::LazyLock;

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{
    ACCEPT_ENCODING, ACCEPT_RANGES, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG,
    HeaderMap, HeaderValue, VARY,
};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{Error, web};
use bytes::Bytes;
use tokio::sync::Semaphore;

use super::entity_tag::CODINGS;
use super::problem::{NOT_ACCEPTABLE, Problem};

/// Bodies of at most so many bytes are sent as they are: the headers would outweigh what is saved.
pub(crate) const WORTH_IT: usize = 1024;
/// Larger bodies are compressed on threads for blocking work.
const AT_ONCE: usize = 32 * 1024;
/// Larger bodies are sent as they are.
const TOO_LARGE: usize = 16 * 1024 * 1024;

/// The large bodies that are compressed at the same time: one for each core. While all are busy, further ones are sent
/// as they are.
static LARGE: LazyLock<Semaphore> =
    LazyLock::new(|| Semaphore::new(std::thread::available_parallelism().map_or(1, usize::from)));

/// A content coding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    Zstd,
    Brotli,
    Gzip,
}

impl Coding {
    const ALL: [Self; 3] = [Self::Zstd, Self::Brotli, Self::Gzip];

    const fn name(self) -> &'static str {
        match self {
            Self::Zstd => CODINGS[0],
            Self::Brotli => CODINGS[1],
            Self::Gzip => CODINGS[2],
        }
    }

    fn encode(self, body: &[u8]) -> std::io::Result<Vec<u8>> {
        match self {
            Self::Zstd => zstd::bulk::compress(body, 3),
            Self::Brotli => {
                let mut writer = brotli::CompressorWriter::new(Vec::with_capacity(body.len() / 4), 4096, 4, 20);
                writer.write_all(body)?;
                Ok(writer.into_inner())
            }
            Self::Gzip => {
                let mut writer =
                    flate2::write::GzEncoder::new(Vec::with_capacity(body.len() / 4), flate2::Compression::new(5));
                writer.write_all(body)?;
                writer.finish()
            }
        }
    }
}

/// What a caller accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Accepted {
    /// The best coding; the first of [`Coding::ALL`] among equals.
    coding: Option<Coding>,
    /// Whether the body may be sent as it is.
    identity: bool,
}

impl Accepted {
    const AS_IT_IS: Self = Self { coding: None, identity: true };

    /// Reads `Accept-Encoding`. A malformed header counts as a missing one: the body is sent as it is.
    fn of(headers: &HeaderMap) -> Self {
        let mut values = headers.get_all(ACCEPT_ENCODING).peekable();
        if values.peek().is_none() {
            return Self::AS_IT_IS;
        }
        let texts: Option<Vec<&str>> = values.map(|value| value.to_str().ok()).collect();
        texts.and_then(|texts| Self::parse(&texts.join(","))).unwrap_or(Self::AS_IT_IS)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut asked: Vec<(String, u16)> = Vec::new();
        for element in text.split(',').map(str::trim).filter(|element| !element.is_empty()) {
            let (name, weight) = match element.split_once(';') {
                None => (element, 1000),
                Some((name, parameter)) => (name.trim(), weight(parameter.trim())?),
            };
            if name.is_empty() || name.contains(|c: char| !c.is_ascii_graphic() || "\"(),/:<=>?@[]{}\\".contains(c)) {
                return None;
            }
            let name = name.to_ascii_lowercase();
            asked.push((if name == "x-gzip" { "gzip".to_owned() } else { name }, weight));
        }
        let of = |name: &str| asked.iter().find(|(asked, _)| asked == name).map(|(_, weight)| *weight);
        let any = of("*");
        let mut best: Option<(Coding, u16)> = None;
        for coding in Coding::ALL {
            let weight = of(coding.name()).or(any).unwrap_or(0);
            if weight > best.map_or(0, |(_, best)| best) {
                best = Some((coding, weight));
            }
        }
        // Unless it is refused, the body as it is counts as the least wanted form, and as wanted as it is weighted.
        let identity = of("identity").or(any.filter(|weight| *weight == 0));
        let preferred = identity.unwrap_or(0);
        let coding = best.filter(|(_, weight)| *weight >= preferred).map(|(coding, _)| coding);
        Some(Self { coding, identity: identity != Some(0) })
    }
}

/// The weight `q=0` to `q=1` in thousandths.
fn weight(parameter: &str) -> Option<u16> {
    let (name, value) = parameter.split_once('=')?;
    if !name.trim().eq_ignore_ascii_case("q") {
        return None;
    }
    let (whole, fraction) = value.trim().split_once('.').unwrap_or((value.trim(), ""));
    if fraction.len() > 3 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let thousandths: u16 = format!("{fraction:0<3}").parse().ok()?;
    match whole {
        "0" => Some(thousandths),
        "1" if thousandths == 0 => Some(1000),
        _ => None,
    }
}

/// The middleware. It runs outside of the one that stores responses for idempotency keys, so they are stored as they
/// were written.
///
/// # Errors
/// 406 before anything is done if the caller accepts no form that the server has; otherwise the errors of the request.
pub async fn middleware(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let accepted = Accepted::of(request.headers());
    if accepted.coding.is_none() && !accepted.identity {
        let detail = "Accept one of `zstd`, `br`, `gzip` and `identity` in `Accept-Encoding`.";
        return Err(Problem::new(&NOT_ACCEPTABLE, detail).into());
    }
    let is_read = request.method() == Method::GET;
    let mut response = next.call(request).await?.map_into_boxed_body();
    let shrinks = shrinks(response.headers());
    if shrinks || (is_read && response.status() == StatusCode::NOT_MODIFIED) {
        response.headers_mut().append(VARY, HeaderValue::from_static("Accept-Encoding"));
    }
    let Some(coding) = accepted.coding.filter(|_| shrinks && may_be_coded(&response)) else { return Ok(response) };
    let size = match response.response().body().size() {
        BodySize::Sized(size) => usize::try_from(size).unwrap_or(usize::MAX),
        BodySize::None | BodySize::Stream => return Ok(response),
    };
    if size > TOO_LARGE || size == 0 || (size <= WORTH_IT && accepted.identity) {
        return Ok(response);
    }
    let (request, response) = response.into_parts();
    let (mut response, body) = response.into_parts();
    let bytes = match body.try_into_bytes() {
        Ok(bytes) => bytes,
        Err(body) => return Ok(ServiceResponse::new(request, response.set_body(body))),
    };
    let Some(coded) = encode(coding, bytes.clone(), accepted.identity).await else {
        return Ok(ServiceResponse::new(request, response.set_body(BoxBody::new(bytes))));
    };
    let headers = response.headers_mut();
    headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
    headers.remove(CONTENT_LENGTH);
    if let Some(tag) = headers.get(ETAG).and_then(|tag| coded_tag(tag, coding)) {
        headers.insert(ETAG, tag);
    }
    Ok(ServiceResponse::new(request, response.set_body(BoxBody::new(coded))))
}

/// The body in this coding; `None` if it does not get smaller and need not be coded.
async fn encode(coding: Coding, body: Bytes, identity: bool) -> Option<Bytes> {
    let size = body.len();
    let coded = if size <= AT_ONCE {
        coding.encode(&body)
    } else {
        let permit = match LARGE.try_acquire() {
            Ok(permit) => permit,
            Err(_) if identity => return None,
            Err(_) => LARGE.acquire().await.ok()?,
        };
        let coded = web::block(move || coding.encode(&body)).await;
        drop(permit);
        coded.unwrap_or_else(|error| Err(std::io::Error::other(error)))
    };
    match coded {
        Ok(coded) if coded.len() < size || !identity => Some(coded.into()),
        Ok(_) => None,
        Err(error) => {
            tracing::error!(%error, "a response could not be compressed");
            None
        }
    }
}

/// Whether a response of this kind gets smaller: JSON, other texts, and nothing that is compressed already.
fn shrinks(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let (group, name) = kind.split_once('/').unwrap_or_default();
    match group {
        "text" => name != "event-stream",
        "application" => {
            ["json", "x-ndjson", "xml", "yaml", "javascript", "wasm"].contains(&name)
                || name.ends_with("+json")
                || name.ends_with("+xml")
                || name.ends_with("+yaml")
        }
        "image" => name == "svg+xml",
        _ => false,
    }
}

/// Whether this response may be compressed: it is whole, not coded yet, and has no secret.
fn may_be_coded(response: &ServiceResponse) -> bool {
    let headers = response.headers();
    let may_be_stored = headers.get_all(CACHE_CONTROL).all(|value| {
        value.to_str().is_ok_and(|value| !value.split(',').any(|part| part.trim().eq_ignore_ascii_case("no-store")))
    });
    let has_body = !response.status().is_informational()
        && ![StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED, StatusCode::PARTIAL_CONTENT]
            .contains(&response.status());
    let is_whole = !headers.contains_key(CONTENT_RANGE) && !headers.contains_key(ACCEPT_RANGES);
    has_body && is_whole && may_be_stored && !headers.contains_key(CONTENT_ENCODING)
}

/// The tag of a compressed response: `"3"` becomes `"3-gzip"`.
fn coded_tag(tag: &HeaderValue, coding: Coding) -> Option<HeaderValue> {
    let tag = tag.as_bytes().strip_suffix(b"\"")?;
    HeaderValue::from_bytes(&[tag, b"-", coding.name().as_bytes(), b"\""].concat()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_accepted_coding_is_chosen() {
        let accepted = |text: &str| Accepted::parse(text).map(|accepted| (accepted.coding, accepted.identity));
        let (zstd, brotli, gzip) = (Some(Coding::Zstd), Some(Coding::Brotli), Some(Coding::Gzip));
        for (text, coding, identity) in [
            ("", None, true),
            ("gzip", gzip, true),
            ("GZip", gzip, true),
            ("x-gzip", gzip, true),
            ("deflate, gzip;q=1.0, *;q=0.5", gzip, true),
            ("gzip, deflate, br, zstd", zstd, true),
            ("gzip;q=0.9, br;q=0.8", gzip, true),
            ("br ; q=0.8 , gzip;q=0.80", brotli, true),
            ("*", zstd, true),
            ("zstd;q=0, *", brotli, true),
            ("gzip;q=0", None, true),
            ("identity", None, true),
            ("identity;q=0.5, gzip;q=0.4", None, true),
            ("identity;q=0.5, gzip;q=0.6", gzip, true),
            ("identity;q=0, gzip", gzip, false),
            ("identity;q=0", None, false),
            ("*;q=0", None, false),
            ("*;q=0, gzip", gzip, false),
            ("*;q=0, identity", None, true),
            ("deflate, compress", None, true),
        ] {
            assert_eq!(accepted(text), Some((coding, identity)), "{text:?}");
        }
        for malformed in
            ["gzip;q=2", "gzip;q=0.1234", "gzip;q=-1", "gzip;q=", "gzip;level=9", "gz ip", ";q=1", "gzip;q=a"]
        {
            assert_eq!(accepted(malformed), None, "{malformed:?}");
        }
    }

    #[test]
    fn kinds_that_are_compressed_already_are_sent_as_they_are() {
        let shrinks = |kind: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
            shrinks(&headers)
        };
        for kind in ["application/json", "text/html; charset=utf-8", "application/problem+json", "image/svg+xml"] {
            assert!(shrinks(kind), "{kind}");
        }
        for kind in
            ["image/png", "application/zip", "application/octet-stream", "text/event-stream", "video/mp4", "x", ""]
        {
            assert!(!shrinks(kind), "{kind}");
        }
    }
}
