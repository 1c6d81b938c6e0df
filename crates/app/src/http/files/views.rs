//! Files as callers see them.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Map, Value};
use tidegate_files::File;
use tidegate_files::model::UploadKind;
use tidegate_kernel::FileId;
use utoipa::ToSchema;

use crate::http::support::schema;
use crate::http::tenancy::ActorView;

/// A file.
#[derive(Debug, Serialize, ToSchema)]
pub struct FileView {
    /// The id.
    #[schema(value_type = schema::FileId)]
    id: FileId,
    /// The name, as it was sent.
    #[schema(value_type = schema::FileName, example = "report.pdf")]
    name: String,
    /// The type. It agrees with the content, as far as the first bytes show. While the file is uploading, the declared
    /// type.
    #[schema(value_type = schema::MediaType)]
    content_type: String,
    /// The length in bytes. While the file is uploading, the bytes that are reserved for it.
    #[schema(minimum = 0)]
    size: i64,
    /// The SHA-256 of the bytes. While the file is uploading, the declared one, if there is one.
    #[schema(value_type = Option<schema::Sha256>)]
    sha256: Option<String>,
    /// The state. Bytes count against the storage of the workspace until the state is `purged`.
    #[schema(value_type = schema::FileState)]
    state: &'static str,
    /// Free metadata. It is removed when the file is purged.
    metadata: Map<String, Value>,
    /// Rises with every change. It is in the `ETag` too.
    #[schema(minimum = 1)]
    revision: i32,
    /// Who uploaded it.
    uploaded_by: ActorView,
    /// When the upload began.
    created_at: DateTime<Utc>,
    /// When the upload was complete.
    uploaded_at: Option<DateTime<Utc>>,
    /// When the URL of its presigned upload expires or expired; null if it was uploaded through this API.
    expires_at: Option<DateTime<Utc>>,
    /// When it was deleted; null if it is not.
    deleted_at: Option<DateTime<Utc>>,
    /// When a deleted file is purged. Until then it can be restored, and its bytes count.
    purge_at: Option<DateTime<Utc>>,
}

impl From<File> for FileView {
    fn from(file: File) -> Self {
        Self {
            id: file.id,
            name: file.name.as_str().to_owned(),
            content_type: file.content_type.as_str().to_owned(),
            size: file.size,
            sha256: file.sha256.map(hex),
            state: file.state.as_str(),
            metadata: file.metadata.members().clone(),
            revision: file.revision,
            uploaded_by: file.uploaded_by.into(),
            created_at: file.created_at,
            uploaded_at: file.uploaded_at,
            expires_at: match file.upload {
                UploadKind::Direct => None,
                UploadKind::Presigned { expires_at } => Some(expires_at),
            },
            deleted_at: file.deleted_at,
            purge_at: file.purge_at,
        }
    }
}

/// A digest in lower-case hexadecimal digits.
pub(super) fn hex(digest: [u8; 32]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The digest with these hexadecimal digits.
pub(super) fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    if text.len() != 64 || !text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
        return None;
    }
    for (index, byte) in digest.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(index * 2..index * 2 + 2)?, 16).ok()?;
    }
    Some(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_reads_back_and_has_one_spelling() {
        let digest = std::array::from_fn(|n| u8::try_from(n * 8).unwrap());
        assert_eq!(unhex(&hex(digest)), Some(digest));
        for bad in ["", "00", &"0".repeat(63), &"A".repeat(64), &"g".repeat(64), &"ä".repeat(32)] {
            assert_eq!(unhex(bad), None, "{bad}");
        }
    }
}
