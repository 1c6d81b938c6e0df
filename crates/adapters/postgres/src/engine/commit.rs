//! Committing the transitions of runs.
//!
//! One statement is the guard: it advances or deletes each run's lease, if the tenure and the sequence number are still
//! the worker's. Everything else is written, in the same transaction, only for the runs that the guard returns.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use sqlx::Row;
use tidegate_engine::model::{After, Committed, Departure, Gate, RunCommit, RunKey, ShardId, WorkerId};
use tidegate_kernel::{RunId, StoreError, WorkspaceId};
use tidegate_workflows::run::Transition;
use uuid::Uuid;

use super::{fence, unreadable};
use crate::error::store_error;
use crate::transaction::{Machinery, PgTx};

/// The guard. Nothing is written for a run that it does not return.
///
/// An earlier commit of the same run may still be open. So the lease is not read before it is written: the second
/// writer waits for the first, and then compares with the row that the first has left. The row comparisons make the
/// planner use the index of the primary key: no other index begins with their columns, and no join can be ordered by
/// them.
const GUARD: &str = "
    with input as materialized (
        select * from unnest($1::uuid[], $2::uuid[], $3::smallint[], $4::bigint[], $5::int[], $6::int[], $7::bool[])
            as i (workspace_id, run_id, shard, epoch, from_seq, to_seq, keeps)),
    gone as (
        delete from lease l using input i
        where not i.keeps and (l.workspace_id, l.run_id) >= (i.workspace_id, i.run_id)
          and (l.workspace_id, l.run_id) <= (i.workspace_id, i.run_id)
          and l.shard is not distinct from i.shard and l.epoch is not distinct from i.epoch and l.next_seq = i.from_seq
        returning l.workspace_id, l.run_id),
    kept as (
        update lease l set next_seq = i.to_seq from input i
        where i.keeps and (l.workspace_id, l.run_id) >= (i.workspace_id, i.run_id)
          and (l.workspace_id, l.run_id) <= (i.workspace_id, i.run_id)
          and l.shard is not distinct from i.shard and l.epoch is not distinct from i.epoch and l.next_seq = i.from_seq
        returning l.workspace_id, l.run_id)
    select workspace_id, run_id from gone union all select workspace_id, run_id from kept";

const HISTORY: &str = "
    insert into step_event (workspace_id, run_id, seq, at, kind, step, attempt, body)
    select * from unnest($1::uuid[], $2::uuid[], $3::int[], $4::timestamptz[], $5::text[], $6::smallint[], $7::int[],
        $8::bytea[])";

const JOURNAL: &str = "
    insert into run_journal (workspace_id, run_id, seq, at, body)
    select * from unnest($1::uuid[], $2::uuid[], $3::int[], $4::timestamptz[], $5::bytea[])";

const SUMMARIES: &str = "
    with found as materialized (
        select f.*, r.place
        from unnest($1::uuid[], $2::uuid[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::bytea[], $7::bytea[])
            as f (workspace_id, run_id, status, started_at, finished_at, outputs, error)
        cross join lateral (
            select r.ctid as place from run r
            where r.workspace_id = f.workspace_id and r.id >= f.run_id and r.id <= f.run_id order by r.id limit 1) r)
    update run r set status = f.status, started_at = f.started_at, finished_at = f.finished_at, outputs = f.outputs,
        error = f.error
    from found f where r.ctid = f.place and r.workspace_id = f.workspace_id and r.id = f.run_id";

const SET_TIMERS: &str = "
    insert into timer (workspace_id, run_id, step, attempt, due_at, shard)
    select * from unnest($1::uuid[], $2::uuid[], $3::smallint[], $4::int[], $5::timestamptz[], $6::smallint[])
    on conflict (workspace_id, run_id, step) do update set attempt = excluded.attempt, due_at = excluded.due_at";

const CLEAR_TIMERS: &str = "
    with found as materialized (
        select c.*, t.place from unnest($1::uuid[], $2::uuid[], $3::smallint[]) as c (workspace_id, run_id, step)
        cross join lateral (
            select t.ctid as place from timer t
            where t.workspace_id = c.workspace_id and t.run_id = c.run_id and t.step >= c.step and t.step <= c.step
            order by t.step limit 1) t)
    delete from timer t using found f
    where t.ctid = f.place and t.workspace_id = f.workspace_id and t.run_id = f.run_id and t.step = f.step";

const CLEAR_REQUESTS: &str = "
    with found as materialized (
        select c.*, s.place from unnest($1::uuid[], $2::uuid[]) as c (workspace_id, id)
        cross join lateral (
            select s.ctid as place from run_request s
            where s.workspace_id = c.workspace_id and s.id >= c.id and s.id <= c.id order by s.id limit 1) s)
    delete from run_request s using found f where s.ctid = f.place and s.workspace_id = f.workspace_id and s.id = f.id";

const PASS_GATES: &str = "
    insert into gate_hold (workspace_id, run_id, gate, shard)
    select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::smallint[])";

