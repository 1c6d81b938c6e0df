//! The index of the triggers of published versions.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tidegate_kernel::{StoreError, WorkflowId};
use tidegate_workflows::ports::{Placement, TriggerCondition, TriggerPlacements};

use crate::error::store_error;
use crate::transaction::{PgTx, Tenant};

/// [`TriggerPlacements`] in one transaction.
pub(crate) struct PgTriggerPlacements<'c>(pub(crate) &'c mut PgTx<Tenant>);

#[async_trait]
impl TriggerPlacements for PgTriggerPlacements<'_> {
    async fn place(&mut self, workflow: WorkflowId, version: i32, triggers: &[Placement]) -> Result<(), StoreError> {
        let (workspace, workflow) = (self.0.workspace().as_uuid(), workflow.as_uuid());
        for statement in [
            "delete from cron_trigger where workspace_id = $1 and workflow_id = $2",
            "delete from event_trigger where workspace_id = $1 and workflow_id = $2",
        ] {
            sqlx::query(statement).bind(workspace).bind(workflow).execute(self.0.sqlx()).await.map_err(store_error)?;
        }
        let times: Vec<(i16, DateTime<Utc>)> = triggers
            .iter()
            .filter_map(|trigger| match trigger.condition {
                TriggerCondition::Time(at) => Some((trigger.ordinal, at)),
                TriggerCondition::Event(_) => None,
            })
            .collect();
        if !times.is_empty() {
            sqlx::query(
                "insert into cron_trigger (workspace_id, workflow_id, ordinal, version, next_fire)
                 select $1, $2, u.ordinal, $3, u.next_fire from unnest($4::smallint[], $5::timestamptz[]) u (ordinal, next_fire)",
            )
            .bind(workspace)
            .bind(workflow)
            .bind(version)
            .bind(times.iter().map(|(ordinal, _)| *ordinal).collect::<Vec<_>>())
            .bind(times.iter().map(|(_, at)| *at).collect::<Vec<_>>())
            .execute(self.0.sqlx())
            .await
            .map_err(store_error)?;
        }
        let events: Vec<(i16, &str)> = triggers
            .iter()
            .filter_map(|trigger| match &trigger.condition {
                TriggerCondition::Event(kind) => Some((trigger.ordinal, kind.as_str())),
                TriggerCondition::Time(_) => None,
            })
            .collect();
        if !events.is_empty() {
            sqlx::query(
                "insert into event_trigger (workspace_id, workflow_id, ordinal, version, event_type, after_position)
                 select $1, $2, u.ordinal, $3, u.event_type,
                     coalesce((select h.position from workspace_head h where h.workspace_id = $1), 0)
                 from unnest($4::smallint[], $5::text[]) u (ordinal, event_type)",
            )
            .bind(workspace)
            .bind(workflow)
            .bind(version)
            .bind(events.iter().map(|(ordinal, _)| *ordinal).collect::<Vec<_>>())
            .bind(events.iter().map(|(_, kind)| *kind).collect::<Vec<_>>())
            .execute(self.0.sqlx())
            .await
            .map_err(store_error)?;
        }
        Ok(())
    }

    async fn clear(&mut self) -> Result<(), StoreError> {
        let workspace = self.0.workspace().as_uuid();
        for statement in
            ["delete from cron_trigger where workspace_id = $1", "delete from event_trigger where workspace_id = $1"]
        {
            sqlx::query(statement).bind(workspace).execute(self.0.sqlx()).await.map_err(store_error)?;
        }
        Ok(())
    }
}
