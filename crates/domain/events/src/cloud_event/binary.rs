//! Binary mode: attributes in `ce-` headers, `data` as the body (CloudEvents HTTP binding 1.0.2, section 3.1).

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::attributes::{Attributes, DataColumns, pointer};
use super::json::{check_data, check_depth, check_size, columns};
use super::{NewEvent, Rejection, RejectionCode};
use crate::model::Payload;

/// Reads the single event of a request. `headers` are those with the prefix `ce-`, without the prefix, in lower case.
pub(super) fn event<'a>(
    headers: impl Iterator<Item = (&'a str, &'a [u8])>,
    content_type: Option<&str>,
    body: &[u8],
    now: DateTime<Utc>,
) -> Result<NewEvent, Rejection> {
    check_size(body.len())?;
    let mut attributes = Attributes::default();
    for (name, value) in headers {
        let refused = |detail: String| Rejection::new(RejectionCode::BadAttribute, pointer(name), detail);
        match name {
            "datacontenttype" => {
                return Err(refused("in binary mode `datacontenttype` is the Content-Type header".to_owned()));
            }
            "data" | "data_base64" => {
                return Err(refused(format!("in binary mode the data is the body, so there is no `ce-{name}` header")));
            }
            _ => {}
        }
        let value =
            unquoted(value).ok_or_else(|| refused(format!("`ce-{name}` opens a quote and does not close it")))?;
        let text = percent_decode(&value)
            .ok_or_else(|| refused(format!("`ce-{name}` is not UTF-8 once it is percent-decoded")))?;
        attributes.set(name, Value::String(text))?;
    }
    if let Some(content_type) = content_type {
        attributes.set("datacontenttype", Value::String(content_type.to_owned()))?;
    }
    let (payload, columns) = payload(attributes.data_content_type(), body)?;
    attributes.finish(payload, columns, now)
}

fn payload(content_type: Option<&str>, body: &[u8]) -> Result<(Payload, DataColumns), Rejection> {
    if body.is_empty() {
        return Ok((Payload::Absent, DataColumns::default()));
    }
    let media = content_type.map(|text| text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase());
    match media.as_deref() {
        Some(media) if is_json(media) => {
            let bad = |detail: String| Rejection::new(RejectionCode::BadData, "/data", detail);
            let text = str::from_utf8(body).map_err(|_| bad("the body is not UTF-8".to_owned()))?;
            check_depth(text, "/data")?;
            check_data(text).map_err(|mut rejection| {
                if rejection.pointer == "/data" {
                    rejection.detail = format!("the Content-Type says that the body is JSON: {}", rejection.detail);
                }
                rejection
            })?;
            Ok((Payload::Json(text.trim_ascii().into()), columns(text)))
        }
        Some(media) if media.starts_with("text/") && str::from_utf8(body).is_ok() => {
            Ok((Payload::Text(String::from_utf8_lossy(body).into()), DataColumns::default()))
        }
        _ => Ok((Payload::Binary(body.into()), DataColumns::default())),
    }
}

fn is_json(media: &str) -> bool {
    media.ends_with("/json") || media.ends_with("+json")
}

/// Unquotes a value in double quotes and removes the escaping backslashes (RFC 9110, section 5.6.4). The HTTP binding,
/// section 3.1.3.2, requires this before percent-decoding, for compatibility with its early versions. Returns `None` if
/// the closing quote is not at the end.
fn unquoted(value: &[u8]) -> Option<Cow<'_, [u8]>> {
    let Some(inner) = value.strip_prefix(b"\"") else { return Some(Cow::Borrowed(value)) };
    let mut bytes = Vec::with_capacity(inner.len());
    let mut rest = inner;
    loop {
        match rest {
            [b'"'] => return Some(Cow::Owned(bytes)),
            [] | [b'"', ..] => return None,
            [b'\\', quoted, after @ ..] => {
                bytes.push(*quoted);
                rest = after;
            }
            [byte, after @ ..] => {
                bytes.push(*byte);
                rest = after;
            }
        }
    }
}

/// One round of percent-decoding (HTTP binding, section 3.1.3.2). A `%` without two hexadecimal digits is kept. Returns
/// `None` if the result is not UTF-8.
fn percent_decode(value: &[u8]) -> Option<String> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some((&first, tail)) = rest.split_first() {
        let hex = |b: u8| char::from(b).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        rest = match (first, tail) {
            (b'%', [high, low, after @ ..]) if hex(*high).is_some() && hex(*low).is_some() => {
                bytes.push(hex(*high)? << 4 | hex(*low)?);
                after
            }
            _ => {
                bytes.push(first);
                tail
            }
        };
    }
    String::from_utf8(bytes).ok()
}