const BLOCK: &str = "
    insert into blocked (workspace_id, run_id, gate, shard)
    select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::smallint[])";

/// Lets the first runs that wait for a gate pass and makes them ready, after other runs have left the gate. `skip
/// locked` passes over a run that another transaction is claiming, so that its place goes to the next. A run that has
/// ended is removed and does not pass; no correct release leaves one here.
const PROMOTE: &str = "
    with next as materialized (
        select b.workspace_id, b.run_id, b.place
        from unnest($1::uuid[], $2::text[], $3::bigint[]) as f (workspace_id, gate, places)
        cross join lateral (
            select b.workspace_id, b.run_id, b.ctid as place from blocked b
            where b.workspace_id = f.workspace_id and b.gate = f.gate
            order by b.seq limit f.places for update of b skip locked) b),
    free as (
        delete from blocked b using next n
        where b.ctid = n.place and b.workspace_id = n.workspace_id and b.run_id = n.run_id
        returning b.workspace_id, b.run_id, b.gate, b.shard, (
            select r.status in ('pending', 'running', 'waiting') from run r
            where r.workspace_id = b.workspace_id and r.id = b.run_id) as live),
    held as (
        insert into gate_hold (workspace_id, run_id, gate, shard)
        select workspace_id, run_id, gate, shard from free where live),
    queued as (
        insert into ready (workspace_id, run_id, shard) select workspace_id, run_id, shard from free where live)
    select workspace_id, run_id, gate, shard from free where live";

/// Counts usage from the transitions that are written, in the same transaction.
const METER: &str = "
    insert into usage_counter (workspace_id, meter, period_start, used)
    select workspace_id, meter, date_trunc('day', at, 'UTC'), count(*)
    from unnest($1::uuid[], $2::text[], $3::timestamptz[]) as t (workspace_id, meter, at)
    group by 1, 2, 3 order by 1, 2, 3
    on conflict (workspace_id, meter, period_start) do update set used = usage_counter.used + excluded.used";

pub(super) async fn commit(
    tx: &mut PgTx<Machinery>,
    worker: WorkerId,
    batch: &[RunCommit],
) -> Result<Committed, StoreError> {
    let mut tenures: Vec<_> = batch.iter().map(|commit| commit.tenure).collect();
    tenures.sort_unstable();
    tenures.dedup();
    let held = fence(tx, worker, &tenures, batch.iter().map(|commit| commit.key.workspace), true).await?;
    let held: Vec<&RunCommit> = batch.iter().filter(|commit| held.contains(&commit.tenure)).collect();
    let won = guard(tx, &held).await?;
    let batch: Vec<&RunCommit> = held.into_iter().filter(|commit| won.contains(&commit.key)).collect();
    if batch.is_empty() {
        return Ok(Committed::default());
    }
    history(tx, &batch).await?;
    summaries(tx, &batch).await?;
    timers(tx, &batch).await?;
    clear_requests(tx, batch.iter().map(|commit| (commit.key.workspace, commit.requests.as_slice()))).await?;
    let promoted = gates(tx, &batch).await?;
    meters(tx, &batch).await?;
    Ok(Committed { won: won.into_iter().collect(), promoted })
}

