//! The attributes of an event, for all modes.

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use serde_json::{Map, Value};

use super::{NewEvent, RESERVED_PREFIX, Rejection, RejectionCode};
use crate::model::{EventTime, Payload};

const SHORT: usize = 256;
const MEDIUM: usize = 1024;
const LONG: usize = 2048;

/// The columns that come from `data` instead of attributes.
#[derive(Debug, Default)]
pub(super) struct DataColumns {
    pub(super) actor: Option<String>,
    pub(super) tool: Option<String>,
    pub(super) session: Option<String>,
    pub(super) extension: Option<String>,
}

impl DataColumns {
    /// Stores a member of `data` if its text is valid as a column.
    pub(super) fn offer(&mut self, name: &str, text: &str) {
        let column = match name {
            "actor" => &mut self.actor,
            "tool" => &mut self.tool,
            "session" => &mut self.session,
            "extension" => &mut self.extension,
            _ => return,
        };
        if !text.is_empty() && text.len() <= SHORT && !text.chars().any(is_control) {
            *column = Some(text.to_owned());
        }
    }
}

/// The attributes that were read so far.
#[derive(Debug, Default)]
pub(super) struct Attributes {
    specversion: Option<String>,
    id: Option<String>,
    source: Option<String>,
    event_type: Option<String>,
    subject: Option<String>,
    time: Option<String>,
    data_content_type: Option<String>,
    data_schema: Option<String>,
    extensions: Map<String, Value>,
}

impl Attributes {
    /// Adds one attribute. `null` counts as absent (CloudEvents JSON format, section 2.2).
    pub(super) fn set(&mut self, name: &str, value: Value) -> Result<(), Rejection> {
        if value.is_null() {
            return Ok(());
        }
        let (slot, limit) = match name {
            "specversion" => (&mut self.specversion, SHORT),
            "id" => (&mut self.id, MEDIUM),
            "source" => (&mut self.source, MEDIUM),
            "type" => (&mut self.event_type, SHORT),
            "subject" => (&mut self.subject, LONG),
            "time" => (&mut self.time, SHORT),
            "datacontenttype" => (&mut self.data_content_type, SHORT),
            "dataschema" => (&mut self.data_schema, LONG),
            _ => return self.extend(name, value),
        };
        let text = text(name, value, limit)?;
        if slot.replace(text).is_some() {
            return Err(twice(name));
        }
        Ok(())
    }

    fn extend(&mut self, name: &str, value: Value) -> Result<(), Rejection> {
        let well_named =
            (1..=64).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        if !well_named {
            let detail =
                "the name of an attribute has 1 to 64 lower-case letters and digits; anything else belongs into `data`";
            return Err(Rejection::new(RejectionCode::BadAttribute, pointer(name), detail));
        }
        if name.starts_with(RESERVED_PREFIX) {
            let detail = format!("attributes that begin with `{RESERVED_PREFIX}` are set by Tidegate alone");
            return Err(Rejection::new(RejectionCode::ReservedAttribute, pointer(name), detail));
        }
        let limit = if is_column(name) { SHORT } else { MEDIUM };
        let value = match value {
            Value::Bool(_) => value,
            Value::Number(ref number) if number.as_i64().is_some_and(|n| i32::try_from(n).is_ok()) => value,
            Value::Number(number) => {
                let detail = format!(
                    "`{name}` is {number}; a number in an attribute is a whole one from {} to {} (CloudEvents, Integer): \
                     send others as a text",
                    i32::MIN,
                    i32::MAX
                );
                return Err(Rejection::new(RejectionCode::BadAttribute, pointer(name), detail));
            }
            Value::Array(_) | Value::Object(_) => {
                let detail =
                    format!("`{name}` must be a text, a whole number or a boolean; anything else belongs into `data`");
                return Err(Rejection::new(RejectionCode::BadAttribute, pointer(name), detail));
            }
            other => Value::String(text(name, other, limit)?),
        };
        if self.extensions.insert(name.to_owned(), value).is_some() {
            return Err(twice(name));
        }
        Ok(())
    }

