//! Reads a form of `multipart/form-data` (RFC 7578) as a stream.

use std::time::Duration;

use actix_multipart::{Field, Multipart, MultipartError};
use actix_web::HttpRequest;
use actix_web::http::header::{CONTENT_LENGTH, DispositionParam};
use actix_web::web;
use bytes::Bytes;
use futures::StreamExt;
use serde_json::Value;
use tidegate_files::Metadata;
use tidegate_kernel::json::{self, WholeNumbers};

use super::problems::metadata_problem;
use crate::http::support::body::media_type;
use crate::http::support::problem::{FieldError, MALFORMED_BODY, Problem, UNSUPPORTED_MEDIA_TYPE};

/// How long a body may stand still.
const STANDSTILL: Duration = Duration::from_secs(60);

/// A form whose fields are read one after the other.
pub(super) struct Form(Multipart);

/// What a body that ends early, or is no form, is answered with.
fn malformed(error: &MultipartError) -> Problem {
    Problem::new(&MALFORMED_BODY, format!("The form cannot be read to its end: {error}."))
}

fn stood_still() -> Problem {
    Problem::new(&MALFORMED_BODY, format!("Nothing came for {} seconds; send the form again.", STANDSTILL.as_secs()))
}

impl Form {
    /// The form in the body of a request.
    ///
    /// # Errors
    /// 415 if the body is no form, and 400 if its boundary is missing.
    pub(super) fn new(request: &HttpRequest, payload: web::Payload) -> Result<Self, Problem> {
        if media_type(request).as_deref() != Some("multipart/form-data") {
            let detail = "Send the file as multipart/form-data with one field `file`.";
            return Err(Problem::new(&UNSUPPORTED_MEDIA_TYPE, detail));
        }
        let has_boundary = request
            .headers()
            .get(actix_web::http::header::CONTENT_TYPE)
            .is_some_and(|value| value.to_str().is_ok_and(|text| text.to_ascii_lowercase().contains("boundary=")));
        if !has_boundary {
            return Err(Problem::new(&MALFORMED_BODY, "The Content-Type of the form has no boundary."));
        }
        Ok(Self(Multipart::new(request.headers(), payload)))
    }

    /// The next field; `None` at the end of the form.
    ///
    /// # Errors
    /// 400 if the form is broken, ends early or stands still.
    pub(super) async fn next(&mut self) -> Result<Option<Field>, Problem> {
        let next = tokio::time::timeout(STANDSTILL, self.0.next()).await.map_err(|_| stood_still())?;
        next.transpose().map_err(|error| malformed(&error))
    }
}

/// The next bytes of a field; `None` at its end.
///
/// # Errors
/// 400 if the form is broken, ends early or stands still.
pub(super) async fn chunk(field: &mut Field) -> Result<Option<Bytes>, Problem> {
    let next = tokio::time::timeout(STANDSTILL, field.next()).await.map_err(|_| stood_still())?;
    next.transpose().map_err(|error| malformed(&error))
}

/// The name of the file in a field. The extended parameter (RFC 8187) wins.
pub(super) fn file_name(field: &Field) -> Option<String> {
    let disposition = field.content_disposition()?;
    let extended = disposition.parameters.iter().find_map(|parameter| match parameter {
        DispositionParam::FilenameExt(value) => String::from_utf8(value.value.clone()).ok(),
        _ => None,
    });
    extended.or_else(|| disposition.get_filename().map(str::to_owned))
}

/// The metadata in a field.
///
/// # Errors
/// 422 with the place in it if it is no JSON object, or one that cannot be metadata.
pub(super) async fn metadata(field: &mut Field) -> Result<Metadata, Problem> {
    let wrong =
        |pointer: &str, detail: String| Problem::invalid(vec![FieldError::new(format!("/metadata{pointer}"), detail)]);
    let mut bytes = Vec::new();
    while let Some(chunk) = chunk(field).await? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > Metadata::MAX_BYTES {
            let detail = format!("`metadata` may have at most {} bytes.", Metadata::MAX_BYTES);
            return Err(wrong("", detail));
        }
    }
    let text = str::from_utf8(&bytes).map_err(|_| wrong("", "`metadata` is JSON in UTF-8.".to_owned()))?;
    json::check(text, WholeNumbers::Bounded).map_err(|problem| wrong(&problem.pointer, problem.detail.clone()))?;
    match serde_json::from_str(text) {
        Ok(Value::Object(members)) => Metadata::new(members).map_err(|error| metadata_problem("/metadata", &error)),
        _ => Err(wrong("", "`metadata` has to be a JSON object.".to_owned())),
    }
}

/// The length of the body, if the caller says it.
pub(super) fn content_length(request: &HttpRequest) -> Option<u64> {
    request.headers().get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