/// The ids of runs as two arrays to bind: workspaces and runs.
pub(super) fn ids<'a>(keys: impl Iterator<Item = &'a RunKey>) -> (Vec<Uuid>, Vec<Uuid>) {
    keys.map(|key| (key.workspace.as_uuid(), key.run.as_uuid())).unzip()
}

fn int(n: u32) -> Result<i32, StoreError> {
    i32::try_from(n).map_err(unreadable)
}

async fn guard(tx: &mut PgTx<Machinery>, batch: &[&RunCommit]) -> Result<HashSet<RunKey>, StoreError> {
    let (workspaces, runs) = ids(batch.iter().map(|commit| &commit.key));
    let mut from = Vec::with_capacity(batch.len());
    let mut to = Vec::with_capacity(batch.len());
    for commit in batch {
        from.push(int(commit.from_seq)?);
        to.push(int(commit.records.last().map_or(commit.from_seq, |record| record.seq + 1))?);
    }
    let rows: Vec<(Uuid, Uuid)> = sqlx::query_as(GUARD)
        .bind(workspaces)
        .bind(runs)
        .bind(batch.iter().map(|commit| commit.tenure.shard.0).collect::<Vec<_>>())
        .bind(batch.iter().map(|commit| commit.tenure.epoch).collect::<Vec<_>>())
        .bind(from)
        .bind(to)
        .bind(batch.iter().map(|commit| commit.after == After::Keep).collect::<Vec<_>>())
        .fetch_all(tx.sqlx())
        .await
        .map_err(store_error)?;
    Ok(rows
        .into_iter()
        .map(|(workspace, run)| RunKey { workspace: WorkspaceId::from_uuid(workspace), run: RunId::from_uuid(run) })
        .collect())
}

/// Transitions as one array for each column.
#[derive(Default)]
struct Transitions {
    workspaces: Vec<Uuid>,
    runs: Vec<Uuid>,
    seqs: Vec<i32>,
    at: Vec<DateTime<Utc>>,
    kinds: Vec<&'static str>,
    steps: Vec<Option<i16>>,
    attempts: Vec<Option<i32>>,
    bodies: Vec<Vec<u8>>,
}

impl Transitions {
    fn of<'a>(batch: impl Iterator<Item = &'a &'a RunCommit>) -> Result<Self, StoreError> {
        let mut columns = Self::default();
        for commit in batch {
            for record in &commit.records {
                let step = record.transition.step().map(|step| i16::try_from(step.0)).transpose();
                columns.workspaces.push(commit.key.workspace.as_uuid());
                columns.runs.push(commit.key.run.as_uuid());
                columns.seqs.push(int(record.seq)?);
                columns.at.push(record.at);
                columns.kinds.push(record.transition.kind());
                columns.steps.push(step.map_err(unreadable)?);
                columns.attempts.push(record.transition.attempt().map(int).transpose()?);
                columns.bodies.push(serde_json::to_vec(&record.transition).map_err(unreadable)?);
            }
        }
        Ok(columns)
    }
}

/// Writes the history of all runs, and the journal of those that have not ended. An ended run keeps only its history.
async fn history(tx: &mut PgTx<Machinery>, batch: &[&RunCommit]) -> Result<(), StoreError> {
    let all = Transitions::of(batch.iter())?;
    if !all.runs.is_empty() {
        sqlx::query(HISTORY)
            .bind(&all.workspaces)
            .bind(&all.runs)
            .bind(&all.seqs)
            .bind(&all.at)
            .bind(&all.kinds)
            .bind(&all.steps)
            .bind(&all.attempts)
            .bind(&all.bodies)
            .execute(tx.sqlx())
            .await
            .map_err(store_error)?;
    }
    let live = Transitions::of(batch.iter().filter(|commit| commit.after != After::End))?;
    if !live.runs.is_empty() {
        sqlx::query(JOURNAL)
            .bind(&live.workspaces)
            .bind(&live.runs)
            .bind(&live.seqs)
            .bind(&live.at)
            .bind(&live.bodies)
            .execute(tx.sqlx())
            .await
            .map_err(store_error)?;
    }
    // A run that begins and ends in this commit has no other rows, unless it passed a gate or a request for it waits.
    let leaves_traces =
        |commit: &&&RunCommit| commit.from_seq > 0 || !commit.left.is_empty() || !commit.requests.is_empty();
    let ended = batch.iter().filter(|commit| commit.after == After::End).filter(leaves_traces);
    let ended: Vec<RunKey> = ended.map(|commit| commit.key).collect();
    super::cleanup::forget(tx, &ended).await
}

