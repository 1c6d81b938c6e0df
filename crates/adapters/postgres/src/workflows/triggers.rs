//! Placed triggers: schedules that are due, and triggers that wait for events.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tidegate_kernel::{Position, StoreError, SystemScope, Transaction, WorkflowId, WorkspaceId};
use tidegate_workflows::trigger::ports::{DueTriggers, ListeningTrigger, TimeTrigger, TriggerRepository};
use uuid::Uuid;

use crate::error::store_error;
use crate::rounds::WORKSPACES_PER_LOOK;
use crate::store::PgStore;
use crate::transaction::{PgTx, Tenant};

#[derive(sqlx::FromRow)]
struct ListeningRow {
    workflow_id: Uuid,
    ordinal: i16,
    version: i32,
    event_type: String,
    after_position: i64,
}

#[derive(sqlx::FromRow)]
struct DueRow {
    workspace_id: Uuid,
    workflow_id: Uuid,
    ordinal: i16,
    version: i32,
    next_fire: DateTime<Utc>,
}

impl DueRow {
    fn key(&self) -> (Uuid, Uuid, i16) {
        (self.workspace_id, self.workflow_id, self.ordinal)
    }
}

/// One due trigger for each of several workspaces, as columns, and the workspace after which the round goes on.
#[derive(sqlx::FromRow)]
struct TurnRow {
    workspaces: Vec<Uuid>,
    workflows: Vec<Uuid>,
    ordinals: Vec<i16>,
    versions: Vec<i32>,
    times: Vec<DateTime<Utc>>,
    last: Option<Uuid>,
}

impl TurnRow {
    fn rows(self) -> Vec<DueRow> {
        let columns =
            self.workspaces.into_iter().zip(self.workflows).zip(self.ordinals).zip(self.versions).zip(self.times);
        columns
            .map(|((((workspace_id, workflow_id), ordinal), version), next_fire)| DueRow {
                workspace_id,
                workflow_id,
                ordinal,
                version,
                next_fire,
            })
            .collect()
    }
}

const DUE: &str = "
    select workspace_id, workflow_id, ordinal, version, next_fire from cron_trigger
    where next_fire <= $1 order by next_fire limit $2";

/// The key of [`DUE_IN_TURN`] in the rounds.
const DUE_ROUND: &str = "due triggers";

/// The oldest due trigger of each of the next workspaces. A skip scan finds the workspaces along the primary key.
const DUE_IN_TURN: &str = "
    with recursive spots (workspace_id, n) as (
        (select c.workspace_id, 1::bigint from cron_trigger c where c.workspace_id > $3 order by c.workspace_id limit 1)
        union all
        select (select c.workspace_id from cron_trigger c where c.workspace_id > s.workspace_id
                order by c.workspace_id limit 1), s.n + 1
        from spots s where s.workspace_id is not null and s.n < $4),
    turn as materialized (
        select c.* from spots s cross join lateral (
            select c.workspace_id, c.workflow_id, c.ordinal, c.version, c.next_fire from cron_trigger c
            where c.workspace_id = s.workspace_id and c.next_fire <= $1 order by c.next_fire limit 1) c
        order by s.n limit $2)
    select coalesce(array_agg(workspace_id order by workspace_id), '{}') as workspaces,
        coalesce(array_agg(workflow_id order by workspace_id), '{}') as workflows,
        coalesce(array_agg(ordinal order by workspace_id), '{}') as ordinals,
        coalesce(array_agg(version order by workspace_id), '{}') as versions,
        coalesce(array_agg(next_fire order by workspace_id), '{}') as times,
        (select s.workspace_id from spots s where s.n = $4) as last
    from turn";

/// [`TriggerRepository`] in one transaction.
pub(crate) struct PgTriggerRepository<'c>(pub(crate) &'c mut PgTx<Tenant>);

