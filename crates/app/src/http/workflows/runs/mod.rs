//! Runs.

mod problems;
mod views;
mod waiting;

use actix_web::{HttpResponse, get, post, web};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;
use tidegate_kernel::{RunId, WorkflowId};
use tidegate_workflows::run::{RunFilter, RunStatus, StartRun, Started};
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::scope;
use utoipa_actix_web::service_config::ServiceConfig;
use validator::Validate;

use crate::Services;
use crate::http::support::body::Body;
use crate::http::support::caller::Entered;
use crate::http::support::cursor::List;
use crate::http::support::path::InPath;
use crate::http::support::problem::Problem;
use crate::http::support::query::{Query, invalid, page_size, period};
use crate::http::support::schema;

use views::{RunDetailsView, RunView};
use waiting::{ended_within, wait};

pub(super) fn workflows(config: &mut ServiceConfig<'_>) {
    config.service(start);
}

pub(super) fn workspace(config: &mut ServiceConfig<'_>) {
    config.service(scope("/runs").service(list).service(show).service(cancel));
}

/// A run to start.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StartRunBody {
    /// The input, which must satisfy the workflow's `inputs`; default: an empty object.
    #[serde(default)]
    #[schema(value_type = Value)]
    input: Option<Value>,
    /// The deduplication key, 1 to 256 bytes. A second start with the same key within 32 days returns the same run.
    #[schema(min_length = 1, max_length = 256)]
    dedupe_key: Option<String>,
}

/// Query parameters of starting a run.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct StartQuery {
    /// Wait for the end of the run, at most this long, such as `10s`; at most `60s`.
    wait: Option<String>,
}

/// Filters of runs. A repeated parameter matches any of its values.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct RunQuery {
    /// Only runs of these workflows.
    #[serde(default)]
    #[param(value_type = Vec<schema::WorkflowId>)]
    workflow: Vec<String>,
    /// Only runs with these statuses.
    #[serde(default)]
    #[param(value_type = Vec<schema::RunStatus>)]
    status: Vec<String>,
    /// Only runs that were created at this time or later.
    from: Option<DateTime<Utc>>,
    /// Only runs that were created before this time.
    to: Option<DateTime<Utc>>,
    /// How many items, 1 to 200; default: 50.
    limit: Option<u32>,
    /// `next_cursor` of the previous page.
    cursor: Option<String>,
}

/// Start a run of a workflow's published version.
#[utoipa::path(tag = "runs", security(("bearer" = [])),
    request_body(content = StartRunBody, example = json!({ "input": { "name": "Ada" } })),
    params(StartQuery),
    responses((status = 201, description = "The run was started", body = RunView),
        (status = 200, description = "The dedupe key had started this run before", body = RunView)))]
#[post("/{wf}/runs")]
pub async fn start(
    services: web::Data<Services>,
    Entered(scope): Entered,
    workflow: InPath<WorkflowId>,
    Query(query): Query<StartQuery>,
    Body(body): Body<StartRunBody>,
) -> Result<HttpResponse, Problem> {
    let workflow = workflow.or_not_found()?;
    let wait = query.wait.as_deref().map(wait).transpose()?;
    let input = body.input.unwrap_or_else(|| Value::Object(serde_json::Map::new()));
    let start = StartRun::by_api(workflow, input, body.dedupe_key);
    let Started { mut run, created } = services.workflows.runs.start(&scope, start).await?;
    if let Some(wait) = wait.filter(|_| !run.status.is_terminal()) {
        run = ended_within(&services, &scope, run, wait).await;
    }
    let mut response = if created { HttpResponse::Created() } else { HttpResponse::Ok() };
    let location = format!("/api/v1/workspaces/{}/runs/{}", scope.workspace(), run.id);
    Ok(response.insert_header(("location", location)).json(RunView::from(run)))
}

/// List the runs of a workspace, newest first.
#[utoipa::path(tag = "runs", security(("bearer" = [])),
    params(RunQuery),
    responses((status = 200, description = "Runs", body = List<RunView>)))]
#[get("")]
pub async fn list(
    services: web::Data<Services>,
    Entered(scope): Entered,
    Query(query): Query<RunQuery>,
) -> Result<HttpResponse, Problem> {
    let (from, to) = period(query.from, query.to)?;
    let mut filter = RunFilter { from, to, ..RunFilter::default() };
    for workflow in &query.workflow {
        filter
            .workflows
            .push(workflow.parse().map_err(|_| invalid("workflow", "`workflow` is the id of a workflow."))?);
    }
    for status in &query.status {
        filter.statuses.push(status.parse().map_err(|_| {
            let known: Vec<&str> = RunStatus::ALL.iter().map(|status| status.as_str()).collect();
            invalid("status", format!("`status` is one of {}.", known.join(", ")))
        })?);
    }
    let binding = (scope.workspace(), "runs", &query.workflow, &query.status, query.from, query.to);
    let after = services.cursors.open_optional(query.cursor.as_deref(), &binding)?;
    let page = services.workflows.runs.list(&scope, &filter, after, page_size(query.limit)?).await?;
    Ok(HttpResponse::Ok().json(services.cursors.list(page.map(RunView::from), &binding)))
}

/// Get a run with its steps.
#[utoipa::path(tag = "runs", security(("bearer" = [])),
    responses((status = 200, description = "The run", body = RunDetailsView)))]
#[get("/{run}")]
pub async fn show(
    services: web::Data<Services>,
    Entered(scope): Entered,
    run: InPath<RunId>,
) -> Result<HttpResponse, Problem> {
    let details = services.workflows.runs.get(&scope, run.or_not_found()?).await?;
    Ok(HttpResponse::Ok().json(RunDetailsView::from(details)))
}

/// Request the cancellation of a run. It ends as soon as its worker hears of it; calls under way are abandoned.
#[utoipa::path(tag = "runs", security(("bearer" = [])),
    responses((status = 202, description = "The run, as it was when it was asked to end", body = RunView)))]
#[post("/{run}/cancel")]
pub async fn cancel(
    services: web::Data<Services>,
    Entered(scope): Entered,
    run: InPath<RunId>,
) -> Result<HttpResponse, Problem> {
    let run = services.workflows.runs.cancel(&scope, run.or_not_found()?).await?;
    Ok(HttpResponse::Accepted().json(RunView::from(run)))
}
