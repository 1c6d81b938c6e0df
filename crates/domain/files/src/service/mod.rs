//! Use cases of files.

mod presigned;
mod read;
mod tasks;
mod upload;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use serde_json::json;
use tidegate_kernel::{
    Actor, AuditEntry, Environment, FileId, Limit, Meter, Page, PageSize, Permission, Quota, StoreError, UnitOfWork,
    WorkspaceScope,
};

pub use presigned::PresignedUpload;
pub use read::Content;
pub use tasks::{FileTasks, TaskFigures};
pub use upload::Incoming;

use crate::content_type::MediaType;
use crate::error::FileError;
use crate::metadata::Metadata;
use crate::model::{File, FileChange, FileFilter, FileState};
use crate::name::FileName;
use crate::object::{ObjectKey, ObjectStore};
use crate::ports::{FileLimits, FilesTx};

/// The largest file of any plan: what an object store takes in parts of 8 MiB.
pub const LARGEST_FILE: i64 = 64 << 30;

/// How long an upload may stand still before it is given up.
const LEASE: TimeDelta = TimeDelta::minutes(15);

/// When a file without bytes is looked at again, to remove what a writer that was thought dead may have written.
const SWEEP: TimeDelta = TimeDelta::hours(1);

/// How long it is known that a file was purged.
const REMEMBERED: TimeDelta = TimeDelta::days(90);

/// The settings of files.
#[derive(Debug, Clone, Copy)]
pub struct FilesConfig {
    /// How long a deleted file can be restored.
    pub purge_after: TimeDelta,
    /// How long a presigned request is valid.
    pub presigned_for: Duration,
}

impl Default for FilesConfig {
    fn default() -> Self {
        Self { purge_after: TimeDelta::days(30), presigned_for: Duration::from_secs(3_600) }
    }
}

/// What is declared of a file that is to be uploaded.
#[derive(Debug, Clone, PartialEq)]
pub struct UploadRequest {
    /// The name.
    pub name: FileName,
    /// The type; `None` if it was not declared.
    pub content_type: Option<MediaType>,
    /// The SHA-256 of the bytes, if it is known.
    pub sha256: Option<[u8; 32]>,
    /// Free metadata.
    pub metadata: Metadata,
}

/// What the use cases of files need.
#[derive(Clone)]
pub struct Files {
    store: Arc<dyn UnitOfWork<dyn FilesTx>>,
    objects: Arc<dyn ObjectStore>,
    quota: Arc<dyn Quota>,
    limits: Arc<dyn FileLimits>,
    config: FilesConfig,
    env: Environment,
}

impl std::fmt::Debug for Files {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Files").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Files {
    /// The use cases over a store of rows and a store of objects.
    #[must_use]
    pub fn new(
        store: Arc<dyn UnitOfWork<dyn FilesTx>>,
        objects: Arc<dyn ObjectStore>,
        quota: Arc<dyn Quota>,
        limits: Arc<dyn FileLimits>,
        config: FilesConfig,
        env: Environment,
    ) -> Self {
        Self { store, objects, quota, limits, config, env }
    }

    /// The current time with the precision of stores, one microsecond.
    fn now(&self) -> DateTime<Utc> {
        self.env.now().trunc_subsecs(6)
    }

    /// The largest file of the workspace in bytes, and the limit of its storage.
    async fn limits(&self, scope: &WorkspaceScope) -> Result<(i64, Limit), StoreError> {
        let largest = self.limits.largest_file(scope).await?.at_most().unwrap_or(LARGEST_FILE);
        Ok((largest.min(LARGEST_FILE), self.quota.limit(scope, Meter::StorageBytes).await?))
    }

    /// Files that match `filter`, newest first.
    ///
    /// # Errors
    /// [`FileError`] if the caller lacks the permission or the store failed.
    pub async fn list(
        &self,
        scope: &WorkspaceScope,
        filter: &FileFilter,
        before: Option<FileId>,
        size: PageSize,
    ) -> Result<Page<File, FileId>, FileError> {
        scope.require(Permission::FilesRead)?;
        let files = self.store.begin(scope).await?.files().list(filter, before, size).await?;
        Ok(Page::from_overfetch(files, size, |file| file.id))
    }

