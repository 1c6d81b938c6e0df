//! Rows of files.

use chrono::{DateTime, Utc};
use tidegate_files::model::UploadKind;
use tidegate_files::{File, FileName, Metadata};
use tidegate_kernel::{Actor, ApiKeyId, FileId, StoreError, UserId};
use uuid::Uuid;

/// The columns of a [`FileRow`].
pub(super) const COLUMNS: &str = "id, name, content_type, size, sha256, state, expires_at, metadata, revision, \
     uploader_kind, uploader_id, created_at, uploaded_at, deleted_at, purge_at";

#[derive(sqlx::FromRow)]
pub(super) struct FileRow {
    id: Uuid,
    name: String,
    content_type: String,
    size: i64,
    sha256: Option<Vec<u8>>,
    state: String,
    expires_at: Option<DateTime<Utc>>,
    metadata: serde_json::Value,
    revision: i32,
    uploader_kind: String,
    uploader_id: Option<Uuid>,
    created_at: DateTime<Utc>,
    uploaded_at: Option<DateTime<Utc>>,
    deleted_at: Option<DateTime<Utc>>,
    purge_at: Option<DateTime<Utc>>,
}

/// A row that no version of this program has written.
fn broken(error: impl std::error::Error + Send + Sync + 'static) -> StoreError {
    StoreError::Internal(Box::new(error))
}

impl TryFrom<FileRow> for File {
    type Error = StoreError;

    fn try_from(row: FileRow) -> Result<Self, StoreError> {
        let uploaded_by = match (row.uploader_kind.as_str(), row.uploader_id) {
            ("person", Some(id)) => Actor::Person(UserId::from_uuid(id)),
            ("api_key", Some(id)) => Actor::ApiKey(ApiKeyId::from_uuid(id)),
            _ => Actor::System,
        };
        let sha256 = row.sha256.map(|bytes| bytes.as_slice().try_into()).transpose().map_err(broken)?;
        let metadata = match row.metadata {
            serde_json::Value::Object(members) => Metadata::from_store(members),
            _ => Metadata::default(),
        };
        Ok(Self {
            id: FileId::from_uuid(row.id),
            name: FileName::new(&row.name).map_err(broken)?,
            content_type: row.content_type.parse().map_err(broken)?,
            size: row.size,
            sha256,
            state: row.state.parse().map_err(broken)?,
            upload: row.expires_at.map_or(UploadKind::Direct, |expires_at| UploadKind::Presigned { expires_at }),
            metadata,
            revision: row.revision,
            uploaded_by,
            created_at: row.created_at,
            uploaded_at: row.uploaded_at,
            deleted_at: row.deleted_at,
            purge_at: row.purge_at,
        })
    }
}
