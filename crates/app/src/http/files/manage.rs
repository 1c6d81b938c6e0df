//! Files that are stored: list, read, change, delete, restore.

use actix_web::{HttpRequest, HttpResponse, delete, get, patch, post, web};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tidegate_files::{FileChange, FileFilter, FileName, FileState};
use tidegate_kernel::{Actor, FileId};
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;
use validator::Validate;

use super::problems::name_problem;
use super::views::FileView;
use crate::Services;
use crate::http::support::body::{Body, not_null};
use crate::http::support::caller::Entered;
use crate::http::support::cursor::List;
use crate::http::support::path::InPath;
use crate::http::support::problem::Problem;
use crate::http::support::query::{Query, invalid, page_size, period, texts};
use crate::http::support::revision::{etag, optional};
use crate::http::support::schema;

pub(super) fn files(config: &mut ServiceConfig<'_>) {
    config.service(list).service(get_one).service(update).service(remove).service(restore);
}

/// Filters of files. A repeated parameter matches any of its values.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct FileQuery {
    /// Only files in these states; default: `uploaded`.
    #[serde(default)]
    #[param(value_type = Vec<schema::FileState>)]
    state: Vec<String>,
    /// Only files of these types, such as `image/png`.
    #[serde(default)]
    r#type: Vec<String>,
    /// Only files that these have uploaded: a person's id or a key's id.
    #[serde(default)]
    uploaded_by: Vec<String>,
    /// Only files whose name begins with this text.
    #[param(min_length = 1, max_length = 512)]
    name_prefix: Option<String>,
    /// Only files whose upload began at this time or later.
    from: Option<DateTime<Utc>>,
    /// Only files whose upload began before this time.
    to: Option<DateTime<Utc>>,
    /// How many items, 1 to 200; default: 50.
    limit: Option<u32>,
    /// `next_cursor` of the previous page.
    cursor: Option<String>,
}

/// The change of a file (JSON merge patch, RFC 7396).
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateFile {
    /// The new name.
    #[serde(default, deserialize_with = "not_null")]
    #[schema(value_type = schema::FileName, required = false)]
    name: Option<String>,
    /// The change of the metadata: null removes a member.
    #[serde(default, deserialize_with = "not_null")]
    #[schema(value_type = Object, required = false)]
    metadata: Option<Map<String, Value>>,
}

/// A deleted file.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeletedFileView {
    /// The file. It can be restored until `purge_at`, and its bytes count until then.
    #[serde(flatten)]
    file: FileView,
    /// The bytes of all deleted files of the workspace, which still count against its storage.
    #[schema(minimum = 0)]
    deleted_bytes: i64,
}

fn uploader(text: &str) -> Result<Actor, Problem> {
    let person = || text.parse().map(Actor::Person).ok();
    let key = || text.parse().map(Actor::ApiKey).ok();
    person().or_else(key).ok_or_else(|| invalid("uploaded_by", "`uploaded_by` is a person's id or a key's id."))
}

fn state(text: &str) -> Result<FileState, Problem> {
    let known = FileState::ALL.iter().copied().find(|state| state.as_str() == text);
    known.ok_or_else(|| invalid("state", "`state` is `uploading`, `uploaded`, `deleted`, `purging` or `purged`."))
}

/// List files, newest first.
#[utoipa::path(tag = "files", security(("bearer" = [])),
    params(FileQuery),
    responses((status = 200, description = "Files", body = List<FileView>)))]
