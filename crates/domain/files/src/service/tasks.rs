//! What is done about files later: broken uploads are given up, and deleted files are purged.
//!
//! Every step can be repeated. A row first says that its bytes are not to be used any more, then the object is removed,
//! and then the row says that it is gone and its bytes are given back, once.

use std::collections::HashSet;
use std::sync::Arc;

use chrono::TimeDelta;
use tidegate_kernel::{Meter, RequestId, StoreError, SystemScope, UploadId, WorkspaceScope};

use super::{Files, REMEMBERED, SWEEP, key};
use crate::error::SettleError;
use crate::model::{FileState, TaskKind, UploadKind};
use crate::object::ObjectKey;
use crate::ports::{DueTask, FileTaskQueue};

/// How many tasks one look takes.
const LOOK: u32 = 100;
/// The first delay of a task that failed, and the longest one.
const DELAYS: (TimeDelta, TimeDelta) = (TimeDelta::minutes(1), TimeDelta::hours(6));

/// What [`FileTasks::run`] did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TaskFigures {
    /// Tasks that were done.
    pub done: u64,
    /// Tasks that failed and are tried again later.
    pub failed: u64,
}

/// Does the due tasks of all workspaces' files.
#[derive(Clone)]
pub struct FileTasks {
    files: Files,
    queue: Arc<dyn FileTaskQueue>,
    scope: Arc<SystemScope>,
}

impl std::fmt::Debug for FileTasks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileTasks").field("files", &self.files).finish_non_exhaustive()
    }
}

impl FileTasks {
    /// Tasks of `files`. `scope` is the proof that this may work across tenants.
    #[must_use]
    pub fn new(files: Files, queue: Arc<dyn FileTaskQueue>, scope: Arc<SystemScope>) -> Self {
        Self { files, queue, scope }
    }

    /// Does every task that is due now. A task that fails is postponed, and the others go on. Stops early if the store
    /// of rows is unavailable.
    ///
    /// # Errors
    /// [`StoreError`] if the tasks could not be read or postponed.
    pub async fn run(&self, request_id: &RequestId) -> Result<TaskFigures, StoreError> {
        let (now, mut figures) = (self.files.now(), TaskFigures::default());
        let mut seen = HashSet::new();
        loop {
            let due = self.queue.due(&self.scope, now, LOOK).await?;
            let new: Vec<_> = due.iter().filter(|task| seen.insert((task.workspace, task.file, task.task))).collect();
            for task in &new {
                let scope = self.scope.enter(task.workspace, request_id.clone());
                match self.files.settle(&scope, task).await {
                    Ok(()) => figures.done += 1,
                    Err(SettleError::Store(error @ StoreError::Unavailable(_))) => return Err(error),
                    Err(error) => {
                        figures.failed += 1;
                        let (first, longest) = DELAYS;
                        let factor = 1 << task.failures.clamp(0, 10);
                        let until = now + (first * factor).min(longest);
                        self.queue.postpone(&self.scope, task, until, &error.to_string()).await?;
                    }
                }
            }
            if new.is_empty() {
                return Ok(figures);
            }
        }
    }
}

impl Files {
    /// Does one task. A task that its file does not need any more ends.
    ///
    /// # Errors
    /// [`SettleError`] if it has to be done again.
    pub async fn settle(&self, scope: &WorkspaceScope, due: &DueTask) -> Result<(), SettleError> {
        let (id, now) = (due.file, self.now());
        let upload = ObjectKey::upload(scope, UploadId::from_uuid(id.as_uuid()));
        let mut tx = self.store.begin(scope).await?;
        let presigned = match due.task {
            TaskKind::GiveUp => {
                let file = tx.files().find(id).await?;
                if !tx.files().withdraw(id, FileState::Abandoned, now).await? {
                    // It was extended or completed after the look.
                    return Ok(());
                }
                file.is_none_or(|file| matches!(file.upload, UploadKind::Presigned { .. }))
            }
            TaskKind::Purge => {
                if !tx.files().withdraw(id, FileState::Purging, now).await? {
                    return Ok(());
                }
                false
            }
            TaskKind::RemoveUpload => true,
            // What a writer that was thought dead has written since, or a request that was still sending.
            TaskKind::Forget => true,
        };
        tx.commit().await?;
        if due.task != TaskKind::RemoveUpload {
            self.objects.delete(&key(scope, id)).await?;
        }
        if presigned {
            self.objects.delete(&upload).await?;
        }
        let mut tx = self.store.begin(scope).await?;
        match due.task {
            TaskKind::GiveUp | TaskKind::Purge => {
                let forget_at = now + if due.task == TaskKind::Purge { REMEMBERED } else { SWEEP };
                let freed = tx.files().freed(id, now, forget_at).await?;
                tx.levels().give_back(Meter::StorageBytes, freed).await?;
            }
            TaskKind::Forget => tx.files().forget(id).await?,
            TaskKind::RemoveUpload => tx.files().end_task(id, due.task).await?,
        }
        tx.commit().await?;
        Ok(())
    }
}
