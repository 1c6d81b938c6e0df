//! Ownership of shards: renewal and takeover.

use std::time::Duration;

use sqlx::Row;
use tidegate_engine::model::{Gate, Holding, Holdings, ShardId, Tenure, WorkerId};
use tidegate_kernel::{StoreError, WorkspaceId};

use super::{cleanup, columns};
use crate::error::store_error;
use crate::jobs;
use crate::transaction::{Machinery, PgTx};

pub(super) async fn hold(
    tx: &mut PgTx<Machinery>,
    worker: WorkerId,
    keep: &[Tenure],
    ttl: Duration,
    alone: bool,
) -> Result<Holdings, StoreError> {
    let (shards, epochs) = columns(keep);
    let seconds = ttl.as_secs_f64();
    // In the steady state this is the only statement. All times are the database's. It locks rows in the same order as
    // commits.
    let row = sqlx::query(
        "with me as (
             insert into worker (worker, seen_until) values ($1, now() + make_interval(secs => $4))
             on conflict (worker) do update set seen_until = excluded.seen_until),
         mine as materialized (
             select shard, epoch from shard
             where owner = $1 and (shard, epoch) in (select * from unnest($2::smallint[], $3::bigint[]))
             order by shard for no key update),
         kept as (
             update shard s set leased_until = now() + make_interval(secs => $4) from mine m
             where s.shard = m.shard and s.epoch = m.epoch and s.owner = $1
             returning s.shard, s.epoch)
         select coalesce((select array_agg(shard order by shard) from kept), '{}') as shards,
             coalesce((select array_agg(epoch order by shard) from kept), '{}') as epochs,
             (select count(*) from shard) as total,
             (select count(*) from shard where $5 or leased_until < now() or owner = $1) as takeable,
             1 + (select count(*) from worker where seen_until >= now() and worker <> $1) as workers",
    )
    .bind(worker.0)
    .bind(shards)
    .bind(epochs)
    .bind(seconds)
    .bind(alone)
    .fetch_one(tx.sqlx())
    .await
    .map_err(store_error)?;
    let shards: Vec<i16> = row.try_get("shards").map_err(store_error)?;
    let epochs: Vec<i64> = row.try_get("epochs").map_err(store_error)?;
    let total: i64 = row.try_get("total").map_err(store_error)?;
    let takeable: i64 = row.try_get("takeable").map_err(store_error)?;
    let workers: i64 = row.try_get("workers").map_err(store_error)?;
    let share = if alone { total } else { (total + workers - 1) / workers.max(1) };
    let kept = i64::try_from(shards.len()).unwrap_or(i64::MAX);
    let mut holdings = Holdings {
        tenures: shards.iter().zip(epochs).map(|(shard, epoch)| Tenure { shard: ShardId(*shard), epoch }).collect(),
        gates: Vec::new(),
        surplus: usize::try_from(kept - share).unwrap_or(0),
    };
    if takeable > kept && share > kept {
        let taken = take_over(tx, worker, &shards, share - kept, seconds, alone).await?;
        holdings.gates = gates(tx, &taken).await?;
        holdings.tenures.extend(taken);
    }
    Ok(holdings)
}

/// Takes shards that have no owner, and shards of its own that the worker has forgotten. It updates the shard row with
/// its epoch first, and then makes ready what the last owner had leased.
async fn take_over(
    tx: &mut PgTx<Machinery>,
    worker: WorkerId,
    kept: &[i16],
    most: i64,
    seconds: f64,
    alone: bool,
) -> Result<Vec<Tenure>, StoreError> {
    let taken: Vec<(i16, i64)> = sqlx::query_as(
        "with free as materialized (
             select shard from shard
             where shard <> all ($2) and ($5 or owner = $1 or leased_until < now())
             order by owner = $1 desc, shard limit $3 for update skip locked)
         update shard s set owner = $1, epoch = s.epoch + 1, leased_until = now() + make_interval(secs => $4)
         from free f where s.shard = f.shard
         returning s.shard, s.epoch",
    )
    .bind(worker.0)
    .bind(kept)
    .bind(most)
    .bind(seconds)
    .bind(alone)
    .fetch_all(tx.sqlx())
    .await
    .map_err(store_error)?;
    let mut taken: Vec<Tenure> =
        taken.into_iter().map(|(shard, epoch)| Tenure { shard: ShardId(shard), epoch }).collect();
    taken.sort_unstable();
    make_ready(tx, &taken, false).await?;
    requeue_jobs(tx, &taken, false).await?;
    cleanup::retry_unsupported(tx, &taken).await?;
    cleanup::free_places(tx, &taken).await?;
    unblock(tx, &taken).await?;
    sqlx::query("delete from worker where seen_until < now() - interval '1 minute'")
        .execute(tx.sqlx())
        .await
        .map_err(store_error)?;
    Ok(taken)
}

