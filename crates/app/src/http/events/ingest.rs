//! `POST /workspaces/{ws}/events`.

use std::collections::HashMap;

use actix_web::http::header::{CONTENT_TYPE, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, post, web};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Value, json};
use tidegate_events::cloud_event::{self, Body, MAX_BATCH_ITEMS, MAX_BODY_BYTES, Unreadable};
use tidegate_events::{IngestError, IngestReport};
use tidegate_kernel::{Meter, Permission, Position};
use utoipa::openapi::schema::{AllOfBuilder, ArrayBuilder, Schema};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{IntoParams, PartialSchema, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use crate::http::support::body;
use crate::http::support::caller::Entered;
use crate::http::support::position::POSITION;
use crate::http::support::problem::{
    BODY_TOO_LARGE, FieldError, MALFORMED_BODY, Problem, QUOTA_EXCEEDED, UNSUPPORTED_MEDIA_TYPE,
};
use crate::http::support::schema;
use crate::{Services, measures};

pub(super) fn events(config: &mut ServiceConfig<'_>) {
    config.service(ingest);
}

/// Larger bodies are parsed on blocking threads, not on those that serve requests.
const READ_AWAY: usize = 64 * 1024;

/// The headers of the request that matter here.
struct Sent {
    content_type: Option<String>,
    attributes: Vec<(String, Vec<u8>)>,
}

impl cloud_event::Headers for Sent {
    fn content_type(&self) -> Option<&str> {
        self.content_type.as_deref()
    }
    fn attributes(&self) -> Vec<(&str, &[u8])> {
        self.attributes.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect()
    }
}

impl Sent {
    fn with(request: &HttpRequest) -> Self {
        let content_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let attributes = request.headers().iter().filter_map(|(name, value)| {
            Some((name.as_str().strip_prefix("ce-")?.to_owned(), value.as_bytes().to_vec()))
        });
        Self { content_type: content_type.map(str::to_owned), attributes: attributes.collect() }
    }
}

/// An event to ingest, in the JSON format of CloudEvents 1.0.
#[derive(Debug, ToSchema)]
#[schema(as = CloudEvent)]
#[expect(dead_code, reason = "it describes what the domain reads")]
pub struct NewCloudEvent {
    /// Always `1.0`.
    #[schema(pattern = "^1\\.0$", example = "1.0")]
    specversion: String,
    /// Identifies the event together with `source`: the same pair again within 32 days is a duplicate.
    #[schema(min_length = 1, max_length = 1024, example = "1")]
    id: String,
    /// Where the event comes from.
    #[schema(min_length = 1, max_length = 1024, example = "/editor")]
    source: String,
    /// What happened.
    #[schema(min_length = 1, max_length = 256, example = "file.modified")]
    r#type: String,
    /// What it happened to.
    #[schema(min_length = 1, max_length = 2048, nullable = false, example = "src/lib.rs")]
    subject: Option<String>,
    /// When it happened, from 1970 to 24 h ahead; default: the time of receipt.
    #[schema(nullable = false)]
    time: Option<DateTime<Utc>>,
    /// The media type of `data`.
    #[schema(max_length = 256, nullable = false)]
    datacontenttype: Option<String>,
    /// The address of the schema of `data`.
    #[schema(max_length = 2048, nullable = false)]
    dataschema: Option<String>,
    /// The payload. Patterns are found by its `actor`, `tool`, `session` and `extension`.
    #[schema(value_type = Value, required = false)]
    data: Option<Value>,
    /// The payload in base64, instead of `data`.
    #[schema(nullable = false)]
    data_base64: Option<String>,
    /// Extension attributes.
    #[serde(flatten)]
    extensions: HashMap<String, Value>,
}

/// Events to ingest together.
#[derive(Debug)]
pub enum CloudEventBatch {}

impl PartialSchema for CloudEventBatch {
    fn schema() -> RefOr<Schema> {
        let events = ArrayBuilder::new().items(Ref::from_schema_name(NewCloudEvent::name()));
        // The length bound is a separate schema: openapi-python-client asks whether a body `isinstance` of `list[…]`,
        // which Python refuses for every body of the operation. It leaves out a body that is composed, and keeps the
        // others.
        let length = ArrayBuilder::new().max_items(Some(MAX_BATCH_ITEMS));
        Schema::AllOf(AllOfBuilder::new().item(events).item(length).description(Some("Events.")).build()).into()
    }
}

impl ToSchema for CloudEventBatch {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((NewCloudEvent::name().into_owned(), NewCloudEvent::schema()));
        NewCloudEvent::schemas(schemas);
    }
}

/// The attributes of one event whose `data` is the body (binary mode). Extension attributes are `ce-` headers too.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "it describes what the domain reads")]
pub struct BinaryMode {
    /// `1.0`. The header says that the request is in binary mode.
    #[param(rename = "ce-specversion", pattern = "^1\\.0$", nullable = false)]
    specversion: Option<String>,
    /// The attribute `id`.
    #[param(rename = "ce-id", min_length = 1, nullable = false)]
    id: Option<String>,
    /// The attribute `source`.
    #[param(rename = "ce-source", min_length = 1, nullable = false)]
    source: Option<String>,
    /// The attribute `type`.
    #[param(rename = "ce-type", min_length = 1, nullable = false)]
    r#type: Option<String>,
    /// The attribute `subject`.
    #[param(rename = "ce-subject", min_length = 1, nullable = false)]
    subject: Option<String>,
    /// The attribute `time`, in the format of RFC 3339.
    #[param(rename = "ce-time", min_length = 1, nullable = false)]
    time: Option<String>,
}

