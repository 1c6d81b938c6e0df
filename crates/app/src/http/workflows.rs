//! Workflows and their versions.

use std::future::Future;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::http::header::LOCATION;
use actix_web::{FromRequest, HttpRequest, HttpResponse, get, post, put, web};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tidegate_kernel::WorkflowId;
use tidegate_workflows::definition::{self, DefinitionError, Format, MAX_BYTES};
use tidegate_workflows::error::{CheckError, CreateError, DraftError, PublishError, ReadError};
use tidegate_workflows::model::{Document, Version, Workflow, WorkflowDetails};
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;
use validator::Validate;

use super::body::{Body, media_type, read};
use super::caller::Entered;
use super::cursor::List;
use super::problem::{FieldError, MALFORMED_BODY, NAME_TAKEN, Problem, UNSUPPORTED_MEDIA_TYPE};
use super::query::{Query, page_size};
use super::revision::{self, etag};
use super::workspaces::PageQuery;
use crate::Services;

pub(super) fn configure(config: &mut ServiceConfig<'_>) {
    config
        .service(create)
        .service(list)
        .service(get_one)
        .service(draft)
        .service(publish)
        .service(rollback)
        .service(versions);
}

/// A workflow document as it was sent, in YAML or JSON by its content type.
#[derive(Debug)]
pub struct DocumentBody(Document);

impl FromRequest for DocumentBody {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let format = match media_type(request).as_deref() {
            Some("application/json") => Some(Format::Json),
            Some("application/yaml" | "application/x-yaml" | "text/yaml" | "text/x-yaml") => Some(Format::Yaml),
            _ => None,
        };
        let bytes = read(payload.take(), MAX_BYTES);
        Box::pin(async move {
            let Some(format) = format else {
                let detail = "Send the document as application/yaml or application/json.";
                return Err(Problem::new(&UNSUPPORTED_MEDIA_TYPE, detail));
            };
            Ok(Self(Document { format, source: bytes.await?.to_vec() }))
        })
    }
}

/// Parameters of sending a document.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct SendQuery {
    /// `true` only checks the document, and answers 200 where it has no problems.
    #[serde(default)]
    dry_run: bool,
}

/// Which version to go back to.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rollback {
    /// Its number.
    #[validate(range(min = 1, message = "versions count from 1"))]
    #[schema(example = 1)]
    version: i32,
}

/// A workflow.
#[derive(Debug, Serialize, ToSchema)]
pub struct WorkflowView {
    /// The id.
    #[schema(value_type = String, example = "wf_01jz3q9m0e7c2v5y8t4r6n1k0d")]
    id: WorkflowId,
    /// The name in its latest version; unique within the workspace.
    name: String,
    /// The description in its latest version.
    description: Option<String>,
    /// `draft` until a version is published, `published` from then on.
    status: &'static str,
    /// The latest version.
    version: i32,
    /// The version that new runs follow; null where none is published.
    published_version: Option<i32>,
    /// Grows with every change; the ETag is made of it.
    revision: i32,
    /// When it was created.
    created_at: DateTime<Utc>,
    /// When it was last changed.
    updated_at: DateTime<Utc>,
}

impl From<Workflow> for WorkflowView {
    fn from(workflow: Workflow) -> Self {
        Self {
            id: workflow.id,
            name: workflow.name,
            description: workflow.description,
            status: if workflow.published.is_some() { "published" } else { "draft" },
            version: workflow.latest,
            published_version: workflow.published,
            revision: workflow.revision,
            created_at: workflow.created_at,
            updated_at: workflow.updated_at,
        }
    }
}

/// A workflow with the document of its latest version.
#[derive(Debug, Serialize, ToSchema)]
pub struct WorkflowDetailsView {
    #[serde(flatten)]
    workflow: WorkflowView,
    /// The document as JSON.
    #[schema(value_type = Object)]
    definition: Value,
    /// How the document was sent: `yaml` or `json`.
    format: &'static str,
    /// The document as it was sent.
    source: String,
}

impl From<WorkflowDetails> for WorkflowDetailsView {
    fn from(details: WorkflowDetails) -> Self {
        let Document { format, source } = details.document;
        Self {
            workflow: details.workflow.into(),
            definition: definition::to_json(&source, format).unwrap_or_default(),
            format: format.as_str(),
            source: String::from_utf8_lossy(&source).into_owned(),
        }
    }
}

/// A document that has no problems.
#[derive(Debug, Serialize, ToSchema)]
pub struct CheckView {
    /// Always true: a document with problems answers 422.
    valid: bool,
    /// The name in it.
    name: String,
    /// The document as JSON.
    #[schema(value_type = Object)]
    definition: Value,
}

/// One version.
#[derive(Debug, Serialize, ToSchema)]
pub struct VersionView {
    /// Its number, from 1.
    version: i32,
    /// The workflow's name in it.
    name: String,
    /// Whether new runs follow it.
    published: bool,
    /// When it was made.
    created_at: DateTime<Utc>,
}

