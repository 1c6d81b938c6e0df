//! CloudEvents 1.0.2 as HTTP carries them: structured, batched, binary; and NDJSON, one event in JSON format a line.
//!
//! Pure: bytes and headers in, one verdict per event out. Nothing here knows a store, a clock or a status code.
//!
//! # What is taken and what is not
//! - Required: `specversion` `1.0`, `id`, `source`, `type`. A member that is `null` counts as absent.
//! - `time` is RFC 3339 with any offset, from 1970 up to 24 hours ahead; absent, it is the time of receipt.
//! - Attributes are texts without control characters (CloudEvents, section "Type System"), in bytes: `type`, `actor`,
//!   `tool`, `session`, `extension` and `datacontenttype` up to 256, `id`, `source` and other extension attributes up to 1,024,
//!   `subject` and `dataschema` up to 2,048. Extension attributes may also be booleans and 32-bit integers.
//! - Names of extension attributes are lower-case letters and digits; those that start with `tidegate` are Tidegate's own.
//! - One event may have [`MAX_EVENT_BYTES`] and nest [`MAX_DEPTH`] deep, a body [`MAX_BODY_BYTES`] and [`MAX_BATCH_ITEMS`].
//!
//! # Columns beside the attributes
//! `actor`, `tool`, `session` and `extension` can be filtered by and are what detection works on. An extension
//! attribute of that name wins: attributes are what whoever is on the way may read and set without opening `data`
//! (CloudEvents, section "Context Attributes"). Where there is none, a text member of that name of a JSON object in
//! `data` counts, unless it is empty, longer than 256 bytes or has control characters, for then it is just data.

mod attributes;
mod binary;
mod body;
mod json;

pub use body::{Body, Headers, Mode, Unreadable, read};

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::model::{EventTime, Payload};

/// The largest event: its JSON text, or in binary mode its body.
pub const MAX_EVENT_BYTES: usize = 256 * 1024;
/// The largest body of a request.
pub const MAX_BODY_BYTES: usize = 8 * 1024 * 1024;
/// How many events one request may carry.
pub const MAX_BATCH_ITEMS: usize = 10_000;
/// How deep objects and arrays may nest, the event itself included.
pub const MAX_DEPTH: usize = 64;
/// Extension attributes that begin so are set by Tidegate alone.
pub const RESERVED_PREFIX: &str = "tidegate";
/// How many emitted events led to this one; see [`NewEvent::depth`].
pub const DEPTH_ATTRIBUTE: &str = "tidegatedepth";

/// An event as it came in, valid but not yet stored.
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
    /// CloudEvents `time`; absent, the time of receipt counts.
    pub time: Option<EventTime>,
    /// Who did it.
    pub actor: Option<String>,
    /// With what.
    pub tool: Option<String>,
    /// What belongs together.
    pub session: Option<String>,
    /// The kind of file that the subject is.
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
    /// An event that Tidegate itself makes, such as a workflow's `emit_event` step.
    ///
    /// `depth` is how many emitted events led to this one; it travels as [`DEPTH_ATTRIBUTE`], which no sender can set.
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

    /// How many emitted events led to this one: 0 for one that came from outside.
    #[must_use]
    pub fn depth(&self) -> u32 {
        depth(&self.extensions)
    }

    /// What makes it the same event when it is sent again.
    #[must_use]
    pub fn dedupe_key(&self) -> DedupeKey {
        DedupeKey::new(&self.source, &self.sender_id)
    }
}

/// The depth that extension attributes carry.
pub(crate) fn depth(extensions: &Map<String, Value>) -> u32 {
    extensions.get(DEPTH_ATTRIBUTE).and_then(Value::as_u64).and_then(|depth| depth.try_into().ok()).unwrap_or(0)
}

/// The first 128 bits of SHA-256 over `source` and `id`, each after its length: within a workspace, one event.
///
/// The lengths keep (`ab`, `c`) and (`a`, `bc`) apart. With a billion events of one workspace in the window the
/// probability of any two meeting by chance is below 2⁻⁶⁹; whoever makes two meet on purpose loses an event of their own.
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

/// Why one event is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RejectionCode {
    /// Not a JSON object.
    Malformed,
    /// Over [`MAX_EVENT_BYTES`].
    TooLarge,
    /// Over [`MAX_DEPTH`].
    TooDeep,
    /// A required attribute is absent or empty.
    MissingAttribute,
    /// An attribute's name, type, text or length.
    BadAttribute,
    /// An attribute that Tidegate alone sets.
    ReservedAttribute,
    /// Another version than 1.0.
    UnsupportedSpecversion,
    /// Before 1970 or over 24 hours ahead.
    TimeOutOfBounds,
    /// `data`, `data_base64`, or both at once.
    BadData,
    /// Beyond what the plan allows in this period.
    QuotaExceeded,
    /// At the end of too long a chain of emitted events.
    ChainTooDeep,
}

impl RejectionCode {
    /// The code as it is shown outside.
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

/// Why one event is not taken, and where in it the reason is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// The reason as a word.
    pub code: RejectionCode,
    /// The reason as a sentence that says what to change.
    pub detail: String,
    /// JSON pointer (RFC 6901) within the event; empty for the event as a whole.
    pub pointer: String,
}

impl Rejection {
    pub(crate) fn new(code: RejectionCode, pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), pointer: pointer.into() }
    }
}

#[cfg(test)]
mod tests;