async fn summaries(tx: &mut PgTx<Machinery>, batch: &[&RunCommit]) -> Result<(), StoreError> {
    let summaries: Vec<_> = batch.iter().filter_map(|commit| Some((&commit.key, commit.summary.as_ref()?))).collect();
    if summaries.is_empty() {
        return Ok(());
    }
    let (workspaces, runs) = ids(summaries.iter().map(|(key, _)| *key));
    let mut outputs = Vec::with_capacity(summaries.len());
    let mut errors = Vec::with_capacity(summaries.len());
    for (_, summary) in &summaries {
        outputs.push(summary.outputs.as_ref().map(serde_json::to_vec).transpose().map_err(unreadable)?);
        errors.push(summary.error.as_ref().map(serde_json::to_vec).transpose().map_err(unreadable)?);
    }
    sqlx::query(SUMMARIES)
        .bind(workspaces)
        .bind(runs)
        .bind(summaries.iter().map(|(_, summary)| summary.status.as_str()).collect::<Vec<_>>())
        .bind(summaries.iter().map(|(_, summary)| summary.started_at).collect::<Vec<_>>())
        .bind(summaries.iter().map(|(_, summary)| summary.finished_at).collect::<Vec<_>>())
        .bind(outputs)
        .bind(errors)
        .execute(tx.sqlx())
        .await
        .map(drop)
        .map_err(store_error)
}

async fn timers(tx: &mut PgTx<Machinery>, batch: &[&RunCommit]) -> Result<(), StoreError> {
    let cleared: Vec<_> =
        batch.iter().flat_map(|commit| commit.cleared.iter().map(|step| (&commit.key, *step))).collect();
    if !cleared.is_empty() {
        let (workspaces, runs) = ids(cleared.iter().map(|(key, _)| *key));
        let steps: Result<Vec<i16>, _> = cleared.iter().map(|(_, step)| i16::try_from(step.0)).collect();
        sqlx::query(CLEAR_TIMERS)
            .bind(workspaces)
            .bind(runs)
            .bind(steps.map_err(unreadable)?)
            .execute(tx.sqlx())
            .await
            .map_err(store_error)?;
    }
    let set: Vec<_> =
        batch.iter().filter(|commit| commit.after != After::End).flat_map(|commit| &commit.timers).collect();
    if !set.is_empty() {
        let (workspaces, runs) = ids(set.iter().map(|timer| &timer.key));
        let steps: Result<Vec<i16>, _> = set.iter().map(|timer| i16::try_from(timer.step.0)).collect();
        let attempts: Result<Vec<i32>, _> = set.iter().map(|timer| int(timer.attempt)).collect();
        sqlx::query(SET_TIMERS)
            .bind(workspaces)
            .bind(runs)
            .bind(steps.map_err(unreadable)?)
            .bind(attempts?)
            .bind(set.iter().map(|timer| timer.due).collect::<Vec<_>>())
            .bind(set.iter().map(|timer| timer.shard.0).collect::<Vec<_>>())
            .execute(tx.sqlx())
            .await
            .map_err(store_error)?;
    }
    Ok(())
}

/// Deletes requests that have been answered.
pub(super) async fn clear_requests<'a>(
    tx: &mut PgTx<Machinery>,
    requests: impl Iterator<Item = (WorkspaceId, &'a [Uuid])>,
) -> Result<(), StoreError> {
    let (workspaces, requests): (Vec<Uuid>, Vec<Uuid>) = requests
        .flat_map(|(workspace, requests)| requests.iter().map(move |request| (workspace.as_uuid(), *request)))
        .unzip();
    if requests.is_empty() {
        return Ok(());
    }
    sqlx::query(CLEAR_REQUESTS).bind(workspaces).bind(requests).execute(tx.sqlx()).await.map(drop).map_err(store_error)
}

