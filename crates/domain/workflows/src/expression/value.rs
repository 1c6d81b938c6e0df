//! The values of an expression while it is evaluated. What came in as JSON is borrowed, never copied.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::rc::Rc;

use base64::prelude::{BASE64_STANDARD, Engine};
use chrono::{DateTime, FixedOffset, SecondsFormat, TimeDelta};
use serde_json::{Map as JsonMap, Number, Value as Json};

use super::StepBinding;
use super::budget::{Budget, Exhausted};

/// A value; a copy is cheap.
#[derive(Debug, Clone)]
pub(super) enum Value<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(Text<'a>),
    Bytes(Rc<[u8]>),
    Timestamp(DateTime<FixedOffset>),
    Duration(TimeDelta),
    Type(&'static str),
    List(List<'a>),
    Map(Map<'a>),
}

#[derive(Debug, Clone)]
pub(super) enum Text<'a> {
    Borrowed(&'a str),
    Made(Rc<str>),
}

impl Text<'_> {
    pub(super) fn as_str(&self) -> &str {
        match self {
            Self::Borrowed(text) => text,
            Self::Made(text) => text,
        }
    }
}

#[derive(Debug, Clone)]
pub(super) enum List<'a> {
    Json(&'a [Json]),
    Made(Rc<[Value<'a>]>),
}

impl<'a> List<'a> {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Json(items) => items.len(),
            Self::Made(items) => items.len(),
        }
    }

    pub(super) fn get(&self, index: usize) -> Option<Value<'a>> {
        match self {
            Self::Json(items) => items.get(index).map(Value::from_json),
            Self::Made(items) => items.get(index).cloned(),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Value<'a>> + '_ {
        (0..self.len()).filter_map(|index| self.get(index))
    }
}

#[derive(Debug, Clone)]
pub(super) enum Map<'a> {
    Json(&'a JsonMap<String, Json>),
    Made(Rc<BTreeMap<Key, Value<'a>>>),
    Steps(&'a BTreeMap<&'a str, StepBinding<'a>>),
    Step(StepBinding<'a>),
}

/// A key of a map that an expression made. Numbers of one value are one key, whatever their type.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    Bool(bool),
    Number(i128),
    Text(Rc<str>),
}

impl Key {
    pub(super) fn of(value: &Value<'_>) -> Option<Self> {
        Some(match value {
            Value::Bool(value) => Self::Bool(*value),
            Value::Int(value) => Self::Number(i128::from(*value)),
            Value::Uint(value) => Self::Number(i128::from(*value)),
            Value::Text(text) => Self::Text(Rc::from(text.as_str())),
            _ => return None,
        })
    }

    fn to_value<'a>(&self) -> Value<'a> {
        match self {
            Self::Bool(value) => Value::Bool(*value),
            Self::Number(value) => match i64::try_from(*value) {
                Ok(int) => Value::Int(int),
                Err(_) => Value::Uint(u64::try_from(*value).unwrap_or(u64::MAX)),
            },
            Self::Text(text) => Value::Text(Text::Made(Rc::clone(text))),
        }
    }

    fn to_text(&self) -> String {
        match self {
            Self::Bool(value) => value.to_string(),
            Self::Number(value) => value.to_string(),
            Self::Text(text) => text.to_string(),
        }
    }
}

impl<'a> Map<'a> {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Json(map) => map.len(),
            Self::Made(map) => map.len(),
            Self::Steps(map) => map.len(),
            Self::Step(_) => 3,
        }
    }

    pub(super) fn get(&self, key: &Key) -> Option<Value<'a>> {
        match (self, key) {
            (Self::Made(map), key) => map.get(key).cloned(),
            (map, Key::Text(name)) => map.field(name),
            _ => None,
        }
    }

    pub(super) fn field(&self, name: &str) -> Option<Value<'a>> {
        match self {
            Self::Json(map) => map.get(name).map(Value::from_json),
            Self::Made(map) => map.get(&Key::Text(Rc::from(name))).cloned(),
            Self::Steps(steps) => steps.get(name).map(|step| Value::Map(Map::Step(*step))),
            Self::Step(step) => match name {
                "status" => Some(Value::Text(Text::Borrowed(step.status))),
                "output" => Some(Value::from_json(step.output)),
                "error" => Some(Value::from_json(step.error)),
                _ => None,
            },
        }
    }

    pub(super) fn keys(&self) -> Vec<Value<'a>> {
        let text = |name: &'a str| Value::Text(Text::Borrowed(name));
        match self {
            Self::Json(map) => map.keys().map(|key| text(key)).collect(),
            Self::Made(map) => map.keys().map(Key::to_value).collect(),
            Self::Steps(steps) => steps.keys().map(|key| text(key)).collect(),
            Self::Step(_) => ["status", "output", "error"].map(text).to_vec(),
        }
    }
}