    pub(super) fn data_content_type(&self) -> Option<&str> {
        self.data_content_type.as_deref()
    }

    /// The event, if all required attributes are present.
    pub(super) fn finish(
        self,
        payload: Payload,
        mut data: DataColumns,
        now: DateTime<Utc>,
    ) -> Result<NewEvent, Rejection> {
        match self.specversion.as_deref() {
            Some("1.0") => {}
            None => return Err(missing("specversion")),
            Some(other) => {
                let detail = format!("`specversion` is {other:?}; only \"1.0\" is understood");
                return Err(Rejection::new(RejectionCode::UnsupportedSpecversion, "/specversion", detail));
            }
        }
        let column = |name: &str, from_data: Option<String>| match self.extensions.get(name) {
            Some(Value::String(text)) => Some(text.clone()),
            Some(other) => Some(other.to_string()),
            None => from_data,
        };
        Ok(NewEvent {
            actor: column("actor", data.actor.take()),
            tool: column("tool", data.tool.take()),
            session: column("session", data.session.take()),
            extension: column("extension", data.extension.take()),
            sender_id: self.id.ok_or_else(|| missing("id"))?,
            source: self.source.ok_or_else(|| missing("source"))?,
            event_type: self.event_type.ok_or_else(|| missing("type"))?,
            subject: self.subject,
            time: self.time.map(|text| time(text, now)).transpose()?,
            data_content_type: self.data_content_type,
            data_schema: self.data_schema,
            extensions: self.extensions,
            payload,
        })
    }
}

fn is_column(name: &str) -> bool {
    matches!(name, "actor" | "tool" | "session" | "extension")
}

/// U+0000–U+001F and U+007F–U+009F, which the type system of CloudEvents does not allow in texts.
fn is_control(c: char) -> bool {
    c.is_control()
}

fn text(name: &str, value: Value, limit: usize) -> Result<String, Rejection> {
    let bad = |detail: String| Rejection::new(RejectionCode::BadAttribute, pointer(name), detail);
    let Value::String(text) = value else {
        return Err(bad(format!("`{name}` must be a text")));
    };
    if text.is_empty() {
        return Err(Rejection::new(RejectionCode::MissingAttribute, pointer(name), format!("`{name}` is empty")));
    }
    if text.len() > limit {
        return Err(bad(format!("`{name}` has {} bytes; {limit} are the most", text.len())));
    }
    if text.chars().any(is_control) {
        return Err(bad(format!("`{name}` has a control character")));
    }
    Ok(text)
}

fn missing(name: &str) -> Rejection {
    Rejection::new(RejectionCode::MissingAttribute, pointer(name), format!("`{name}` is required"))
}

fn twice(name: &str) -> Rejection {
    Rejection::new(RejectionCode::BadAttribute, pointer(name), format!("`{name}` is given twice"))
}

/// The JSON pointer to a member, escaped by RFC 6901, section 3, and shortened if the name is very long.
pub(super) fn pointer(name: &str) -> String {
    let name: String = name.chars().take(80).collect();
    format!("/{}", name.replace('~', "~0").replace('/', "~1"))
}

fn time(text: String, now: DateTime<Utc>) -> Result<EventTime, Rejection> {
    let Ok(sent) = DateTime::parse_from_rfc3339(&text) else {
        let detail = "`time` must be RFC 3339, such as 2026-05-01T12:00:00Z or 2026-05-01T14:00:00.25+02:00";
        return Err(Rejection::new(RejectionCode::BadAttribute, "/time", detail));
    };
    let at = sent.to_utc().trunc_subsecs(6);
    if at < DateTime::UNIX_EPOCH || at > now + TimeDelta::hours(24) {
        let detail = "`time` must lie between 1970 and 24 hours from now";
        return Err(Rejection::new(RejectionCode::TimeOutOfBounds, "/time", detail));
    }
    Ok(EventTime { at, text })
}
