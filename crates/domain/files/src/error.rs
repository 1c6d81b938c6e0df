//! Errors of the use cases of files.

use tidegate_kernel::{Forbidden, QuotaError, QuotaExceeded, StoreError};

use crate::content_type::TypeError;
use crate::metadata::MetadataError;
use crate::object::ObjectError;

/// Why a use case of stored files failed.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The caller lacks the permission.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    /// There is no such file, or it is in no state for this.
    #[error("there is no such file")]
    NotFound,
    /// The file is in another state than the operation needs.
    #[error("the file is {0}")]
    State(&'static str),
    /// The file has another revision than the caller expects: this one.
    #[error("the file is at revision {0}")]
    Stale(i32),
    /// The metadata cannot be stored.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// The object store failed.
    #[error(transparent)]
    Object(#[from] ObjectError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why an upload was refused or broke. Nothing of it is stored.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// The caller lacks the permission.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    /// The plan allows no file of this size.
    #[error("a file may have at most {limit} bytes")]
    TooLarge {
        /// The largest file in bytes.
        limit: i64,
    },
    /// The plan's storage is used up.
    #[error(transparent)]
    Quota(QuotaExceeded),
    /// The type is refused, or is not what the content is.
    #[error(transparent)]
    Type(#[from] TypeError),
    /// The upload took longer than it may, or the bytes ended too slowly.
    #[error("the upload was given up, because it stood still for too long")]
    GivenUp,
    /// The object store cannot presign requests.
    #[error("the object store cannot presign requests")]
    CannotPresign,
    /// The object store failed.
    #[error(transparent)]
    Object(#[from] ObjectError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<QuotaError> for UploadError {
    fn from(error: QuotaError) -> Self {
        match error {
            QuotaError::Exceeded(exceeded) => Self::Quota(exceeded),
            QuotaError::Store(error) => Self::Store(error),
        }
    }
}

/// Why a presigned upload was not completed.
#[derive(Debug, thiserror::Error)]
pub enum CompleteError {
    /// The caller lacks the permission.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    /// There is no such upload.
    #[error("there is no such upload")]
    NotFound,
    /// The upload is complete already.
    #[error("the upload is complete already")]
    Completed,
    /// Another request is completing it.
    #[error("another request is completing the upload")]
    InProgress,
    /// Its time is over.
    #[error("the upload has expired")]
    Expired,
    /// Nothing has been sent to the URL.
    #[error("nothing has been uploaded to the URL")]
    NothingUploaded,
    /// What was sent is not what was declared. It may be sent again until the URL expires.
    #[error("{detail}")]
    Mismatch {
        /// What differs: `size` or `sha256`.
        field: &'static str,
        /// What was declared and what was found.
        detail: String,
    },
    /// The type is refused, or is not what the content is.
    #[error(transparent)]
    Type(#[from] TypeError),
    /// The object store failed.
    #[error(transparent)]
    Object(#[from] ObjectError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a task of a file failed.
#[derive(Debug, thiserror::Error)]
pub enum SettleError {
    /// The object store failed.
    #[error("{}", with_cause(.0))]
    Object(#[from] ObjectError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The text of an error with that of its cause, for operators.
fn with_cause(error: &ObjectError) -> String {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
    format!("{error}{cause}")
}