    /// One file, in any state that callers see.
    ///
    /// # Errors
    /// [`FileError::NotFound`] if there is no such file.
    pub async fn get(&self, scope: &WorkspaceScope, id: FileId) -> Result<File, FileError> {
        scope.require(Permission::FilesRead)?;
        self.store.begin(scope).await?.files().find(id).await?.ok_or(FileError::NotFound)
    }

    /// Changes the name or the metadata of a file whose revision `expected` admits.
    ///
    /// # Errors
    /// [`FileError::Stale`] if the file has another revision, and [`FileError::State`] if it is not uploaded.
    pub async fn change(
        &self,
        scope: &WorkspaceScope,
        id: FileId,
        change: &FileChange,
        expected: impl Fn(i32) -> bool + Send,
    ) -> Result<File, FileError> {
        scope.require(Permission::FilesWrite)?;
        let mut tx = self.store.begin(scope).await?;
        let mut file = tx.files().find(id).await?.ok_or(FileError::NotFound)?;
        if file.state != FileState::Uploaded {
            return Err(FileError::State(file.state.as_str()));
        }
        if !expected(file.revision) {
            return Err(FileError::Stale(file.revision));
        }
        if let Some(patch) = &change.metadata {
            file.metadata = file.metadata.patched(patch)?;
        }
        if let Some(name) = &change.name {
            file.name = name.clone();
        }
        if !tx.files().change(id, file.revision, &file.name, &file.metadata).await? {
            // Another change came in between.
            return Err(FileError::Stale(file.revision + 1));
        }
        file.revision += 1;
        let changed = json!({"name": change.name.is_some(), "metadata": change.metadata.is_some()});
        tx.audit().record(AuditEntry::new("file.changed", id).with(changed)).await?;
        tx.commit().await?;
        Ok(file)
    }

    /// Deletes a file. Until it is purged it can be restored, and its bytes count against the quota. Returns the file
    /// and the bytes of all deleted files.
    ///
    /// # Errors
    /// [`FileError::NotFound`] if there is no such file, and [`FileError::State`] if it is not uploaded.
    pub async fn delete(&self, scope: &WorkspaceScope, id: FileId) -> Result<(File, i64), FileError> {
        scope.require(Permission::FilesDelete)?;
        let now = self.now();
        let mut tx = self.store.begin(scope).await?;
        let purge_at = now + self.config.purge_after;
        if !tx.files().delete(id, now, purge_at).await? {
            let file = tx.files().find(id).await?.ok_or(FileError::NotFound)?;
            return Err(FileError::State(file.state.as_str()));
        }
        let file = tx.files().find(id).await?.ok_or(FileError::NotFound)?;
        let deleted = tx.files().deleted_bytes().await?;
        let details = json!({"size": file.size, "purge_at": purge_at});
        tx.audit().record(AuditEntry::new("file.deleted", id).with(details)).await?;
        tx.commit().await?;
        Ok((file, deleted))
    }

    /// Restores a deleted file.
    ///
    /// # Errors
    /// [`FileError::NotFound`] if there is no such file, and [`FileError::State`] if it is not deleted.
    pub async fn restore(&self, scope: &WorkspaceScope, id: FileId) -> Result<File, FileError> {
        scope.require(Permission::FilesDelete)?;
        let mut tx = self.store.begin(scope).await?;
        if !tx.files().restore(id).await? {
            let file = tx.files().find(id).await?.ok_or(FileError::NotFound)?;
            return Err(FileError::State(file.state.as_str()));
        }
        let file = tx.files().find(id).await?.ok_or(FileError::NotFound)?;
        tx.audit().record(AuditEntry::new("file.restored", id)).await?;
        tx.commit().await?;
        Ok(file)
    }
}

/// Who uploads, as it is stored.
fn uploader(scope: &WorkspaceScope) -> Actor {
    scope.actor()
}

/// The key of a file's bytes.
fn key(scope: &WorkspaceScope, id: FileId) -> ObjectKey {
    ObjectKey::file(scope, id)
}
