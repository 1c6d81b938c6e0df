//! Uploading through the server.
//!
//! The row of the file is the reservation of its bytes. It is written before the first byte is received, extended before
//! each part goes to the object store, and settled to the exact length at the end. No transaction is open while bytes
//! move.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde_json::json;
use tidegate_kernel::{
    AuditEntry, FileId, Limit, Meter, Permission, QuotaError, QuotaExceeded, StoreError, WorkspaceScope,
};

use super::{Files, LEASE, UploadRequest, key, uploader};
use crate::content_type::{FIRST_BYTES, MediaType, judge};
use crate::error::UploadError;
use crate::metadata::Metadata;
use crate::model::{Completed, File, FileState, NewFile, UploadKind};
use crate::object::{Expected, ObjectWriter};

/// The most bytes of a form besides the file: its boundaries, headers and other fields. A body of this length more than
/// the largest file may still hold the largest file.
pub const FORM_OVERHEAD: i64 = 128 * 1024;

/// How many bytes are collected before they are reserved and passed on.
const PART: usize = 4 * 1024 * 1024;

/// An upload under way. [`Incoming::finish`] or [`Incoming::discard`] ends it; if it is dropped, it is given up when its
/// lease is over.
pub struct Incoming<'s> {
    files: Files,
    scope: &'s WorkspaceScope,
    file: File,
    declared: Option<MediaType>,
    /// The type that the first bytes confirm.
    judged: Option<MediaType>,
    /// The largest file in bytes.
    largest: i64,
    storage: Limit,
    lease_until: DateTime<Utc>,
    writer: Option<Box<dyn ObjectWriter>>,
    /// Bytes that are not reserved or not passed on yet.
    pending: Vec<Bytes>,
    pending_bytes: usize,
    received: i64,
}

impl std::fmt::Debug for Incoming<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Incoming")
            .field("file", &self.file.id)
            .field("received", &self.received)
            .finish_non_exhaustive()
    }
}

