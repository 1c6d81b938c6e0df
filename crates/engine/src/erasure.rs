//! Erases the data of deleted workspaces when their retention period is over.
//!
//! Servers do not coordinate. The transaction of each slice locks the workspace's row in the store, so two servers
//! never erase the same workspace at the same time, and another server continues after a crash. A slice is small and is
//! followed by a pause as long as the slice took, so that requests go first if they share a single connection. A
//! workspace that cannot be erased is set aside with its error, and the other workspaces are erased.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use tidegate_kernel::{Environment, RequestId, StoreError, SystemScope, WorkspaceId, WorkspaceScope};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::panics::catch_store;

/// The longest time between two looks for due workspaces. A deletion without a retention period waits no longer than
/// this.
const POLL: Duration = Duration::from_secs(10);
/// The shortest time between two looks.
const MOMENT: Duration = Duration::from_millis(100);
/// The delay before a workspace that could not be erased is retried.
const SET_ASIDE: TimeDelta = TimeDelta::minutes(10);
/// The maximum number of workspaces in one look.
const LOOK: u32 = 16;
/// The number of rows in the first slice, and the bounds of the slices that follow it.
const FIRST_SLICE: u32 = 100;
const SLICES: (u32, u32) = (10, 1_000);
/// After a slice that takes longer, the next one is smaller, so that slices stay below 20 ms.
const SLOW: Duration = Duration::from_millis(12);
/// After a slice that takes less, the next one is larger.
const FAST: Duration = Duration::from_millis(4);

/// A table with data of workspaces. The names are the store's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErasedTable {
    /// The table's name.
    pub name: String,
    /// The columns of an index that finds a workspace's rows, in the order of the index.
    pub key: Vec<String>,
}

/// The workspaces that wait for erasure.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ErasureOutlook {
    /// Workspaces that are due, the longest due first.
    pub due: Vec<WorkspaceId>,
    /// When the next workspace becomes due.
    pub next: Option<DateTime<Utc>>,
    /// How many workspaces wait, including the due ones.
    pub waiting: u64,
    /// How many of the waiting workspaces could not be erased by the last attempt.
    pub failed: u64,
}

/// The stored data of deleted workspaces. Every method is one transaction.
#[async_trait]
pub trait WorkspaceErasure: Send + Sync {
    /// Returns which of `workspaces` are deleted. MUST see every deletion that was committed before the call.
    async fn deleted(
        &self,
        scope: &SystemScope,
        workspaces: &[WorkspaceId],
    ) -> Result<HashSet<WorkspaceId>, StoreError>;

    /// Returns what waits at `now`, with up to `limit` due workspaces.
    async fn outlook(&self, scope: &SystemScope, now: DateTime<Utc>, limit: u32) -> Result<ErasureOutlook, StoreError>;

    /// Returns every table with workspace data to erase, ordered so that no table refers to an earlier one.
    async fn tables(&self, scope: &SystemScope) -> Result<Vec<ErasedTable>, StoreError>;

    /// Erases about `rows` rows of the workspace from one table and returns how many it erased. Returns `None`, and
    /// changes nothing, if the workspace is not due at `now` or another server is erasing it.
    ///
    /// MUST NOT touch a row of another workspace. MUST erase at least one row if the table still has a row of the
    /// workspace.
    async fn erase(
        &self,
        scope: &SystemScope,
        workspace: WorkspaceId,
        now: DateTime<Utc>,
        table: &ErasedTable,
        rows: u32,
    ) -> Result<Option<u64>, StoreError>;

    /// Erases the workspace itself, after all its other data. Returns `false` in the cases in which
    /// [`WorkspaceErasure::erase`] returns `None`.
    async fn finish(&self, scope: &SystemScope, workspace: WorkspaceId, now: DateTime<Utc>)
    -> Result<bool, StoreError>;

    /// Delays the next attempt for a workspace that could not be erased until `until`, and stores the error.
    async fn set_aside(
        &self,
        scope: &SystemScope,
        workspace: WorkspaceId,
        until: DateTime<Utc>,
        error: &str,
    ) -> Result<(), StoreError>;
}

/// The objects of workspaces, which lie outside of the store of rows.
#[async_trait]
pub trait WorkspaceObjects: Send + Sync {
    /// Erases some objects of the scope's workspace and returns how many; 0 if none is left.
    ///
    /// # Errors
    /// The text of an error if some may be left. The erasure is retried later.
    async fn erase_some(&self, scope: &WorkspaceScope) -> Result<usize, String>;
}

/// The dependencies of erasure.
pub struct ErasureParts {
    /// The store.
    pub store: Arc<dyn WorkspaceErasure>,
    /// The objects; `None` if this installation stores none.
    pub objects: Option<Arc<dyn WorkspaceObjects>>,
    /// Time.
    pub env: Environment,
    /// The proof that this may work across tenants.
    pub scope: SystemScope,
    /// Receives how many workspaces wait, and how many of them could not be erased.
    pub report: fn(waiting: u64, failed: u64),
}

impl std::fmt::Debug for ErasureParts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ErasureParts").finish_non_exhaustive()
    }
}

/// The result of erasing one workspace.
enum Outcome {
    Erased,
    /// Another server is erasing it, or it is not due any more.
    Elsewhere,
    Stopped,
}

