//! Claiming runs: taking them from a queue and leasing them to a worker.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::Row;
use sqlx::postgres::PgRow;
use tidegate_engine::model::{
    ClaimRequest, ClaimedRun, Claims, Gate, RunKey, ShardId, Share, Tenure, UnreadRun, WorkerId,
};
use tidegate_kernel::{RequestId, RunId, StoreError, TraceContext, WorkflowId, WorkspaceId};
use tidegate_workflows::run::{RunStatus, TransitionRecord};

use super::commit::ids;
use super::{cleanup, fence, unreadable};
use crate::error::store_error;
use crate::transaction::{Machinery, PgTx};

/// Moves ready runs from the queue to a lease. The journal says how far each was committed.
const CLAIM_READY: &str = "
    with picked as materialized (
        select r.workspace_id, r.run_id, r.shard, r.seq, r.place, w.epoch
        from unnest($1::smallint[], $2::uuid[], $3::bigint[], $4::int[], $5::bigint[])
            as w (shard, workspace_id, bound, quantum, epoch)
        cross join lateral (
            select r.workspace_id, r.run_id, r.shard, r.seq, r.ctid as place from ready r
            where r.shard = w.shard and r.workspace_id = w.workspace_id and r.seq > w.bound
            order by r.seq limit w.quantum) r),
    taken as (
        delete from ready d using picked p
        where d.ctid = p.place and d.workspace_id = p.workspace_id and d.run_id = p.run_id
        returning d.workspace_id, d.run_id, d.shard, d.seq, p.epoch)
    insert into lease (workspace_id, run_id, shard, epoch, next_seq, ready_seq)
    select t.workspace_id, t.run_id, t.shard, t.epoch, coalesce((
        select j.seq + 1 from run_journal j where j.workspace_id = t.workspace_id and j.run_id = t.run_id
        order by j.seq desc limit 1), 0), t.seq
    from taken t order by t.seq
    on conflict (workspace_id, run_id) do nothing
    returning workspace_id, run_id, shard, epoch, next_seq, ready_seq, false as released";

/// Removes named runs from a queue: their timer is due, or a request for them waits. A named run can also be blocked or
/// ready. Each queue has a statement of its own, because another transaction may let a run through its gate at this
/// moment: the run is blocked in snapshots taken before, and ready in those taken after.
macro_rules! take_named {
    ($queue:literal) => {
        concat!(
            "with found as materialized (
                select w.workspace_id, w.run_id, q.place
                from unnest($1::uuid[], $2::uuid[]) as w (workspace_id, run_id)
                cross join lateral (
                    select q.ctid as place from ",
            $queue,
            " q where q.workspace_id = w.workspace_id and q.run_id >= w.run_id and q.run_id <= w.run_id
                    order by q.run_id limit 1) q)
            delete from ",
            $queue,
            " d using found f where d.ctid = f.place and d.workspace_id = f.workspace_id and d.run_id = f.run_id"
        )
    };
}
const UNBLOCK_NAMED: &str = take_named!("blocked");
const UNREADY_NAMED: &str = take_named!("ready");

/// Leases named runs. A run in quarantine is released and leased only if a request to cancel or to release it waits.
const LEASE_NAMED: &str = "
    with wanted as materialized (
        select w.shard, w.workspace_id, w.run_id, w.epoch, (
            select q.ctid from run_quarantine q
            where q.workspace_id = w.workspace_id and q.run_id >= w.run_id and q.run_id <= w.run_id
            order by q.run_id limit 1) as aside, exists (
            select from run_request s
            where s.workspace_id = w.workspace_id and s.run_id = w.run_id and s.kind in ('cancel', 'release')) as asked
        from unnest($1::smallint[], $2::uuid[], $3::uuid[], $4::bigint[]) as w (shard, workspace_id, run_id, epoch)),
    released as (
        delete from run_quarantine q using wanted w
        where q.ctid = w.aside and q.workspace_id = w.workspace_id and q.run_id = w.run_id and w.asked
        returning q.workspace_id, q.run_id)
    insert into lease (workspace_id, run_id, shard, epoch, next_seq)
    select w.workspace_id, w.run_id, w.shard, w.epoch, coalesce((
        select j.seq + 1 from run_journal j where j.workspace_id = w.workspace_id and j.run_id = w.run_id
        order by j.seq desc limit 1), 0)
    from wanted w where w.aside is null or w.asked
    on conflict (workspace_id, run_id) do nothing
    returning workspace_id, run_id, shard, epoch, next_seq, ready_seq, exists (
        select from released r where r.workspace_id = lease.workspace_id and r.run_id = lease.run_id) as released";

