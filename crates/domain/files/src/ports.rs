//! The store ports of files.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tidegate_kernel::{
    AuditLog, FileId, Limit, PageSize, QuotaLevels, StoreError, SystemScope, Transaction, WorkspaceId, WorkspaceScope,
};

use crate::metadata::Metadata;
use crate::model::{Completed, File, FileFilter, FileState, NewFile, TaskKind};
use crate::name::FileName;

/// The slice of a store for files.
pub trait FilesTx: Transaction {
    /// The workspace's files.
    fn files(&mut self) -> Box<dyn FileRepository + '_>;
    /// The workspace's levels, of which files take stored bytes.
    fn levels(&mut self) -> Box<dyn QuotaLevels + '_>;
    /// The audit log.
    fn audit(&mut self) -> Box<dyn AuditLog + '_>;
}

/// The files of one workspace. A change of state is made only from the state that the method names; otherwise nothing
/// changes, and the method says so.
#[async_trait]
pub trait FileRepository: Send {
    /// Stores a file in the state `uploading`, and its task to give it up.
    ///
    /// # Errors
    /// [`StoreError`] if it was not stored.
    async fn insert(&mut self, new: &NewFile) -> Result<(), StoreError>;

    /// The file; `None` if it does not exist or is abandoned.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be read.
    async fn find(&mut self, id: FileId) -> Result<Option<File>, StoreError>;

    /// Up to `size` + 1 files that match `filter`, newest first, before the file `before`.
    ///
    /// MUST NOT list abandoned files.
    ///
    /// # Errors
    /// [`StoreError`] if they could not be read.
    async fn list(
        &mut self,
        filter: &FileFilter,
        before: Option<FileId>,
        size: PageSize,
    ) -> Result<Vec<File>, StoreError>;

    /// Sets the reserved bytes of an uploading file, and when it is given up. Returns false in another state.
    ///
    /// # Errors
    /// [`StoreError`] if nothing changed.
    async fn extend(&mut self, id: FileId, size: i64, lease_until: DateTime<Utc>) -> Result<bool, StoreError>;

    /// Claims the completion of a presigned upload until `until`, which is also the earliest time to give it up.
    /// Returns the number of the attempt; `None` if another attempt has a claim beyond `now`, or in another state.
    ///
    /// MUST let only one of two concurrent transactions claim it.
    ///
    /// # Errors
    /// [`StoreError`] if nothing changed.
    async fn claim(&mut self, id: FileId, now: DateTime<Utc>, until: DateTime<Utc>) -> Result<Option<i32>, StoreError>;

    /// Gives up the claim of this attempt.
    ///
    /// # Errors
    /// [`StoreError`] if nothing changed.
    async fn release(&mut self, id: FileId, attempt: i32) -> Result<(), StoreError>;

    /// `uploading → uploaded`, by this attempt: 0 for an upload that was not claimed. Ends the task to give it up.
    /// Returns false in another state, or if a later attempt has the claim.
    ///
    /// # Errors
    /// [`StoreError`] if nothing changed.
    async fn complete(&mut self, id: FileId, attempt: i32, completed: &Completed) -> Result<bool, StoreError>;

    /// Sets the name and the metadata of a file with this revision, and raises its revision. Returns false if it has
    /// another revision or its bytes are not stored any more.
    ///
    /// # Errors
    /// [`StoreError`] if nothing changed.
    async fn change(
        &mut self,
        id: FileId,
        revision: i32,
        name: &FileName,
        metadata: &Metadata,
    ) -> Result<bool, StoreError>;

    /// `uploaded → deleted`, with a task to purge it.
    ///
    /// # Errors
    /// [`StoreError`] if nothing changed.
    async fn delete(&mut self, id: FileId, at: DateTime<Utc>, purge_at: DateTime<Utc>) -> Result<bool, StoreError>;

    /// `deleted → uploaded`, without the task to purge it.
    ///
    /// # Errors
    /// [`StoreError`] if nothing changed.
    async fn restore(&mut self, id: FileId) -> Result<bool, StoreError>;

    /// `uploading → abandoned` if its lease is over at `now`, or `deleted → purging` if it is to be purged at `now`.
    /// True if the file is in the new state afterwards, also if it was before.
    ///
    /// # Errors
    /// [`StoreError`] if nothing changed.
    async fn withdraw(&mut self, id: FileId, to: FileState, now: DateTime<Utc>) -> Result<bool, StoreError>;

    /// Records that the bytes of an abandoned or purging file are gone: a purging one becomes `purged`, and an abandoned
    /// one has no reserved bytes any more. The task becomes one to forget the file at `forget_at`. Returns the bytes
    /// that this call has freed: 0 the second time, and in another state.
    ///
    /// # Errors
    /// [`StoreError`] if nothing changed.
    async fn freed(&mut self, id: FileId, now: DateTime<Utc>, forget_at: DateTime<Utc>) -> Result<i64, StoreError>;

    /// Removes an abandoned file without reserved bytes, or a purged one, with its tasks.
    ///
    /// # Errors
    /// [`StoreError`] if nothing changed.
    async fn forget(&mut self, id: FileId) -> Result<(), StoreError>;

    /// Ends a task of a file.
    ///
    /// # Errors
    /// [`StoreError`] if nothing changed.
    async fn end_task(&mut self, id: FileId, task: TaskKind) -> Result<(), StoreError>;

    /// The bytes of deleted files that are not purged yet.
    ///
    /// # Errors
    /// [`StoreError`] if they could not be read.
    async fn deleted_bytes(&mut self) -> Result<i64, StoreError>;
}

/// A task that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DueTask {
    /// The workspace.
    pub workspace: WorkspaceId,
    /// The file.
    pub file: FileId,
    /// What is to be done.
    pub task: TaskKind,
    /// How often it has failed.
    pub failures: i32,
}

/// The tasks of all workspaces' files. Each method is one transaction.
#[async_trait]
pub trait FileTaskQueue: Send + Sync {
    /// Up to `limit` tasks that are due at `now`, the longest due first.
    ///
    /// # Errors
    /// [`StoreError`] if they could not be read.
    async fn due(&self, scope: &SystemScope, now: DateTime<Utc>, limit: u32) -> Result<Vec<DueTask>, StoreError>;

    /// Delays a task that failed, and stores the error.
    ///
    /// # Errors
    /// [`StoreError`] if nothing changed.
    async fn postpone(
        &self,
        scope: &SystemScope,
        task: &DueTask,
        until: DateTime<Utc>,
        error: &str,
    ) -> Result<(), StoreError>;
}

/// What the plan of a workspace says of single files.
#[async_trait]
pub trait FileLimits: Send + Sync {
    /// The largest file in bytes. MUST NOT hold a connection after it returns.
    ///
    /// # Errors
    /// [`StoreError`] if the plan could not be read.
    async fn largest_file(&self, scope: &WorkspaceScope) -> Result<Limit, StoreError>;
}