impl<'a> Value<'a> {
    /// JSON as CEL sees it: a whole number is an int, above the range of ints a uint, everything else a double.
    pub(super) fn from_json(json: &'a Json) -> Self {
        match json {
            Json::Null => Self::Null,
            Json::Bool(value) => Self::Bool(*value),
            Json::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(int), _) => Self::Int(int),
                (None, Some(uint)) => Self::Uint(uint),
                (None, None) => Self::Double(number.as_f64().unwrap_or(f64::NAN)),
            },
            Json::String(text) => Self::Text(Text::Borrowed(text)),
            Json::Array(items) => Self::List(List::Json(items)),
            Json::Object(map) => Self::Map(Map::Json(map)),
        }
    }

    pub(super) fn made(text: impl Into<Rc<str>>) -> Self {
        Self::Text(Text::Made(text.into()))
    }

    /// The name of the type, as CEL's `type()` gives it.
    pub(super) const fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null_type",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Uint(_) => "uint",
            Self::Double(_) => "double",
            Self::Text(_) => "string",
            Self::Bytes(_) => "bytes",
            Self::Timestamp(_) => "google.protobuf.Timestamp",
            Self::Duration(_) => "google.protobuf.Duration",
            Self::Type(_) => "type",
            Self::List(_) => "list",
            Self::Map(_) => "map",
        }
    }

    /// The value as JSON; `Ok(None)` where it has none (infinity, not a number).
    pub(super) fn to_json(&self, budget: &mut Budget) -> Result<Option<Json>, Exhausted> {
        budget.spend(1)?;
        Ok(Some(match self {
            Self::Null => Json::Null,
            Self::Bool(value) => Json::Bool(*value),
            Self::Int(value) => Json::from(*value),
            Self::Uint(value) => Json::from(*value),
            Self::Double(value) => match Number::from_f64(*value) {
                Some(number) => Json::Number(number),
                None => return Ok(None),
            },
            Self::Text(text) => {
                budget.copy(text.as_str().len())?;
                Json::from(text.as_str())
            }
            Self::Bytes(bytes) => {
                budget.copy(bytes.len())?;
                Json::from(BASE64_STANDARD.encode(bytes))
            }
            Self::Timestamp(time) => Json::from(time.to_rfc3339_opts(SecondsFormat::AutoSi, true)),
            Self::Duration(duration) => Json::from(duration_text(duration)),
            Self::Type(name) => Json::from(*name),
            Self::List(list) => {
                let mut items = Vec::new();
                for item in list.iter() {
                    let Some(item) = item.to_json(budget)? else { return Ok(None) };
                    items.push(item);
                }
                Json::Array(items)
            }
            Self::Map(map) => {
                let mut object = JsonMap::new();
                for key in map.keys() {
                    let Some(key) = Key::of(&key) else { continue };
                    let name = key.to_text();
                    budget.copy(name.len())?;
                    let Some(value) = map.get(&key) else { continue };
                    let Some(value) = value.to_json(budget)? else { return Ok(None) };
                    object.insert(name, value);
                }
                Json::Object(object)
            }
        }))
    }

    /// CEL's equality: numbers by value across types, everything else by type first.
    pub(super) fn equals(&self, other: &Self, budget: &mut Budget) -> Result<bool, Exhausted> {
        budget.spend(1)?;
        Ok(match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Text(a), Self::Text(b)) => {
                budget.scan(a.as_str().len().min(b.as_str().len()))?;
                a.as_str() == b.as_str()
            }
            (Self::Bytes(a), Self::Bytes(b)) => a == b,
            (Self::Timestamp(a), Self::Timestamp(b)) => a == b,
            (Self::Duration(a), Self::Duration(b)) => a == b,
            (Self::Type(a), Self::Type(b)) => a == b,
            (Self::List(a), Self::List(b)) => {
                if a.len() != b.len() {
                    return Ok(false);
                }
                for (a, b) in a.iter().zip(b.iter()) {
                    if !a.equals(&b, budget)? {
                        return Ok(false);
                    }
                }
                true
            }
            (Self::Map(a), Self::Map(b)) => {
                if a.len() != b.len() {
                    return Ok(false);
                }
                for key in a.keys() {
                    let Some(key) = Key::of(&key) else { return Ok(false) };
                    let (Some(left), Some(right)) = (a.get(&key), b.get(&key)) else { return Ok(false) };
                    if !left.equals(&right, budget)? {
                        return Ok(false);
                    }
                }
                true
            }
            (a, b) => a.compare_numbers(b) == Some(Ordering::Equal),
        })
    }

    /// The order of two numbers; `None` where one is no number, or not a number.
    fn compare_numbers(&self, other: &Self) -> Option<Ordering> {
        let whole = |value: &Self| match value {
            Self::Int(value) => Some(i128::from(*value)),
            Self::Uint(value) => Some(i128::from(*value)),
            _ => None,
        };
        match (self, other) {
            (Self::Double(a), Self::Double(b)) => a.partial_cmp(b),
            (Self::Double(a), b) => compare_double(*a, whole(b)?),
            (a, Self::Double(b)) => compare_double(*b, whole(a)?).map(Ordering::reverse),
            (a, b) => Some(whole(a)?.cmp(&whole(b)?)),
        }
    }

    /// The order of two values of one kind; `None` where they have none.
    pub(super) fn compare(&self, other: &Self, budget: &mut Budget) -> Result<Option<Ordering>, Exhausted> {
        Ok(match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => Some(a.cmp(b)),
            (Self::Text(a), Self::Text(b)) => {
                budget.scan(a.as_str().len().min(b.as_str().len()))?;
                Some(a.as_str().cmp(b.as_str()))
            }
            (Self::Bytes(a), Self::Bytes(b)) => Some(a.cmp(b)),
            (Self::Timestamp(a), Self::Timestamp(b)) => Some(a.cmp(b)),
            (Self::Duration(a), Self::Duration(b)) => Some(a.cmp(b)),
            (a, b) => a.compare_numbers(b),
        })
    }
}

/// The exact order of a double and a whole number.
fn compare_double(double: f64, whole: i128) -> Option<Ordering> {
    if double.is_nan() {
        return None;
    }
    // 2^64 and -2^63 bound every whole number here, so the cast below is exact.
    if double >= 18_446_744_073_709_551_616.0 {
        return Some(Ordering::Greater);
    }
    if double < -9_223_372_036_854_775_808.0 {
        return Some(Ordering::Less);
    }
    #[expect(clippy::cast_possible_truncation, reason = "the range was checked above")]
    let floor = double.floor() as i128;
    let order = floor.cmp(&whole);
    Some(if order == Ordering::Equal && double.fract() != 0.0 { Ordering::Greater } else { order })
}

/// Seconds with up to nine decimals and an `s`, as CEL writes a duration.
pub(super) fn duration_text(duration: &TimeDelta) -> String {
    let nanos = duration.subsec_nanos();
    let seconds = duration.num_seconds();
    if nanos == 0 {
        return format!("{seconds}s");
    }
    let sign = if *duration < TimeDelta::zero() { "-" } else { "" };
    let text = format!("{sign}{}.{:09}", seconds.unsigned_abs(), nanos.unsigned_abs());
    format!("{}s", text.trim_end_matches('0'))
}
