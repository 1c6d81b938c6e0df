//! Workflows: creating, adding drafts, publishing and deleting.

use actix_web::http::header::LOCATION;
use actix_web::{HttpRequest, HttpResponse, delete, get, post, put, web};
use serde::Deserialize;
use tidegate_kernel::{ListTag, WorkflowId};
use tidegate_workflows::definition::Definition;
use tidegate_workflows::error::{DraftError, WithdrawError};
use tidegate_workflows::model::Expected;
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;
use validator::Validate;

use crate::Services;
use crate::http::support::body::Body;
use crate::http::support::caller::Entered;
use crate::http::support::cursor::List;
use crate::http::support::path::InPath;
use crate::http::support::problem::Problem;
use crate::http::support::query::{PageQuery, Query, page_size};
use crate::http::support::revision::{self, etag};
use crate::http::support::schema;

use super::document::{self, DocumentBody};
use super::views::{CheckView, WorkflowDetailsView, WorkflowView};

pub(super) fn workflows(config: &mut ServiceConfig<'_>) {
    config
        .service(create)
        .service(list)
        .service(get_one)
        .service(draft)
        .service(publish)
        .service(rollback)
        .service(unpublish)
        .service(remove);
}

/// Query parameters of a request with a document.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct SendQuery {
    /// `true` only checks the document, and answers 200 if it has no problems.
    #[serde(default)]
    dry_run: bool,
}

/// The version to publish again.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rollback {
    /// The number of the version.
    #[validate(range(min = 1, message = "versions count from 1"))]
    #[schema(example = 1, minimum = 1)]
    version: i32,
}

/// Create a workflow; its first version is a draft.
#[utoipa::path(tag = "workflows", security(("bearer" = [])),
    params(SendQuery),
    request_body(content((schema::Bytes = "application/yaml", example = document::yaml_example),
        (Object = "application/json", example = document::json_example))),
    responses((status = 201, description = "The workflow", body = WorkflowDetailsView),
        (status = 200, description = "The document has no problems (`dry_run`)", body = CheckView)))]
#[post("")]
pub async fn create(
    services: web::Data<Services>,
    Entered(scope): Entered,
    Query(query): Query<SendQuery>,
    DocumentBody(document): DocumentBody,
) -> Result<HttpResponse, Problem> {
    if query.dry_run {
        return Ok(checked(services.workflows.definitions.check(&scope, &document).await?));
    }
    let details = services.workflows.definitions.create(&scope, document).await?;
    let location = format!("/api/v1/workspaces/{}/workflows/{}", scope.workspace(), details.workflow.id);
    let mut response = HttpResponse::Created();
    response.insert_header((LOCATION, location)).insert_header(etag(details.workflow.revision));
    Ok(response.json(WorkflowDetailsView::from(details)))
}

fn checked(definition: Definition) -> HttpResponse {
    HttpResponse::Ok().json(CheckView { valid: true, name: definition.name, definition: definition.document })
}

/// List the workflows of a workspace, newest first.
#[utoipa::path(tag = "workflows", security(("bearer" = [])),
    params(PageQuery),
    responses((status = 200, description = "Workflows", body = List<WorkflowView>)))]
#[get("")]
pub async fn list(
    services: web::Data<Services>,
    Entered(scope): Entered,
    Query(query): Query<PageQuery>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let read = async || {
        let binding = (scope.workspace(), "workflows");
        let after = services.cursors.open_optional(query.cursor.as_deref(), &binding)?;
        let page = services.workflows.definitions.list(&scope, after, page_size(query.limit)?).await?;
        Ok(services.cursors.list(page.map(WorkflowView::from), &binding).into())
    };
    services.lists.answer(&request, &scope, &[ListTag::Workflows], read).await
}

/// Get a workflow with the document of its latest version.
#[utoipa::path(tag = "workflows", security(("bearer" = [])),
    responses((status = 200, description = "The workflow", body = WorkflowDetailsView)))]
#[get("/{wf}")]
pub async fn get_one(
    services: web::Data<Services>,
    Entered(scope): Entered,
    id: InPath<WorkflowId>,
) -> Result<HttpResponse, Problem> {
    let details = services.workflows.definitions.get(&scope, id.or_nothing()).await?;
    Ok(HttpResponse::Ok().insert_header(etag(details.workflow.revision)).json(WorkflowDetailsView::from(details)))
}

/// Add a draft as the next version. A published version stays published.
#[utoipa::path(tag = "workflows", security(("bearer" = [])),
    params(("If-Match" = Option<String>, Header, example = "\"1\"",
        description = "The ETag that was read; needed without `dry_run`"), SendQuery),
    request_body(content((schema::Bytes = "application/yaml", example = document::yaml_example),
        (Object = "application/json", example = document::json_example))),
    responses((status = 200, description = "The workflow with the new draft", body = WorkflowDetailsView)))]