/// The outcome of an ingest request.
#[derive(Debug, Serialize, ToSchema)]
pub struct IngestView {
    /// The number of events that were added.
    accepted: usize,
    /// The number of events that the workspace already had within 32 days, or that came twice in this request.
    duplicates: usize,
    /// The rejected events, with the reason.
    rejected: Vec<RejectedView>,
}

/// A rejected event.
#[derive(Debug, Serialize, ToSchema)]
pub struct RejectedView {
    /// Its index in the request, from 0; blank lines of NDJSON do not count.
    index: usize,
    /// The reason as a code, such as `missing-attribute`; `quota-exceeded` if the quota of the plan is used up.
    #[schema(value_type = schema::Code)]
    code: &'static str,
    /// What to change.
    detail: String,
    /// JSON pointer within the event; empty if the event as a whole is wrong.
    pointer: String,
}

impl IngestView {
    fn of(report: IngestReport) -> Self {
        let rejected = report.rejected.into_iter().map(|(index, rejection)| RejectedView {
            index,
            code: rejection.code.as_str(),
            detail: rejection.detail,
            pointer: rejection.pointer,
        });
        Self { accepted: report.accepted, duplicates: report.duplicates, rejected: rejected.collect() }
    }
}

/// Examples for the OpenAPI document.
fn one_example() -> Value {
    json!({ "specversion": "1.0", "id": "1", "source": "/editor", "type": "file.modified", "subject": "src/lib.rs" })
}

fn batch_example() -> Value {
    json!([one_example()])
}

fn lines_example() -> String {
    format!("{}\n", one_example())
}

/// Ingest events.
///
/// The body is one CloudEvent 1.0, a batch, or NDJSON. Each event is accepted, rejected or a duplicate by itself.
/// Sending the same events again is safe, since `source` and `id` identify an event for 32 days. In binary mode the
/// attributes are `ce-` headers and the body is `data`, of any other content type.
#[utoipa::path(tag = "events", security(("bearer" = [])),
    params(BinaryMode),
    request_body(content(
        (NewCloudEvent = "application/cloudevents+json", example = one_example),
        (CloudEventBatch = "application/cloudevents-batch+json", example = batch_example),
        (schema::Bytes = "application/x-ndjson", example = lines_example),
        (schema::Bytes = "application/octet-stream"),
    )),
    responses(
        (status = 202, description = "A verdict for each event", body = IngestView,
            headers(("Tidegate-Position" = i64, description = "The workspace's head afterwards"))),
        (status = 400, description = "Nothing of the body can be read"),
        (status = 402, description = "The plan allows none of these events"),
        (status = 413, description = "Over 8 MiB, or over 10,000 events"),
        (status = 415, description = "Neither a CloudEvent nor NDJSON"),
    ))]
#[post("")]
pub async fn ingest(
    services: web::Data<Services>,
    Entered(scope): Entered,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    // Checked before the body is read, so that a caller without the permission does not send megabytes.
    scope.require(Permission::EventsWrite)?;
    let sent = Sent::with(&request);
    let bytes = body::read(payload.into_inner(), MAX_BODY_BYTES).await?;
    let now = services.platform.env.now();
    let many = bytes.len() > READ_AWAY;
    let read = move || cloud_event::read(&sent, &bytes, now);
    let Body { items, .. } = if many { web::block(read).await.map_err(|_| Problem::internal())?? } else { read()? };
    let report = services.events.log.ingest(&scope, items).await?;
    measures::ingested(&report);
    let position = position(report.position);
    if report.is_over_quota() {
        let exceeded = services.billing.quota.used_up(&scope, Meter::Events).await?;
        let problem =
            exceeded.map_or_else(|| Problem::new(&QUOTA_EXCEEDED, "The plan allows no more events."), Problem::from);
        let errors = report.rejected.into_iter();
        let errors = errors
            .map(|(index, rejection)| FieldError::new(format!("/{index}{}", rejection.pointer), rejection.detail));
        return Err(problem.with_errors(errors.collect()).with_header(POSITION, position));
    }
    Ok(HttpResponse::Accepted().insert_header((POSITION, position)).json(IngestView::of(report)))
}

fn position(position: Position) -> HeaderValue {
    HeaderValue::from(position.0)
}

impl From<IngestError> for Problem {
    fn from(error: IngestError) -> Self {
        match error {
            IngestError::Forbidden(error) => error.into(),
            IngestError::Store(error) => error.into(),
        }
    }
}

impl From<Unreadable> for Problem {
    fn from(error: Unreadable) -> Self {
        let kind = match &error {
            Unreadable::UnsupportedMediaType => &UNSUPPORTED_MEDIA_TYPE,
            Unreadable::TooLarge | Unreadable::TooMany => &BODY_TOO_LARGE,
            Unreadable::Malformed(_) => &MALFORMED_BODY,
        };
        let text = error.to_string();
        let mut letters = text.chars();
        let first = letters.next().map(char::to_uppercase).into_iter().flatten();
        Self::new(kind, format!("{}.", first.chain(letters).collect::<String>()))
    }
}
