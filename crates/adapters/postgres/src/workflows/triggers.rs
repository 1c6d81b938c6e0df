//! Placed triggers: those whose time has come, and those that wait for events.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tidegate_events::{EventConsumers, EventFeed, FeedTx};
use tidegate_kernel::{Position, StoreError, SystemScope, UnitOfWork, WorkflowId, WorkspaceId, WorkspaceScope};
use tidegate_use_cases::EventTriggersTx;
use tidegate_workflows::ports::WorkflowRepository;
use tidegate_workflows::run::ports::RunsTx;
use tidegate_workflows::trigger::ports::{DueTriggers, ListeningTrigger, TimeTrigger, TriggerRepository, TriggersTx};
use uuid::Uuid;

use crate::error::store_error;
use crate::store::PgStore;
use crate::transaction::{PgTx, Tenant};

impl TriggersTx for PgTx<Tenant> {
    fn triggers(&mut self) -> &mut dyn TriggerRepository {
        self
    }

    fn documents(&mut self) -> &mut dyn WorkflowRepository {
        self
    }

    fn as_runs(&mut self) -> &mut dyn RunsTx {
        self
    }
}

#[async_trait]
impl UnitOfWork<dyn TriggersTx> for PgStore {
    async fn begin(&self, scope: &WorkspaceScope) -> Result<Box<dyn TriggersTx>, StoreError> {
        Ok(self.begin_tenant(scope).await?)
    }
}

impl EventTriggersTx for PgTx<Tenant> {
    fn feed(&mut self) -> &mut dyn EventFeed {
        FeedTx::feed(self)
    }

    fn consumers(&mut self) -> &mut dyn EventConsumers {
        FeedTx::consumers(self)
    }

    fn as_triggers(&mut self) -> &mut dyn TriggersTx {
        self
    }
}

#[async_trait]
impl UnitOfWork<dyn EventTriggersTx> for PgStore {
    async fn begin(&self, scope: &WorkspaceScope) -> Result<Box<dyn EventTriggersTx>, StoreError> {
        Ok(self.begin_tenant(scope).await?)
    }
}

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

#[async_trait]
impl TriggerRepository for PgTx<Tenant> {
    async fn advance(&mut self, trigger: &TimeTrigger, next: Option<DateTime<Utc>>) -> Result<bool, StoreError> {
        let workspace = self.workspace().as_uuid();
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
        let done = query.execute(self.sqlx()).await.map_err(store_error)?;
        Ok(done.rows_affected() == 1)
    }

    async fn awaited(&mut self) -> Result<Vec<String>, StoreError> {
        let workspace = self.workspace().as_uuid();
        sqlx::query_scalar("select distinct event_type from event_trigger where workspace_id = $1")
            .bind(workspace)
            .fetch_all(self.sqlx())
            .await
            .map_err(store_error)
    }

    async fn listening(&mut self, types: &[String]) -> Result<Vec<ListeningTrigger>, StoreError> {
        let workspace = self.workspace().as_uuid();
        let rows: Vec<ListeningRow> = sqlx::query_as(
            "select workflow_id, ordinal, version, event_type, after_position from event_trigger
             where workspace_id = $1 and event_type = any ($2) order by workflow_id, ordinal",
        )
        .bind(workspace)
        .bind(types)
        .fetch_all(self.sqlx())
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
        let rows: Vec<DueRow> = sqlx::query_as(
            "select workspace_id, workflow_id, ordinal, version, next_fire from cron_trigger
             where next_fire <= $1 order by next_fire limit $2",
        )
        .bind(until)
        .bind(i64::from(limit))
        .fetch_all(tx.sqlx())
        .await
        .map_err(store_error)?;
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
