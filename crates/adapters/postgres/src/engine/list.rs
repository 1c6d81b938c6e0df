//! The list of runs. Each combination of filters has a statement of its own that reads an index in the order of the
//! page.

use tidegate_kernel::{Page, PageSize, RunId, StoreError, WorkflowId};
use tidegate_workflows::run::{Run, RunFilter, RunStatus};
use uuid::Uuid;

use super::runs::run;
use crate::error::store_error;
use crate::ids::first_id;
use crate::transaction::PgTx;

/// A page of the runs whose ids the query `$ids` selects.
macro_rules! runs_of {
    ($ids:literal) => {
        concat!(
            "with page as materialized (",
            $ids,
            ") select r.* from page p cross join lateral (
                select id, workflow_id, version, status, trigger, input, outputs, error, created_at, started_at, finished_at,
                    dedupe_key
                from run where workspace_id = $1 and id >= p.id and id <= p.id order by id limit 1) r
             order by r.id desc"
        )
    };
}

/// The list without a filter, or with bounds of time alone.
const LIST: &str = "
    select id, workflow_id, version, status, trigger, input, outputs, error, created_at, started_at, finished_at, dedupe_key
    from run where workspace_id = $1 and id < $2 and id >= $3 order by id desc limit $4";

/// The list by status. Each status is one range of the index by status, which the row comparisons bound on both sides.
const LIST_BY_STATUS: &str = runs_of!(
    "select r.id from unnest($5::text[]) as s (status)
     cross join lateral (
         select r.id from run r
         where r.workspace_id = $1 and r.id < $2 and r.id >= $3
           and (r.status, r.id) < (s.status, $2) and (r.status, r.id) >= (s.status, $3)
         order by r.status desc, r.id desc limit $4) r
     order by r.id desc limit $4"
);

/// The list by workflow. Each status of each workflow is one range of the index by workflow. The row comparison repeats
/// the equalities because no other index can answer it, so the planner takes no other if all seem to cost the same. The
/// lower bound is not a row comparison: one that fails by its second column does not end a scan.
const LIST_BY_WORKFLOW: &str = runs_of!(
    "select r.id from unnest($5::text[]) as s (status) cross join unnest($6::uuid[]) as w (id)
     cross join lateral (
         select r.id from run r
         where r.workspace_id = $1 and r.workflow_id = w.id and r.status = s.status and r.id < $2 and r.id >= $3
           and (r.workflow_id, r.status, r.id) < (w.id, s.status, $2)
         order by r.id desc limit $4) r
     order by r.id desc limit $4"
);

pub(super) async fn list(
    tx: &mut PgTx,
    filter: &RunFilter,
    after: Option<RunId>,
    size: PageSize,
) -> Result<Page<Run, RunId>, StoreError> {
    let to = filter.to.map_or(Uuid::max(), first_id);
    let before = after.map_or(to, |after| after.as_uuid().min(to));
    let mut workflows: Vec<Uuid> = filter.workflows.iter().map(WorkflowId::as_uuid).collect();
    workflows.sort_unstable();
    workflows.dedup();
    let asked = if filter.statuses.is_empty() { RunStatus::ALL } else { &filter.statuses };
    let mut statuses: Vec<&str> = asked.iter().map(|status| status.as_str()).collect();
    statuses.sort_unstable();
    statuses.dedup();
    let by_status = !filter.statuses.is_empty();
    let text = match (by_status, workflows.is_empty()) {
        (false, true) => LIST,
        (true, true) => LIST_BY_STATUS,
        (_, false) => LIST_BY_WORKFLOW,
    };
    let mut query = sqlx::query(text)
        .bind(tx.workspace().as_uuid())
        .bind(before)
        .bind(filter.from.map_or(Uuid::nil(), first_id))
        .bind(i64::from(size.get()) + 1);
    if by_status || !workflows.is_empty() {
        query = query.bind(statuses);
    }
    if !workflows.is_empty() {
        query = query.bind(workflows);
    }
    let rows = query.fetch_all(tx.sqlx()).await.map_err(store_error)?;
    let runs = rows.iter().map(run).collect::<Result<Vec<_>, _>>()?;
    Ok(Page::from_overfetch(runs, size, |run| run.id))
}
