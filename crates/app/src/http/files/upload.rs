//! Uploading a file in a form.

use actix_multipart::Field;
use actix_web::http::header::LOCATION;
use actix_web::{HttpRequest, HttpResponse, post, web};
use tidegate_files::{File, FileName, Files, Incoming, MediaType, Metadata, UploadRequest};
use tidegate_kernel::WorkspaceScope;
use tracing::Instrument;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::form::{Form, chunk, content_length, file_name, metadata};
use super::problems::name_problem;
use super::views::FileView;
use crate::Services;
use crate::http::support::caller::Entered;
use crate::http::support::problem::{FieldError, Problem};
use crate::http::support::revision;
use crate::http::support::schema;

pub(super) fn files(config: &mut ServiceConfig<'_>) {
    config.service(create);
}

/// A form with a file.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "it is only the schema of a form, which is read as a stream")]
pub struct FileForm {
    /// The file, with its name and its type in the headers of the field.
    #[schema(value_type = schema::Bytes)]
    file: Vec<u8>,
    /// Free metadata: a JSON object of at most 16 KiB, nested at most 8 deep. It may come before or after the file.
    #[schema(value_type = Option<Object>)]
    metadata: Option<String>,
}

/// Upload a file.
///
/// The form has one field `file`, and may have one field `metadata`. The bytes count against the storage of the
/// workspace from the beginning of the upload. An `Idempotency-Key` has no effect here.
#[utoipa::path(tag = "files", security(("bearer" = [])),
    request_body(content = FileForm, content_type = "multipart/form-data",
        example = json!({ "file": "hello", "metadata": { "topic": "greetings" } })),
    responses((status = 201, description = "The file", body = FileView)))]
#[post("")]
pub async fn create(
    services: web::Data<Services>,
    Entered(scope): Entered,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let files = super::files(&services)?.clone();
    // A task of its own: when the caller goes away, it sees the end of the body, and takes back what it began.
    let receive = async move { receive(&files, &scope, &request, payload).await }.in_current_span();
    let file = actix_web::rt::spawn(receive).await.map_err(|_| Problem::internal())??;
    let location = format!("/api/v1/workspaces/{}/files/{}", file.1, file.0.id);
    let etag = revision::etag(file.0.revision);
    Ok(HttpResponse::Created().insert_header((LOCATION, location)).insert_header(etag).json(FileView::from(file.0)))
}

/// What a form has had up to now.
#[derive(Default)]
struct Received<'s> {
    upload: Option<Incoming<'s>>,
    metadata: Option<Metadata>,
}

/// Receives a form, and the file in it. Nothing of it is stored if it is refused.
async fn receive(
    files: &Files,
    scope: &WorkspaceScope,
    request: &HttpRequest,
    payload: web::Payload,
) -> Result<(File, tidegate_kernel::WorkspaceId), Problem> {
    scope.require(tidegate_kernel::Permission::FilesWrite)?;
    let mut form = Form::new(request, payload)?;
    let mut received = Received::default();
    let read = read(files, scope, content_length(request), &mut form, &mut received).await;
    let (upload, problem) = match (received.upload, read) {
        (Some(upload), Ok(())) => {
            return Ok((upload.finish(received.metadata).await?, scope.workspace()));
        }
        (upload, Err(problem)) => (upload, problem),
        (None, Ok(())) => (None, field_problem("file", "The form needs a field `file`.")),
    };
    if let Some(upload) = upload {
        upload.discard().await;
    }
    Err(problem)
}

fn field_problem(name: &str, detail: impl Into<String>) -> Problem {
    Problem::invalid(vec![FieldError::new(format!("/{}", name.replace('~', "~0").replace('/', "~1")), detail)])
}

async fn read<'s>(
    files: &Files,
    scope: &'s WorkspaceScope,
    length: Option<u64>,
    form: &mut Form,
    received: &mut Received<'s>,
) -> Result<(), Problem> {
    while let Some(mut field) = form.next().await? {
        let name = field.name().unwrap_or_default().to_owned();
        match name.as_str() {
            "file" if received.upload.is_some() => {
                return Err(field_problem("file", "The form has two fields `file`; send one file at a time."));
            }
            "file" => {
                let request = declared(&field)?;
                let upload = received.upload.insert(files.begin_upload(scope, request, length).await?);
                while let Some(bytes) = chunk(&mut field).await? {
                    upload.write(bytes).await?;
                }
            }
            "metadata" if received.metadata.is_some() => {
                return Err(field_problem("metadata", "The form has two fields `metadata`."));
            }
            "metadata" => received.metadata = Some(metadata(&mut field).await?),
            other => {
                let detail = format!("The form has a field `{other}`; only `file` and `metadata` are known.");
                return Err(field_problem(other, detail));
            }
        }
    }
    Ok(())
}

/// What the headers of the field say of the file.
fn declared(field: &Field) -> Result<UploadRequest, Problem> {
    let name = file_name(field)
        .ok_or_else(|| field_problem("file", "The field `file` needs a `filename` in its Content-Disposition."))?;
    let name = FileName::new(&name).map_err(|error| name_problem("/file", error))?;
    let content_type = field.content_type().and_then(|kind| kind.essence_str().parse::<MediaType>().ok());
    Ok(UploadRequest { name, content_type, sha256: None, metadata: Metadata::default() })
}
