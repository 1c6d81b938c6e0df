//! Removing what ended runs have left beside their history.

use tidegate_engine::model::{RunKey, Tenure};
use tidegate_kernel::{RunId, StoreError, WorkspaceId};
use uuid::Uuid;

use super::columns;
use super::commit::ids;
use crate::error::store_error;
use crate::transaction::{Machinery, PgTx};

/// Deletes the rows of a table that belong to a set of runs. The row comparisons make the planner use the index that
/// begins with the workspace and the run, whatever the statistics say.
macro_rules! delete_of_runs {
    ($table:literal, $runs:literal) => {
        concat!(
            "delete from ",
            $table,
            " t using ",
            $runs,
            " r where (t.workspace_id, t.run_id) >= (r.workspace_id, r.run_id)
                and (t.workspace_id, t.run_id) <= (r.workspace_id, r.run_id)"
        )
    };
}
pub(super) use delete_of_runs;

const FORGET: &str = concat!(
    "with ended as materialized (select * from unnest($1::uuid[], $2::uuid[]) as e (workspace_id, run_id)),
     leases as (",
    delete_of_runs!("lease", "ended"),
    "), journals as (",
    delete_of_runs!("run_journal", "ended"),
    "), timers as (",
    delete_of_runs!("timer", "ended"),
    "), holds as (",
    delete_of_runs!("gate_hold", "ended"),
    "), waiting as (",
    delete_of_runs!("blocked", "ended"),
    "), queued as (",
    delete_of_runs!("ready", "ended"),
    "), aside as (",
    delete_of_runs!("run_quarantine", "ended"),
    ") ",
    delete_of_runs!("run_request", "ended")
);

/// Deletes everything but the history of these ended runs.
pub(super) async fn forget(tx: &mut PgTx<Machinery>, ended: &[RunKey]) -> Result<(), StoreError> {
    if ended.is_empty() {
        return Ok(());
    }
    let (workspaces, runs) = ids(ended.iter());
    sqlx::query(FORGET).bind(workspaces).bind(runs).execute(tx.sqlx()).await.map(drop).map_err(store_error)
}

/// Workspaces with runs that hold a gate or wait for one, in these shards. The engine sees their runs only after it has
/// declared these workspaces.
const GATED_WORKSPACES: &str = "
    select workspace_id from gate_hold where shard = any ($1)
    union select workspace_id from blocked where shard = any ($1)";

/// Ended runs that still hold a gate or wait for one. Their places would never become free.
const ENDED_AT_GATES: &str = "
    select g.workspace_id, g.run_id from (
        select workspace_id, run_id from gate_hold where shard = any ($1)
        union select workspace_id, run_id from blocked where shard = any ($1)) g
    where coalesce((
        select r.status not in ('pending', 'running', 'waiting') from run r
        where r.workspace_id = g.workspace_id and r.id = g.run_id), true)";

/// Frees the gate places of ended runs, in shards that were just taken over. A correct release leaves none; this
/// repairs a database that an incorrect release has written to.
pub(super) async fn free_places(tx: &mut PgTx<Machinery>, tenures: &[Tenure]) -> Result<(), StoreError> {
    let (shards, _) = columns(tenures);
    let workspaces: Vec<(Uuid,)> =
        sqlx::query_as(GATED_WORKSPACES).bind(&shards).fetch_all(tx.sqlx()).await.map_err(store_error)?;
    if workspaces.is_empty() {
        return Ok(());
    }
    let workspaces: Vec<WorkspaceId> = workspaces.into_iter().map(|(id,)| WorkspaceId::from_uuid(id)).collect();
    tx.declare(&workspaces).await?;
    let ended: Vec<(Uuid, Uuid)> =
        sqlx::query_as(ENDED_AT_GATES).bind(&shards).fetch_all(tx.sqlx()).await.map_err(store_error)?;
    let ended: Vec<RunKey> = ended
        .into_iter()
        .map(|(workspace, run)| RunKey { workspace: WorkspaceId::from_uuid(workspace), run: RunId::from_uuid(run) })
        .collect();
    if !ended.is_empty() {
        tracing::warn!(runs = ended.len(), "places of runs that had ended were freed");
    }
    forget(tx, &ended).await
}

/// Makes runs ready that were set aside because they need another release. This worker may be of that release.
const RETRY_UNSUPPORTED: &str = "
    with retried as (
        delete from run_quarantine where shard = any ($1) and reason = 'unsupported'
        returning workspace_id, run_id, shard)
    insert into ready (workspace_id, run_id, shard) select workspace_id, run_id, shard from retried
    on conflict (workspace_id, run_id) do nothing";

/// Executes [`RETRY_UNSUPPORTED`] for the shards of these tenures.
pub(super) async fn retry_unsupported(tx: &mut PgTx<Machinery>, tenures: &[Tenure]) -> Result<(), StoreError> {
    let (shards, _) = columns(tenures);
    sqlx::query(RETRY_UNSUPPORTED).bind(shards).execute(tx.sqlx()).await.map(drop).map_err(store_error)
}