/// Create a workflow; its first version is a draft.
#[utoipa::path(tag = "workflows", security(("bearer" = [])),
    params(("ws" = String, Path, description = "Id or slug of the workspace"), SendQuery),
    request_body(content((Object = "application/yaml"), (Object = "application/json"))),
    responses((status = 201, description = "The workflow", body = WorkflowDetailsView),
        (status = 200, description = "The document has no problems (`dry_run`)", body = CheckView)))]
#[post("/workspaces/{ws}/workflows")]
pub async fn create(
    services: web::Data<Services>,
    Entered(scope): Entered,
    Query(query): Query<SendQuery>,
    DocumentBody(document): DocumentBody,
) -> Result<HttpResponse, Problem> {
    if query.dry_run {
        return Ok(checked(services.workflows.check(&scope, &document)?));
    }
    let details = services.workflows.create(&scope, document).await?;
    let location = format!("/api/v1/workspaces/{}/workflows/{}", scope.workspace(), details.workflow.id);
    let mut response = HttpResponse::Created();
    response.insert_header((LOCATION, location)).insert_header(etag(details.workflow.revision));
    Ok(response.json(WorkflowDetailsView::from(details)))
}

fn checked(definition: definition::Definition) -> HttpResponse {
    HttpResponse::Ok().json(CheckView { valid: true, name: definition.name, definition: definition.document })
}

/// The workspace's workflows, newest first.
#[utoipa::path(tag = "workflows", security(("bearer" = [])),
    params(("ws" = String, Path, description = "Id or slug of the workspace"), PageQuery),
    responses((status = 200, description = "Workflows", body = List<WorkflowView>)))]
#[get("/workspaces/{ws}/workflows")]
pub async fn list(
    services: web::Data<Services>,
    Entered(scope): Entered,
    Query(query): Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    let binding = (scope.workspace(), "workflows");
    let after = services.cursors.open_optional(query.cursor.as_deref(), &binding)?;
    let page = services.workflows.list(&scope, after, page_size(query.limit)?).await?;
    Ok(HttpResponse::Ok().json(services.cursors.list(page.map(WorkflowView::from), &binding)))
}

/// A workflow with the document of its latest version.
#[utoipa::path(tag = "workflows", security(("bearer" = [])),
    params(("ws" = String, Path, description = "Id or slug of the workspace"),
        ("wf" = String, Path, description = "The workflow")),
    responses((status = 200, description = "The workflow", body = WorkflowDetailsView),
        (status = 304, description = "The caller has it already (`If-None-Match`)")))]
#[get("/workspaces/{ws}/workflows/{wf}")]
pub async fn get_one(
    services: web::Data<Services>,
    Entered(scope): Entered,
    path: web::Path<(String, String)>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let details = services.workflows.get(&scope, id(&path.1)).await?;
    let tag = etag(details.workflow.revision);
    if revision::is_known(&request, details.workflow.revision) {
        return Ok(HttpResponse::NotModified().insert_header(tag).finish());
    }
    Ok(HttpResponse::Ok().insert_header(tag).json(WorkflowDetailsView::from(details)))
}

/// Add a draft as the next version. What is published stays published.
#[utoipa::path(tag = "workflows", security(("bearer" = [])),
    params(("ws" = String, Path, description = "Id or slug of the workspace"),
        ("wf" = String, Path, description = "The workflow"),
        ("If-Match" = Option<String>, Header, description = "The ETag that was read; needed without `dry_run`"), SendQuery),
    request_body(content((Object = "application/yaml"), (Object = "application/json"))),
    responses((status = 200, description = "The workflow with the new draft", body = WorkflowDetailsView)))]
#[put("/workspaces/{ws}/workflows/{wf}")]
pub async fn draft(
    services: web::Data<Services>,
    Entered(scope): Entered,
    path: web::Path<(String, String)>,
    Query(query): Query<SendQuery>,
    request: HttpRequest,
    DocumentBody(document): DocumentBody,
) -> Result<HttpResponse, Problem> {
    let id = id(&path.1);
    if query.dry_run {
        return Ok(checked(services.workflows.check_for(&scope, id, &document).await?));
    }
    let expected = revision::required(&request);
    // Whoever may not see the workflow is not told that a header is missing.
    if expected.is_err() {
        services.workflows.check_for(&scope, id, &document).await.map(drop).or_else(visible)?;
    }
    let details = services.workflows.draft(&scope, id, &expected?, document).await?;
    Ok(HttpResponse::Ok().insert_header(etag(details.workflow.revision)).json(WorkflowDetailsView::from(details)))
}

/// Passes over what is wrong with a document, for an answer that comes before it.
fn visible(error: DraftError) -> Result<(), Problem> {
    match error {
        DraftError::Definition(_) => Ok(()),
        other => Err(other.into()),
    }
}

/// Publish the latest version. Its triggers replace those of the version before.
#[utoipa::path(tag = "workflows", security(("bearer" = [])),
    params(("ws" = String, Path, description = "Id or slug of the workspace"),
        ("wf" = String, Path, description = "The workflow"),
        ("If-Match" = Option<String>, Header, description = "The ETag that was read")),
    responses((status = 200, description = "The workflow", body = WorkflowView)))]
