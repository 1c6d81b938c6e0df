//! Quarantine for runs that the engine cannot drive: setting them aside, ending them, and listing them for operators.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tidegate_engine::model::{Committed, ForcedEnd, RunKey, SetAside, WorkerId};
use tidegate_kernel::{Page, PageSize, RunId, StoreError, SystemScope, WorkspaceId};
use tidegate_workflows::run::ports::QuarantineDirectory;
use tidegate_workflows::run::{QuarantineKey, QuarantinedRun, Transition};
use uuid::Uuid;

use super::cleanup::delete_of_runs;
use super::commit::{clear_requests, ids, promote};
use super::{cleanup, fence, unreadable};
use crate::error::store_error;
use crate::store::PgStore;
use crate::transaction::{Machinery, PgTx};

/// The guard: sets aside only runs that are leased under the tenure. Their gate places are deleted, as when a run ends.
const SET_ASIDE: &str = concat!(
    "with input as materialized (
        select * from unnest($1::uuid[], $2::uuid[], $3::smallint[], $4::bigint[], $5::text[], $6::text[], $7::timestamptz[])
            as i (workspace_id, run_id, shard, epoch, reason, error, at)),
    mine as (
        delete from lease l using input i
        where (l.workspace_id, l.run_id) >= (i.workspace_id, i.run_id)
          and (l.workspace_id, l.run_id) <= (i.workspace_id, i.run_id)
          and l.shard is not distinct from i.shard and l.epoch is not distinct from i.epoch
        returning l.workspace_id, l.run_id, l.shard, i.reason, i.error, i.at),
    timers as (",
    delete_of_runs!("timer", "mine"),
    "), holds as (",
    delete_of_runs!("gate_hold", "mine"),
    ")
    insert into run_quarantine (workspace_id, run_id, shard, reason, error, at)
    select workspace_id, run_id, shard, reason, error, at from mine
    on conflict (workspace_id, run_id) do update
        set reason = excluded.reason, error = excluded.error, at = excluded.at
    returning workspace_id, run_id"
);

/// The longest error that is kept, in characters.
const MAX_ERROR: usize = 2_000;

pub(super) async fn set_aside(
    tx: &mut PgTx<Machinery>,
    worker: WorkerId,
    runs: &[SetAside],
) -> Result<Committed, StoreError> {
    let mut tenures: Vec<_> = runs.iter().map(|run| run.tenure).collect();
    tenures.sort_unstable();
    tenures.dedup();
    let held = fence(tx, worker, &tenures, runs.iter().map(|run| run.key.workspace), true).await?;
    let runs: Vec<&SetAside> = runs.iter().filter(|run| held.contains(&run.tenure)).collect();
    let (workspaces, keys) = ids(runs.iter().map(|run| &run.key));
    // PostgreSQL stores no NUL in a text.
    let error = |run: &&SetAside| run.error.replace('\0', "\u{fffd}").chars().take(MAX_ERROR).collect::<String>();
    let set_aside: Vec<(Uuid, Uuid)> = sqlx::query_as(SET_ASIDE)
        .bind(workspaces)
        .bind(keys)
        .bind(runs.iter().map(|run| run.tenure.shard.0).collect::<Vec<_>>())
        .bind(runs.iter().map(|run| run.tenure.epoch).collect::<Vec<_>>())
        .bind(runs.iter().map(|run| run.reason.as_str()).collect::<Vec<_>>())
        .bind(runs.iter().map(error).collect::<Vec<_>>())
        .bind(runs.iter().map(|run| run.at).collect::<Vec<_>>())
        .fetch_all(tx.sqlx())
        .await
        .map_err(store_error)?;
    let won: Vec<RunKey> = set_aside.into_iter().map(key).collect();
    let runs: Vec<_> = runs.into_iter().filter(|run| won.contains(&run.key)).collect();
    clear_requests(tx, runs.iter().map(|run| (run.key.workspace, run.requests.as_slice()))).await?;
    let promoted = promote(tx, runs.iter().map(|run| (run.key.workspace, run.left.as_slice()))).await?;
    Ok(Committed { won, promoted })
}

fn key((workspace, run): (Uuid, Uuid)) -> RunKey {
    RunKey { workspace: WorkspaceId::from_uuid(workspace), run: RunId::from_uuid(run) }
}

/// The guard: takes a run out of quarantine if it is there. It takes one run at a time, since an operator asks for each
/// by hand.
const TAKE: &str = "delete from run_quarantine where workspace_id = $1 and run_id = $2 and shard = $3";
const LAST: &str = "
    insert into step_event (workspace_id, run_id, seq, at, kind, body)
    select $1, $2, coalesce((
        select e.seq + 1 from step_event e where e.workspace_id = $1 and e.run_id = $2 order by e.seq desc limit 1), 0),
        $3, $4, $5";