#[put("/{wf}")]
pub async fn draft(
    services: web::Data<Services>,
    Entered(scope): Entered,
    id: InPath<WorkflowId>,
    Query(query): Query<SendQuery>,
    request: HttpRequest,
    DocumentBody(document): DocumentBody,
) -> Result<HttpResponse, Problem> {
    let id = id.or_nothing();
    if query.dry_run {
        return Ok(checked(services.workflows.definitions.check_for(&scope, id, &document).await?));
    }
    let expected = revision::required(&request);
    // A caller who may not see the workflow gets that problem, not the one of the missing header.
    if expected.is_err() {
        services.workflows.definitions.check_for(&scope, id, &document).await.map(drop).or_else(visible)?;
    }
    let details = services.workflows.definitions.draft(&scope, id, &expected?, document).await?;
    Ok(HttpResponse::Ok().insert_header(etag(details.workflow.revision)).json(WorkflowDetailsView::from(details)))
}

/// Ignores the problems of a document, so that the problem of a missing header is reported first.
fn visible(error: DraftError) -> Result<(), Problem> {
    match error {
        DraftError::Definition(_) => Ok(()),
        other => Err(other.into()),
    }
}

/// Publish the latest version. Its triggers replace those of the previous version.
#[utoipa::path(tag = "workflows", security(("bearer" = [])),
    params(("If-Match" = Option<String>, Header, description = "The ETag that was read")),
    responses((status = 200, description = "The workflow", body = WorkflowView)))]
#[post("/{wf}/publish")]
pub async fn publish(
    services: web::Data<Services>,
    Entered(scope): Entered,
    id: InPath<WorkflowId>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let workflow =
        services.workflows.definitions.publish(&scope, id.or_nothing(), &revision::optional(&request)).await?;
    Ok(HttpResponse::Ok().insert_header(etag(workflow.revision)).json(WorkflowView::from(workflow)))
}

/// Publish an earlier version again.
#[utoipa::path(tag = "workflows", security(("bearer" = [])),
    params(("If-Match" = Option<String>, Header, description = "The ETag that was read")),
    request_body(content = Rollback, example = json!({ "version": 1 })),
    responses((status = 200, description = "The workflow", body = WorkflowView)))]
#[post("/{wf}/rollback")]
pub async fn rollback(
    services: web::Data<Services>,
    Entered(scope): Entered,
    id: InPath<WorkflowId>,
    request: HttpRequest,
    Body(body): Body<Rollback>,
) -> Result<HttpResponse, Problem> {
    let expected = revision::optional(&request);
    let workflow = services.workflows.definitions.rollback(&scope, id.or_nothing(), &expected, body.version).await?;
    Ok(HttpResponse::Ok().insert_header(etag(workflow.revision)).json(WorkflowView::from(workflow)))
}

/// Unpublish a workflow. Nothing starts it until a version is published again; runs under way continue.
#[utoipa::path(tag = "workflows", security(("bearer" = [])),
    params(("If-Match" = Option<String>, Header, description = "The ETag that was read")),
    responses((status = 200, description = "The workflow", body = WorkflowView)))]
#[post("/{wf}/unpublish")]
pub async fn unpublish(
    services: web::Data<Services>,
    Entered(scope): Entered,
    id: InPath<WorkflowId>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let workflow =
        services.workflows.definitions.unpublish(&scope, id.or_nothing(), &revision::optional(&request)).await?;
    Ok(HttpResponse::Ok().insert_header(etag(workflow.revision)).json(WorkflowView::from(workflow)))
}

/// Delete a workflow with its versions.
///
/// From then on nobody can find it, its name is free and nothing starts it. Runs under way continue to their end, and
/// all of its runs can still be read.
#[utoipa::path(tag = "workflows", security(("bearer" = [])),
    params(("If-Match" = String, Header, example = "\"1\"", description = "The ETag that was read")),
    responses((status = 204, description = "Deleted"),
        (status = 412, description = "The workflow has changed since it was read"),
        (status = 428, description = "`If-Match` is missing")))]
#[delete("/{wf}")]
pub async fn remove(
    services: web::Data<Services>,
    Entered(scope): Entered,
    id: InPath<WorkflowId>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let (expected, missing) = match revision::required(&request) {
        Ok(expected) => (expected, None),
        // A caller who may not see the workflow gets that problem, not the one of the missing header.
        Err(problem) => (Expected::OneOf(Vec::new()), Some(problem)),
    };
    match (services.workflows.definitions.delete(&scope, id.or_nothing(), &expected).await, missing) {
        (Err(WithdrawError::Stale(_)), Some(problem)) => Err(problem),
        (deleted, _) => Ok(deleted.map(|()| HttpResponse::NoContent().finish())?),
    }
}