/// Erases due workspaces until `stop` is cancelled.
pub async fn erase_when_due(parts: ErasureParts, stop: CancellationToken) {
    loop {
        let pause = turn(&parts, &stop).await;
        if stop.run_until_cancelled(sleep(pause)).await.is_none() {
            return;
        }
    }
}

/// Erases the workspaces that are due now. Returns how long to wait before the next look.
async fn turn(parts: &ErasureParts, stop: &CancellationToken) -> Duration {
    let now = parts.env.now();
    let outlook = match parts.store.outlook(&parts.scope, now, LOOK).await {
        Ok(outlook) => outlook,
        Err(error) => {
            tracing::warn!(%error, "cannot look for workspaces to erase; it is tried again");
            return POLL;
        }
    };
    (parts.report)(outlook.waiting, outlook.failed);
    let mut erased = false;
    for workspace in outlook.due {
        match catch_store(erase(parts, workspace, now, stop)).await {
            Ok(Outcome::Erased) => {
                tracing::info!(%workspace, "a deleted workspace was erased");
                erased = true;
            }
            Ok(Outcome::Elsewhere) => {}
            Ok(Outcome::Stopped) => return MOMENT,
            Err(error @ StoreError::Unavailable(_)) => {
                tracing::warn!(%workspace, %error, "a deleted workspace could not be erased; it is tried again");
                return POLL;
            }
            Err(error) => {
                tracing::error!(%workspace, %error, "a deleted workspace could not be erased and is set aside");
                let until = now + SET_ASIDE;
                if let Err(error) = parts.store.set_aside(&parts.scope, workspace, until, &described(&error)).await {
                    tracing::warn!(%workspace, %error, "a workspace could not be set aside");
                    return POLL;
                }
                erased = true;
            }
        }
    }
    if erased {
        return MOMENT;
    }
    let next = outlook.next.and_then(|next| (next - parts.env.now()).to_std().ok());
    next.map_or(POLL, |next| next.clamp(MOMENT, POLL))
}

/// Erases one workspace: all tables, until a whole pass finds no row, then the objects, and then the workspace itself.
///
/// The objects come after the rows: an upload that is still going on finds its row gone, and removes what it has
/// written.
async fn erase(
    parts: &ErasureParts,
    workspace: WorkspaceId,
    now: DateTime<Utc>,
    stop: &CancellationToken,
) -> Result<Outcome, StoreError> {
    let tables = parts.store.tables(&parts.scope).await?;
    let mut slice = FIRST_SLICE;
    loop {
        let mut erased = 0;
        for table in &tables {
            loop {
                let began = Instant::now();
                let rows = parts.store.erase(&parts.scope, workspace, now, table, slice).await?;
                let Some(rows) = rows else { return Ok(Outcome::Elsewhere) };
                let took = began.elapsed();
                slice = next_slice(slice, took);
                erased += rows;
                if stop.run_until_cancelled(sleep(took)).await.is_none() {
                    return Ok(Outcome::Stopped);
                }
                if rows == 0 {
                    break;
                }
            }
        }
        if erased == 0 {
            break;
        }
    }
    if let Some(objects) = &parts.objects
        && erase_objects(parts, &**objects, workspace, stop).await?.is_none()
    {
        return Ok(Outcome::Stopped);
    }
    let finished = parts.store.finish(&parts.scope, workspace, now).await?;
    Ok(if finished { Outcome::Erased } else { Outcome::Elsewhere })
}

/// Erases all objects of a workspace; `None` if it was stopped before.
async fn erase_objects(
    parts: &ErasureParts,
    objects: &dyn WorkspaceObjects,
    workspace: WorkspaceId,
    stop: &CancellationToken,
) -> Result<Option<()>, StoreError> {
    let request_id = RequestId::new("erasure").ok_or_else(|| StoreError::Internal("a request id".into()))?;
    let scope = parts.scope.enter(workspace, request_id);
    loop {
        match stop.run_until_cancelled(objects.erase_some(&scope)).await {
            None => return Ok(None),
            Some(Ok(0)) => return Ok(Some(())),
            Some(Ok(_)) => {}
            // Whatever the store of objects has, this workspace is set aside, and the others go on.
            Some(Err(error)) => return Err(StoreError::Internal(error.into())),
        }
    }
}

/// The error with its cause, as it is stored with the workspace for operators.
fn described(error: &StoreError) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}

/// The number of rows for the next slice, after a slice of `rows` rows that took `took`.
fn next_slice(rows: u32, took: Duration) -> u32 {
    let (least, most) = SLICES;
    if took > SLOW {
        (rows / 2).max(least)
    } else if took < FAST {
        rows.saturating_mul(2).min(most)
    } else {
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_follow_the_time_that_they_take() {
        assert_eq!(next_slice(100, Duration::from_millis(1)), 200);
        assert_eq!(next_slice(100, Duration::from_millis(8)), 100);
        assert_eq!(next_slice(100, Duration::from_millis(15)), 50);
        assert_eq!(next_slice(12, Duration::from_secs(1)), 10);
        assert_eq!(next_slice(800, Duration::ZERO), 1_000);
    }
}