/// Makes leased runs of these shards ready again: those under an older epoch, or under any epoch up to this one.
async fn make_ready(tx: &mut PgTx<Machinery>, tenures: &[Tenure], own: bool) -> Result<(), StoreError> {
    let (shards, epochs) = columns(tenures);
    sqlx::query(
        "with found as materialized (
             select l.* from unnest($1::smallint[], $2::bigint[]) as t (shard, epoch)
             cross join lateral (
                 select l.workspace_id, l.run_id, l.ctid as place from lease l
                 where l.shard = t.shard and l.epoch <= t.epoch and (l.epoch < t.epoch or $3)
                 order by l.epoch offset 0) l),
         stale as (
             delete from lease l using found f
             where l.ctid = f.place and l.workspace_id = f.workspace_id and l.run_id = f.run_id
             returning l.workspace_id, l.run_id, l.shard)
         insert into ready (workspace_id, run_id, shard) select workspace_id, run_id, shard from stale
         on conflict (workspace_id, run_id) do nothing",
    )
    .bind(shards)
    .bind(epochs)
    .bind(own)
    .execute(tx.sqlx())
    .await
    .map(drop)
    .map_err(store_error)
}

/// Makes the first run ready that waits for a gate nobody holds. That happens if the last holder left while the owner
/// was dying. All runs of a workspace are in one shard, so the holders of its gates are in these shards too.
async fn unblock(tx: &mut PgTx<Machinery>, tenures: &[Tenure]) -> Result<(), StoreError> {
    let (shards, _) = columns(tenures);
    sqlx::query(
        "with heads as materialized (
             select distinct on (b.workspace_id, b.gate) b.workspace_id, b.gate, b.seq, b.place
             from unnest($1::smallint[]) as sh (shard)
             cross join lateral (
                 select b.workspace_id, b.gate, b.seq, b.ctid as place from blocked b
                 where b.shard = sh.shard order by b.shard offset 0) b
             where (b.workspace_id, b.gate) not in (
                 select h.workspace_id, h.gate from unnest($1::smallint[]) as sh (shard)
                 cross join lateral (
                     select h.workspace_id, h.gate from gate_hold h where h.shard = sh.shard order by h.shard offset 0) h)
             order by b.workspace_id, b.gate, b.seq),
         moved as (
             delete from blocked b using heads h
             where b.ctid = h.place and b.workspace_id = h.workspace_id and b.gate = h.gate and b.seq = h.seq
             returning b.workspace_id, b.run_id, b.shard)
         insert into ready (workspace_id, run_id, shard) select workspace_id, run_id, shard from moved
         on conflict (workspace_id, run_id) do nothing",
    )
    .bind(shards)
    .execute(tx.sqlx())
    .await
    .map(drop)
    .map_err(store_error)
}

async fn gates(tx: &mut PgTx<Machinery>, tenures: &[Tenure]) -> Result<Vec<Holding>, StoreError> {
    let (shards, _) = columns(tenures);
    let rows: Vec<(i16, uuid::Uuid, String, i64)> = sqlx::query_as(
        "select shard, workspace_id, gate, count(*) from gate_hold where shard = any ($1)
         group by shard, workspace_id, gate",
    )
    .bind(shards)
    .fetch_all(tx.sqlx())
    .await
    .map_err(store_error)?;
    Ok(rows
        .into_iter()
        .map(|(shard, workspace, gate, runs)| Holding {
            shard: ShardId(shard),
            workspace: WorkspaceId::from_uuid(workspace),
            gate: Gate::from_text(gate),
            runs: u32::try_from(runs).unwrap_or(u32::MAX),
        })
        .collect())
}

pub(super) async fn release(tx: &mut PgTx<Machinery>, worker: WorkerId, tenures: &[Tenure]) -> Result<(), StoreError> {
    let (shards, epochs) = columns(tenures);
    let given: Vec<(i16, i64)> = sqlx::query_as(
        "with mine as materialized (
             select shard, epoch from shard
             where owner = $1 and (shard, epoch) in (select * from unnest($2::smallint[], $3::bigint[]))
             order by shard for no key update)
         update shard s set owner = null, leased_until = '-infinity' from mine m
         where s.shard = m.shard and s.epoch = m.epoch and s.owner = $1
         returning s.shard, s.epoch",
    )
    .bind(worker.0)
    .bind(shards)
    .bind(epochs)
    .fetch_all(tx.sqlx())
    .await
    .map_err(store_error)?;
    let given: Vec<Tenure> = given.into_iter().map(|(shard, epoch)| Tenure { shard: ShardId(shard), epoch }).collect();
    make_ready(tx, &given, true).await?;
    requeue_jobs(tx, &given, true).await
}

/// Makes the leased jobs of these shards ready again.
async fn requeue_jobs(tx: &mut PgTx<Machinery>, tenures: &[Tenure], given_back: bool) -> Result<(), StoreError> {
    let (shards, epochs) = columns(tenures);
    jobs::requeue(tx, &shards, &epochs, given_back).await
}
