//! A row of `event`.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use sqlx::FromRow;
use tidegate_events::{Event, EventTime, Payload, StoredEvent};
use tidegate_kernel::{EventId, Position, StoreError};
use uuid::Uuid;

/// The columns of [`FactsRow`].
pub(super) const FACTS: &str =
    "id, position, type as event_type, source, subject, time, time_text, actor, tool, session, extension";

/// The columns of [`WholeRow`].
pub(super) const WHOLE: &str = "id, position, type as event_type, source, subject, time, time_text, actor, tool, session, extension, \
     sender_id, data_content_type, data_schema, attributes, data_kind, data";

#[derive(Debug, FromRow)]
pub(super) struct FactsRow {
    id: Uuid,
    position: i64,
    event_type: String,
    source: String,
    subject: Option<String>,
    time: DateTime<Utc>,
    time_text: Option<String>,
    actor: Option<String>,
    tool: Option<String>,
    session: Option<String>,
    extension: Option<String>,
}

#[derive(Debug, FromRow)]
pub(super) struct WholeRow {
    #[sqlx(flatten)]
    facts: FactsRow,
    sender_id: String,
    data_content_type: Option<String>,
    data_schema: Option<String>,
    attributes: Option<String>,
    data_kind: Option<String>,
    data: Option<Vec<u8>>,
}

impl WholeRow {
    /// The id and the position of the event.
    pub(super) fn place(&self) -> (EventId, Position) {
        (EventId::from_uuid(self.facts.id), Position(self.facts.position))
    }
}

impl From<FactsRow> for Event {
    fn from(row: FactsRow) -> Self {
        // An event that was sent without a time has no text; its time is the time at which it was received.
        let text = row.time_text.unwrap_or_else(|| row.time.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true));
        Self {
            received_at: received_at(row.id),
            id: EventId::from_uuid(row.id),
            position: Position(row.position),
            event_type: row.event_type,
            source: row.source,
            subject: row.subject,
            time: EventTime { at: row.time, text },
            actor: row.actor,
            tool: row.tool,
            session: row.session,
            extension: row.extension,
        }
    }
}

impl TryFrom<WholeRow> for StoredEvent {
    type Error = StoreError;

    fn try_from(row: WholeRow) -> Result<Self, StoreError> {
        let damaged = |error: Box<dyn std::error::Error + Send + Sync>| StoreError::Internal(error);
        let extensions: Map<String, Value> = match &row.attributes {
            Some(text) => serde_json::from_str(text).map_err(|error| damaged(error.into()))?,
            None => Map::new(),
        };
        let text = |data: Vec<u8>| String::from_utf8(data).map_err(|error| damaged(error.into()));
        let payload = match (row.data_kind.as_deref(), row.data) {
            (Some("json"), Some(data)) => Payload::Json(text(data)?.into()),
            (Some("text"), Some(data)) => Payload::Text(text(data)?.into()),
            (Some("binary"), Some(data)) => Payload::Binary(data.into()),
            _ => Payload::Absent,
        };
        Ok(Self {
            event: row.facts.into(),
            sender_id: row.sender_id,
            data_content_type: row.data_content_type,
            data_schema: row.data_schema,
            extensions,
            payload,
        })
    }
}

/// The time in a UUIDv7.
fn received_at(id: Uuid) -> DateTime<Utc> {
    let millis = i64::try_from(id.as_u128() >> 80).unwrap_or_default();
    DateTime::from_timestamp_millis(millis).unwrap_or_default()
}
