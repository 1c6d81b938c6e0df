//! The versions of a workflow.

use actix_web::{HttpRequest, HttpResponse, get, web};
use tidegate_kernel::{ListTag, WorkflowId};
use tidegate_workflows::model::Version;
use utoipa_actix_web::service_config::ServiceConfig;

use super::views::{VersionDetailsView, VersionView};
use crate::Services;
use crate::http::support::caller::Entered;
use crate::http::support::cursor::List;
use crate::http::support::path::{InPath, VersionNumber};
use crate::http::support::problem::Problem;
use crate::http::support::query::{PageQuery, Query, page_size};

pub(super) fn workflows(config: &mut ServiceConfig<'_>) {
    config.service(versions).service(version);
}

/// List the versions of a workflow, newest first.
#[utoipa::path(tag = "workflows", security(("bearer" = [])),
    params(PageQuery),
    responses((status = 200, description = "Versions", body = List<VersionView>)))]
#[get("/{wf}/versions")]
pub async fn versions(
    services: web::Data<Services>,
    Entered(scope): Entered,
    id: InPath<WorkflowId>,
    Query(query): Query<PageQuery>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let read = async || {
        let id = id.or_nothing();
        let binding = (scope.workspace(), "versions", id);
        let before = services.cursors.open_optional(query.cursor.as_deref(), &binding)?;
        let size = page_size(query.limit)?;
        let (workflow, page) = services.workflows.definitions.versions(&scope, id, before, size).await?;
        let page = page.map(|Version { number, name, created_at }| VersionView {
            version: number,
            name,
            published: workflow.published == Some(number),
            created_at,
        });
        Ok(services.cursors.list(page, &binding).into())
    };
    services.lists.answer(&request, &scope, &[ListTag::Workflows], read).await
}

/// Get a version of a workflow with its document.
#[utoipa::path(tag = "workflows", security(("bearer" = [])),
    responses((status = 200, description = "The version", body = VersionDetailsView)))]
#[get("/{wf}/versions/{version}")]
pub async fn version(
    services: web::Data<Services>,
    Entered(scope): Entered,
    id: InPath<WorkflowId>,
    version: InPath<VersionNumber>,
) -> Result<HttpResponse, Problem> {
    let VersionNumber(number) = version.or_nothing();
    let details = services.workflows.definitions.version(&scope, id.or_nothing(), number).await?;
    Ok(HttpResponse::Ok().json(VersionDetailsView::from(details)))
}