impl Files {
    /// Begins an upload whose body has `content_length` bytes, the form around the file included; `None` if that is not
    /// known. Reserves the bytes that the file has at least.
    ///
    /// # Errors
    /// [`UploadError`] if the caller lacks the permission, the file is too large, the quota is used up, or such files
    /// are refused.
    pub async fn begin_upload<'s>(
        &self,
        scope: &'s WorkspaceScope,
        request: UploadRequest,
        content_length: Option<u64>,
    ) -> Result<Incoming<'s>, UploadError> {
        scope.require(Permission::FilesWrite)?;
        judge(&request.name, request.content_type.as_ref(), &[])?;
        let (largest, storage) = self.limits(scope).await?;
        let length = content_length.map_or(0, |length| i64::try_from(length).unwrap_or(i64::MAX));
        let reserved = length.saturating_sub(FORM_OVERHEAD).max(0);
        if reserved > largest {
            return Err(UploadError::TooLarge { limit: largest });
        }
        let now = self.now();
        let (id, declared) = (FileId::generate(&self.env), request.content_type.clone());
        let file = File::uploading(id, request, UploadKind::Direct, reserved, uploader(scope), now);
        let lease_until = now + LEASE;
        self.reserve(scope, &file, lease_until, storage, None).await?;
        Ok(Incoming {
            files: self.clone(),
            scope,
            file,
            declared,
            judged: None,
            largest,
            storage,
            lease_until,
            writer: None,
            pending: Vec::new(),
            pending_bytes: 0,
            received: 0,
        })
    }

    /// Stores a file that is uploading, and takes its bytes. An upload through the server is recorded when it is
    /// complete.
    pub(super) async fn reserve(
        &self,
        scope: &WorkspaceScope,
        file: &File,
        lease_until: DateTime<Utc>,
        storage: Limit,
        entry: Option<AuditEntry>,
    ) -> Result<(), UploadError> {
        let mut tx = self.store.begin(scope).await?;
        tx.files().insert(&NewFile { file: file.clone(), lease_until }).await?;
        tx.levels().take(Meter::StorageBytes, file.size, storage).await?;
        if let Some(entry) = entry {
            tx.audit().record(entry).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Abandons an upload that no writer works on any more: removes its objects, gives its bytes back and forgets it.
    /// What fails here is done when its lease is over.
    pub(super) async fn abandon(&self, scope: &WorkspaceScope, id: FileId) -> Result<(), crate::SettleError> {
        let mut tx = self.store.begin(scope).await?;
        // The lease of an upload that ends by itself ends now.
        let is_abandoned = tx.files().withdraw(id, FileState::Abandoned, DateTime::<Utc>::MAX_UTC).await?;
        tx.commit().await?;
        if !is_abandoned {
            return Ok(());
        }
        self.objects.delete(&key(scope, id)).await?;
        let now = self.now();
        let mut tx = self.store.begin(scope).await?;
        let freed = tx.files().freed(id, now, now).await?;
        tx.levels().give_back(Meter::StorageBytes, freed).await?;
        tx.files().forget(id).await?;
        tx.commit().await?;
        Ok(())
    }
}

impl Incoming<'_> {
    /// The id that the file will have.
    #[must_use]
    pub const fn id(&self) -> FileId {
        self.file.id
    }

    /// Adds bytes of the file.
    ///
    /// # Errors
    /// [`UploadError`] if the upload cannot go on. The caller MUST then discard it.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), UploadError> {
        self.received = self.received.saturating_add_unsigned(bytes.len() as u64);
        if self.received > self.largest {
            return Err(UploadError::TooLarge { limit: self.largest });
        }
        self.pending_bytes += bytes.len();
        self.pending.push(bytes);
        if self.judged.is_none() && self.pending_bytes >= FIRST_BYTES {
            self.judge()?;
        }
        if self.pending_bytes >= PART { self.pass_on().await } else { Ok(()) }
    }

    /// Completes the file.
    ///
    /// # Errors
    /// [`UploadError`] if it could not be completed. Nothing of it is stored then, or its row says that it was uploaded
    /// although the answer of the store was lost.
    pub async fn finish(mut self, metadata: Option<Metadata>) -> Result<File, UploadError> {
        let stored = match self.store_object().await {
            Ok(stored) => stored,
            Err(error) => {
                self.discard().await;
                return Err(error);
            }
        };
        let now = self.files.now();
        let content_type = self.judged.clone().unwrap_or_else(MediaType::unknown);
        let metadata = metadata.unwrap_or_else(|| self.file.metadata.clone());
        let completed =
            Completed { size: self.received, sha256: stored, content_type, metadata, at: now, remove_upload_at: None };
        // From here on the row decides: if its commit is not answered, the object must stay until the row is looked at.
        let mut tx = self.files.store.begin(self.scope).await?;
        if !tx.files().complete(self.file.id, 0, &completed).await? {
            drop(tx);
            self.discard().await;
            return Err(UploadError::GivenUp);
        }
        if self.file.size > self.received {
            tx.levels().give_back(Meter::StorageBytes, self.file.size - self.received).await?;
        }
        let file = File {
            size: completed.size,
            sha256: Some(completed.sha256),
            content_type: completed.content_type,
            metadata: completed.metadata,
            state: FileState::Uploaded,
            uploaded_at: Some(now),
            revision: self.file.revision + 1,
            ..self.file
        };
        let details = json!({"size": file.size, "content_type": file.content_type.as_str()});
        tx.audit().record(AuditEntry::new("file.uploaded", file.id).with(details)).await?;
        tx.commit().await?;
        Ok(file)
    }

    /// Gives the upload up: removes what is stored of it and gives its bytes back.
    pub async fn discard(mut self) {
        self.pending.clear();
        // What fails here is done by the task of the file when its lease is over.
        if let Some(writer) = self.writer.take()
            && writer.abort().await.is_err()
        {
            return;
        }
        let _ = self.files.abandon(self.scope, self.file.id).await;
    }

    /// Compares the first bytes with what was declared.
    fn judge(&mut self) -> Result<(), UploadError> {
        let mut first = Vec::with_capacity(FIRST_BYTES);
        for bytes in &self.pending {
            let rest = FIRST_BYTES - first.len();
            first.extend_from_slice(&bytes[..bytes.len().min(rest)]);
        }
        self.judged = Some(judge(&self.file.name, self.declared.as_ref(), &first)?);
        Ok(())
    }

    /// Reserves what was received, and passes it on to the object store.
    async fn pass_on(&mut self) -> Result<(), UploadError> {
        self.extend().await?;
        let writer = match &mut self.writer {
            Some(writer) => writer,
            none => none.insert(self.files.objects.writer(&key(self.scope, self.file.id)).await?),
        };
        self.pending_bytes = 0;
        for bytes in std::mem::take(&mut self.pending) {
            writer.write(bytes).await?;
        }
        Ok(())
    }

    /// Takes the bytes that were received beyond those that are reserved, and renews the lease when half of it is over.
    async fn extend(&mut self) -> Result<(), UploadError> {
        let now = self.files.now();
        let missing = self.received - self.file.size;
        if now > self.lease_until {
            return Err(UploadError::GivenUp);
        }
        if missing <= 0 && now < self.lease_until - LEASE / 2 {
            return Ok(());
        }
        let size = self.file.size + missing.max(0);
        let lease_until = now + LEASE;
        let mut tx = self.files.store.begin(self.scope).await?;
        if !tx.files().extend(self.file.id, size, lease_until).await? {
            return Err(UploadError::GivenUp);
        }
        if missing > 0 {
            let taken = tx.levels().take(Meter::StorageBytes, missing, self.storage).await;
            taken.map_err(|error| match error {
                // What was taken for this very upload is not used by anything else.
                QuotaError::Exceeded(exceeded) => {
                    QuotaExceeded { used: exceeded.used - self.file.size, ..exceeded }.into()
                }
                error => error,
            })?;
        }
        tx.commit().await?;
        (self.file.size, self.lease_until) = (size, lease_until);
        Ok(())
    }

    /// Sends the last bytes, and completes the object.
    async fn store_object(&mut self) -> Result<[u8; 32], UploadError> {
        if self.judged.is_none() {
            self.judge()?;
        }
        self.pass_on().await?;
        let expected = Expected { size: Some(self.received.unsigned_abs()), sha256: self.file.sha256 };
        let writer = self.writer.take().ok_or_else(|| StoreError::Internal("an upload has no writer".into()))?;
        Ok(writer.finish(expected).await?.sha256)
    }
}
