//! Runs.

use std::time::Duration;

use actix_web::{HttpResponse, get, post, web};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tidegate_kernel::{RunId, WorkflowId, WorkspaceScope};
use tidegate_workflows::definition::parse_duration;
use tidegate_workflows::run::{
    AttemptView, CancelError, ReadError, Run, RunDetails, RunError, RunFilter, RunStatus, StartError, StartRun,
    Started, StepError, StepView,
};
use tokio::time::Instant;
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;
use validator::Validate;

use super::body::Body;
use super::caller::Entered;
use super::cursor::List;
use super::problem::{CONFLICT, FieldError, Problem};
use super::query::{Query, instant, invalid, page_size};
use crate::Services;

/// The longest `?wait=`.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// How often a run that another process may drive is looked at while somebody waits for it.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

pub(super) fn configure(config: &mut ServiceConfig<'_>) {
    config.service(start).service(list).service(show).service(cancel);
}

/// What to start.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StartRunBody {
    /// The input; it has to meet the workflow's `inputs`. An empty object where nothing is said.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    input: Option<Value>,
    /// A second start of the workflow with the same key within 32 days is the same run. 1 to 256 bytes.
    dedupe_key: Option<String>,
}

/// Whether to wait.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct StartQuery {
    /// Answer when the run has ended or this time is over, such as `10s`; at most `60s`.
    wait: Option<String>,
}

/// Which runs are wanted. A parameter that is repeated means any of its values.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct RunQuery {
    /// Only runs of these workflows.
    #[serde(default)]
    workflow: Vec<String>,
    /// Only runs in these: `pending`, `running`, `waiting`, `completed`, `failed`, `cancelled`, `timed_out`.
    #[serde(default)]
    status: Vec<String>,
    /// Only runs that were created at this time or later.
    from: Option<DateTime<Utc>>,
    /// Only runs that were created before this time.
    to: Option<DateTime<Utc>>,
    /// How many items, 1 to 200; 50 where nothing is said.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Why a run did not complete.
#[derive(Debug, Serialize, ToSchema)]
pub struct RunErrorView {
    /// The reason as a word.
    code: String,
    /// The reason as a sentence.
    message: String,
    /// The step that failed, where it was one.
    step: Option<String>,
}

/// A run.
#[derive(Debug, Serialize, ToSchema)]
pub struct RunView {
    /// Its id.
    #[schema(value_type = String, example = "run_01jz3q9m0e7c2v5y8t4r6n1k0d")]
    id: RunId,
    /// The workflow.
    #[schema(value_type = String, example = "wf_01jz3q9m0e7c2v5y8t4r6n1k0d")]
    workflow_id: WorkflowId,
    /// The version that it is pinned to.
    version: i32,
    /// `pending`, `running`, `waiting`, `completed`, `failed`, `cancelled` or `timed_out`.
    status: &'static str,
    /// What started it: `{kind, …}`.
    #[schema(value_type = Object)]
    trigger: Value,
    /// Its input.
    #[schema(value_type = Object)]
    input: Value,
    /// What it answers; null until it completed.
    #[schema(value_type = Option<Object>)]
    outputs: Value,
    /// Why it did not complete; null where it did.
    error: Option<RunErrorView>,
    /// When it was created.
    created_at: DateTime<Utc>,
    /// When it began.
    started_at: Option<DateTime<Utc>>,
    /// When it ended.
    finished_at: Option<DateTime<Utc>>,
    /// The key under which it was started.
    dedupe_key: Option<String>,
}

/// Why an attempt failed.
#[derive(Debug, Serialize, ToSchema)]
pub struct StepErrorView {
    /// The reason as a word.
    code: String,
    /// The reason as a sentence.
    message: String,
}

/// One attempt of a step.
#[derive(Debug, Serialize, ToSchema)]
pub struct AttemptBody {
    /// 1 for the first.
    number: u32,
    /// How it is or how it ended.
    status: &'static str,
    /// When it began.
    started_at: DateTime<Utc>,
    /// When it ended.
    finished_at: Option<DateTime<Utc>>,
    /// Why it failed.
    error: Option<StepErrorView>,
}

