//! Erases what deleted workspaces have left, once their time has come.
//!
//! Between servers nothing is agreed: each slice takes the workspace's row in the store for its transaction, so two never
//! erase the same at once, and what a killed server has begun the next one goes on with. A slice is small, and a pause as
//! long as the slice follows it, so that requests go first where everybody shares one connection. A workspace that cannot be
//! erased is set aside with its error; the others go on.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use tidegate_kernel::{Environment, StoreError, SystemScope, WorkspaceId};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::panics::catch_store;

/// The longest time between two looks; a deletion whose data goes at once waits no longer.
const POLL: Duration = Duration::from_secs(10);
/// The shortest.
const MOMENT: Duration = Duration::from_millis(100);
/// Until a workspace that could not be erased is tried again.
const SET_ASIDE: TimeDelta = TimeDelta::minutes(10);
/// How many workspaces one look brings.
const LOOK: u32 = 16;
/// Rows of the first slice, and the bounds of those that follow.
const FIRST_SLICE: u32 = 100;
const SLICES: (u32, u32) = (10, 1_000);
/// A slice that takes longer is followed by smaller ones, so that none takes 20 ms.
const SLOW: Duration = Duration::from_millis(12);
/// One that takes less is followed by larger ones.
const FAST: Duration = Duration::from_millis(4);

/// A table that holds data of workspaces, in the words of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErasedTable {
    /// Its name.
    pub name: String,
    /// In which order its rows of a workspace are found by an index.
    pub key: Vec<String>,
}

/// What waits to be erased.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ErasureOutlook {
    /// Workspaces whose time has come, the longest due first.
    pub due: Vec<WorkspaceId>,
    /// When the time of the next one comes.
    pub next: Option<DateTime<Utc>>,
    /// How many workspaces wait, those that are due included.
    pub waiting: u64,
    /// How many of them could not be erased when it was tried last.
    pub failed: u64,
}

/// Where the data of deleted workspaces is. Every method is one transaction.
#[async_trait]
pub trait WorkspaceErasure: Send + Sync {
    /// Which of `workspaces` are deleted. MUST see every deletion that was committed before the call.
    async fn deleted(
        &self,
        scope: &SystemScope,
        workspaces: &[WorkspaceId],
    ) -> Result<HashSet<WorkspaceId>, StoreError>;

    /// What waits at `now`, and up to `limit` of those that are due.
    async fn outlook(&self, scope: &SystemScope, now: DateTime<Utc>, limit: u32) -> Result<ErasureOutlook, StoreError>;

    /// Every table that holds data of workspaces and that is erased, in an order in which none refers to an earlier one.
    async fn tables(&self, scope: &SystemScope) -> Result<Vec<ErasedTable>, StoreError>;

    /// Erases about `rows` rows of the workspace from one table and says how many it were; `None`, and nothing changed, where
    /// the workspace is not due at `now` or somebody else is at it.
    ///
    /// MUST touch no row of another workspace. MUST erase something where there is something.
    async fn erase(
        &self,
        scope: &SystemScope,
        workspace: WorkspaceId,
        now: DateTime<Utc>,
        table: &ErasedTable,
        rows: u32,
    ) -> Result<Option<u64>, StoreError>;

    /// Erases the workspace itself, of which nothing else is left; `false` as [`WorkspaceErasure::erase`] says `None`.
    async fn finish(&self, scope: &SystemScope, workspace: WorkspaceId, now: DateTime<Utc>)
    -> Result<bool, StoreError>;

    /// Lets a workspace that could not be erased wait until `until`, and keeps what hindered it.
    async fn set_aside(
        &self,
        scope: &SystemScope,
        workspace: WorkspaceId,
        until: DateTime<Utc>,
        error: &str,
    ) -> Result<(), StoreError>;
}

/// What erases.
pub struct ErasureParts {
    /// Where the data is.
    pub store: Arc<dyn WorkspaceErasure>,
    /// Time.
    pub env: Environment,
    /// The proof that this may work across tenants.
    pub scope: SystemScope,
    /// Hears how many workspaces wait, and how many of them could not be erased.
    pub report: fn(waiting: u64, failed: u64),
}

impl std::fmt::Debug for ErasureParts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ErasureParts").finish_non_exhaustive()
    }
}

/// How it went with one workspace.
enum Outcome {
    Erased,
    /// Somebody else is at it.
    Elsewhere,
    Stopped,
}

/// Erases what is due until `stop` is cancelled.
pub async fn erase_when_due(parts: ErasureParts, stop: CancellationToken) {
    loop {
        let pause = turn(&parts, &stop).await;
        if stop.run_until_cancelled(sleep(pause)).await.is_none() {
            return;
        }
    }
}

/// Erases what is due now and says how long to wait for the next look.
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
                if let Err(error) = parts.store.set_aside(&parts.scope, workspace, until, &error.to_string()).await {
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

/// Erases one workspace: every table until a whole pass finds nothing, then the workspace itself.
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
    let finished = parts.store.finish(&parts.scope, workspace, now).await?;
    Ok(if finished { Outcome::Erased } else { Outcome::Elsewhere })
}

/// How many rows the next slice has, after one that took so long.
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
