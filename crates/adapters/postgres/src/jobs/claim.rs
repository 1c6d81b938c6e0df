//! Claiming jobs: taking them from the queue and leasing them to a worker.

use sqlx::Row;
use sqlx::postgres::PgRow;
use tidegate_engine::jobs::{ClaimedJob, EndedJob, JobClaim, JobKey, JobOutcome, Lane};
use tidegate_engine::model::{ShardId, Tenure, WorkerId};
use tidegate_kernel::{JobId, JobPriority, RequestId, StoreError, TraceContext, WorkspaceId};

use super::columns;
use super::finish::finish;
use crate::engine::{fence, unreadable};
use crate::error::store_error;
use crate::transaction::{Machinery, PgTx};

/// Moves jobs from the queue to a lease. A job with a unique key is skipped while a transaction that enqueues the key
/// again locks it.
const CLAIM: &str = "
    with picked as materialized (
        select r.*, w.epoch
        from unnest($1::smallint[], $2::uuid[], $3::text[], $4::smallint[], $5::bigint[], $6::int[], $7::bigint[])
            as w (shard, workspace_id, kind, priority, bound, quantum, epoch)
        cross join lateral (
            select r.workspace_id, r.job_id, r.shard, r.kind, r.priority, r.seq, r.is_unique, r.attempts, r.since,
                r.ctid as place
            from job_ready r
            where r.shard = w.shard and r.workspace_id = w.workspace_id and r.kind = w.kind and r.priority = w.priority
              and r.seq > w.bound
            order by r.seq limit w.quantum) r),
    free as materialized (
        select p.* from picked p where not p.is_unique
        union all
        select p.* from picked p cross join lateral (
            select from job j where j.workspace_id = p.workspace_id and j.id >= p.job_id and j.id <= p.job_id
            order by j.id limit 1 for no key update skip locked) j
        where p.is_unique),
    taken as (
        delete from job_ready d using free f
        where d.ctid = f.place and d.workspace_id = f.workspace_id and d.job_id = f.job_id
        returning f.*),
    leased as (
        insert into job_lease (workspace_id, job_id, shard, epoch, kind, priority, attempts)
        select workspace_id, job_id, shard, epoch, kind, priority, attempts from taken
        on conflict (workspace_id, job_id) do nothing
        returning workspace_id, job_id)
    select t.workspace_id, t.job_id, t.shard, t.epoch, t.kind, t.priority, t.seq, t.is_unique, t.attempts, t.since,
        j.payload, j.request_id, j.traceparent, j.cancelled
    from leased l
    join taken t on t.workspace_id = l.workspace_id and t.job_id = l.job_id
    cross join lateral (
        select j.payload, j.request_id, j.traceparent, j.cancelled from job j
        where j.workspace_id = t.workspace_id and j.id >= t.job_id and j.id <= t.job_id order by j.id limit 1) j
    order by t.seq";

/// Ends the uniqueness of claimed jobs: from now on the same key makes a new job.
const BEGIN_UNIQUE: &str = "
    update job j set is_unique = false from unnest($1::uuid[], $2::uuid[]) as w (workspace_id, id)
    where (j.workspace_id, j.id) >= (w.workspace_id, w.id) and (j.workspace_id, j.id) <= (w.workspace_id, w.id)";

pub(super) async fn claim(
    tx: &mut PgTx<Machinery>,
    worker: WorkerId,
    claim: &JobClaim,
) -> Result<Vec<ClaimedJob>, StoreError> {
    let workspaces = claim.lanes.iter().map(|wanted| wanted.lane.workspace);
    // No wait for the disk: if a crash of the database loses this claim, at worst a job is done again.
    let held = fence(tx, worker, &claim.tenures, workspaces, false).await?;
    let epoch = |shard: ShardId| held.iter().find(|tenure| tenure.shard == shard).map(|tenure| tenure.epoch);
    let wanted: Vec<_> = claim.lanes.iter().filter_map(|wanted| Some((wanted, epoch(wanted.lane.shard)?))).collect();
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let quantum = |most: u32| i32::try_from(most).unwrap_or(i32::MAX);
    let rows = sqlx::query(CLAIM)
        .bind(wanted.iter().map(|(claim, _)| claim.lane.shard.0).collect::<Vec<_>>())
        .bind(wanted.iter().map(|(claim, _)| claim.lane.workspace.as_uuid()).collect::<Vec<_>>())
        .bind(wanted.iter().map(|(claim, _)| claim.lane.kind.clone()).collect::<Vec<_>>())
        .bind(wanted.iter().map(|(claim, _)| claim.lane.priority.rank()).collect::<Vec<_>>())
        .bind(wanted.iter().map(|(claim, _)| claim.bound).collect::<Vec<_>>())
        .bind(wanted.iter().map(|(claim, _)| quantum(claim.quantum)).collect::<Vec<_>>())
        .bind(wanted.iter().map(|(_, epoch)| *epoch).collect::<Vec<_>>())
        .fetch_all(tx.sqlx())
        .await
        .map_err(store_error)?;
    let mut unique = Vec::new();
    let mut cancelled = Vec::new();
    let mut claimed = Vec::with_capacity(rows.len());
    for row in &rows {
        let job = read(row)?;
        if row.try_get("cancelled").map_err(store_error)? {
            // It was cancelled while a worker that has since died was doing it.
            cancelled.push(EndedJob { key: job.key, tenure: job.tenure, outcome: JobOutcome::Done });
            continue;
        }
        if row.try_get("is_unique").map_err(store_error)? {
            unique.push(job.key);
        }
        claimed.push(job);
    }
    if !unique.is_empty() {
        let (workspaces, jobs) = columns(unique.iter());
        let query = sqlx::query(BEGIN_UNIQUE).bind(workspaces).bind(jobs);
        query.execute(tx.sqlx()).await.map_err(store_error)?;
    }
    if !cancelled.is_empty() {
        finish(tx, worker, &cancelled, tx.env.now()).await?;
    }
    Ok(claimed)
}

fn read(row: &PgRow) -> Result<ClaimedJob, StoreError> {
    let shard = ShardId(row.try_get("shard").map_err(store_error)?);
    let workspace = WorkspaceId::from_uuid(row.try_get("workspace_id").map_err(store_error)?);
    let attempts: i32 = row.try_get("attempts").map_err(store_error)?;
    let trace: Option<String> = row.try_get("traceparent").map_err(store_error)?;
    let request_id: String = row.try_get("request_id").map_err(store_error)?;
    Ok(ClaimedJob {
        key: JobKey { workspace, job: JobId::from_uuid(row.try_get("job_id").map_err(store_error)?) },
        tenure: Tenure { shard, epoch: row.try_get("epoch").map_err(store_error)? },
        lane: Lane {
            shard,
            workspace,
            kind: row.try_get("kind").map_err(store_error)?,
            priority: priority(row.try_get("priority").map_err(store_error)?)?,
        },
        seq: row.try_get("seq").map_err(store_error)?,
        payload: row.try_get("payload").map_err(store_error)?,
        attempts: u32::try_from(attempts).map_err(unreadable)?,
        since: row.try_get("since").map_err(store_error)?,
        trace: trace.as_deref().and_then(TraceContext::new),
        request_id: RequestId::new(&request_id).ok_or_else(|| unreadable("a request id that is none"))?,
    })
}

pub(super) fn priority(rank: i16) -> Result<JobPriority, StoreError> {
    JobPriority::from_rank(rank).ok_or_else(|| unreadable(format!("a priority of rank {rank}")))
}
