//! Suggestions.

use actix_web::http::header::LOCATION;
use actix_web::{HttpRequest, HttpResponse, get, post, web};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tidegate_events::suggestion::template::Parameters;
use tidegate_events::suggestion::{
    Catalogue, DismissSuggestionError, ListSuggestionsError, Rule, Suggestion, SuggestionFilter, SuggestionStatus,
};
use tidegate_kernel::{EventId, ListTag, PatternId, SuggestionId, WorkflowId};
use tidegate_use_cases::ApplySuggestionError;
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::scope;
use utoipa_actix_web::service_config::ServiceConfig;

use super::patterns::share;
use crate::Services;
use crate::http::support::caller::Entered;
use crate::http::support::cursor::List;
use crate::http::support::lists::ListAnswer;
use crate::http::support::path::InPath;
use crate::http::support::problem::{CONFLICT, NAME_TAKEN, Problem};
use crate::http::support::query::{Query, invalid, page_size};
use crate::http::support::revision::etag;
use crate::http::support::schema;
use crate::http::workflows::WorkflowDetailsView;

pub(super) fn workspace(config: &mut ServiceConfig<'_>) {
    config.service(scope("/suggestions").service(list).service(apply).service(dismiss));
}

/// Filters of suggestions. A repeated parameter matches any of its values.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct SuggestionQuery {
    /// Only these statuses.
    #[serde(default)]
    #[param(value_type = Vec<schema::SuggestionStatus>)]
    status: Vec<String>,
    /// At least this confidence, 0 to 1. Open ones below 0.3 are never listed.
    #[param(minimum = 0, maximum = 1)]
    min_confidence: Option<f64>,
    /// How many items, 1 to 200; default: 50.
    limit: Option<u32>,
    /// `next_cursor` of the previous page.
    cursor: Option<String>,
}

/// A workflow that a pattern suggests.
#[derive(Debug, Serialize, ToSchema)]
pub struct SuggestionView {
    /// The id, the same whenever the same rule and pattern meet in the same workspace.
    #[schema(value_type = schema::SuggestionId)]
    id: SuggestionId,
    /// The suggestion in one line.
    title: String,
    /// The reason for it, with names and counts.
    reasoning: String,
    /// How reliable the pattern is: the lower bound of the 95 % Wilson interval of its confidence.
    #[schema(minimum = 0, maximum = 1)]
    confidence: f64,
    /// The pattern that it is based on.
    #[schema(value_type = schema::PatternId)]
    pattern_id: PatternId,
    /// The template of the workflow, with its version.
    #[schema(example = "co_change_reminder@1")]
    template: String,
    /// The parameters of the template.
    #[schema(value_type = Object)]
    parameters: Value,
    /// Whether it was accepted or dismissed.
    #[schema(value_type = schema::SuggestionStatus)]
    status: &'static str,
    /// The workflow that was made from it.
    #[schema(value_type = Option<schema::WorkflowId>)]
    workflow_id: Option<WorkflowId>,
    /// The latest events that are evidence of the pattern, newest first.
    #[schema(value_type = Vec<schema::EventId>)]
    evidence: Vec<EventId>,
}

impl SuggestionView {
    fn new(catalogue: &Catalogue, suggestion: Suggestion) -> Self {
        let rule = catalogue.rule(&suggestion.rule);
        let named = || suggestion.rule.clone();
        Self {
            id: suggestion.id,
            title: rule.map_or_else(named, |rule| rule.title(&suggestion)),
            reasoning: rule.map_or_else(String::new, |rule| rule.reasoning(&suggestion)),
            confidence: millionths(suggestion.confidence),
            pattern_id: suggestion.pattern,
            template: rule.map_or_else(named, Rule::template),
            parameters: Parameters::of(&suggestion).names(),
            status: suggestion.status.as_str(),
            workflow_id: suggestion.workflow,
            evidence: suggestion.evidence,
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "at most a million")]
fn millionths(confidence: i64) -> f64 {
    confidence as f64 / 1e6
}

fn filter(query: &SuggestionQuery) -> Result<SuggestionFilter, Problem> {
    let status = |name: &String| {
        name.parse::<SuggestionStatus>().map_err(|_| invalid("status", "`status` is `open`, `applied` or `dismissed`."))
    };
    #[expect(clippy::cast_possible_truncation, reason = "a share of 1 at most, in millionths")]
    let min_confidence = (share(query.min_confidence)? * 1e6).ceil() as i64;
    let mut filter = SuggestionFilter { min_confidence, ..SuggestionFilter::default() };
    if !query.status.is_empty() {
        filter.statuses = query.status.iter().map(status).collect::<Result<_, _>>()?;
    }
    Ok(filter)
}

/// List the workflows that the patterns of a workspace suggest, the most reliable first.
#[utoipa::path(tag = "suggestions", security(("bearer" = [])),
    params(SuggestionQuery),
    responses((status = 200, description = "Suggestions", body = List<SuggestionView>, headers(
        ("Tidegate-Watermark" = i64, description = "The answer follows from the events up to this position")))))]
