//! Workspaces.

use actix_web::http::header::LOCATION;
use actix_web::{HttpResponse, delete, get, patch, post, web};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tidegate_kernel::WorkspaceId;
use tidegate_tenancy::{Name, Slug, Workspace, WorkspaceChange, WorkspaceError};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;
use validator::Validate;

use crate::Services;
use crate::http::support::body::{Body, not_null};
use crate::http::support::caller::{Entered, Person, RecentCaller};
use crate::http::support::cursor::List;
use crate::http::support::problem::{CONFLICT, Problem, SLUG_TAKEN};
use crate::http::support::query::{PageQuery, Query, page_size};
use crate::http::support::schema;
use crate::http::support::text::{invalid_text, valid_name, valid_slug};

pub(super) fn configure(config: &mut ServiceConfig<'_>) {
    config.service(create).service(list);
}

pub(super) fn workspace(config: &mut ServiceConfig<'_>) {
    config.service(get_one).service(update).service(remove);
}

/// A new workspace.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateWorkspace {
    /// Its name.
    #[validate(custom(function = "valid_name"))]
    #[schema(value_type = schema::Name, example = "Acme")]
    name: String,
    /// Its name in URLs; default: derived from `name`.
    #[validate(custom(function = "valid_slug"))]
    #[schema(value_type = Option<schema::Slug>)]
    slug: Option<String>,
}

/// The change of a workspace (JSON merge patch, RFC 7396).
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateWorkspace {
    /// The new name.
    #[serde(default, deserialize_with = "not_null")]
    #[validate(custom(function = "valid_name"))]
    #[schema(value_type = schema::Name, required = false)]
    name: Option<String>,
    /// The new name in URLs; the old one becomes free.
    #[serde(default, deserialize_with = "not_null")]
    #[validate(custom(function = "valid_slug"))]
    #[schema(value_type = schema::Slug, required = false)]
    slug: Option<String>,
}

/// A workspace.
#[derive(Debug, Serialize, ToSchema)]
pub struct WorkspaceView {
    /// The id.
    #[schema(value_type = schema::WorkspaceId)]
    id: WorkspaceId,
    /// The name.
    name: String,
    /// The name in URLs.
    #[schema(value_type = schema::Slug)]
    slug: String,
    /// When it was created.
    created_at: DateTime<Utc>,
}

impl From<Workspace> for WorkspaceView {
    fn from(workspace: Workspace) -> Self {
        Self {
            id: workspace.id,
            name: workspace.name.as_str().to_owned(),
            slug: workspace.slug.as_str().to_owned(),
            created_at: workspace.created_at,
        }
    }
}

/// A deleted workspace.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeletedWorkspaceView {
    /// The id.
    #[schema(value_type = schema::WorkspaceId)]
    id: WorkspaceId,
    /// When it was deleted.
    deleted_at: DateTime<Utc>,
    /// When the erasure of its data begins.
    erase_at: DateTime<Utc>,
}

/// A workspace of the caller.
#[derive(Debug, Serialize, ToSchema)]
pub struct OwnWorkspaceView {
    #[serde(flatten)]
    workspace: WorkspaceView,
    /// The caller's role.
    #[schema(value_type = schema::Role)]
    role: String,
}

/// Create a workspace. The caller becomes its owner.
#[utoipa::path(tag = "workspaces", security(("bearer" = [])),
    request_body(content = CreateWorkspace, example = json!({ "name": "Acme" })),
    responses((status = 201, description = "The workspace", body = WorkspaceView)))]
#[post("/workspaces")]
pub async fn create(
    services: web::Data<Services>,
    person: Person,
    Body(body): Body<CreateWorkspace>,
) -> Result<HttpResponse, Problem> {
    let name = Name::new(&body.name).map_err(|error| invalid_text("/name", error))?;
    let slug = body.slug.as_deref().map(Slug::new).transpose().map_err(|error| invalid_text("/slug", error))?;
    let workspace = services.tenancy.workspaces.create(&person.scope, name, slug).await?;
    let location = format!("/api/v1/workspaces/{}", workspace.id);
    Ok(HttpResponse::Created().insert_header((LOCATION, location)).json(WorkspaceView::from(workspace)))
}

