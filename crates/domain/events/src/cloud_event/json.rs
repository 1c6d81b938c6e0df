//! One event in the JSON format (CloudEvents JSON format 1.0.2).

use std::borrow::Cow;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use tidegate_kernel::json::{JsonProblem, JsonProblemKind, WholeNumbers};

use super::attributes::{Attributes, DataColumns};
use super::{MAX_DEPTH, MAX_EVENT_BYTES, NewEvent, Rejection, RejectionCode};
use crate::model::Payload;

/// The members of a JSON object in order, each with its raw text. A repeated name is kept.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Vec<(Cow<'de, str>, &'de RawValue)>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::with_capacity(12);
                while let Some(Name(name)) = map.next_key()? {
                    members.push((name, map.next_value()?));
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(InOrder).map(Members)
    }
}

/// A member's name. It is borrowed from the text unless it has escapes.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// Reads one event.
pub(super) fn event(text: &str, now: DateTime<Utc>) -> Result<NewEvent, Rejection> {
    check_size(text.len())?;
    check_depth(text, "")?;
    let members: Members<'_> = serde_json::from_str(text).map_err(|error| {
        Rejection::new(RejectionCode::Malformed, "", format!("not a JSON object in the CloudEvents format: {error}"))
    })?;
    let mut attributes = Attributes::default();
    let (mut data, mut data_base64) = (None, None);
    for (name, value) in members.0 {
        let slot = match name.as_ref() {
            "data" => &mut data,
            "data_base64" => &mut data_base64,
            _ => {
                let value = serde_json::from_str(value.get()).map_err(|error| {
                    Rejection::new(RejectionCode::BadAttribute, super::attributes::pointer(&name), error.to_string())
                })?;
                attributes.set(&name, value)?;
                continue;
            }
        };
        if slot.replace(value).is_some() {
            let detail = format!("`{name}` is given twice");
            return Err(Rejection::new(RejectionCode::BadData, super::attributes::pointer(&name), detail));
        }
    }
    let data_base64 = data_base64.filter(|value| value.get() != "null");
    let (payload, columns) = match (data, data_base64) {
        (Some(_), Some(_)) => {
            let detail = "an event has `data` or `data_base64`, not both";
            return Err(Rejection::new(RejectionCode::BadData, "/data_base64", detail));
        }
        (None, None) => (Payload::Absent, DataColumns::default()),
        (Some(data), None) => {
            check_data(data.get())?;
            (Payload::Json(data.get().into()), columns(data.get()))
        }
        (None, Some(encoded)) => (Payload::Binary(decode(encoded)?), DataColumns::default()),
    };
    attributes.finish(payload, columns, now)
}

pub(super) fn check_size(bytes: usize) -> Result<(), Rejection> {
    if bytes <= MAX_EVENT_BYTES {
        return Ok(());
    }
    let detail = format!("the event has {bytes} bytes; {MAX_EVENT_BYTES} are the most");
    Err(Rejection::new(RejectionCode::TooLarge, "", detail))
}

/// Checks the nesting depth before any recursive parsing.
pub(super) fn check_depth(text: &str, pointer: &str) -> Result<(), Rejection> {
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            _ if in_text => {}
            b'[' | b'{' => {
                depth += 1;
                if depth > MAX_DEPTH {
                    let detail = format!("objects and arrays nest over {MAX_DEPTH} deep");
                    return Err(Rejection::new(RejectionCode::TooDeep, pointer, detail));
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

/// Rejects JSON that readers reject or interpret differently, because `data` is returned exactly as it was sent.
///
/// Whole numbers of any length are kept. An expression reads one with more than 64 bits as the nearest double.
pub(super) fn check_data(text: &str) -> Result<(), Rejection> {
    tidegate_kernel::json::check(text, WholeNumbers::Any).map_err(|problem| {
        let JsonProblem { kind, pointer, line, column, .. } = problem;
        let detail = match kind {
            JsonProblemKind::Syntax => format!("`data` is not JSON: {} at line {line} column {column}", problem.detail),
            _ => problem.detail,
        };
        Rejection::new(RejectionCode::BadData, format!("/data{pointer}"), detail)
    })
}

/// The columns from a JSON object in `data`; none for any other value.
pub(super) fn columns(data: &str) -> DataColumns {
    let mut columns = DataColumns::default();
    if data.trim_ascii_start().starts_with('{')
        && let Ok(members) = serde_json::from_str::<Members<'_>>(data)
    {
        for (name, value) in members.0 {
            if value.get().starts_with('"')
                && let Ok(text) = serde_json::from_str::<Cow<'_, str>>(value.get())
            {
                columns.offer(&name, &text);
            }
        }
    }
    columns
}

fn decode(encoded: &RawValue) -> Result<Box<[u8]>, Rejection> {
    let bad = || {
        let detail = "`data_base64` must be a text in base 64 (RFC 4648, section 4)";
        Rejection::new(RejectionCode::BadData, "/data_base64", detail)
    };
    let text: Cow<'_, str> = serde_json::from_str(encoded.get()).map_err(|_| bad())?;
    STANDARD.decode(text.as_bytes()).map(Vec::into_boxed_slice).map_err(|_| bad())
}
