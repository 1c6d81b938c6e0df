//! Downloading a file.

use std::ops::Range;

use tidegate_kernel::{FileId, Permission, WorkspaceScope};

use super::{Files, key};
use crate::error::FileError;
use crate::model::{File, FileState};
use crate::object::{ByteStream, ObjectError};

/// A file that can be downloaded.
#[derive(Debug)]
pub struct Content {
    /// The file.
    pub file: File,
    /// The length in bytes.
    pub size: u64,
    /// The SHA-256 of the bytes.
    pub sha256: [u8; 32],
}

impl Files {
    /// A file for download. It reads no byte yet.
    ///
    /// # Errors
    /// [`FileError::NotFound`] if there is no such file, and [`FileError::State`] if it is not uploaded.
    pub async fn content(&self, scope: &WorkspaceScope, id: FileId) -> Result<Content, FileError> {
        let file = self.get(scope, id).await?;
        let (FileState::Uploaded, Some(sha256)) = (file.state, file.sha256) else {
            return Err(FileError::State(file.state.as_str()));
        };
        Ok(Content { size: file.size.unsigned_abs(), sha256, file })
    }

    /// The bytes of a file, or those in `range`, which lies within it.
    ///
    /// # Errors
    /// [`FileError::Object`] if the object store has not these bytes.
    pub async fn bytes(
        &self,
        scope: &WorkspaceScope,
        content: &Content,
        range: Option<Range<u64>>,
    ) -> Result<ByteStream, FileError> {
        scope.require(Permission::FilesRead)?;
        let read = self.objects.read(&key(scope, content.file.id), range).await?;
        match read {
            Some(read) if read.size == content.size => Ok(read.bytes),
            other => {
                let found = other.map(|read| read.size);
                let detail = format!("the object of {} has {found:?} bytes", content.file.id);
                Err(ObjectError::Internal(detail.into()).into())
            }
        }
    }
}
