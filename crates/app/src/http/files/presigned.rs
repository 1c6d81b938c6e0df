//! Uploading straight to the object store.

use actix_web::http::header::LOCATION;
use actix_web::{HttpResponse, post, web};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use tidegate_files::{FileName, MediaType, Metadata, UploadRequest};
use tidegate_kernel::UploadId;
use tracing::Instrument;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;
use validator::Validate;

use super::problems::{metadata_problem, name_problem};
use super::views::{FileView, unhex};
use crate::Services;
use crate::http::support::body::Body;
use crate::http::support::caller::Entered;
use crate::http::support::path::InPath;
use crate::http::support::problem::{FieldError, Problem};
use crate::http::support::revision;
use crate::http::support::schema;
use crate::http::support::secret::{SecretBody, secret_answer};

pub(super) fn files(config: &mut ServiceConfig<'_>) {
    config.service(begin).service(complete);
}

/// A file that is to be uploaded straight to the object store.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BeginUpload {
    /// The name.
    #[schema(value_type = schema::FileName, example = "video.mp4")]
    name: String,
    /// The type; default: what the extension and the content show.
    #[schema(value_type = Option<schema::MediaType>)]
    content_type: Option<String>,
    /// The length in bytes. So many are reserved at once.
    #[validate(range(min = 0, message = "`size` is not negative."))]
    #[schema(minimum = 0)]
    size: i64,
    /// The SHA-256 of the bytes. What was sent is compared with it.
    #[schema(value_type = Option<schema::Sha256>)]
    sha256: Option<String>,
    /// Free metadata: a JSON object of at most 16 KiB, nested at most 8 deep.
    #[serde(default)]
    metadata: Map<String, Value>,
}

/// A request to send to the object store.
#[derive(Debug, Serialize, ToSchema)]
pub struct PresignedView {
    /// The id of the upload.
    #[schema(value_type = schema::UploadId)]
    id: UploadId,
    /// The HTTP method.
    #[schema(pattern = "^PUT$")]
    method: &'static str,
    /// The URL. Whoever has it can send the bytes until it expires. It is shown once: a replayed response
    /// (`Idempotency-Key`) has null here.
    #[schema(format = "uri", nullable)]
    url: String,
    /// Headers that the request must have.
    headers: BTreeMap<String, String>,
    /// When the URL expires.
    expires_at: DateTime<Utc>,
}

impl SecretBody for PresignedView {
    const SECRETS: &'static [&'static str] = &["url"];
}

/// Begin an upload straight to the object store. Send the bytes with the request in the response, and complete the
/// upload then.
#[utoipa::path(tag = "files", security(("bearer" = [])),
    request_body(content = BeginUpload, example = json!({ "name": "notes.txt", "size": 5 })),
    responses(
        (status = 201, description = "The request to send", body = PresignedView),
        (status = 409, description = "The object store makes no presigned requests; send the file in a form")))]
#[post("/uploads")]
pub async fn begin(
    services: web::Data<Services>,
    Entered(scope): Entered,
    Body(body): Body<BeginUpload>,
) -> Result<HttpResponse, Problem> {
    let files = super::files(&services)?;
    let wrong = |pointer: &str, detail: &str| Problem::invalid(vec![FieldError::new(pointer, detail)]);
    let content_type = body.content_type.as_deref().map(str::parse::<MediaType>).transpose();
    let sha256 = body.sha256.as_deref().map(|text| {
        unhex(text).ok_or_else(|| wrong("/sha256", "Write the SHA-256 as 64 lower-case hexadecimal digits."))
    });
    let request = UploadRequest {
        name: FileName::new(&body.name).map_err(|error| name_problem("/name", error))?,
        content_type: content_type.map_err(|_| wrong("/content_type", "Write a media type such as image/png."))?,
        sha256: sha256.transpose()?,
        metadata: Metadata::new(body.metadata).map_err(|error| metadata_problem("/metadata", &error))?,
    };
    let upload = files.begin_presigned(&scope, request, body.size).await?;
    let view = PresignedView {
        id: upload.id,
        method: upload.request.method,
        url: upload.request.url,
        headers: upload.request.headers.into_iter().collect(),
        expires_at: upload.request.expires_at,
    };
    secret_answer(HttpResponse::Created(), &view)
}

/// Complete an upload whose bytes are in the object store. Its length, its SHA-256 and its type are checked; if they are
/// not the declared ones, nothing changes, and the bytes can be sent again.
#[utoipa::path(tag = "files", security(("bearer" = [])),
    responses((status = 201, description = "The file", body = FileView),
        (status = 409, description = "Nothing was sent, or the upload is complete already"),
        (status = 410, description = "The upload has expired")))]
#[post("/uploads/{upl}/complete")]
pub async fn complete(
    services: web::Data<Services>,
    Entered(scope): Entered,
    upload: InPath<UploadId>,
) -> Result<HttpResponse, Problem> {
    let files = super::files(&services)?.clone();
    let workspace = scope.workspace();
    // A task of its own: a caller who gives up leaves no claim behind.
    let work = async move { files.complete(&scope, upload.or_nothing()).await }.in_current_span();
    let file = actix_web::rt::spawn(work).await.map_err(|_| Problem::internal())??;
    let location = format!("/api/v1/workspaces/{workspace}/files/{}", file.id);
    let etag = revision::etag(file.revision);
    Ok(HttpResponse::Created().insert_header((LOCATION, location)).insert_header(etag).json(FileView::from(file)))
}