#[post("/workspaces/{ws}/workflows/{wf}/publish")]
pub async fn publish(
    services: web::Data<Services>,
    Entered(scope): Entered,
    path: web::Path<(String, String)>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let workflow = services.workflows.publish(&scope, id(&path.1), &revision::optional(&request)).await?;
    Ok(HttpResponse::Ok().insert_header(etag(workflow.revision)).json(WorkflowView::from(workflow)))
}

/// Publish an earlier version again.
#[utoipa::path(tag = "workflows", security(("bearer" = [])),
    params(("ws" = String, Path, description = "Id or slug of the workspace"),
        ("wf" = String, Path, description = "The workflow"),
        ("If-Match" = Option<String>, Header, description = "The ETag that was read")),
    request_body = Rollback,
    responses((status = 200, description = "The workflow", body = WorkflowView)))]
#[post("/workspaces/{ws}/workflows/{wf}/rollback")]
pub async fn rollback(
    services: web::Data<Services>,
    Entered(scope): Entered,
    path: web::Path<(String, String)>,
    request: HttpRequest,
    Body(body): Body<Rollback>,
) -> Result<HttpResponse, Problem> {
    let expected = revision::optional(&request);
    let workflow = services.workflows.rollback(&scope, id(&path.1), &expected, body.version).await?;
    Ok(HttpResponse::Ok().insert_header(etag(workflow.revision)).json(WorkflowView::from(workflow)))
}

/// The versions of a workflow, newest first.
#[utoipa::path(tag = "workflows", security(("bearer" = [])),
    params(("ws" = String, Path, description = "Id or slug of the workspace"),
        ("wf" = String, Path, description = "The workflow"), PageQuery),
    responses((status = 200, description = "Versions", body = List<VersionView>)))]
#[get("/workspaces/{ws}/workflows/{wf}/versions")]
pub async fn versions(
    services: web::Data<Services>,
    Entered(scope): Entered,
    path: web::Path<(String, String)>,
    Query(query): Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    let id = id(&path.1);
    let binding = (scope.workspace(), "versions", id);
    let before = services.cursors.open_optional(query.cursor.as_deref(), &binding)?;
    let (workflow, page) = services.workflows.versions(&scope, id, before, page_size(query.limit)?).await?;
    let page = page.map(|Version { number, name, created_at }| VersionView {
        version: number,
        name,
        published: workflow.published == Some(number),
        created_at,
    });
    Ok(HttpResponse::Ok().json(services.cursors.list(page, &binding)))
}

/// The id in a path. A text that is none names a workflow that nobody has, so that both answer alike.
fn id(text: &str) -> WorkflowId {
    text.parse().unwrap_or_else(|_| WorkflowId::from_uuid(uuid::Uuid::nil()))
}

impl From<DefinitionError> for Problem {
    fn from(error: DefinitionError) -> Self {
        let field = |problem: definition::Problem| FieldError {
            line: Some(problem.line),
            column: Some(problem.column),
            suggestion: problem.suggestion,
            ..FieldError::new(problem.pointer, problem.detail)
        };
        match error {
            DefinitionError::Unreadable(problem) => {
                Self::new(&MALFORMED_BODY, format!("Line {}: {}.", problem.line, problem.detail))
                    .with_errors(vec![field(problem)])
            }
            DefinitionError::Invalid(problems) => Self::invalid(problems.into_iter().map(field).collect()),
        }
    }
}

fn name_taken() -> Problem {
    let detail = "The workspace has another workflow of this name; choose another one.";
    Problem::new(&NAME_TAKEN, detail).with_errors(vec![FieldError::new("/name", detail)])
}

impl From<CheckError> for Problem {
    fn from(error: CheckError) -> Self {
        match error {
            CheckError::Forbidden(error) => error.into(),
            CheckError::Definition(error) => error.into(),
        }
    }
}

impl From<CreateError> for Problem {
    fn from(error: CreateError) -> Self {
        match error {
            CreateError::Forbidden(error) => error.into(),
            CreateError::Definition(error) => error.into(),
            CreateError::NameTaken => name_taken(),
            CreateError::Store(error) => error.into(),
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

impl From<DraftError> for Problem {
    fn from(error: DraftError) -> Self {
        match error {
            DraftError::Forbidden(error) => error.into(),
            DraftError::NotFound => Self::not_found(),
            DraftError::Stale(revision) => revision::stale(revision),
            DraftError::Definition(error) => error.into(),
            DraftError::NameTaken => name_taken(),
            DraftError::Store(error) => error.into(),
        }
    }
}

impl From<PublishError> for Problem {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::Forbidden(error) => error.into(),
            PublishError::NotFound => Self::not_found(),
            PublishError::Stale(revision) => revision::stale(revision),
            PublishError::NoSuchVersion(_) => {
                Self::invalid(vec![FieldError::new("/version", "The workflow has no such version.")])
            }
            PublishError::Definition(error) => error.into(),
            PublishError::Store(error) => error.into(),
        }
    }
}
