//! Looking for work: due jobs, ready jobs and their number.

use chrono::{DateTime, Utc};
use tidegate_engine::jobs::{JobCount, JobOutlook, Lane, ReadyLane};
use tidegate_engine::model::{ShardId, Tenure, WorkerId};
use tidegate_kernel::{JobStatus, StoreError, WorkspaceId};
use uuid::Uuid;

use super::claim::priority;
use crate::engine::{fence, unreadable};
use crate::error::store_error;
use crate::transaction::{Machinery, PgTx};

/// The most scheduled jobs that one look makes ready in each shard.
const DUE_PER_LOOK: i64 = 500;

/// Makes scheduled jobs ready when they are due.
const MAKE_READY: &str = "
    with due as materialized (
        select l.* from unnest($1::smallint[]) as sh (shard)
        cross join lateral (
            select l.workspace_id, l.job_id, l.ctid as place from job_later l
            where l.shard = sh.shard and l.run_at <= $2 order by l.run_at limit $3) l),
    moved as (
        delete from job_later l using due d
        where l.ctid = d.place and l.workspace_id = d.workspace_id and l.job_id = d.job_id
        returning l.*)
    insert into job_ready (workspace_id, job_id, shard, kind, priority, is_unique, attempts, since)
    select workspace_id, job_id, shard, kind, priority, is_unique, attempts, run_at from moved order by run_at
    on conflict (workspace_id, job_id) do nothing";

/// Finds the lanes with ready jobs. A skip scan goes from one lane to the next along the index, so a backlog in one
/// lane costs nothing.
const LANES: &str = "
    select sh.shard, spots.workspace_id, spots.kind, spots.priority, spots.seq
    from unnest($1::smallint[]) as sh (shard)
    cross join lateral (
        with recursive spots as (
            (select r.workspace_id, r.kind, r.priority, r.seq from job_ready r where r.shard = sh.shard
             order by r.workspace_id, r.kind, r.priority, r.seq limit 1)
            union all
            select n.workspace_id, n.kind, n.priority, n.seq from spots s cross join lateral (
                select r.workspace_id, r.kind, r.priority, r.seq from job_ready r
                where r.shard = sh.shard and (r.workspace_id, r.kind, r.priority) > (s.workspace_id, s.kind, s.priority)
                order by r.workspace_id, r.kind, r.priority, r.seq limit 1) n)
        select * from spots) spots";

const NEXT_DUE: &str = "
    select min(l.run_at) from unnest($1::smallint[]) as sh (shard)
    cross join lateral (select l.run_at from job_later l where l.shard = sh.shard order by l.run_at limit 1) l";

pub(super) async fn look(
    tx: &mut PgTx<Machinery>,
    worker: WorkerId,
    tenures: &[Tenure],
    now: DateTime<Utc>,
) -> Result<JobOutlook, StoreError> {
    let held = fence(tx, worker, tenures, std::iter::empty(), false).await?;
    let shards: Vec<i16> = held.iter().map(|tenure| tenure.shard.0).collect();
    let query = sqlx::query(MAKE_READY).bind(&shards).bind(now).bind(DUE_PER_LOOK);
    query.execute(tx.sqlx()).await.map_err(store_error)?;
    let rows: Vec<(i16, Uuid, String, i16, i64)> =
        sqlx::query_as(LANES).bind(&shards).fetch_all(tx.sqlx()).await.map_err(store_error)?;
    let next_due = sqlx::query_scalar(NEXT_DUE).bind(&shards).fetch_one(tx.sqlx()).await.map_err(store_error)?;
    let lane = |(shard, workspace, kind, rank, first)| {
        let workspace = WorkspaceId::from_uuid(workspace);
        Ok(ReadyLane { lane: Lane { shard: ShardId(shard), workspace, kind, priority: priority(rank)? }, first })
    };
    Ok(JobOutlook { lanes: rows.into_iter().map(lane).collect::<Result<_, StoreError>>()?, next_due })
}

/// The count stops here, so that a long backlog does not make it slow.
const COUNTED: i64 = 100_000;

const COUNT: &str = "
    select 'ready', kind, count(*), min(since)
    from (select kind, since from job_ready where shard = any ($1) limit $2) r group by kind
    union all
    select 'scheduled', kind, count(*), min(run_at)
    from (select kind, run_at from job_later where shard = any ($1) limit $2) l group by kind
    union all
    select 'running', kind, count(*), now() from (select kind from job_lease where shard = any ($1) limit $2) l group by kind
    union all
    select 'dead', kind, count(*), min(at)
    from (select kind, at from job_dead where shard = any ($1) limit $2) d group by kind";

pub(super) async fn count(tx: &mut PgTx<Machinery>, shards: &[ShardId]) -> Result<Vec<JobCount>, StoreError> {
    let shards: Vec<i16> = shards.iter().map(|shard| shard.0).collect();
    let rows: Vec<(String, String, i64, DateTime<Utc>)> =
        sqlx::query_as(COUNT).bind(shards).bind(COUNTED).fetch_all(tx.sqlx()).await.map_err(store_error)?;
    let count = |(status, kind, jobs, oldest): (String, String, i64, DateTime<Utc>)| {
        let status: JobStatus = status.parse().map_err(unreadable)?;
        Ok(JobCount { kind, status, jobs: jobs.unsigned_abs(), oldest })
    };
    rows.into_iter().map(count).collect()
}
