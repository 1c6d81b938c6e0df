//! Looking for work: due jobs, ready jobs and their number.

use chrono::{DateTime, Utc};
use sqlx::Row;
use tidegate_engine::jobs::{JobCount, JobOutlook, Lane, ReadyLane};
use tidegate_engine::model::{ShardId, Tenure, WorkerId};
use tidegate_kernel::{JobStatus, StoreError, WorkspaceId};

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

/// Finds the lanes with ready jobs, and in a row of its own the time at which the next scheduled job is due. A skip scan goes
/// from one lane to the next along the index, so a backlog in one lane costs nothing.
const LOOK: &str = "
    select sh.shard, spots.workspace_id, spots.kind, spots.priority, spots.seq, null::timestamptz as due
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
        select * from spots) spots
    union all
    select null, null, null, null, null, min(l.run_at) from unnest($1::smallint[]) as sh (shard)
    cross join lateral (select l.run_at from job_later l where l.shard = sh.shard order by l.run_at limit 1) l";

pub(super) async fn look(
    tx: &mut PgTx<Machinery>,
    worker: WorkerId,
    tenures: &[Tenure],
    now: DateTime<Utc>,
) -> Result<JobOutlook, StoreError> {
    let held = fence(tx, worker, tenures, std::iter::empty(), false).await?;
    let shards: Vec<i16> = held.iter().map(|tenure| tenure.shard.0).collect();
    let outlook = read(tx, &shards).await?;
    if outlook.next_due.is_none_or(|due| due > now) {
        return Ok(outlook);
    }
    let query = sqlx::query(MAKE_READY).bind(&shards).bind(now).bind(DUE_PER_LOOK);
    query.execute(tx.sqlx()).await.map_err(store_error)?;
    read(tx, &shards).await
}

async fn read(tx: &mut PgTx<Machinery>, shards: &[i16]) -> Result<JobOutlook, StoreError> {
    let mut outlook = JobOutlook::default();
    for row in sqlx::query(LOOK).bind(shards).fetch_all(tx.sqlx()).await.map_err(store_error)? {
        let Some(shard) = row.try_get("shard").map_err(store_error)? else {
            outlook.next_due = row.try_get("due").map_err(store_error)?;
            continue;
        };
        let lane = Lane {
            shard: ShardId(shard),
            workspace: WorkspaceId::from_uuid(row.try_get("workspace_id").map_err(store_error)?),
            kind: row.try_get("kind").map_err(store_error)?,
            priority: priority(row.try_get("priority").map_err(store_error)?)?,
        };
        outlook.lanes.push(ReadyLane { lane, first: row.try_get("seq").map_err(store_error)? });
    }
    Ok(outlook)
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
