//! Uploading straight to the object store, with a presigned request.
//!
//! The request writes an object of its own. Completing copies it to the key of the file, and then checks the copy: the
//! request stays valid for a while, and nothing that it writes later can change the file.

use chrono::TimeDelta;
use futures::TryStreamExt;
use serde_json::json;
use sha2::{Digest, Sha256};
use tidegate_kernel::{AuditEntry, FileId, Permission, UploadId, WorkspaceScope};

use super::{Files, LEASE, UploadRequest, key, uploader};
use crate::content_type::{FIRST_BYTES, MediaType, judge};
use crate::error::{CompleteError, UploadError};
use crate::model::{Completed, File, FileState, UploadKind};
use crate::object::{ObjectKey, PresignedMethod, PresignedRequest};

/// How long after its request has expired the object of an upload is removed: a request that began in time may still be
/// sending.
const REMOVE_AFTER: TimeDelta = TimeDelta::hours(1);

/// An upload that the caller sends to the object store.
#[derive(Debug, Clone)]
pub struct PresignedUpload {
    /// The id of the upload.
    pub id: UploadId,
    /// The request to send.
    pub request: PresignedRequest,
}

impl Files {
    /// Reserves `size` bytes and makes a request that uploads them.
    ///
    /// # Errors
    /// [`UploadError::CannotPresign`] if the object store makes no such requests.
    pub async fn begin_presigned(
        &self,
        scope: &WorkspaceScope,
        request: UploadRequest,
        size: i64,
    ) -> Result<PresignedUpload, UploadError> {
        scope.require(Permission::FilesWrite)?;
        judge(&request.name, request.content_type.as_ref(), &[])?;
        let (largest, storage) = self.limits(scope).await?;
        if size > largest {
            return Err(UploadError::TooLarge { limit: largest });
        }
        let (now, id) = (self.now(), FileId::generate(&self.env));
        let upload = UploadId::from_uuid(id.as_uuid());
        let method = PresignedMethod::Put { sha256: request.sha256 };
        let object = ObjectKey::upload(scope, upload);
        let presigned = self.objects.presign(&object, method, now, self.config.presigned_for).await?;
        let presigned = presigned.ok_or(UploadError::CannotPresign)?;
        let kind = UploadKind::Presigned { expires_at: presigned.expires_at };
        let file = File::uploading(id, request, kind, size, uploader(scope), now);
        let entry = AuditEntry::new("file.upload_begun", upload).with(json!({"size": size, "file": id}));
        self.reserve(scope, &file, presigned.expires_at + LEASE, storage, Some(entry)).await?;
        Ok(PresignedUpload { id: upload, request: presigned })
    }

    /// Makes a file of what was sent with the presigned request.
    ///
    /// # Errors
    /// [`CompleteError`] if there is nothing to complete, or it is not what was declared. Nothing changes then.
    pub async fn complete(&self, scope: &WorkspaceScope, upload: UploadId) -> Result<File, CompleteError> {
        scope.require(Permission::FilesWrite)?;
        let id = FileId::from_uuid(upload.as_uuid());
        let now = self.now();
        let mut tx = self.store.begin(scope).await?;
        let file = tx.files().find(id).await?.ok_or(CompleteError::NotFound)?;
        let UploadKind::Presigned { expires_at } = file.upload else { return Err(CompleteError::NotFound) };
        if file.state != FileState::Uploading {
            return Err(CompleteError::Completed);
        }
        if now > expires_at + LEASE {
            return Err(CompleteError::Expired);
        }
        let attempt = tx.files().claim(id, now, now + LEASE).await?.ok_or(CompleteError::InProgress)?;
        tx.commit().await?;
        match self.checked(scope, &file).await {
            Ok((sha256, content_type)) => {
                let remove_upload_at = Some(expires_at + REMOVE_AFTER);
                let at = self.now();
                let metadata = file.metadata.clone();
                let completed = Completed { size: file.size, sha256, content_type, metadata, at, remove_upload_at };
                self.completed(scope, file, attempt, completed).await
            }
            Err(error) => {
                // What was copied is removed, and the claim is freed, so that the bytes can be sent again.
                self.objects.delete(&key(scope, id)).await?;
                let mut tx = self.store.begin(scope).await?;
                tx.files().release(id, attempt).await?;
                tx.commit().await?;
                Err(error)
            }
        }
    }

    async fn completed(
        &self,
        scope: &WorkspaceScope,
        file: File,
        attempt: i32,
        completed: Completed,
    ) -> Result<File, CompleteError> {
        let mut tx = self.store.begin(scope).await?;
        if !tx.files().complete(file.id, attempt, &completed).await? {
            return Err(CompleteError::Expired);
        }
        let file = File {
            sha256: Some(completed.sha256),
            content_type: completed.content_type,
            state: FileState::Uploaded,
            uploaded_at: Some(completed.at),
            revision: file.revision + 1,
            ..file
        };
        let details = json!({"size": file.size, "content_type": file.content_type.as_str(), "presigned": true});
        tx.audit().record(AuditEntry::new("file.uploaded", file.id).with(details)).await?;
        tx.commit().await?;
        Ok(file)
    }

    /// Copies the uploaded object to the key of the file, and checks the copy. Returns its SHA-256 and its type.
    async fn checked(&self, scope: &WorkspaceScope, file: &File) -> Result<([u8; 32], MediaType), CompleteError> {
        let from = ObjectKey::upload(scope, UploadId::from_uuid(file.id.as_uuid()));
        let to = key(scope, file.id);
        let declared = file.size.unsigned_abs();
        let wrong_size = |found: u64| CompleteError::Mismatch {
            field: "size",
            detail: format!("{declared} bytes were declared, and {found} were uploaded"),
        };
        match self.objects.size(&from).await? {
            None => return Err(CompleteError::NothingUploaded),
            Some(found) if found != declared => return Err(wrong_size(found)),
            Some(_) => {}
        }
        if !self.objects.copy(&from, &to).await? {
            return Err(CompleteError::NothingUploaded);
        }
        let mut read = self.objects.read(&to, None).await?.ok_or(CompleteError::NothingUploaded)?;
        let (mut hash, mut size, mut first) = (Sha256::new(), 0, Vec::new());
        while let Some(bytes) = read.bytes.try_next().await? {
            size += bytes.len() as u64;
            if size > declared {
                return Err(wrong_size(size));
            }
            let rest = FIRST_BYTES.saturating_sub(first.len());
            first.extend_from_slice(&bytes[..bytes.len().min(rest)]);
            hash.update(&bytes);
        }
        if size != declared {
            return Err(wrong_size(size));
        }
        let sha256 = hash.finalize().into();
        if file.sha256.is_some_and(|declared| declared != sha256) {
            let detail = "the SHA-256 of what was uploaded is not the declared one".to_owned();
            return Err(CompleteError::Mismatch { field: "sha256", detail });
        }
        let declared = (!file.content_type.is_unknown()).then_some(&file.content_type);
        Ok((sha256, judge(&file.name, declared, &first)?))
    }
}