/// One step of a run.
#[derive(Debug, Serialize, ToSchema)]
pub struct StepBody {
    /// Its id in the document.
    id: String,
    /// What it does.
    uses: &'static str,
    /// `pending`, `running`, `waiting`, `completed`, `failed`, `cancelled`, `timed_out` or `skipped`.
    status: &'static str,
    /// Its attempts, in order.
    attempts: Vec<AttemptBody>,
    /// What it was given; null before it began.
    #[schema(value_type = Option<Object>)]
    input: Option<Value>,
    /// What it made; null until it completed.
    #[schema(value_type = Option<Object>)]
    output: Option<Value>,
    /// Why its last attempt failed.
    error: Option<StepErrorView>,
}

/// A run with its steps.
#[derive(Debug, Serialize, ToSchema)]
pub struct RunDetailsView {
    #[serde(flatten)]
    run: RunView,
    /// Its steps; each comes after those that it needs.
    steps: Vec<StepBody>,
}

impl From<RunError> for RunErrorView {
    fn from(error: RunError) -> Self {
        Self { code: error.code, message: error.message, step: error.step }
    }
}

impl From<StepError> for StepErrorView {
    fn from(error: StepError) -> Self {
        Self { code: error.code, message: error.message }
    }
}

impl From<Run> for RunView {
    fn from(run: Run) -> Self {
        Self {
            id: run.id,
            workflow_id: run.workflow,
            version: run.version,
            status: run.status.as_str(),
            trigger: run.trigger,
            input: run.input,
            outputs: run.outputs,
            error: run.error.map(Into::into),
            created_at: run.created_at,
            started_at: run.started_at,
            finished_at: run.finished_at,
            dedupe_key: run.dedupe_key,
        }
    }
}

impl From<AttemptView> for AttemptBody {
    fn from(attempt: AttemptView) -> Self {
        Self {
            number: attempt.number,
            status: attempt.status.as_str(),
            started_at: attempt.started_at,
            finished_at: attempt.finished_at,
            error: attempt.error.map(Into::into),
        }
    }
}

impl From<StepView> for StepBody {
    fn from(step: StepView) -> Self {
        Self {
            id: step.id,
            uses: step.uses.as_str(),
            status: step.status.as_str(),
            attempts: step.attempts.into_iter().map(Into::into).collect(),
            input: step.input,
            output: step.output,
            error: step.error.map(Into::into),
        }
    }
}

impl From<RunDetails> for RunDetailsView {
    fn from(details: RunDetails) -> Self {
        Self { run: details.run.into(), steps: details.steps.into_iter().map(Into::into).collect() }
    }
}

fn run_id(text: &str) -> Result<RunId, Problem> {
    text.parse().map_err(|_| Problem::not_found())
}

/// Starts a run of a workflow's published version.
#[utoipa::path(tag = "runs", security(("bearer" = [])), request_body = StartRunBody,
    params(("ws" = String, Path, description = "Id or slug of the workspace"),
        ("wf" = String, Path, description = "Id of the workflow"), StartQuery),
    responses((status = 201, description = "The run was started", body = RunView),
        (status = 200, description = "The dedupe key had started this run before", body = RunView)))]
#[post("/workspaces/{ws}/workflows/{wf}/runs")]
pub async fn start(
    services: web::Data<Services>,
    Entered(scope): Entered,
    path: web::Path<(String, String)>,
    Query(query): Query<StartQuery>,
    Body(body): Body<StartRunBody>,
) -> Result<HttpResponse, Problem> {
    let workflow = path.1.parse::<WorkflowId>().map_err(|_| Problem::not_found())?;
    let wait = query.wait.as_deref().map(wait).transpose()?;
    let input = body.input.unwrap_or_else(|| Value::Object(serde_json::Map::new()));
    let start = StartRun::by_api(workflow, input, body.dedupe_key);
    let Started { mut run, created } = services.runs.start(&scope, start).await?;
    if let Some(wait) = wait.filter(|_| !run.status.is_terminal()) {
        run = ended_within(&services, &scope, run, wait).await?;
    }
    let mut response = if created { HttpResponse::Created() } else { HttpResponse::Ok() };
    let location = format!("/api/v1/workspaces/{}/runs/{}", scope.workspace(), run.id);
    Ok(response.insert_header(("location", location)).json(RunView::from(run)))
}

fn wait(text: &str) -> Result<Duration, Problem> {
    let wait = parse_duration(text).filter(|wait| *wait <= MAX_WAIT);
    wait.ok_or_else(|| invalid("wait", "`wait` is a duration of at most 60s, such as `10s`."))
}

