//! An event as it is stored.

use chrono::{DateTime, Utc};
use tidegate_kernel::{EventId, Position};

/// When an event happened, as its sender says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventTime {
    /// The instant, to the microsecond; what filters and detection compare.
    pub at: DateTime<Utc>,
    /// RFC 3339 as it was sent: with the sender's own offset and every digit of the second.
    pub text: String,
}

/// The facts of an event that can be filtered by and that detection works on; its payload stays behind.
///
/// `actor`, `tool`, `session` and `extension` come from the extension attribute of that name, or else from the member
/// of that name of a JSON object in `data`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Tidegate's id. Within a workspace, ids increase as positions do.
    pub id: EventId,
    /// Its place in the workspace's order of commits.
    pub position: Position,
    /// CloudEvents `type`.
    pub event_type: String,
    /// CloudEvents `source`.
    pub source: String,
    /// CloudEvents `subject`, such as the path of a file.
    pub subject: Option<String>,
    /// CloudEvents `time`, or the time of receipt where the sender gave none.
    pub time: EventTime,
    /// Who did it.
    pub actor: Option<String>,
    /// With what.
    pub tool: Option<String>,
    /// What belongs together: events of one session happened in one sitting.
    pub session: Option<String>,
    /// The kind of file that the subject is, without the dot.
    pub extension: Option<String>,
    /// When Tidegate took it in; partitions and retention follow this, to the millisecond.
    pub received_at: DateTime<Utc>,
}

/// `data` of a CloudEvent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// There is none.
    Absent,
    /// The JSON text, as it was sent.
    Json(Box<str>),
    /// A text that is not JSON by its `datacontenttype`.
    Text(Box<str>),
    /// Bytes, sent as `data_base64` or as a binary-mode body.
    Binary(Box<[u8]>),
}

/// A whole event: its facts, the sender's id, its other attributes and its payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvent {
    /// The facts.
    pub event: Event,
    /// CloudEvents `id`; unique together with `source`.
    pub sender_id: String,
    /// CloudEvents `datacontenttype`.
    pub data_content_type: Option<String>,
    /// CloudEvents `dataschema`.
    pub data_schema: Option<String>,
    /// Extension attributes by name, in their order of sending.
    pub extensions: serde_json::Map<String, serde_json::Value>,
    /// `data`.
    pub payload: Payload,
}

/// The name under which somebody reads behind the insert: lower-case letters, digits and `_`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConsumerName(pub &'static str);

/// Which events a list has. Where a field has several values, one of them has to match; where it has none, all do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// CloudEvents `type`.
    pub types: Vec<String>,
    /// CloudEvents `source`.
    pub sources: Vec<String>,
    /// What `subject` begins with.
    pub subject_prefixes: Vec<String>,
    /// The tool.
    pub tools: Vec<String>,
    /// The actor.
    pub actors: Vec<String>,
    /// The first instant of `time`.
    pub from: Option<DateTime<Utc>>,
    /// The first instant of `time` that is too late.
    pub to: Option<DateTime<Utc>>,
}

/// What the plan of a workspace allows in the current period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// When the period began.
    pub period_start: DateTime<Utc>,
    /// How many events the whole period may have; `None`: any number.
    pub limit: Option<i64>,
}

/// What came of one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was added here.
    Added(Position),
    /// The workspace has had it already.
    Known,
    /// It is beyond what the plan allows in this period.
    OverLimit,
}