#[async_trait]
impl TriggerRepository for PgTriggerRepository<'_> {
    async fn advance(&mut self, trigger: &TimeTrigger, next: Option<DateTime<Utc>>) -> Result<bool, StoreError> {
        let workspace = self.0.workspace().as_uuid();
        let statement = match next {
            Some(_) => {
                "update cron_trigger set next_fire = $6
                 where workspace_id = $1 and workflow_id = $2 and ordinal = $3 and version = $4 and next_fire = $5"
            }
            None => {
                "delete from cron_trigger
                 where workspace_id = $1 and workflow_id = $2 and ordinal = $3 and version = $4 and next_fire = $5"
            }
        };
        let mut query = sqlx::query(statement)
            .bind(workspace)
            .bind(trigger.workflow.as_uuid())
            .bind(trigger.ordinal)
            .bind(trigger.version)
            .bind(trigger.due);
        if let Some(next) = next {
            query = query.bind(next);
        }
        let done = query.execute(self.0.sqlx()).await.map_err(store_error)?;
        Ok(done.rows_affected() == 1)
    }

    async fn awaited(&mut self) -> Result<Vec<String>, StoreError> {
        let workspace = self.0.workspace().as_uuid();
        sqlx::query_scalar("select distinct event_type from event_trigger where workspace_id = $1")
            .bind(workspace)
            .fetch_all(self.0.sqlx())
            .await
            .map_err(store_error)
    }

    async fn listening(&mut self, types: &[String]) -> Result<Vec<ListeningTrigger>, StoreError> {
        let workspace = self.0.workspace().as_uuid();
        let rows: Vec<ListeningRow> = sqlx::query_as(
            "select e.* from (select distinct unnest($2::text[]) as event_type) t cross join lateral (
                 select workflow_id, ordinal, version, event_type, after_position from event_trigger
                 where workspace_id = $1 and event_type >= t.event_type and event_type <= t.event_type
                 order by event_type offset 0) e
             order by e.workflow_id, e.ordinal",
        )
        .bind(workspace)
        .bind(types)
        .fetch_all(self.0.sqlx())
        .await
        .map_err(store_error)?;
        let trigger = |row: ListeningRow| ListeningTrigger {
            workflow: WorkflowId::from_uuid(row.workflow_id),
            ordinal: row.ordinal,
            version: row.version,
            event_type: row.event_type,
            after: Position(row.after_position),
        };
        Ok(rows.into_iter().map(trigger).collect())
    }
}

#[async_trait]
impl DueTriggers for PgStore {
    async fn due(
        &self,
        scope: &SystemScope,
        until: DateTime<Utc>,
        limit: u32,
    ) -> Result<Vec<(WorkspaceId, TimeTrigger)>, StoreError> {
        let mut tx = self.begin_machinery(scope).await?;
        let most = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut rows: Vec<DueRow> =
            sqlx::query_as(DUE).bind(until).bind(i64::from(limit)).fetch_all(tx.sqlx()).await.map_err(store_error)?;
        // If the page is full, all of it may belong to one workspace. So half of the places go to workspaces in turn.
        if rows.len() >= most {
            let after = self.rounds.after(DUE_ROUND);
            let turn: TurnRow = sqlx::query_as(DUE_IN_TURN)
                .bind(until)
                .bind(i64::from(limit.div_ceil(2)))
                .bind(after)
                .bind(WORKSPACES_PER_LOOK)
                .fetch_one(tx.sqlx())
                .await
                .map_err(store_error)?;
            let full = turn.workspaces.len() >= most.div_ceil(2);
            self.rounds.seen(DUE_ROUND, if full { turn.workspaces.last().copied() } else { turn.last });
            let first = turn.rows();
            rows.retain(|row| !first.iter().any(|other| other.key() == row.key()));
            rows.splice(0..0, first);
            rows.truncate(most);
        }
        tx.commit().await?;
        let due = |row: DueRow| {
            let trigger = TimeTrigger {
                workflow: WorkflowId::from_uuid(row.workflow_id),
                ordinal: row.ordinal,
                version: row.version,
                due: row.next_fire,
            };
            (WorkspaceId::from_uuid(row.workspace_id), trigger)
        };
        Ok(rows.into_iter().map(due).collect())
    }
}
