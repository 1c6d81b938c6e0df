//! Ending attempts, and recovering jobs whose worker is gone.

use chrono::{DateTime, Utc};
use tidegate_engine::jobs::{EndedJob, JobKey, JobOutcome};
use tidegate_engine::model::{Tenure, WorkerId};
use tidegate_kernel::{JobId, StoreError, WorkspaceId};
use uuid::Uuid;

use super::columns;
use crate::engine::fence;
use crate::error::store_error;
use crate::transaction::{Machinery, PgTx};

const DONE: i16 = 0;
const RETRY: i16 = 1;
const DEAD: i16 = 2;

/// Changes only jobs whose lease is released here. A job that is done is deleted. The row of a failed job is locked before `cancelled`
/// is read, so that a cancel at the same moment comes either before or after: a cancelled job is deleted and not retried.
///
/// There are two deletes because each has to join one CTE. If a row was changed since the snapshot, PostgreSQL evaluates the
/// conditions again with the row of a CTE that it joined, and not with a row of a `union all`: the delete would skip the job.
const FINISH: &str = "
    with ended as materialized (
        select e.*, l.place, l.kind, l.priority, l.attempts
        from unnest($1::uuid[], $2::uuid[], $3::smallint[], $4::bigint[], $5::smallint[], $6::timestamptz[], $7::text[])
            as e (workspace_id, job_id, shard, epoch, outcome, run_at, error)
        cross join lateral (
            select l.kind, l.priority, l.attempts, l.ctid as place from job_lease l
            where l.workspace_id = e.workspace_id and l.job_id >= e.job_id and l.job_id <= e.job_id
              and l.shard = e.shard and l.epoch = e.epoch
            order by l.job_id limit 1) l),
    freed as (
        delete from job_lease l using ended e
        where l.ctid = e.place and l.workspace_id = e.workspace_id and l.job_id = e.job_id
        returning e.*),
    locked as materialized (
        select f.*, j.cancelled from (select * from freed where outcome <> 0) f cross join lateral (
            select j.cancelled from job j where j.workspace_id = f.workspace_id and j.id >= f.job_id and j.id <= f.job_id
            order by j.id limit 1 for update) j),
    done as (
        delete from job j using freed f
        where (j.workspace_id, j.id) >= (f.workspace_id, f.job_id) and (j.workspace_id, j.id) <= (f.workspace_id, f.job_id)
          and f.outcome = 0),
    cancelled as (
        delete from job j using locked f
        where (j.workspace_id, j.id) >= (f.workspace_id, f.job_id) and (j.workspace_id, j.id) <= (f.workspace_id, f.job_id)
          and f.cancelled),
    failed as (
        update job j set attempts = f.attempts + 1, last_error = f.error from locked f
        where (j.workspace_id, j.id) >= (f.workspace_id, f.job_id) and (j.workspace_id, j.id) <= (f.workspace_id, f.job_id)
          and not f.cancelled
        returning f.*),
    scheduled as (
        insert into job_later (workspace_id, job_id, shard, kind, priority, run_at, is_unique, attempts)
        select workspace_id, job_id, shard, kind, priority, run_at, false, attempts + 1 from failed where outcome = 1),
    dead as (
        insert into job_dead (workspace_id, job_id, shard, kind, attempts, error, at)
        select workspace_id, job_id, shard, kind, attempts + 1, error, $8 from failed where outcome = 2)
    select workspace_id, job_id from freed";

