//! Runs in quarantine, for operators.

use actix_web::{HttpResponse, get, post, web};
use chrono::{DateTime, Utc};
use serde::Serialize;
use tidegate_kernel::{RunId, WorkspaceId};
use tidegate_workflows::run::{OperateError, QuarantineAction, QuarantineKey, QuarantinedRun};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::Services;
use crate::http::support::caller::Operator;
use crate::http::support::cursor::List;
use crate::http::support::path::InPath;
use crate::http::support::problem::Problem;
use crate::http::support::query::{PageQuery, Query, page_size};
use crate::http::support::schema;

pub(super) fn monitoring(config: &mut ServiceConfig<'_>) {
    config.service(list).service(release).service(end);
}

/// A run in quarantine.
#[derive(Debug, Serialize, ToSchema)]
pub struct QuarantinedRunView {
    /// The run.
    #[schema(value_type = schema::RunId)]
    run_id: RunId,
    /// The workspace that it belongs to.
    #[schema(value_type = schema::WorkspaceId)]
    workspace_id: WorkspaceId,
    /// The reason.
    #[schema(value_type = schema::QuarantineReason)]
    reason: &'static str,
    /// The error.
    error: String,
    /// When it was set aside.
    at: DateTime<Utc>,
}

impl From<QuarantinedRun> for QuarantinedRunView {
    fn from(run: QuarantinedRun) -> Self {
        Self { run_id: run.run, workspace_id: run.workspace, reason: run.reason.as_str(), error: run.error, at: run.at }
    }
}

impl From<OperateError> for Problem {
    fn from(error: OperateError) -> Self {
        match error {
            OperateError::NotFound => Self::not_found(),
            OperateError::Store(error) => error.into(),
        }
    }
}

/// List the runs in quarantine, which the engine cannot drive, oldest first. For operators.
#[utoipa::path(tag = "monitoring", security(("bearer" = [])), params(PageQuery),
    responses((status = 200, description = "Runs in quarantine", body = List<QuarantinedRunView>)))]
#[get("/quarantine")]
pub async fn list(
    services: web::Data<Services>,
    // The query comes first, so that every caller hears of a bad one.
    Query(query): Query<PageQuery>,
    Operator(operator): Operator,
) -> Result<HttpResponse, Problem> {
    let binding = ("monitoring", "quarantine");
    let after: Option<QuarantineKey> = services.cursors.open_optional(query.cursor.as_deref(), &binding)?;
    let page = services.workflows.quarantine.list(&operator, after, page_size(query.limit)?).await?;
    Ok(HttpResponse::Ok().json(services.cursors.list(page.map(QuarantinedRunView::from), &binding)))
}

/// Release a run from quarantine. It continues from its last commit, and returns if it fails again. For operators.
#[utoipa::path(tag = "monitoring", security(("bearer" = [])),
    responses((status = 202, description = "The run, as it was when its release was asked for", body = QuarantinedRunView)))]
#[post("/quarantine/{run}/release")]
pub async fn release(
    services: web::Data<Services>,
    Operator(operator): Operator,
    run: InPath<RunId>,
) -> Result<HttpResponse, Problem> {
    let run = services.workflows.quarantine.request(&operator, run.or_not_found()?, QuarantineAction::Release).await?;
    Ok(HttpResponse::Accepted().json(QuarantinedRunView::from(run)))
}

/// End a run in quarantine as failed, with the code `quarantined`. For operators.
#[utoipa::path(tag = "monitoring", security(("bearer" = [])),
    responses((status = 202, description = "The run, as it was when its end was asked for", body = QuarantinedRunView)))]
#[post("/quarantine/{run}/end")]
pub async fn end(
    services: web::Data<Services>,
    Operator(operator): Operator,
    run: InPath<RunId>,
) -> Result<HttpResponse, Problem> {
    let run = services.workflows.quarantine.request(&operator, run.or_not_found()?, QuarantineAction::End).await?;
    Ok(HttpResponse::Accepted().json(QuarantinedRunView::from(run)))
}