/// List the caller's workspaces in the order in which they joined them.
#[utoipa::path(tag = "workspaces", security(("bearer" = [])), params(PageQuery),
    responses((status = 200, description = "Workspaces with one's role", body = List<OwnWorkspaceView>)))]
#[get("/workspaces")]
pub async fn list(
    services: web::Data<Services>,
    person: Person,
    Query(query): Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    let binding = (person.scope.user(), "workspaces");
    let after = services.cursors.open_optional(query.cursor.as_deref(), &binding)?;
    let page = services.tenancy.workspaces.list(&person.scope, after, page_size(query.limit)?).await?;
    let page =
        page.map(|(workspace, role)| OwnWorkspaceView { workspace: workspace.into(), role: role.name().to_owned() });
    Ok(HttpResponse::Ok().json(services.cursors.list(page, &binding)))
}

/// Get a workspace.
#[utoipa::path(tag = "workspaces", security(("bearer" = [])),
    responses((status = 200, description = "The workspace", body = WorkspaceView)))]
#[get("")]
pub async fn get_one(services: web::Data<Services>, Entered(scope): Entered) -> Result<HttpResponse, Problem> {
    let workspace = services.tenancy.workspaces.get(&scope).await?;
    Ok(HttpResponse::Ok().json(WorkspaceView::from(workspace)))
}

/// Change a workspace's name or slug.
#[utoipa::path(tag = "workspaces", security(("bearer" = [])),
    request_body(content = UpdateWorkspace, content_type = "application/merge-patch+json",
        example = json!({ "name": "Acme and sons" })),
    responses((status = 200, description = "The workspace as it is now", body = WorkspaceView)))]
#[patch("")]
pub async fn update(
    services: web::Data<Services>,
    Entered(scope): Entered,
    Body(body): Body<UpdateWorkspace>,
) -> Result<HttpResponse, Problem> {
    let change = WorkspaceChange {
        name: body.name.as_deref().map(Name::new).transpose().map_err(|error| invalid_text("/name", error))?,
        slug: body.slug.as_deref().map(Slug::new).transpose().map_err(|error| invalid_text("/slug", error))?,
    };
    let workspace = services.tenancy.workspaces.update(&scope, change).await?;
    Ok(HttpResponse::Ok().json(WorkspaceView::from(workspace)))
}

/// Delete a workspace.
///
/// From then on nobody can find it, its slug is free, its runs are cancelled and nothing starts in it. Its data is
/// erased from `erase_at` on.
#[utoipa::path(tag = "workspaces", security(("bearer" = [])),
    responses((status = 202, description = "Deleted; its data waits to be erased", body = DeletedWorkspaceView)))]
#[delete("")]
pub async fn remove(
    services: web::Data<Services>,
    Entered(scope): Entered,
    _: RecentCaller,
) -> Result<HttpResponse, Problem> {
    let deletion = services.tenancy.delete_workspace.delete(&scope).await?;
    Ok(HttpResponse::Accepted().json(DeletedWorkspaceView {
        id: scope.workspace(),
        deleted_at: deletion.deleted_at,
        erase_at: deletion.erase_at,
    }))
}

impl From<WorkspaceError> for Problem {
    fn from(error: WorkspaceError) -> Self {
        match error {
            WorkspaceError::Forbidden(error) => error.into(),
            WorkspaceError::NotFound => Self::not_found(),
            WorkspaceError::ShutsOutCaller => Self::new(
                &CONFLICT,
                "The policy would shut you out; add a second factor to your account and log in with it first.",
            ),
            WorkspaceError::SlugTaken => Self::new(&SLUG_TAKEN, "Another workspace has this slug; choose another one."),
            WorkspaceError::Store(error) => error.into(),
        }
    }
}
