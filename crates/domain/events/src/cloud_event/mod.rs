//! CloudEvents 1.0.2 over HTTP: structured, batched and binary mode; and NDJSON, one event in JSON format per line.
//!
//! It is pure: bytes and headers in, one result per event out. It knows no store, no clock and no status codes.
//!
//! # Accepted events
//! - Required: `specversion` `1.0`, `id`, `source`, `type`. A member that is `null` counts as absent.
//! - `time` is RFC 3339 with any offset, from 1970 until 24 hours in the future. If absent, it is the time of receipt.
//! - Attributes are texts without control characters (CloudEvents, section "Type System"), in bytes: `type`, `actor`,
//!   `tool`, `session`, `extension` and `datacontenttype` up to 256, `id`, `source` and other extension attributes up to 1,024,
//!   `subject` and `dataschema` up to 2,048. Extension attributes may also be booleans and 32-bit integers.
//! - Names of extension attributes are lower-case letters and digits. Names that start with `tidegate` are reserved.
//! - One event may have [`MAX_EVENT_BYTES`] and nest [`MAX_DEPTH`] deep, a body [`MAX_BODY_BYTES`] and [`MAX_BATCH_ITEMS`].
//!
//! # Columns from attributes or data
//! `actor`, `tool`, `session` and `extension` can be filtered, and detection works on them. The extension attribute
//! with that name has precedence, because intermediaries can read and set attributes without parsing `data`
//! (CloudEvents, section "Context Attributes"). Without it, a text member with that name of a JSON object in `data` is
//! used, unless it is empty, longer than 256 bytes or has control characters.

mod attributes;
mod binary;
mod body;
mod json;

pub use body::{Body, Headers, Mode, Unreadable, read};

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::model::{EventTime, Payload};

/// The maximum size of an event in bytes: of its JSON text, or in binary mode of its body.
pub const MAX_EVENT_BYTES: usize = 256 * 1024;
/// The maximum size of a request body, in bytes.
pub const MAX_BODY_BYTES: usize = 8 * 1024 * 1024;
/// The maximum number of events in one request.
pub const MAX_BATCH_ITEMS: usize = 10_000;
/// The maximum nesting of objects and arrays, including the event itself.
pub const MAX_DEPTH: usize = 64;
/// The prefix of extension attributes that only Tidegate sets.
pub const RESERVED_PREFIX: &str = "tidegate";
/// The extension attribute for the length of the chain of emitted events; see [`NewEvent::depth`].
pub const DEPTH_ATTRIBUTE: &str = "tidegatedepth";

/// A received event, validated but not stored yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// CloudEvents `id`.
    pub sender_id: String,
    /// CloudEvents `source`.
    pub source: String,
    /// CloudEvents `type`.
    pub event_type: String,
    /// CloudEvents `subject`.
    pub subject: Option<String>,
    /// CloudEvents `time`; if absent, the time of receipt is used.
    pub time: Option<EventTime>,
    /// The actor of the event.
    pub actor: Option<String>,
    /// The tool that the actor used.
    pub tool: Option<String>,
    /// The session.
    pub session: Option<String>,
    /// The file extension of the subject.
    pub extension: Option<String>,
    /// CloudEvents `datacontenttype`.
    pub data_content_type: Option<String>,
    /// CloudEvents `dataschema`.
    pub data_schema: Option<String>,
    /// Extension attributes.
    pub extensions: Map<String, Value>,
    /// `data`.
    pub payload: Payload,
}

impl NewEvent {
    /// An event that Tidegate itself emits, such as that of a workflow's `emit_event` step.
    ///
    /// `depth` is the number of emitted events that led to this one, itself included. It is stored as
    /// [`DEPTH_ATTRIBUTE`], which no sender can set.
    #[must_use]
    pub fn emitted(source: String, sender_id: String, event_type: String, depth: u32) -> Self {
        Self {
            sender_id,
            source,
            event_type,
            subject: None,
            time: None,
            actor: None,
            tool: None,
            session: None,
            extension: None,
            data_content_type: None,
            data_schema: None,
            extensions: Map::from_iter([(DEPTH_ATTRIBUTE.to_owned(), depth.into())]),
            payload: Payload::Absent,
        }
    }

    /// The length of the chain of emitted events that ends with this one: 0 for an event from outside.
    #[must_use]
    pub fn depth(&self) -> u32 {
        depth(&self.extensions)
    }

    /// The key by which a repeated event is detected.
    #[must_use]
    pub fn dedupe_key(&self) -> DedupeKey {
        DedupeKey::new(&self.source, &self.sender_id)
    }
}

/// The depth in these extension attributes.
pub(crate) fn depth(extensions: &Map<String, Value>) -> u32 {
    extensions.get(DEPTH_ATTRIBUTE).and_then(Value::as_u64).and_then(|depth| depth.try_into().ok()).unwrap_or(0)
}

/// The identity of an event in a workspace: the first 128 bits of SHA-256 over `source` and `id`, each prefixed by its
/// length.
///
/// The lengths keep (`ab`, `c`) and (`a`, `bc`) apart. With a billion events of one workspace in the window, the
/// probability of any accidental collision is below 2⁻⁶⁹. A sender who constructs a collision loses only an event of
/// their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DedupeKey(Uuid);

impl DedupeKey {
    /// The key of the event with this `source` and `id`.
    #[must_use]
    pub fn new(source: &str, id: &str) -> Self {
        let mut hash = Sha256::new();
        for part in [source, id] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        let first = hash.finalize().iter().take(16).fold(0, |bits: u128, byte| bits << 8 | u128::from(*byte));
        Self(Uuid::from_u128(first))
    }

    /// The 128 bits.
    #[must_use]
    pub const fn as_uuid(self) -> Uuid {
        self.0
    }
}

/// Why one event is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RejectionCode {
    /// It is not a JSON object.
    Malformed,
    /// It is larger than [`MAX_EVENT_BYTES`].
    TooLarge,
    /// It is nested deeper than [`MAX_DEPTH`].
    TooDeep,
    /// A required attribute is absent or empty.
    MissingAttribute,
    /// The name, type, text or length of an attribute is invalid.
    BadAttribute,
    /// It has an attribute that only Tidegate may set.
    ReservedAttribute,
    /// The `specversion` is not 1.0.
    UnsupportedSpecversion,
    /// The time is before 1970 or more than 24 hours in the future.
    TimeOutOfBounds,
    /// `data` or `data_base64` is invalid, or both are present.
    BadData,
    /// It exceeds the plan's limit for this period.
    QuotaExceeded,
    /// It is at the end of a too long chain of emitted events.
    ChainTooDeep,
}

impl RejectionCode {
    /// The code in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::TooLarge => "too-large",
            Self::TooDeep => "too-deep",
            Self::MissingAttribute => "missing-attribute",
            Self::BadAttribute => "bad-attribute",
            Self::ReservedAttribute => "reserved-attribute",
            Self::UnsupportedSpecversion => "unsupported-specversion",
            Self::TimeOutOfBounds => "time-out-of-bounds",
            Self::BadData => "bad-data",
            Self::QuotaExceeded => "quota-exceeded",
            Self::ChainTooDeep => "chain-too-deep",
        }
    }
}

/// Why one event is rejected, and the place of the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// The reason as a code.
    pub code: RejectionCode,
    /// The reason as a sentence that says what to change.
    pub detail: String,
    /// The JSON pointer (RFC 6901) within the event; empty for the event as a whole.
    pub pointer: String,
}

impl Rejection {
    pub(crate) fn new(code: RejectionCode, pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), pointer: pointer.into() }
    }
}

#[cfg(test)]
mod tests;