const READ_RUNS: &str = "
    select r.workspace_id, r.id, r.status, r.workflow_id, r.version, r.trigger, r.event, r.input, r.depth, r.request_id,
        r.created_at, r.traceparent,
        r.concurrency_key, r.concurrency_limit,
        (select p.run_limit from workspace_slot p where p.workspace_id = r.workspace_id) as run_limit,
        array(select h.gate from gate_hold h where h.workspace_id = r.workspace_id and h.run_id = r.id) as holds
    from unnest($1::uuid[], $2::uuid[]) as w (workspace_id, run_id)
    cross join lateral (
        select r.* from run r
        where r.workspace_id = w.workspace_id and r.id >= w.run_id and r.id <= w.run_id order by r.id limit 1) r";

const READ_JOURNAL: &str = "
    select j.workspace_id, j.run_id, j.seq, j.at, j.body
    from unnest($1::uuid[], $2::uuid[]) as w (workspace_id, run_id)
    cross join lateral (
        select j.* from run_journal j where j.workspace_id = w.workspace_id and j.run_id = w.run_id
        order by j.seq offset 0) j
    order by j.workspace_id, j.run_id, j.seq";

/// A lease that this claim has made.
struct LeaseRow {
    key: RunKey,
    tenure: Tenure,
    next_seq: i32,
    ready_seq: Option<i64>,
    released: bool,
}

pub(super) async fn claim(
    tx: &mut PgTx<Machinery>,
    worker: WorkerId,
    request: &ClaimRequest,
) -> Result<Claims, StoreError> {
    let workspaces = request.shares.iter().map(|share| share.workspace);
    let workspaces = workspaces.chain(request.runs.iter().map(|(_, key)| key.workspace));
    // No wait for the disk: a claim that is lost in a crash of the database was never acted upon, because workers act
    // by commits.
    let held = fence(tx, worker, &request.tenures, workspaces, false).await?;
    // Nothing leaves the queue of a shard that this worker no longer owns.
    let epoch = |shard: ShardId| held.iter().find(|tenure| tenure.shard == shard).map(|tenure| tenure.epoch);
    let mut leases = Vec::new();
    let shares: Vec<_> = request.shares.iter().filter_map(|share| Some((share, epoch(share.shard)?))).collect();
    if !shares.is_empty() {
        let quantum = |share: &Share| i32::try_from(share.quantum).unwrap_or(i32::MAX);
        let rows = sqlx::query(CLAIM_READY)
            .bind(shares.iter().map(|(share, _)| share.shard.0).collect::<Vec<_>>())
            .bind(shares.iter().map(|(share, _)| share.workspace.as_uuid()).collect::<Vec<_>>())
            .bind(shares.iter().map(|(share, _)| share.bound).collect::<Vec<_>>())
            .bind(shares.iter().map(|(share, _)| quantum(share)).collect::<Vec<_>>())
            .bind(shares.iter().map(|(_, epoch)| *epoch).collect::<Vec<_>>())
            .fetch_all(tx.sqlx())
            .await
            .map_err(store_error)?;
        for row in &rows {
            leases.push(lease(row)?);
        }
    }
    let named: Vec<_> = request.runs.iter().filter_map(|(shard, key)| Some((*shard, key, epoch(*shard)?))).collect();
    if !named.is_empty() {
        let (workspaces, runs) = ids(named.iter().map(|(_, key, _)| *key));
        for sql in [UNBLOCK_NAMED, UNREADY_NAMED] {
            sqlx::query(sql).bind(&workspaces).bind(&runs).execute(tx.sqlx()).await.map_err(store_error)?;
        }
        let rows = sqlx::query(LEASE_NAMED)
            .bind(named.iter().map(|(shard, _, _)| shard.0).collect::<Vec<_>>())
            .bind(workspaces)
            .bind(runs)
            .bind(named.iter().map(|(_, _, epoch)| *epoch).collect::<Vec<_>>())
            .fetch_all(tx.sqlx())
            .await
            .map_err(store_error)?;
        for row in &rows {
            leases.push(lease(row)?);
        }
    }
    if leases.is_empty() { Ok(Claims::default()) } else { read(tx, &leases).await }
}

fn lease(row: &PgRow) -> Result<LeaseRow, StoreError> {
    Ok(LeaseRow {
        key: key(row, "run_id")?,
        tenure: Tenure {
            shard: ShardId(row.try_get("shard").map_err(store_error)?),
            epoch: row.try_get("epoch").map_err(store_error)?,
        },
        next_seq: row.try_get("next_seq").map_err(store_error)?,
        ready_seq: row.try_get("ready_seq").map_err(store_error)?,
        released: row.try_get("released").map_err(store_error)?,
    })
}

fn key(row: &PgRow, run: &str) -> Result<RunKey, StoreError> {
    Ok(RunKey {
        workspace: WorkspaceId::from_uuid(row.try_get("workspace_id").map_err(store_error)?),
        run: RunId::from_uuid(row.try_get(run).map_err(store_error)?),
    })
}

