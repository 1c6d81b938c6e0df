//! Errors of files as problems.

use actix_web::http::header::{HeaderValue, RETRY_AFTER};
use tidegate_files::object::ObjectError;
use tidegate_files::{CompleteError, FileError, FileNameError, MetadataError, TypeError, UploadError};

use crate::http::support::problem::{
    CANNOT_PRESIGN, FILE_STATE, FILE_TOO_LARGE, FILE_TYPE_REFUSED, FieldError, NOTHING_UPLOADED, Problem, UNAVAILABLE,
    UPLOAD_COMPLETED, UPLOAD_EXPIRED, UPLOAD_IN_PROGRESS,
};
use crate::http::support::revision::stale;

/// The problem of a name.
pub(super) fn name_problem(pointer: &str, error: FileNameError) -> Problem {
    Problem::invalid(vec![FieldError::new(pointer, error.to_string())])
}

/// The problem of metadata at this pointer.
pub(super) fn metadata_problem(pointer: &str, error: &MetadataError) -> Problem {
    Problem::invalid(vec![FieldError::new(format!("{pointer}{}", error.pointer), error.detail)])
}

fn too_large(limit: i64) -> Problem {
    Problem::new(&FILE_TOO_LARGE, format!("The plan allows files of at most {limit} bytes."))
}

/// The problem of an object store. Its cause is for operators only: it may name buckets and hosts.
fn object_problem(error: &ObjectError) -> Problem {
    let cause = std::error::Error::source(error).map(ToString::to_string);
    match error {
        ObjectError::Mismatch { .. } => {
            Problem::invalid(vec![FieldError::new("/file", format!("What arrived is not what was sent: {error}."))])
        }
        ObjectError::Unavailable(_) => {
            tracing::warn!(cause, "the object store is unavailable");
            Problem::new(&UNAVAILABLE, "The object store cannot be reached just now; try again.")
                .with_header(RETRY_AFTER, HeaderValue::from_static("5"))
        }
        ObjectError::Internal(_) => {
            tracing::error!(cause, "the object store failed");
            Problem::internal()
        }
    }
}

impl From<TypeError> for Problem {
    fn from(error: TypeError) -> Self {
        let (pointer, advice) = match &error {
            TypeError::Refused { .. } => ("/file", "Send it in an archive, if it has to be stored."),
            TypeError::Declared { .. } => ("/content_type", "Declare the type that the content has, or leave it out."),
            TypeError::Extension { .. } => ("/name", "Rename the file, or send the content that its name promises."),
        };
        let detail = format!("{error}. {advice}");
        Self::new(&FILE_TYPE_REFUSED, detail.clone()).with_errors(vec![FieldError::new(pointer, detail)])
    }
}

impl From<FileError> for Problem {
    fn from(error: FileError) -> Self {
        match error {
            FileError::Forbidden(error) => error.into(),
            FileError::NotFound => Self::not_found(),
            FileError::State(state) => Self::new(&FILE_STATE, format!("The file is {state}.")),
            FileError::Stale(revision) => stale(revision),
            FileError::Metadata(error) => metadata_problem("/metadata", &error),
            FileError::Object(error) => object_problem(&error),
            FileError::Store(error) => error.into(),
        }
    }
}

impl From<UploadError> for Problem {
    fn from(error: UploadError) -> Self {
        match error {
            UploadError::Forbidden(error) => error.into(),
            UploadError::TooLarge { limit } => too_large(limit),
            UploadError::Quota(exceeded) => exceeded.into(),
            UploadError::Type(error) => error.into(),
            UploadError::GivenUp => Self::new(&UPLOAD_EXPIRED, "The upload stood still for too long; begin it again."),
            UploadError::CannotPresign => Self::new(
                &CANNOT_PRESIGN,
                "The object store of this installation makes no presigned requests. Send the file to POST …/files.",
            ),
            UploadError::Object(error) => object_problem(&error),
            UploadError::Store(error) => error.into(),
        }
    }
}

impl From<CompleteError> for Problem {
    fn from(error: CompleteError) -> Self {
        match error {
            CompleteError::Forbidden(error) => error.into(),
            CompleteError::NotFound => Self::not_found(),
            CompleteError::Completed => Self::new(&UPLOAD_COMPLETED, "The upload is complete; its file exists."),
            CompleteError::InProgress => {
                Self::new(&UPLOAD_IN_PROGRESS, "Another request is completing the upload; look at the file soon.")
                    .with_header(RETRY_AFTER, HeaderValue::from_static("5"))
            }
            CompleteError::Expired => Self::new(&UPLOAD_EXPIRED, "The upload has expired; begin another one."),
            CompleteError::NothingUploaded => {
                Self::new(&NOTHING_UPLOADED, "Send the bytes to the URL of the upload, and complete it then.")
            }
            CompleteError::Mismatch { field, detail } => {
                let detail = format!("{detail}; send the declared bytes to the URL, or begin another upload.");
                Self::invalid(vec![FieldError::new(format!("/{field}"), detail)])
            }
            CompleteError::Type(error) => error.into(),
            CompleteError::Object(error) => object_problem(&error),
            CompleteError::Store(error) => error.into(),
        }
    }
}
