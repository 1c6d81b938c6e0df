//! Converts values to JSON, and formats timestamps and durations.

use base64::prelude::{BASE64_STANDARD, Engine};
use chrono::{DateTime, FixedOffset, SecondsFormat, TimeDelta};
use serde_json::{Map as JsonMap, Number, Value as Json};

use super::{Key, Value};
use crate::expression::budget::{Budget, Exhausted};

/// The approximate size of a node of a JSON object in bytes, and the minimum number of members that share a node.
const OBJECT_NODE: (usize, usize) = (640, 6);

impl Value<'_> {
    /// The value as JSON; `Ok(None)` if JSON cannot represent it (infinity, NaN).
    pub(in crate::expression) fn to_json(&self, budget: &mut Budget) -> Result<Option<Json>, Exhausted> {
        budget.spend(1)?;
        Ok(Some(match self {
            Self::Null | Self::Optional(None) => Json::Null,
            Self::Optional(Some(value)) => return value.to_json(budget),
            Self::Bool(value) => Json::Bool(*value),
            Self::Int(value) => Json::from(*value),
            Self::Uint(value) => Json::from(*value),
            Self::Double(value) => match Number::from_f64(*value) {
                Some(number) => Json::Number(number),
                None => return Ok(None),
            },
            Self::Text(text) => {
                budget.allocate(text.as_str().len())?;
                Json::from(text.as_str())
            }
            Self::Bytes(bytes) => {
                budget.allocate(bytes.as_slice().len() / 3 * 4)?;
                Json::from(BASE64_STANDARD.encode(bytes.as_slice()))
            }
            Self::Timestamp(time) => Json::from(timestamp_text(time)),
            Self::Duration(duration) => Json::from(duration_text(duration)),
            Self::Type(name) => Json::from(*name),
            Self::List(list) => {
                budget.allocate_items::<Json>(list.len())?;
                let mut items = Vec::with_capacity(list.len());
                for item in list.iter() {
                    let Some(item) = item.to_json(budget)? else { return Ok(None) };
                    items.push(item);
                }
                Json::Array(items)
            }
            Self::Map(map) => {
                let (node, members) = OBJECT_NODE;
                budget.allocate(node * map.len().div_ceil(members))?;
                let mut object = JsonMap::new();
                for (key, value) in map.entries() {
                    if let Key::Text(text) = &key {
                        budget.allocate(text.as_str().len())?;
                        budget.search(text.as_str().len(), map.len())?;
                    }
                    let Some(value) = value.to_json(budget)? else { return Ok(None) };
                    object.insert(name_of(&key), value);
                }
                Json::Object(object)
            }
        }))
    }
}

fn name_of(key: &Key<'_>) -> String {
    match key {
        Key::Bool(value) => value.to_string(),
        Key::Int(value) => value.to_string(),
        Key::Uint(value) => value.to_string(),
        Key::Text(text) => text.as_str().to_owned(),
    }
}

/// RFC 3339, with as many decimals as needed.
pub(in crate::expression) fn timestamp_text(time: &DateTime<FixedOffset>) -> String {
    time.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

/// Seconds with up to nine decimals and an `s`, in CEL's format for durations.
pub(in crate::expression) fn duration_text(duration: &TimeDelta) -> String {
    let nanos = duration.subsec_nanos();
    let seconds = duration.num_seconds();
    if nanos == 0 {
        return format!("{seconds}s");
    }
    let sign = if *duration < TimeDelta::zero() { "-" } else { "" };
    let text = format!("{sign}{}.{:09}", seconds.unsigned_abs(), nanos.unsigned_abs());
    format!("{}s", text.trim_end_matches('0'))
}
