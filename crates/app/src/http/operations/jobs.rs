//! Background jobs: those of a workspace for its members, and all dead jobs for operators.

use actix_web::{HttpResponse, get, post, web};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tidegate_engine::jobs::{INSTALLATION, Job, JobAction, JobFilter, JobQueueError};
use tidegate_kernel::{JobId, JobStatus, WorkspaceId};
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::scope;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::Services;
use crate::http::support::caller::{Entered, Operator};
use crate::http::support::cursor::List;
use crate::http::support::path::InPath;
use crate::http::support::problem::{CONFLICT, Problem};
use crate::http::support::query::{PageQuery, Query, invalid, page_size, texts};
use crate::http::support::schema;

pub(super) fn workspace(config: &mut ServiceConfig<'_>) {
    config.service(scope("/jobs").service(list).service(redrive).service(discard));
}

pub(super) fn monitoring(config: &mut ServiceConfig<'_>) {
    config.service(list_dead).service(redrive_any).service(discard_any);
}

/// Filters of jobs. A repeated parameter matches any of its values.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct JobQuery {
    /// Only these kinds, such as `mail.send`.
    #[serde(default)]
    #[param(value_type = Vec<schema::JobKind>)]
    kind: Vec<String>,
    /// Only these statuses.
    #[serde(default)]
    #[param(value_type = Vec<schema::JobStatus>)]
    status: Vec<String>,
    /// How many items, 1 to 200; default: 50.
    limit: Option<u32>,
    /// `next_cursor` of the previous page.
    cursor: Option<String>,
}

/// A background job that is not done yet.
#[derive(Debug, Serialize, ToSchema)]
pub struct JobView {
    /// The id.
    #[schema(value_type = schema::JobId)]
    id: JobId,
    /// The workspace that it belongs to; null for the installation's own.
    #[schema(value_type = Option<schema::WorkspaceId>)]
    workspace_id: Option<WorkspaceId>,
    /// The kind of work.
    #[schema(value_type = schema::JobKind)]
    kind: String,
    /// The status; `dead` if it failed for good.
    #[schema(value_type = schema::JobStatus)]
    status: &'static str,
    /// The priority among the workspace's jobs of this kind.
    #[schema(value_type = schema::JobPriority)]
    priority: &'static str,
    /// The unique key. While the job waits to begin, no second job of its kind with this key is added.
    unique_by: Option<String>,
    /// How many attempts have failed.
    #[schema(minimum = 0)]
    attempts: u32,
    /// The error of the last failed attempt.
    last_error: Option<String>,
    /// The earliest time of the job, if one was set.
    run_at: Option<DateTime<Utc>>,
    /// When it was enqueued.
    created_at: DateTime<Utc>,
}

impl From<Job> for JobView {
    fn from(job: Job) -> Self {
        Self {
            id: job.key.job,
            workspace_id: (job.key.workspace != INSTALLATION).then_some(job.key.workspace),
            kind: job.kind,
            status: job.status.as_str(),
            priority: job.priority.as_str(),
            unique_by: job.unique_key,
            attempts: job.attempts,
            last_error: job.last_error,
            run_at: job.run_at,
            created_at: job.created_at,
        }
    }
}

impl From<JobQueueError> for Problem {
    fn from(error: JobQueueError) -> Self {
        match error {
            JobQueueError::Forbidden(error) => error.into(),
            JobQueueError::NotFound => Self::not_found(),
            JobQueueError::NotDead => {
                Self::new(&CONFLICT, "The job has not failed for good; only a dead job can be redriven or discarded.")
            }
            JobQueueError::Store(error) => error.into(),
        }
    }
}

/// List the background jobs of a workspace that are not done yet, newest first. Dead jobs have failed for good.
#[utoipa::path(tag = "jobs", security(("bearer" = [])),
    params(JobQuery),
    responses((status = 200, description = "Jobs", body = List<JobView>)))]
