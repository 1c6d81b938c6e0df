//! Patterns.

use actix_web::{HttpRequest, HttpResponse, get, web};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tidegate_events::pattern::{ListPatternsError, ListedPatterns, Pattern, PatternFilter, PatternKind};
use tidegate_kernel::{EventId, ListTag, PatternId};
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use crate::Services;
use crate::http::support::caller::Entered;
use crate::http::support::cursor::List;
use crate::http::support::lists::ListAnswer;
use crate::http::support::problem::Problem;
use crate::http::support::query::{Query, invalid, page_size};
use crate::http::support::schema;

pub(super) fn workspace(config: &mut ServiceConfig<'_>) {
    config.service(list);
}

/// Filters of patterns. A repeated parameter matches any of its values.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct PatternQuery {
    /// Only these kinds; `regularity` is not detected yet.
    #[serde(default)]
    #[param(inline, value_type = Vec<schema::AskedPatternKind>)]
    kind: Vec<String>,
    /// At least this confidence, 0 to 1.
    #[param(minimum = 0, maximum = 1)]
    min_confidence: Option<f64>,
    /// How many items, 1 to 200; default: 50.
    limit: Option<u32>,
    /// `next_cursor` of the previous page.
    cursor: Option<String>,
}

/// A pattern: something that happens repeatedly.
#[derive(Debug, Serialize, ToSchema)]
pub struct PatternView {
    /// The id, the same whenever the same pattern is found in the same workspace.
    #[schema(value_type = schema::PatternId)]
    id: PatternId,
    /// The kind of pattern; more may be added.
    #[schema(value_type = schema::PatternKind)]
    kind: &'static str,
    /// The pattern in one sentence, with names and counts.
    description: String,
    /// How often it happened: events, or sessions for a co-occurrence.
    #[schema(minimum = 0)]
    support: i64,
    /// How often it happened of the times that it could have. Frequency: of the days with any event. Sequence: of the
    /// times that the first subject was touched. Co-occurrence: of the sessions with the rarer subject.
    #[schema(minimum = 0, maximum = 1)]
    confidence: f64,
    /// How many times likelier both occur together than by chance; co-occurrences only.
    #[serde(skip_serializing_if = "Option::is_none")]
    lift: Option<f64>,
    /// When it happened first.
    first_seen: DateTime<Utc>,
    /// When it happened last.
    last_seen: DateTime<Utc>,
    /// The latest events that are evidence of it, newest first.
    #[schema(value_type = Vec<schema::EventId>)]
    evidence: Vec<EventId>,
    /// The names and numbers in the description; which ones depends on the kind.
    #[schema(value_type = Object)]
    params: Value,
}

impl From<Pattern> for PatternView {
    fn from(pattern: Pattern) -> Self {
        Self {
            id: pattern.id,
            kind: pattern.facts.kind().as_str(),
            description: pattern.description(),
            support: pattern.support,
            confidence: pattern.confidence(),
            lift: pattern.lift(),
            first_seen: pattern.first_seen,
            last_seen: pattern.last_seen,
            params: pattern.params(),
            evidence: pattern.evidence,
        }
    }
}

/// A page of patterns.
#[derive(Debug, Serialize, ToSchema)]
pub struct PatternList {
    /// The patterns, the most frequent first.
    items: Vec<PatternView>,
    /// The `cursor` of the next page; null on the last page.
    #[schema(required = true)]
    next_cursor: Option<String>,
    /// What the list leaves out, such as sessions that are too large to be useful.
    notes: Vec<String>,
}

fn filter(query: &PatternQuery) -> Result<PatternFilter, Problem> {
    let mut filter = PatternFilter { min_confidence: share(query.min_confidence)?, ..PatternFilter::default() };
    if !query.kind.is_empty() {
        filter.kinds.clear();
        for name in &query.kind {
            match name.parse::<PatternKind>() {
                Ok(kind) => filter.kinds.push(kind),
                Err(_) if name == "regularity" => {}
                Err(_) => {
                    let known = "`kind` is `frequency`, `sequence`, `co_occurrence` or `regularity`.";
                    return Err(invalid("kind", known));
                }
            }
        }
    }
    Ok(filter)
}

/// A share from 0 to 1; default: 0.
pub(super) fn share(given: Option<f64>) -> Result<f64, Problem> {
    let share = given.unwrap_or(0.0);
    if (0.0..=1.0).contains(&share) { Ok(share) } else { Err(invalid("min_confidence", "`min_confidence` is 0 to 1.")) }
}

/// List the patterns of a workspace, the most frequent first.
#[utoipa::path(tag = "patterns", security(("bearer" = [])),
    params(PatternQuery),
    responses((status = 200, description = "Patterns", body = PatternList, headers(
        ("Tidegate-Watermark" = i64, description = "The answer equals a recount of the events up to this position")))))]
#[get("/patterns")]
pub async fn list(
    services: web::Data<Services>,
    Entered(scope): Entered,
    Query(query): Query<PatternQuery>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let read = async || {
        let filter = filter(&query)?;
        let binding = (scope.workspace(), "patterns", &query.kind, query.min_confidence.map(f64::to_bits));
        let after = services.cursors.open_optional(query.cursor.as_deref(), &binding)?;
        let listed = services.events.patterns.list(&scope, &filter, after, page_size(query.limit)?).await?;
        let notes = listed.notes();
        let ListedPatterns { page, watermark, .. } = listed;
        let List { items, next_cursor } = services.cursors.list(page.map(PatternView::from), &binding);
        Ok(ListAnswer { body: PatternList { items, next_cursor, notes }, watermark: Some(watermark.0) })
    };
    services.lists.answer(&request, &scope, &[ListTag::Patterns], read).await
}

impl From<ListPatternsError> for Problem {
    fn from(error: ListPatternsError) -> Self {
        match error {
            ListPatternsError::Forbidden(error) => error.into(),
            ListPatternsError::Store(error) => error.into(),
        }
    }
}
