//! An event as stored.

use chrono::{DateTime, Utc};
use tidegate_kernel::{EventId, Position};

/// The time of an event, as given by its sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventTime {
    /// The instant, to the microsecond. Filters and detection compare it.
    pub at: DateTime<Utc>,
    /// The RFC 3339 text as sent, with the sender's own offset and all digits of the second.
    pub text: String,
}

/// The attributes of an event by which lists filter and on which detection works. The payload is not included.
///
/// `actor`, `tool`, `session` and `extension` come from the extension attribute with that name, or else from the member
/// with that name of a JSON object in `data`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Tidegate's id. Within a workspace, ids increase with positions.
    pub id: EventId,
    /// Its position in the workspace's commit order.
    pub position: Position,
    /// CloudEvents `type`.
    pub event_type: String,
    /// CloudEvents `source`.
    pub source: String,
    /// CloudEvents `subject`, such as the path of a file.
    pub subject: Option<String>,
    /// CloudEvents `time`, or the time of receipt if the sender gave none.
    pub time: EventTime,
    /// The actor of the event.
    pub actor: Option<String>,
    /// The tool that the actor used.
    pub tool: Option<String>,
    /// The session. Events of one session belong together.
    pub session: Option<String>,
    /// The file extension of the subject, without the dot.
    pub extension: Option<String>,
    /// The time of receipt, to the millisecond. Partitions and retention use it.
    pub received_at: DateTime<Utc>,
}

/// The `data` of a CloudEvent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// The event has no data.
    Absent,
    /// The JSON text, as it was sent.
    Json(Box<str>),
    /// A text that is not JSON according to its `datacontenttype`.
    Text(Box<str>),
    /// Bytes, sent as `data_base64` or as a binary-mode body.
    Binary(Box<[u8]>),
}

/// A whole event: its attributes, the sender's id and its payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvent {
    /// The attributes that can be filtered.
    pub event: Event,
    /// CloudEvents `id`; unique together with `source`.
    pub sender_id: String,
    /// CloudEvents `datacontenttype`.
    pub data_content_type: Option<String>,
    /// CloudEvents `dataschema`.
    pub data_schema: Option<String>,
    /// Extension attributes by name, in the order in which they were sent.
    pub extensions: serde_json::Map<String, serde_json::Value>,
    /// `data`.
    pub payload: Payload,
}

/// The name of a consumer of events: lower-case letters, digits and `_`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConsumerName(pub &'static str);

/// A filter for events. If a field has several values, one of them has to match. An empty field does not filter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// CloudEvents `type`.
    pub types: Vec<String>,
    /// CloudEvents `source`.
    pub sources: Vec<String>,
    /// Prefixes of `subject`.
    pub subject_prefixes: Vec<String>,
    /// The tool.
    pub tools: Vec<String>,
    /// The actor.
    pub actors: Vec<String>,
    /// Only events with a `time` at or after this instant.
    pub from: Option<DateTime<Utc>>,
    /// Only events with a `time` before this instant.
    pub to: Option<DateTime<Utc>>,
}

/// What the plan of a workspace allows in the current period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// When the period began.
    pub period_start: DateTime<Utc>,
    /// The maximum number of events in the period; `None` means unlimited.
    pub limit: Option<i64>,
}

/// The result for one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was added at this position.
    Added(Position),
    /// The workspace already had it.
    Known,
    /// It exceeds the plan's limit for this period.
    OverLimit,
}