#[get("")]
pub async fn list(
    services: web::Data<Services>,
    Entered(scope): Entered,
    Query(query): Query<JobQuery>,
) -> Result<HttpResponse, Problem> {
    let status = |text: &String| {
        text.parse::<JobStatus>()
            .map_err(|_| invalid("status", "`status` is `scheduled`, `ready`, `running` or `dead`."))
    };
    let filter = JobFilter {
        kinds: texts("kind", &query.kind)?,
        statuses: query.status.iter().map(status).collect::<Result<_, _>>()?,
    };
    let binding = (scope.workspace(), "jobs", &query.kind, &query.status);
    let after: Option<JobId> = services.cursors.open_optional(query.cursor.as_deref(), &binding)?;
    let page = services.jobs.queue.list(&scope, &filter, after, page_size(query.limit)?).await?;
    Ok(HttpResponse::Ok().json(services.cursors.list(page.map(JobView::from), &binding)))
}

/// Try a dead job again, with all its attempts.
#[utoipa::path(tag = "jobs", security(("bearer" = [])),
    responses((status = 202, description = "The job, which waits for its next attempt", body = JobView)))]
#[post("/{job}/redrive")]
pub async fn redrive(
    services: web::Data<Services>,
    Entered(scope): Entered,
    job: InPath<JobId>,
) -> Result<HttpResponse, Problem> {
    let job = services.jobs.queue.act(&scope, job.or_not_found()?, JobAction::Redrive).await?;
    Ok(HttpResponse::Accepted().json(job.map(JobView::from)))
}

/// Delete a dead job.
#[utoipa::path(tag = "jobs", security(("bearer" = [])),
    responses((status = 204, description = "It is gone")))]
#[post("/{job}/discard")]
pub async fn discard(
    services: web::Data<Services>,
    Entered(scope): Entered,
    job: InPath<JobId>,
) -> Result<HttpResponse, Problem> {
    services.jobs.queue.act(&scope, job.or_not_found()?, JobAction::Discard).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// List the dead jobs of all workspaces and of the installation, the longest dead first. For operators.
#[utoipa::path(tag = "monitoring", security(("bearer" = [])), params(PageQuery),
    responses((status = 200, description = "Dead jobs", body = List<JobView>)))]
#[get("/jobs")]
pub async fn list_dead(
    services: web::Data<Services>,
    // The query comes first, so that every caller hears of a bad one.
    Query(query): Query<PageQuery>,
    Operator(operator): Operator,
) -> Result<HttpResponse, Problem> {
    let binding = ("monitoring", "jobs");
    let after = services.cursors.open_optional(query.cursor.as_deref(), &binding)?;
    let page = services.jobs.queue.dead(&operator, after, page_size(query.limit)?).await?;
    Ok(HttpResponse::Ok().json(services.cursors.list(page.map(JobView::from), &binding)))
}

/// Try a dead job of any workspace again, with all its attempts. For operators.
#[utoipa::path(tag = "monitoring", security(("bearer" = [])),
    responses((status = 202, description = "The job, which waits for its next attempt", body = JobView)))]
#[post("/jobs/{job}/redrive")]
pub async fn redrive_any(
    services: web::Data<Services>,
    Operator(operator): Operator,
    job: InPath<JobId>,
) -> Result<HttpResponse, Problem> {
    let job = services.jobs.queue.operate(&operator, job.or_not_found()?, JobAction::Redrive).await?;
    Ok(HttpResponse::Accepted().json(job.map(JobView::from)))
}

/// Delete a dead job of any workspace. For operators.
#[utoipa::path(tag = "monitoring", security(("bearer" = [])),
    responses((status = 204, description = "It is gone")))]
#[post("/jobs/{job}/discard")]
pub async fn discard_any(
    services: web::Data<Services>,
    Operator(operator): Operator,
    job: InPath<JobId>,
) -> Result<HttpResponse, Problem> {
    services.jobs.queue.operate(&operator, job.or_not_found()?, JobAction::Discard).await?;
    Ok(HttpResponse::NoContent().finish())
}