#[get("")]
pub async fn list(
    services: web::Data<Services>,
    Entered(scope): Entered,
    Query(query): Query<FileQuery>,
) -> Result<HttpResponse, Problem> {
    let filters = (&query.state, &query.r#type, &query.uploaded_by, &query.name_prefix, query.from, query.to);
    let binding = (scope.workspace(), "files", &filters);
    let before: Option<FileId> = services.cursors.open_optional(query.cursor.as_deref(), &binding)?;
    let (from, to) = period(query.from, query.to)?;
    let prefix: Vec<String> = query.name_prefix.iter().cloned().collect();
    let filter = FileFilter {
        states: query.state.iter().map(|text| state(text)).collect::<Result<_, _>>()?,
        types: texts("type", &query.r#type)?,
        uploaded_by: query.uploaded_by.iter().map(|text| uploader(text)).collect::<Result<_, _>>()?,
        name_prefix: texts("name_prefix", &prefix)?.pop(),
        from,
        to,
    };
    let page = super::files(&services)?.list(&scope, &filter, before, page_size(query.limit)?).await?;
    Ok(HttpResponse::Ok().json(services.cursors.list(page.map(FileView::from), &binding)))
}

/// Get a file, without its content.
#[utoipa::path(tag = "files", security(("bearer" = [])),
    responses((status = 200, description = "The file", body = FileView)))]
#[get("/{fil}")]
pub async fn get_one(
    services: web::Data<Services>,
    Entered(scope): Entered,
    file: InPath<FileId>,
) -> Result<HttpResponse, Problem> {
    let file = super::files(&services)?.get(&scope, file.or_nothing()).await?;
    Ok(HttpResponse::Ok().insert_header(etag(file.revision)).json(FileView::from(file)))
}

/// Change the name or the metadata of a file. With `If-Match`, only the revision that was read is changed.
#[utoipa::path(tag = "files", security(("bearer" = [])),
    request_body(content = UpdateFile, content_type = "application/merge-patch+json",
        example = json!({ "name": "report of May.pdf", "metadata": { "reviewed": true } })),
    responses((status = 200, description = "The file as it is now", body = FileView),
        (status = 409, description = "The file is not uploaded, or is deleted"),
        (status = 412, description = "The file has another revision")))]
#[patch("/{fil}")]
pub async fn update(
    services: web::Data<Services>,
    Entered(scope): Entered,
    request: HttpRequest,
    file: InPath<FileId>,
    Body(body): Body<UpdateFile>,
) -> Result<HttpResponse, Problem> {
    let name = body.name.as_deref().map(FileName::new).transpose().map_err(|error| name_problem("/name", error))?;
    let change = FileChange { name, metadata: body.metadata };
    let expected = optional(&request);
    let admits = move |revision| expected.admits(revision);
    let file = super::files(&services)?.change(&scope, file.or_nothing(), &change, admits).await?;
    Ok(HttpResponse::Ok().insert_header(etag(file.revision)).json(FileView::from(file)))
}

/// Delete a file. Until `purge_at` it can be restored, and its bytes count against the storage of the workspace.
#[utoipa::path(tag = "files", security(("bearer" = [])),
    responses((status = 200, description = "The deleted file", body = DeletedFileView),
        (status = 409, description = "The file is not uploaded, or is deleted already")))]
#[delete("/{fil}")]
pub async fn remove(
    services: web::Data<Services>,
    Entered(scope): Entered,
    file: InPath<FileId>,
) -> Result<HttpResponse, Problem> {
    let (file, deleted_bytes) = super::files(&services)?.delete(&scope, file.or_nothing()).await?;
    Ok(HttpResponse::Ok().insert_header(etag(file.revision)).json(DeletedFileView { file: file.into(), deleted_bytes }))
}

/// Restore a deleted file.
#[utoipa::path(tag = "files", security(("bearer" = [])),
    responses((status = 200, description = "The file", body = FileView),
        (status = 409, description = "The file is not deleted, or its bytes are gone")))]
#[post("/{fil}/restore")]
pub async fn restore(
    services: web::Data<Services>,
    Entered(scope): Entered,
    file: InPath<FileId>,
) -> Result<HttpResponse, Problem> {
    let file = super::files(&services)?.restore(&scope, file.or_nothing()).await?;
    Ok(HttpResponse::Ok().insert_header(etag(file.revision)).json(FileView::from(file)))
}
