//! The engine's store: what the owner of a shard reads and writes, for many runs at a time.
//!
//! Every transaction that claims or commits first locks the rows of its shards `FOR SHARE`, if owner and epoch are
//! still the worker's. A takeover updates that row before it reads leases. So neither can miss what the other does.
//!
//! Statements over arrays of keys read each row by one index lookup, whatever the statistics say and whenever the plan
//! was made: `cross join lateral (… where key >= k and key <= k order by key limit 1)`. A lateral subquery with a limit
//! stays a loop over the array. Only the index that has the order can answer it without a sort. So the planner uses
//! that index even for a plan that it made while the table was empty and all indexes cost the same. To change a row,
//! the statement finds it in this way and addresses it by its `ctid`; the write compares the rest of the key again.
//! [`crate::store`] has the planner settings.

mod claim;
mod cleanup;
mod commit;
mod figures;
mod list;
mod look;
mod quarantine;
mod runs;
mod shards;

pub(crate) use runs::{PLACE, PgRunRepository};

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tidegate_engine::model::{
    ClaimRequest, Claims, Committed, ForcedEnd, Holdings, Outlook, RunCommit, RunKey, SetAside, ShardId, Tenure,
    WorkerId,
};
use tidegate_engine::ports::EngineStore;
use tidegate_kernel::{StoreError, SystemScope, Transaction, WorkspaceId};
use uuid::Uuid;

use crate::error::store_error;
use crate::store::PgStore;
use crate::transaction::{Machinery, PgTx};

/// The engine's store on PostgreSQL.
#[derive(Debug, Clone)]
pub struct PgEngineStore {
    store: PgStore,
    alone: bool,
}

impl PgEngineStore {
    /// The store on a database server. A worker owns a shard for as long as it renews it.
    #[must_use]
    pub fn new(store: PgStore) -> Self {
        Self { store, alone: false }
    }

    /// The store on the embedded database, which one process holds locked. No other process can own a shard, so
    /// ownership never expires.
    #[must_use]
    pub fn alone(store: PgStore) -> Self {
        Self { store, alone: true }
    }

    pub(crate) const fn store(&self) -> &PgStore {
        &self.store
    }
}

#[async_trait]
impl EngineStore for PgEngineStore {
    async fn hold(
        &self,
        scope: &SystemScope,
        worker: WorkerId,
        keep: &[Tenure],
        ttl: Duration,
    ) -> Result<Holdings, StoreError> {
        let mut tx = self.store.begin_machinery(scope).await?;
        let holdings = shards::hold(&mut tx, worker, keep, ttl, self.alone).await?;
        tx.commit().await?;
        Ok(holdings)
    }

    async fn release(&self, scope: &SystemScope, worker: WorkerId, tenures: &[Tenure]) -> Result<(), StoreError> {
        let mut tx = self.store.begin_machinery(scope).await?;
        shards::release(&mut tx, worker, tenures).await?;
        tx.commit().await
    }

    async fn look(
        &self,
        scope: &SystemScope,
        shards: &[ShardId],
        timers_after: Option<DateTime<Utc>>,
        until: DateTime<Utc>,
    ) -> Result<Outlook, StoreError> {
        let mut tx = self.store.begin_machinery(scope).await?;
        let outlook = look::look(&mut tx, shards, timers_after, until).await?;
        tx.commit().await?;
        Ok(outlook)
    }

    async fn claim(&self, scope: &SystemScope, worker: WorkerId, request: &ClaimRequest) -> Result<Claims, StoreError> {
        let mut tx = self.store.begin_machinery(scope).await?;
        let claimed = claim::claim(&mut tx, worker, request).await?;
        tx.commit().await?;
        Ok(claimed)
    }

    async fn commit(
        &self,
        scope: &SystemScope,
        worker: WorkerId,
        batch: &[RunCommit],
    ) -> Result<Committed, StoreError> {
        let mut tx = self.store.begin_machinery(scope).await?;
        let committed = commit::commit(&mut tx, worker, batch).await?;
        tx.commit().await?;
        Ok(committed)
    }

    async fn set_aside(
        &self,
        scope: &SystemScope,
        worker: WorkerId,
        runs: &[SetAside],
    ) -> Result<Committed, StoreError> {
        let mut tx = self.store.begin_machinery(scope).await?;
        let committed = quarantine::set_aside(&mut tx, worker, runs).await?;
        tx.commit().await?;
        Ok(committed)
    }

    async fn end_quarantined(
        &self,
        scope: &SystemScope,
        worker: WorkerId,
        runs: &[ForcedEnd],
    ) -> Result<Vec<RunKey>, StoreError> {
        let mut tx = self.store.begin_machinery(scope).await?;
        let ended = quarantine::end(&mut tx, worker, runs).await?;
        tx.commit().await?;
        Ok(ended)
    }
}

/// Locks the rows of these shards against a change of owner, and returns the tenures that are still held. The same
/// round trip declares the workspaces that the transaction works for, and sets a timeout that releases the locks soon
/// if the process stops.
pub(crate) async fn fence(
    tx: &mut PgTx<Machinery>,
    worker: WorkerId,
    tenures: &[Tenure],
    workspaces: impl Iterator<Item = WorkspaceId>,
    durable: bool,
) -> Result<Vec<Tenure>, StoreError> {
    let (shards, epochs) = columns(tenures);
    let mut ids: Vec<Uuid> = workspaces.map(|workspace| workspace.as_uuid()).collect();
    ids.sort_unstable();
    ids.dedup();
    let ids: Vec<String> = ids.iter().map(Uuid::to_string).collect();
    let held: Vec<(i16, i64)> = sqlx::query_as(
        "with settings as materialized (
             select set_config('app.workspace_ids', $4, true), set_config('synchronous_commit', $5, true),
                 set_config('idle_in_transaction_session_timeout', '5s', true))
         select s.shard, s.epoch from settings, shard s
         where s.owner = $1 and (s.shard, s.epoch) in (select * from unnest($2::smallint[], $3::bigint[]))
         order by s.shard for share of s",
    )
    .bind(worker.0)
    .bind(shards)
    .bind(epochs)
    .bind(format!("{{{}}}", ids.join(",")))
    .bind(if durable { "on" } else { "off" })
    .fetch_all(tx.sqlx())
    .await
    .map_err(store_error)?;
    Ok(held.into_iter().map(|(shard, epoch)| Tenure { shard: ShardId(shard), epoch }).collect())
}

/// Tenures as two arrays: shards and epochs.
fn columns(tenures: &[Tenure]) -> (Vec<i16>, Vec<i64>) {
    tenures.iter().map(|tenure| (tenure.shard.0, tenure.epoch)).unzip()
}

/// A defect: bytes that the engine wrote and can no longer read.
pub(crate) fn unreadable(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StoreError {
    StoreError::Internal(error.into())
}