async fn gates(tx: &mut PgTx<Machinery>, batch: &[&RunCommit]) -> Result<Vec<(ShardId, RunKey, Gate)>, StoreError> {
    let passed: Vec<_> = batch
        .iter()
        .filter(|commit| commit.after != After::End)
        .flat_map(|commit| commit.passed.iter().map(move |gate| (&commit.key, gate.as_str(), commit.tenure.shard.0)))
        .collect();
    let blocked: Vec<_> = batch
        .iter()
        .filter_map(|commit| match &commit.after {
            After::Block(gate) => Some((&commit.key, gate.as_str(), commit.tenure.shard.0)),
            _ => None,
        })
        .collect();
    for (sql, rows) in [(PASS_GATES, passed), (BLOCK, blocked)] {
        if !rows.is_empty() {
            let (workspaces, runs) = ids(rows.iter().map(|(key, _, _)| *key));
            sqlx::query(sql)
                .bind(workspaces)
                .bind(runs)
                .bind(rows.iter().map(|(_, gate, _)| *gate).collect::<Vec<_>>())
                .bind(rows.iter().map(|(_, _, shard)| *shard).collect::<Vec<_>>())
                .execute(tx.sqlx())
                .await
                .map_err(store_error)?;
        }
    }
    promote(tx, batch.iter().map(|commit| (commit.key.workspace, commit.left.as_slice()))).await
}

/// Promotes the runs that wait for the gates that runs have left.
pub(super) async fn promote<'a>(
    tx: &mut PgTx<Machinery>,
    departures: impl Iterator<Item = (WorkspaceId, &'a [Departure])>,
) -> Result<Vec<(ShardId, RunKey, Gate)>, StoreError> {
    let mut places: HashMap<(Uuid, &str), i64> = HashMap::new();
    for (workspace, left) in departures {
        for departure in left {
            let place = (workspace.as_uuid(), departure.gate.as_str());
            *places.entry(place).or_default() += i64::from(departure.places);
        }
    }
    if places.values().all(|places| *places == 0) {
        return Ok(Vec::new());
    }
    let rows = sqlx::query(PROMOTE)
        .bind(places.keys().map(|(workspace, _)| *workspace).collect::<Vec<_>>())
        .bind(places.keys().map(|(_, gate)| *gate).collect::<Vec<_>>())
        .bind(places.values().copied().collect::<Vec<_>>())
        .fetch_all(tx.sqlx())
        .await
        .map_err(store_error)?;
    rows.iter()
        .map(|row| {
            let key = RunKey {
                workspace: WorkspaceId::from_uuid(row.try_get("workspace_id").map_err(store_error)?),
                run: RunId::from_uuid(row.try_get("run_id").map_err(store_error)?),
            };
            let gate = Gate::from_text(row.try_get("gate").map_err(store_error)?);
            Ok((ShardId(row.try_get("shard").map_err(store_error)?), key, gate))
        })
        .collect()
}

/// Meters runs and steps: a run counts when it begins, a step each time that one of its attempts begins.
async fn meters(tx: &mut PgTx<Machinery>, batch: &[&RunCommit]) -> Result<(), StoreError> {
    let mut workspaces = Vec::new();
    let mut meters = Vec::new();
    let mut times = Vec::new();
    for commit in batch {
        for record in &commit.records {
            let meter = match &record.transition {
                Transition::RunStarted => "runs",
                transition if transition.begins_attempt() => "steps",
                _ => continue,
            };
            workspaces.push(commit.key.workspace.as_uuid());
            meters.push(meter);
            times.push(record.at);
        }
    }
    if workspaces.is_empty() {
        return Ok(());
    }
    sqlx::query(METER).bind(workspaces).bind(meters).bind(times).execute(tx.sqlx()).await.map(drop).map_err(store_error)
}