const FAIL: &str = "
    update run set status = 'failed', finished_at = $3, outputs = null, error = $4 where workspace_id = $1 and id = $2";

pub(super) async fn end(
    tx: &mut PgTx<Machinery>,
    worker: WorkerId,
    runs: &[ForcedEnd],
) -> Result<Vec<RunKey>, StoreError> {
    let tenures: Vec<_> = runs.iter().map(|run| run.tenure).collect();
    let held = fence(tx, worker, &tenures, runs.iter().map(|run| run.key.workspace), true).await?;
    let mut ended = Vec::new();
    for end in runs.iter().filter(|end| held.contains(&end.tenure)) {
        let (workspace, run) = (end.key.workspace.as_uuid(), end.key.run.as_uuid());
        let requests = [end.request];
        clear_requests(tx, std::iter::once((end.key.workspace, requests.as_slice()))).await?;
        let taken = sqlx::query(TAKE).bind(workspace).bind(run).bind(end.tenure.shard.0).execute(tx.sqlx()).await;
        if taken.map_err(store_error)?.rows_affected() == 0 {
            continue;
        }
        let body = serde_json::to_vec::<Transition>(&end.transition).map_err(unreadable)?;
        sqlx::query(LAST)
            .bind(workspace)
            .bind(run)
            .bind(end.at)
            .bind(end.transition.kind())
            .bind(body)
            .execute(tx.sqlx())
            .await
            .map_err(store_error)?;
        sqlx::query(FAIL)
            .bind(workspace)
            .bind(run)
            .bind(end.at)
            .bind(serde_json::to_vec(&end.error).map_err(unreadable)?)
            .execute(tx.sqlx())
            .await
            .map_err(store_error)?;
        ended.push(end.key);
    }
    cleanup::forget(tx, &ended).await?;
    Ok(ended)
}

const LIST: &str = "
    select workspace_id, run_id, reason, error, at from run_quarantine
    where (at, run_id) > ($1, $2) order by at, run_id limit $3";
const FIND: &str = "select workspace_id, run_id, reason, error, at from run_quarantine where run_id = $1";
const COUNT: &str = "select count(*) from (select from run_quarantine limit $1) q";

type Row = (Uuid, Uuid, String, String, DateTime<Utc>);

fn quarantined((workspace, run, reason, error, at): Row) -> Result<QuarantinedRun, StoreError> {
    Ok(QuarantinedRun {
        workspace: WorkspaceId::from_uuid(workspace),
        run: RunId::from_uuid(run),
        reason: reason.parse().map_err(unreadable)?,
        error,
        at,
    })
}

#[async_trait]
impl QuarantineDirectory for PgStore {
    async fn list(
        &self,
        scope: &SystemScope,
        after: Option<QuarantineKey>,
        size: PageSize,
    ) -> Result<Page<QuarantinedRun, QuarantineKey>, StoreError> {
        let (at, run) = after.map_or((DateTime::UNIX_EPOCH, Uuid::nil()), |(at, run)| (at, run.as_uuid()));
        let mut tx = self.begin_machinery(scope).await?;
        let rows: Vec<Row> = sqlx::query_as(LIST)
            .bind(at)
            .bind(run)
            .bind(i64::from(size.get()) + 1)
            .fetch_all(tx.sqlx())
            .await
            .map_err(store_error)?;
        let runs = rows.into_iter().map(quarantined).collect::<Result<Vec<_>, _>>()?;
        Ok(Page::from_overfetch(runs, size, |run| (run.at, run.run)))
    }

    async fn find(&self, scope: &SystemScope, run: RunId) -> Result<Option<QuarantinedRun>, StoreError> {
        let mut tx = self.begin_machinery(scope).await?;
        let row: Option<Row> =
            sqlx::query_as(FIND).bind(run.as_uuid()).fetch_optional(tx.sqlx()).await.map_err(store_error)?;
        row.map(quarantined).transpose()
    }

    async fn count(&self, scope: &SystemScope, most: u32) -> Result<u32, StoreError> {
        let mut tx = self.begin_machinery(scope).await?;
        let (count,): (i64,) =
            sqlx::query_as(COUNT).bind(i64::from(most)).fetch_one(tx.sqlx()).await.map_err(store_error)?;
        u32::try_from(count).map_err(unreadable)
    }
}