pub(super) async fn finish(
    tx: &mut PgTx<Machinery>,
    worker: WorkerId,
    ended: &[EndedJob],
    now: DateTime<Utc>,
) -> Result<Vec<JobKey>, StoreError> {
    let mut tenures: Vec<Tenure> = ended.iter().map(|job| job.tenure).collect();
    tenures.sort_unstable();
    tenures.dedup();
    let workspaces = ended.iter().map(|job| job.key.workspace);
    let held = fence(tx, worker, &tenures, workspaces, true).await?;
    let ended: Vec<&EndedJob> = ended.iter().filter(|job| held.contains(&job.tenure)).collect();
    if ended.is_empty() {
        return Ok(Vec::new());
    }
    let (workspaces, jobs) = columns(ended.iter().map(|job| &job.key));
    let parts = |job: &&EndedJob| match &job.outcome {
        JobOutcome::Done => (DONE, None, None),
        JobOutcome::Retry { at, error } => (RETRY, Some(*at), Some(error.clone())),
        JobOutcome::Dead { error } => (DEAD, None, Some(error.clone())),
    };
    let parts: Vec<_> = ended.iter().map(parts).collect();
    let written: Vec<(Uuid, Uuid)> = sqlx::query_as(FINISH)
        .bind(workspaces)
        .bind(jobs)
        .bind(ended.iter().map(|job| job.tenure.shard.0).collect::<Vec<_>>())
        .bind(ended.iter().map(|job| job.tenure.epoch).collect::<Vec<_>>())
        .bind(parts.iter().map(|(outcome, ..)| *outcome).collect::<Vec<_>>())
        .bind(parts.iter().map(|(_, at, _)| *at).collect::<Vec<_>>())
        .bind(parts.iter().map(|(.., error)| error.clone()).collect::<Vec<_>>())
        .bind(now)
        .fetch_all(tx.sqlx())
        .await
        .map_err(store_error)?;
    let key = |(workspace, job)| JobKey { workspace: WorkspaceId::from_uuid(workspace), job: JobId::from_uuid(job) };
    Ok(written.into_iter().map(key).collect())
}

/// Gives up the leases of some shards for which `$which` holds. Their jobs are ready again with `$attempts` attempts.
macro_rules! give_up {
    ($which:literal, $attempts:literal) => {
        concat!(
            "with found as materialized (
                 select l.* from unnest($1::smallint[], $2::bigint[]) as t (shard, epoch)
                 cross join lateral (
                     select l.workspace_id, l.job_id, l.ctid as place from job_lease l
                     where l.shard = t.shard and l.epoch <= t.epoch and (",
            $which,
            ") order by l.epoch offset 0) l),
             freed as (
                 delete from job_lease l using found f
                 where l.ctid = f.place and l.workspace_id = f.workspace_id and l.job_id = f.job_id
                 returning l.*)
             insert into job_ready (workspace_id, job_id, shard, kind, priority, is_unique, attempts, since)
             select workspace_id, job_id, shard, kind, priority, false, ",
            $attempts,
            ", now() from freed on conflict (workspace_id, job_id) do nothing"
        )
    };
}

/// Gives up the leases in these shards of jobs that the worker is not doing.
const RECOVER: &str = give_up!(
    "l.epoch = t.epoch and (l.workspace_id, l.job_id) not in (select * from unnest($3::uuid[], $4::uuid[]))",
    "attempts"
);

/// Gives up the leases in shards that change owner. An attempt counts as failed if its worker has died, and does not
/// count if its worker gave it back when it stopped.
const REQUEUE: &str = give_up!("l.epoch < t.epoch or $3", "attempts + (not $3)::int");

pub(super) async fn recover(
    tx: &mut PgTx<Machinery>,
    worker: WorkerId,
    tenures: &[Tenure],
    in_hand: &[JobKey],
) -> Result<(), StoreError> {
    let held = fence(tx, worker, tenures, std::iter::empty(), false).await?;
    let (workspaces, jobs) = columns(in_hand.iter());
    sqlx::query(RECOVER)
        .bind(held.iter().map(|tenure| tenure.shard.0).collect::<Vec<_>>())
        .bind(held.iter().map(|tenure| tenure.epoch).collect::<Vec<_>>())
        .bind(workspaces)
        .bind(jobs)
        .execute(tx.sqlx())
        .await
        .map(drop)
        .map_err(store_error)
}

/// Makes ready what is leased in these shards under older epochs, or also under these epochs if they are `given_back`.
pub(crate) async fn requeue(
    tx: &mut PgTx<Machinery>,
    shards: &[i16],
    epochs: &[i64],
    given_back: bool,
) -> Result<(), StoreError> {
    let query = sqlx::query(REQUEUE).bind(shards).bind(epochs).bind(given_back);
    query.execute(tx.sqlx()).await.map(drop).map_err(store_error)
}
