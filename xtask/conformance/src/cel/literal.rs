//! The values of the suite: as CEL source for bindings, and as expected results.

use std::fmt::Write;

use base64::prelude::{BASE64_STANDARD, Engine};

use super::MESSAGES;
use super::textproto::{Message, Value};

/// A value in a test.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Literal {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(String),
    Bytes(Vec<u8>),
    /// Seconds since 1970 and nanoseconds.
    Timestamp(i64, i32),
    /// Seconds and nanoseconds.
    Duration(i64, i32),
    Type(String),
    List(Vec<Self>),
    Map(Vec<(Self, Self)>),
}

impl Literal {
    /// Reads a `Value` message. The error is the reason for skipping the test.
    pub(super) fn read(value: &Message) -> Result<Self, &'static str> {
        let Some((kind, held)) = value.first() else { return Ok(Self::Null) };
        let text = match held {
            Value::Text(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Value::Word(word) => word.clone(),
            Value::Message(_) => String::new(),
        };
        let unreadable = "a value of the test is not readable";
        Ok(match (kind, held) {
            ("null_value", _) => Self::Null,
            ("bool_value", _) => Self::Bool(text == "true"),
            ("int64_value", _) => Self::Int(whole(&text).ok_or(unreadable)?),
            ("uint64_value", _) => Self::Uint(text.parse().map_err(|_| unreadable)?),
            ("double_value", _) => Self::Double(text.parse().map_err(|_| unreadable)?),
            ("string_value", _) => Self::Text(text),
            ("bytes_value", Value::Text(bytes)) => Self::Bytes(bytes.clone()),
            ("type_value", _) => Self::Type(text),
            ("list_value", Value::Message(list)) => {
                Self::List(list.messages("values").map(Self::read).collect::<Result<_, _>>()?)
            }
            ("map_value", Value::Message(map)) => {
                let side = |entry: &Message, name| entry.message(name).map_or(Ok(Self::Null), Self::read);
                let entry = |entry| Ok((side(entry, "key")?, side(entry, "value")?));
                Self::Map(map.messages("entries").map(entry).collect::<Result<_, &'static str>>()?)
            }
            ("object_value", Value::Message(any)) => match any.first() {
                Some((name, Value::Message(fields))) => {
                    let seconds = whole(&fields.text("seconds")).unwrap_or(0);
                    let nanos = fields.text("nanos").parse().unwrap_or(0);
                    match name {
                        "type.googleapis.com/google.protobuf.Timestamp" => Self::Timestamp(seconds, nanos),
                        "type.googleapis.com/google.protobuf.Duration" => Self::Duration(seconds, nanos),
                        _ => return Err(MESSAGES),
                    }
                }
                _ => return Err(MESSAGES),
            },
            _ => return Err(MESSAGES),
        })
    }

    /// The name that `type()` returns.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null_type",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Uint(_) => "uint",
            Self::Double(_) => "double",
            Self::Text(_) => "string",
            Self::Bytes(_) => "bytes",
            Self::Timestamp(..) => "google.protobuf.Timestamp",
            Self::Duration(..) => "google.protobuf.Duration",
            Self::Type(_) => "type",
            Self::List(_) => "list",
            Self::Map(_) => "map",
        }
    }

    /// The value as CEL source.
    pub(super) fn source(&self) -> String {
        let mut text = String::new();
        self.write(&mut text);
        text
    }

    fn write(&self, text: &mut String) {
        match self {
            Self::Null => text.push_str("null"),
            Self::Bool(value) => text.push_str(&value.to_string()),
            Self::Int(value) => text.push_str(&value.to_string()),
            Self::Uint(value) => text.push_str(&format!("{value}u")),
            Self::Double(value) if value.is_finite() => text.push_str(&format!("{value:?}")),
            Self::Double(value) => text.push_str(&format!("double('{value}')")),
            Self::Text(value) => {
                text.push('"');
                for c in value.chars() {
                    let _ = write!(text, "\\U{:08x}", u32::from(c));
                }
                text.push('"');
            }
            Self::Bytes(bytes) => {
                text.push_str("b\"");
                for byte in bytes {
                    let _ = write!(text, "\\x{byte:02x}");
                }
                text.push('"');
            }
            Self::Timestamp(seconds, nanos) => {
                let _ = write!(text, "(timestamp({seconds}) + duration('{nanos}ns'))");
            }
            Self::Duration(seconds, nanos) => {
                let _ = write!(text, "(duration('{seconds}s') + duration('{nanos}ns'))");
            }
            Self::Type(name) => text.push_str(name),
            Self::List(items) => {
                text.push('[');
                for item in items {
                    item.write(text);
                    text.push(',');
                }
                text.push(']');
            }
            Self::Map(entries) => {
                text.push('{');
                for (key, value) in entries {
                    key.write(text);
                    text.push(':');
                    value.write(text);
                    text.push(',');
                }
                text.push('}');
            }
        }
    }

    /// The JSON of a scalar value; `None` if JSON has no such value or does not distinguish it.
    pub(super) fn json(&self) -> Option<serde_json::Value> {
        Some(match self {
            Self::Null => serde_json::Value::Null,
            Self::Bool(value) => (*value).into(),
            Self::Int(value) => (*value).into(),
            Self::Uint(value) => (*value).into(),
            Self::Double(value) if value.is_finite() => (*value).into(),
            Self::Text(value) => value.as_str().into(),
            Self::Bytes(bytes) => BASE64_STANDARD.encode(bytes).into(),
            Self::Type(name) => name.as_str().into(),
            Self::Double(_) | Self::Timestamp(..) | Self::Duration(..) | Self::List(_) | Self::Map(_) => return None,
        })
    }
}

/// An integer, which the suite also writes in base 16.
fn whole(text: &str) -> Option<i64> {
    match text.strip_prefix("0x") {
        Some(digits) => i64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}