#[get("")]
pub async fn list(
    services: web::Data<Services>,
    Entered(scope): Entered,
    Query(query): Query<SuggestionQuery>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let read = async || {
        let filter = filter(&query)?;
        let binding = (scope.workspace(), "suggestions", &query.status, query.min_confidence.map(f64::to_bits));
        let after = services.cursors.open_optional(query.cursor.as_deref(), &binding)?;
        let listed = services.events.suggestions.list(&scope, &filter, after, page_size(query.limit)?).await?;
        let page = listed.page.map(|suggestion| SuggestionView::new(&services.events.catalogue, suggestion));
        Ok(ListAnswer { body: services.cursors.list(page, &binding), watermark: Some(listed.watermark.0) })
    };
    services.lists.answer(&request, &scope, &[ListTag::Suggestions], read).await
}

/// Create a draft of the suggested workflow with its parameters filled in. It runs once it is published.
#[utoipa::path(tag = "suggestions", security(("bearer" = [])),
    responses((status = 201, description = "The workflow", body = WorkflowDetailsView)))]
#[post("/{sug}/apply")]
pub async fn apply(
    services: web::Data<Services>,
    Entered(scope): Entered,
    suggestion: InPath<SuggestionId>,
) -> Result<HttpResponse, Problem> {
    let details = services.workflows.apply_suggestion.apply(&scope, suggestion.or_not_found()?).await?.workflow;
    let location = format!("/api/v1/workspaces/{}/workflows/{}", scope.workspace(), details.workflow.id);
    let mut response = HttpResponse::Created();
    response.insert_header((LOCATION, location)).insert_header(etag(details.workflow.revision));
    Ok(response.json(WorkflowDetailsView::from(details)))
}

/// Dismiss a suggestion for good. It is never offered again.
#[utoipa::path(tag = "suggestions", security(("bearer" = [])),
    responses((status = 200, description = "The suggestion as it is now", body = SuggestionView)))]
#[post("/{sug}/dismiss")]
pub async fn dismiss(
    services: web::Data<Services>,
    Entered(scope): Entered,
    suggestion: InPath<SuggestionId>,
) -> Result<HttpResponse, Problem> {
    let suggestion = services.events.suggestions.dismiss(&scope, suggestion.or_not_found()?).await?;
    Ok(HttpResponse::Ok().json(SuggestionView::new(&services.events.catalogue, suggestion)))
}

impl From<ListSuggestionsError> for Problem {
    fn from(error: ListSuggestionsError) -> Self {
        match error {
            ListSuggestionsError::Forbidden(error) => error.into(),
            ListSuggestionsError::Store(error) => error.into(),
        }
    }
}

impl From<ApplySuggestionError> for Problem {
    fn from(error: ApplySuggestionError) -> Self {
        match error {
            ApplySuggestionError::Forbidden(error) => error.into(),
            ApplySuggestionError::NotFound => Self::not_found(),
            ApplySuggestionError::Answered(SuggestionStatus::Applied, Some(workflow)) => {
                Self::new(&CONFLICT, format!("The suggestion has been made into the workflow {workflow} already."))
            }
            ApplySuggestionError::Answered(status, _) => {
                Self::new(&CONFLICT, format!("The suggestion has been {status} already."))
            }
            ApplySuggestionError::NameTaken => Self::new(
                &NAME_TAKEN,
                "The workspace has a workflow of the name that this one would get; give that one another name first.",
            ),
            ApplySuggestionError::RuleGone(rule) => Self::new(
                &CONFLICT,
                format!("This version of Tidegate has no rule {rule} any more; dismiss the suggestion."),
            ),
            ApplySuggestionError::Template(error) => {
                tracing::error!(%error, "a template of the catalogue makes no valid workflow");
                Self::internal()
            }
            ApplySuggestionError::QuotaExceeded(exceeded) => exceeded.into(),
            ApplySuggestionError::Store(error) => error.into(),
        }
    }
}

impl From<DismissSuggestionError> for Problem {
    fn from(error: DismissSuggestionError) -> Self {
        match error {
            DismissSuggestionError::Forbidden(error) => error.into(),
            DismissSuggestionError::NotFound => Self::not_found(),
            DismissSuggestionError::Applied => {
                Self::new(&CONFLICT, "The suggestion has been made into a workflow; delete or change that instead.")
            }
            DismissSuggestionError::Store(error) => error.into(),
        }
    }
}
