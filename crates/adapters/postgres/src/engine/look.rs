//! Looking for work: ready runs, timers up to a time, and requests.

use chrono::{DateTime, Utc};
use sqlx::Row;
use sqlx::postgres::PgRow;
use tidegate_engine::model::{Outlook, ReadyWorkspace, RunKey, RunRequest, RunRequestKind, ShardId, Timer};
use tidegate_engine::ports::TIMERS_PER_LOOK;
use tidegate_kernel::{RunId, StoreError, WorkspaceId};
use tidegate_workflows::compiled::StepIndex;

use super::unreadable;
use crate::error::store_error;
use crate::transaction::{Machinery, PgTx};

/// One statement for all three questions. A skip scan finds the workspaces with ready runs, so a long backlog of one
/// workspace costs nothing.
const LOOK: &str = "
    select 'ready' as what, w.shard, w.workspace_id, null::uuid as run_id, null::uuid as id, null::smallint as step,
        null::int as attempt, null::timestamptz as due_at, coalesce((
            select p.weight from workspace_slot p where p.workspace_id = w.workspace_id), 1) as weight, null::text as kind
    from (
        select sh.shard, spots.workspace_id
        from unnest($1::smallint[]) as sh (shard)
        cross join lateral (
            with recursive spots as (
                (select r.workspace_id from ready r where r.shard = sh.shard order by r.workspace_id limit 1)
                union all
                select (select r.workspace_id from ready r where r.shard = sh.shard and r.workspace_id > s.workspace_id
                        order by r.workspace_id limit 1)
                from spots s where s.workspace_id is not null)
            select workspace_id from spots where workspace_id is not null) spots) w
    union all
    select 'request', shard, workspace_id, run_id, id, null, null, null, null, kind
    from (select * from run_request where shard = any ($1) limit 1000) s
    union all
    select 'timer', t.shard, t.workspace_id, t.run_id, null, t.step, t.attempt, t.due_at, null, null
    from (select t.* from unnest($1::smallint[]) as sh (shard)
          cross join lateral (
              select * from timer where timer.shard = sh.shard and timer.due_at >= $2 and timer.due_at < $3
              order by timer.due_at limit $4) t
          order by t.due_at limit $4) t";

pub(super) async fn look(
    tx: &mut PgTx<Machinery>,
    shards: &[ShardId],
    timers_after: Option<DateTime<Utc>>,
    until: DateTime<Utc>,
) -> Result<Outlook, StoreError> {
    let shards: Vec<i16> = shards.iter().map(|shard| shard.0).collect();
    let rows = sqlx::query(LOOK)
        .bind(shards)
        .bind(timers_after.unwrap_or(DateTime::UNIX_EPOCH))
        .bind(until)
        .bind(i64::try_from(TIMERS_PER_LOOK).unwrap_or(i64::MAX))
        .fetch_all(tx.sqlx())
        .await
        .map_err(store_error)?;
    let mut outlook = Outlook::default();
    for row in &rows {
        // A row that cannot be read must not hide the others.
        if let Err(error) = add(row, &mut outlook) {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            tracing::error!(cause, "a row of the engine cannot be read; it is passed over");
        }
    }
    outlook.timers.sort_unstable();
    Ok(outlook)
}

fn add(row: &PgRow, outlook: &mut Outlook) -> Result<(), StoreError> {
    let what: String = row.try_get("what").map_err(store_error)?;
    let shard = ShardId(row.try_get("shard").map_err(store_error)?);
    let workspace = WorkspaceId::from_uuid(row.try_get("workspace_id").map_err(store_error)?);
    if what == "ready" {
        let weight: i32 = row.try_get("weight").map_err(store_error)?;
        let weight = u32::try_from(weight).map_err(unreadable)?;
        outlook.ready.push(ReadyWorkspace { shard, workspace, weight });
        return Ok(());
    }
    let key = RunKey { workspace, run: RunId::from_uuid(row.try_get("run_id").map_err(store_error)?) };
    if what == "request" {
        let kind: String = row.try_get("kind").map_err(store_error)?;
        let kind = match kind.as_str() {
            "cancel" => RunRequestKind::Cancel,
            "release" => RunRequestKind::Release,
            "end" => RunRequestKind::End,
            _ => return Err(unreadable(format!("a request of the kind {kind:?}"))),
        };
        outlook.requests.push(RunRequest { id: row.try_get("id").map_err(store_error)?, key, shard, kind });
        return Ok(());
    }
    let step: i16 = row.try_get("step").map_err(store_error)?;
    let attempt: i32 = row.try_get("attempt").map_err(store_error)?;
    outlook.timers.push(Timer {
        due: row.try_get("due_at").map_err(store_error)?,
        key,
        shard,
        step: StepIndex(u16::try_from(step).map_err(unreadable)?),
        attempt: u32::try_from(attempt).map_err(unreadable)?,
    });
    Ok(())
}