/// The run when it has ended, or as it is when the time is over.
async fn ended_within(services: &Services, scope: &WorkspaceScope, run: Run, wait: Duration) -> Result<Run, Problem> {
    let deadline = Instant::now() + wait;
    let id = run.id;
    let mut latest = run;
    loop {
        // First the ear, then the look, so that an end in between is not missed.
        let ended = services.run_endings.ended(id);
        match services.runs.peek(scope, id).await {
            Ok(run) => latest = run,
            // Whoever may start runs but not read them is told how it was started.
            Err(ReadError::Forbidden(_)) => return Ok(latest),
            Err(error) => return Err(error.into()),
        }
        let now = Instant::now();
        if latest.status.is_terminal() || now >= deadline || services.stopping.is_cancelled() {
            services.run_endings.forget(id);
            return Ok(latest);
        }
        // Whichever comes first is followed by another look.
        let _ = tokio::time::timeout_at(deadline.min(now + LOOK_AGAIN), ended).await;
    }
}

/// The workspace's runs, newest first.
#[utoipa::path(tag = "runs", security(("bearer" = [])),
    params(("ws" = String, Path, description = "Id or slug of the workspace"), RunQuery),
    responses((status = 200, description = "Runs", body = List<RunView>)))]
#[get("/workspaces/{ws}/runs")]
pub async fn list(
    services: web::Data<Services>,
    Entered(scope): Entered,
    Query(query): Query<RunQuery>,
) -> Result<HttpResponse, Problem> {
    let mut filter =
        RunFilter { from: instant("from", query.from)?, to: instant("to", query.to)?, ..RunFilter::default() };
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
    let page = services.runs.list(&scope, &filter, after, page_size(query.limit)?).await?;
    Ok(HttpResponse::Ok().json(services.cursors.list(page.map(RunView::from), &binding)))
}

/// A run with its steps.
#[utoipa::path(tag = "runs", security(("bearer" = [])),
    params(("ws" = String, Path, description = "Id or slug of the workspace"),
        ("run" = String, Path, description = "Id of the run")),
    responses((status = 200, description = "The run", body = RunDetailsView)))]
#[get("/workspaces/{ws}/runs/{run}")]
pub async fn show(
    services: web::Data<Services>,
    Entered(scope): Entered,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, Problem> {
    let details = services.runs.get(&scope, run_id(&path.1)?).await?;
    Ok(HttpResponse::Ok().json(RunDetailsView::from(details)))
}

/// Asks for the end of a run. It ends as soon as its worker hears of it; what is being done outside is abandoned.
#[utoipa::path(tag = "runs", security(("bearer" = [])),
    params(("ws" = String, Path, description = "Id or slug of the workspace"),
        ("run" = String, Path, description = "Id of the run")),
    responses((status = 202, description = "The run, as it was when it was asked to end", body = RunView)))]
#[post("/workspaces/{ws}/runs/{run}/cancel")]
pub async fn cancel(
    services: web::Data<Services>,
    Entered(scope): Entered,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, Problem> {
    let run = services.runs.cancel(&scope, run_id(&path.1)?).await?;
    Ok(HttpResponse::Accepted().json(RunView::from(run)))
}

impl From<StartError> for Problem {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Forbidden(error) => error.into(),
            StartError::NotFound => Self::not_found(),
            StartError::Unpublished => {
                Self::new(&CONFLICT, "No version of the workflow is published; publish one, then start it.")
            }
            StartError::InvalidInput(problems) => Self::invalid(
                problems
                    .into_iter()
                    .map(|problem| FieldError::new(format!("/input{}", problem.pointer), problem.detail))
                    .collect(),
            ),
            StartError::InvalidKey => Self::invalid(vec![FieldError::new("/dedupe_key", error.to_string())]),
            StartError::KeyReused(run) => Self::new(
                &CONFLICT,
                format!("This dedupe key started {run} with another input; use another key for another input."),
            ),
            StartError::ConcurrencyKey(_) => Self::invalid(vec![FieldError::new("/input", error.to_string())]),
            StartError::TooDeep => Self::new(&CONFLICT, error.to_string()),
            StartError::Store(error) => error.into(),
        }
    }
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Forbidden(error) => error.into(),
            ReadError::NotFound => Self::not_found(),
            ReadError::Store(error) => error.into(),
        }
    }
}

impl From<CancelError> for Problem {
    fn from(error: CancelError) -> Self {
        match error {
            CancelError::Forbidden(error) => error.into(),
            CancelError::NotFound => Self::not_found(),
            CancelError::Ended => Self::new(&CONFLICT, "The run has ended; there is nothing left to cancel."),
            CancelError::Store(error) => error.into(),
        }
    }
}
