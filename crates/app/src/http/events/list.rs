//! `GET /workspaces/{ws}/events`, and single events.

use actix_web::{HttpResponse, get, web};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use tidegate_events::{EventFilter, ListEventsError, Payload, ReadEventError, StoredEvent};
use tidegate_kernel::EventId;
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use crate::Services;
use crate::http::support::caller::Entered;
use crate::http::support::cursor::List;
use crate::http::support::path::InPath;
use crate::http::support::problem::Problem;
use crate::http::support::query::{Query, page_size, period, texts};
use crate::http::support::schema;

pub(super) fn events(config: &mut ServiceConfig<'_>) {
    config.service(list).service(get_one);
}

/// Filters of events. A repeated parameter matches any of its values.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct EventsQuery {
    /// Only events of these types.
    #[serde(default, rename = "type")]
    #[param(rename = "type")]
    types: Vec<String>,
    /// Only events from these sources.
    #[serde(default)]
    source: Vec<String>,
    /// Only events whose subject has this prefix.
    #[serde(default)]
    subject_prefix: Vec<String>,
    /// Only events made with these tools.
    #[serde(default)]
    tool: Vec<String>,
    /// Only events of these actors.
    #[serde(default)]
    actor: Vec<String>,
    /// Only events that happened at this time or later.
    from: Option<DateTime<Utc>>,
    /// Only events that happened before this time.
    to: Option<DateTime<Utc>>,
    /// How many items, 1 to 200; default: 50.
    limit: Option<u32>,
    /// `next_cursor` of the previous page.
    cursor: Option<String>,
}

/// An event: a CloudEvent in JSON format. Tidegate's own members have names that no attribute can have.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventView {
    /// Always `1.0`.
    #[schema(pattern = "^1\\.0$")]
    specversion: &'static str,
    /// The id that the sender gave it.
    #[schema(min_length = 1, max_length = 1024)]
    id: String,
    /// Where the event comes from.
    source: String,
    /// What happened.
    #[schema(example = "file.modified")]
    r#type: String,
    /// What it happened to.
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    /// When it happened, as the sender wrote it.
    time: String,
    /// The media type of `data`.
    #[serde(skip_serializing_if = "Option::is_none")]
    datacontenttype: Option<String>,
    /// The address of the schema of `data`.
    #[serde(skip_serializing_if = "Option::is_none")]
    dataschema: Option<String>,
    /// Extension attributes.
    #[serde(flatten)]
    extensions: Map<String, Value>,
    /// The payload, if it is JSON or text.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Value)]
    data: Option<Box<RawValue>>,
    /// The payload in base64, if it is binary.
    #[serde(skip_serializing_if = "Option::is_none")]
    data_base64: Option<String>,
    /// Tidegate's id of the event, which patterns give as evidence.
    #[schema(value_type = schema::EventId)]
    event_id: EventId,
    /// Its position in the order of the workspace, from 1.
    #[schema(minimum = 1)]
    event_position: i64,
    /// When Tidegate received it.
    #[schema(value_type = DateTime<Utc>)]
    received_at: String,
}

impl From<StoredEvent> for EventView {
    fn from(stored: StoredEvent) -> Self {
        let event = stored.event;
        let (data, data_base64) = match stored.payload {
            Payload::Absent => (None, None),
            // Stored JSON is always valid. If it were not, leaving it out keeps the rest of the list readable.
            Payload::Json(text) => (RawValue::from_string(text.into_string()).ok(), None),
            Payload::Text(text) => (serde_json::value::to_raw_value(&text).ok(), None),
            Payload::Binary(bytes) => (None, Some(STANDARD.encode(bytes))),
        };
        Self {
            specversion: "1.0",
            id: stored.sender_id,
            source: event.source,
            r#type: event.event_type,
            subject: event.subject,
            time: event.time.text,
            datacontenttype: stored.data_content_type,
            dataschema: stored.data_schema,
            extensions: stored.extensions,
            data,
            data_base64,
            event_id: event.id,
            event_position: event.position.0,
            received_at: event.received_at.to_rfc3339_opts(SecondsFormat::Millis, true),
        }
    }
}

/// List events, the last received first.
///
/// The order is that of positions; `from` and `to` filter by the time at which events happened.
#[utoipa::path(tag = "events", security(("bearer" = [])),
    params(EventsQuery),
    responses((status = 200, description = "Events", body = List<EventView>)))]
#[get("")]
pub async fn list(
    services: web::Data<Services>,
    Entered(scope): Entered,
    Query(query): Query<EventsQuery>,
) -> Result<HttpResponse, Problem> {
    let size = page_size(query.limit)?;
    let filters = (&query.types, &query.source, &query.subject_prefix, &query.tool, &query.actor, query.from, query.to);
    let binding = (scope.workspace(), "events", &filters);
    let before = services.cursors.open_optional::<EventId>(query.cursor.as_deref(), &binding)?;
    let filter = filter(&query)?;
    let page = services.events.log.list(&scope, &filter, before, size).await?;
    Ok(HttpResponse::Ok().json(services.cursors.list(page.map(EventView::from), &binding)))
}

/// Get an event by Tidegate's id, which patterns give as evidence.
#[utoipa::path(tag = "events", security(("bearer" = [])),
    responses((status = 200, description = "The event", body = EventView)))]
#[get("/{evt}")]
pub async fn get_one(
    services: web::Data<Services>,
    Entered(scope): Entered,
    event: InPath<EventId>,
) -> Result<HttpResponse, Problem> {
    let event = services.events.log.get(&scope, event.or_not_found()?).await?;
    Ok(HttpResponse::Ok().json(EventView::from(event)))
}

fn filter(query: &EventsQuery) -> Result<EventFilter, Problem> {
    let (from, to) = period(query.from, query.to)?;
    Ok(EventFilter {
        types: texts("type", &query.types)?,
        sources: texts("source", &query.source)?,
        subject_prefixes: texts("subject_prefix", &query.subject_prefix)?,
        tools: texts("tool", &query.tool)?,
        actors: texts("actor", &query.actor)?,
        from,
        to,
    })
}

impl From<ReadEventError> for Problem {
    fn from(error: ReadEventError) -> Self {
        match error {
            ReadEventError::Forbidden(error) => error.into(),
            ReadEventError::NotFound => Self::not_found(),
            ReadEventError::Store(error) => error.into(),
        }
    }
}

impl From<ListEventsError> for Problem {
    fn from(error: ListEventsError) -> Self {
        match error {
            ListEventsError::Forbidden(error) => error.into(),
            ListEventsError::Store(error) => error.into(),
        }
    }
}
