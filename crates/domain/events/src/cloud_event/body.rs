//! Detects the mode of a request and splits its body into events.

use chrono::{DateTime, Utc};
use serde_json::value::RawValue;

use super::{MAX_BATCH_ITEMS, MAX_BODY_BYTES, NewEvent, Rejection, RejectionCode, binary, json};

/// How a request carries its events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// `application/cloudevents+json`: one event.
    Structured,
    /// `application/cloudevents-batch+json`: an array.
    Batched,
    /// `application/x-ndjson`: one event per line; blank lines are ignored.
    Lines,
    /// Attributes in `ce-` headers, `data` as the body.
    Binary,
}

/// The headers of a request.
pub trait Headers {
    /// The `Content-Type`, if it is present and readable.
    fn content_type(&self) -> Option<&str>;
    /// The headers with the prefix `ce-`: the rest of the name in lower case, and the value.
    fn attributes(&self) -> Vec<(&str, &[u8])>;
}

/// The events of a request, in its order.
#[derive(Debug, PartialEq, Eq)]
pub struct Body {
    /// The mode of the request.
    pub mode: Mode,
    /// Each event, or why it is rejected.
    pub items: Vec<Result<NewEvent, Rejection>>,
}

/// Why a whole request is rejected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// The request has neither a media type of CloudEvents or NDJSON nor a header of the binary mode.
    #[error(
        "send application/cloudevents+json, application/cloudevents-batch+json or application/x-ndjson in UTF-8, \
         or the attributes as ce- headers"
    )]
    UnsupportedMediaType,
    /// The body is larger than [`MAX_BODY_BYTES`].
    #[error("the body has over {MAX_BODY_BYTES} bytes")]
    TooLarge,
    /// The body has more than [`MAX_BATCH_ITEMS`] events.
    #[error("the body has over {MAX_BATCH_ITEMS} events")]
    TooMany,
    /// The body does not match its media type.
    #[error("{0}")]
    Malformed(String),
}

/// Reads a request. `now` is the time of receipt, which bounds `time`.
///
/// # Errors
/// [`Unreadable`] if the whole request is rejected. Problems with single events are in [`Body::items`].
pub fn read(headers: &impl Headers, body: &[u8], now: DateTime<Utc>) -> Result<Body, Unreadable> {
    if body.len() > MAX_BODY_BYTES {
        return Err(Unreadable::TooLarge);
    }
    let mode = mode(headers)?;
    let items = match mode {
        Mode::Structured => vec![structured(body, now)?],
        Mode::Batched => batched(body, now)?,
        Mode::Lines => lines(body, now)?,
        Mode::Binary => {
            vec![binary::event(headers.attributes().into_iter(), headers.content_type(), body, now)]
        }
    };
    Ok(Body { mode, items })
}

fn mode(headers: &impl Headers) -> Result<Mode, Unreadable> {
    let content_type = headers.content_type().unwrap_or_default();
    let mut parts = content_type.split(';').map(str::trim);
    let media = parts.next().unwrap_or_default().to_ascii_lowercase();
    let utf8 = parts.all(|parameter| match parameter.split_once('=') {
        Some((name, value)) if name.trim().eq_ignore_ascii_case("charset") => {
            value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
        }
        _ => true,
    });
    let mode = match media.as_str() {
        "application/cloudevents+json" => Mode::Structured,
        "application/cloudevents-batch+json" => Mode::Batched,
        "application/x-ndjson" => Mode::Lines,
        _ if media.starts_with("application/cloudevents") => return Err(Unreadable::UnsupportedMediaType),
        // Any `ce-` header means binary mode. A missing required one is reported for the event.
        _ if !headers.attributes().is_empty() => return Ok(Mode::Binary),
        _ => return Err(Unreadable::UnsupportedMediaType),
    };
    if utf8 { Ok(mode) } else { Err(Unreadable::UnsupportedMediaType) }
}

fn utf8(body: &[u8]) -> Result<&str, Unreadable> {
    str::from_utf8(body)
        .map_err(|error| Unreadable::Malformed(format!("the body is not UTF-8 from byte {} on", error.valid_up_to())))
}

fn structured(body: &[u8], now: DateTime<Utc>) -> Result<Result<NewEvent, Rejection>, Unreadable> {
    match json::event(utf8(body)?, now) {
        Err(Rejection { code: RejectionCode::Malformed, detail, .. }) => Err(Unreadable::Malformed(detail)),
        verdict => Ok(verdict),
    }
}

fn batched(body: &[u8], now: DateTime<Utc>) -> Result<Vec<Result<NewEvent, Rejection>>, Unreadable> {
    // The items stay raw texts here, so that an invalid or deeply nested one does not affect the others.
    let items: Vec<&RawValue> = serde_json::from_str(utf8(body)?)
        .map_err(|error| Unreadable::Malformed(format!("the body is not a JSON array of events: {error}")))?;
    if items.len() > MAX_BATCH_ITEMS {
        return Err(Unreadable::TooMany);
    }
    Ok(items.into_iter().map(|item| json::event(item.get(), now)).collect())
}

fn lines(body: &[u8], now: DateTime<Utc>) -> Result<Vec<Result<NewEvent, Rejection>>, Unreadable> {
    let mut items = Vec::new();
    for (number, line) in body.split(|byte| *byte == b'\n').enumerate() {
        let line = line.trim_ascii();
        if line.is_empty() {
            continue;
        }
        if items.len() == MAX_BATCH_ITEMS {
            return Err(Unreadable::TooMany);
        }
        let verdict = match str::from_utf8(line) {
            Ok(text) => json::event(text, now),
            Err(_) => Err(Rejection::new(RejectionCode::Malformed, "", "not UTF-8")),
        };
        items.push(verdict.map_err(|mut rejection| {
            rejection.detail = format!("line {}: {}", number + 1, rejection.detail);
            rejection
        }));
    }
    let unreadable =
        |item: &Result<_, Rejection>| matches!(item, Err(Rejection { code: RejectionCode::Malformed, .. }));
    match items.first() {
        Some(Err(first)) if items.iter().all(unreadable) => Err(Unreadable::Malformed(first.detail.clone())),
        _ => Ok(items),
    }
}