/// Reads the leased runs. Only the lease keeps a run from ending, so whether it has ended is checked after leasing.
async fn read(tx: &mut PgTx<Machinery>, leases: &[LeaseRow]) -> Result<Claims, StoreError> {
    let (workspaces, runs) = ids(leases.iter().map(|lease| &lease.key));
    let rows = sqlx::query(READ_RUNS).bind(workspaces).bind(runs).fetch_all(tx.sqlx()).await.map_err(store_error)?;
    let mut journals: HashMap<RunKey, Vec<TransitionRecord>> = HashMap::new();
    let mut broken: HashMap<RunKey, StoreError> = HashMap::new();
    let (workspaces, runs) = ids(leases.iter().filter(|lease| lease.next_seq > 0).map(|lease| &lease.key));
    if !runs.is_empty() {
        let rows =
            sqlx::query(READ_JOURNAL).bind(workspaces).bind(runs).fetch_all(tx.sqlx()).await.map_err(store_error)?;
        for row in rows {
            let key = key(&row, "run_id")?;
            match transition(&row) {
                Ok(record) => journals.entry(key).or_default().push(record),
                Err(error) => drop(broken.insert(key, error)),
            }
        }
    }
    let mut by_key: HashMap<RunKey, PgRow> = HashMap::new();
    for row in rows {
        by_key.insert(key(&row, "id")?, row);
    }
    let mut claims = Claims::default();
    let mut over = Vec::new();
    for lease in leases {
        let Some(row) = by_key.remove(&lease.key).filter(is_live) else {
            over.push(lease.key);
            continue;
        };
        let read = match broken.remove(&lease.key) {
            None => run(&row, lease, journals.remove(&lease.key).unwrap_or_default()),
            Some(error) => Err(error),
        };
        match read {
            Ok(run) => claims.runs.push(run),
            Err(error) => {
                let error = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
                let holds: Vec<String> = row.try_get("holds").unwrap_or_default();
                let holds = holds.into_iter().map(Gate::from_text).collect();
                claims.unreadable.push(UnreadRun { key: lease.key, tenure: lease.tenure, holds, error });
            }
        }
    }
    cleanup::forget(tx, &over).await?;
    Ok(claims)
}

/// Whether the run has not ended. A status that cannot be parsed counts as live; the code that reads the whole row
/// reports it.
fn is_live(row: &PgRow) -> bool {
    let status: Option<RunStatus> = row.try_get::<String, _>("status").ok().and_then(|status| status.parse().ok());
    status.is_none_or(|status| !status.is_terminal())
}

fn transition(row: &PgRow) -> Result<TransitionRecord, StoreError> {
    let seq: i32 = row.try_get("seq").map_err(store_error)?;
    let body: Vec<u8> = row.try_get("body").map_err(store_error)?;
    Ok(TransitionRecord {
        seq: u32::try_from(seq).map_err(unreadable)?,
        at: row.try_get("at").map_err(store_error)?,
        transition: serde_json::from_slice(&body).map_err(unreadable)?,
    })
}

fn run(row: &PgRow, lease: &LeaseRow, journal: Vec<TransitionRecord>) -> Result<ClaimedRun, StoreError> {
    let json = |column: &str| -> Result<Value, StoreError> {
        let bytes: Option<Vec<u8>> = row.try_get(column).map_err(store_error)?;
        bytes.map_or(Ok(Value::Null), |bytes| serde_json::from_slice(&bytes).map_err(unreadable))
    };
    let workflow = WorkflowId::from_uuid(row.try_get("workflow_id").map_err(store_error)?);
    let key: Option<String> = row.try_get("concurrency_key").map_err(store_error)?;
    let limit: Option<i32> = row.try_get("concurrency_limit").map_err(store_error)?;
    let run_limit: Option<i32> = row.try_get("run_limit").map_err(store_error)?;
    let depth: i16 = row.try_get("depth").map_err(store_error)?;
    let request_id: String = row.try_get("request_id").map_err(store_error)?;
    let trace: Option<String> = row.try_get("traceparent").map_err(store_error)?;
    let holds: Vec<String> = row.try_get("holds").map_err(store_error)?;
    let created_at: DateTime<Utc> = row.try_get("created_at").map_err(store_error)?;
    let count = |limit: i32| u32::try_from(limit).unwrap_or(u32::MAX);
    Ok(ClaimedRun {
        tenure: lease.tenure,
        key: lease.key,
        ready_seq: lease.ready_seq,
        workflow,
        version: row.try_get("version").map_err(store_error)?,
        trigger: json("trigger")?,
        event: json("event")?,
        input: json("input")?,
        depth: u8::try_from(depth).map_err(unreadable)?,
        request_id: RequestId::new(&request_id).ok_or_else(|| unreadable("a request id that cannot be one"))?,
        created_at,
        trace: trace.as_deref().and_then(TraceContext::new),
        concurrency: key.zip(limit).map(|(key, limit)| (Gate::workflow(workflow, &key), count(limit))),
        run_limit: run_limit.map(count),
        holds: holds.into_iter().map(Gate::from_text).collect(),
        released: lease.released,
        journal,
    })
}
