//! No step attempt with an effect begins in a deleted workspace.
//!
//! A deletion also requests the cancellation of every run. But a worker needs a moment to receive the requests, and
//! would make outbound calls until then. So each attempt first checks whether the workspace still exists. The answer is
//! cached for [`FRESH`], which is therefore the longest time during which calls can begin after the deletion was
//! answered. This needs no signal and holds for every process.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;
use tidegate_kernel::{StoreError, SystemScope, WorkspaceId};
use tidegate_workflows::run::StepError;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

use crate::erasure::WorkspaceErasure;
use crate::ports::{StepHandler, StepTask};

/// The time to live of the cached answer.
const FRESH: Duration = Duration::from_millis(500);
/// How long after its last attempt a workspace stays in the cache.
const FORGET: Duration = Duration::from_secs(5);
/// The delay before the store is asked again after an error. The attempt's own timeout limits the number of retries.
const AGAIN: Duration = Duration::from_millis(200);

/// The cache entry of one workspace.
struct Seen {
    read: Option<Instant>,
    wanted: Instant,
    deleted: bool,
}

/// Caches which workspaces exist.
pub struct OpenWorkspaces {
    store: Arc<dyn WorkspaceErasure>,
    scope: SystemScope,
    /// The lock is held during the query, so that concurrent callers share one query.
    seen: Mutex<HashMap<WorkspaceId, Seen>>,
}

impl std::fmt::Debug for OpenWorkspaces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenWorkspaces").finish_non_exhaustive()
    }
}

impl OpenWorkspaces {
    /// A cache of the answers of `store`.
    #[must_use]
    pub fn new(store: Arc<dyn WorkspaceErasure>, scope: SystemScope) -> Self {
        Self { store, scope, seen: Mutex::default() }
    }

    /// Whether the workspace existed less than [`FRESH`] ago.
    async fn is_open(&self, workspace: WorkspaceId) -> Result<bool, StoreError> {
        let mut seen = self.seen.lock().await;
        let now = Instant::now();
        let known = seen.entry(workspace).or_insert(Seen { read: None, wanted: now, deleted: false });
        known.wanted = now;
        if known.deleted || known.read.is_some_and(|read| now - read < FRESH) {
            return Ok(!known.deleted);
        }
        seen.retain(|_, known| now - known.wanted < FORGET);
        let all: Vec<WorkspaceId> = seen.keys().copied().collect();
        let deleted = self.store.deleted(&self.scope, &all).await?;
        for (workspace, known) in seen.iter_mut() {
            known.read = Some(now);
            known.deleted = deleted.contains(workspace);
        }
        Ok(!deleted.contains(&workspace))
    }
}

/// A handler that runs only while the workspace exists.
pub(super) struct WhileOpen {
    pub(super) inner: Arc<dyn StepHandler>,
    pub(super) workspaces: Arc<OpenWorkspaces>,
}

#[async_trait]
impl StepHandler for WhileOpen {
    async fn execute(&self, task: &StepTask) -> Result<Value, StepError> {
        loop {
            match self.workspaces.is_open(task.key.workspace).await {
                Ok(true) => return self.inner.execute(task).await,
                Ok(false) => return Err(StepError::permanent("workspace-deleted", "the workspace was deleted")),
                Err(error) => {
                    tracing::warn!(%error, "cannot ask whether a workspace is there; its step waits");
                    sleep(AGAIN).await;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::Mutex as StdMutex;

    use chrono::{DateTime, Utc};
    use uuid::Uuid;

    use super::*;
    use crate::erasure::{ErasedTable, ErasureOutlook};

    /// A store that knows only deletions, and counts the queries.
    #[derive(Default)]
    struct Deletions {
        deleted: StdMutex<HashSet<WorkspaceId>>,
        asked: StdMutex<Vec<usize>>,
    }

    #[async_trait]
    impl WorkspaceErasure for Deletions {
        async fn deleted(&self, _: &SystemScope, all: &[WorkspaceId]) -> Result<HashSet<WorkspaceId>, StoreError> {
            self.asked.lock().unwrap().push(all.len());
            Ok(self.deleted.lock().unwrap().iter().copied().filter(|id| all.contains(id)).collect())
        }
        async fn outlook(&self, _: &SystemScope, _: DateTime<Utc>, _: u32) -> Result<ErasureOutlook, StoreError> {
            unreachable!("no handler erases")
        }
        async fn tables(&self, _: &SystemScope) -> Result<Vec<ErasedTable>, StoreError> {
            unreachable!("no handler erases")
        }
        async fn erase(
            &self,
            _: &SystemScope,
            _: WorkspaceId,
            _: DateTime<Utc>,
            _: &ErasedTable,
            _: u32,
        ) -> Result<Option<u64>, StoreError> {
            unreachable!("no handler erases")
        }
        async fn finish(&self, _: &SystemScope, _: WorkspaceId, _: DateTime<Utc>) -> Result<bool, StoreError> {
            unreachable!("no handler erases")
        }
        async fn set_aside(
            &self,
            _: &SystemScope,
            _: WorkspaceId,
            _: DateTime<Utc>,
            _: &str,
        ) -> Result<(), StoreError> {
            unreachable!("no handler erases")
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_deletion_is_known_within_half_a_second_and_the_store_is_asked_once_for_all() {
        #[expect(clippy::disallowed_methods, reason = "a test is its own composition root")]
        let scope = tidegate_kernel::ScopeIssuer::root().system("test");
        let store = Arc::new(Deletions::default());
        let workspaces = OpenWorkspaces::new(store.clone(), scope);
        let [ours, theirs] = [1, 2].map(|n| WorkspaceId::from_uuid(Uuid::from_u128(n)));
        assert!(workspaces.is_open(ours).await.unwrap() && workspaces.is_open(theirs).await.unwrap());
        for _ in 0..1_000 {
            assert!(workspaces.is_open(ours).await.unwrap());
        }
        assert_eq!(*store.asked.lock().unwrap(), [1, 2], "what was just read is believed");

        store.deleted.lock().unwrap().insert(ours);
        tokio::time::advance(FRESH).await;
        assert!(!workspaces.is_open(ours).await.unwrap());
        assert!(workspaces.is_open(theirs).await.unwrap());
        assert_eq!(*store.asked.lock().unwrap(), [1, 2, 2]);

        tokio::time::advance(FORGET).await;
        assert!(workspaces.is_open(theirs).await.unwrap());
        assert_eq!(*store.asked.lock().unwrap(), [1, 2, 2, 1], "whoever asks for nothing is forgotten");
    }
}
