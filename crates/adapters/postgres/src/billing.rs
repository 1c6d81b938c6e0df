//! Plans and usage on PostgreSQL.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::FromRow;
use tidegate_billing::{CallCount, CallLedger, Meter, PlanRepository, PlanVersion, UsageRepository};
use tidegate_kernel::{StoreError, SystemScope, Transaction, WorkspaceId};
use uuid::Uuid;

use crate::error::store_error;
use crate::store::PgStore;
use crate::transaction::{PgTx, Tenant};

#[derive(Debug, FromRow)]
struct PlanRow {
    plan: String,
    version: i32,
}

/// [`PlanRepository`] in one transaction.
pub(crate) struct PgPlanRepository<'c>(pub(crate) &'c mut PgTx<Tenant>);

#[async_trait]
impl PlanRepository for PgPlanRepository<'_> {
    async fn plan_or(&mut self, default: &PlanVersion, now: DateTime<Utc>) -> Result<PlanVersion, StoreError> {
        let workspace = self.0.workspace().as_uuid();
        let read = "select plan, version from workspace_plan where workspace_id = $1";
        let mut row: Option<PlanRow> =
            sqlx::query_as(read).bind(workspace).fetch_optional(self.0.sqlx()).await.map_err(store_error)?;
        if row.is_none() {
            // If two transactions do this at once, the second insert waits for the first and then reads its row.
            sqlx::query(
                "insert into workspace_plan (workspace_id, plan, version, since) values ($1, $2, $3, $4)
                 on conflict do nothing",
            )
            .bind(workspace)
            .bind(&default.name)
            .bind(default.version)
            .bind(now)
            .execute(self.0.sqlx())
            .await
            .map_err(store_error)?;
            row = sqlx::query_as(read).bind(workspace).fetch_optional(self.0.sqlx()).await.map_err(store_error)?;
        }
        let row = row.ok_or_else(|| StoreError::Internal("the plan that was just inserted is not there".into()))?;
        Ok(PlanVersion { name: row.plan, version: row.version })
    }
}

/// [`UsageRepository`] in one transaction.
pub(crate) struct PgUsageRepository<'c>(pub(crate) &'c mut PgTx<Tenant>);

#[async_trait]
impl UsageRepository for PgUsageRepository<'_> {
    async fn used(&mut self, periods: &[(Meter, DateTime<Utc>)]) -> Result<Vec<i64>, StoreError> {
        let workspace = self.0.workspace().as_uuid();
        // The `events` meter is counted with the positions: the current period in `workspace_head`, earlier ones in
        // `event_period`.
        sqlx::query_scalar(
            "select coalesce(case when p.meter = 'events'
                 then coalesce((select used from workspace_head where workspace_id = $1 and period_start = p.start),
                               (select used from event_period where workspace_id = $1 and period_start = p.start))
                 else (select used from usage_counter
                       where workspace_id = $1 and meter = p.meter and period_start = p.start) end, 0)
             from unnest($2::text[], $3::timestamptz[]) with ordinality p (meter, start, nth) order by nth",
        )
        .bind(workspace)
        .bind(periods.iter().map(|(meter, _)| meter.as_str()).collect::<Vec<_>>())
        .bind(periods.iter().map(|(_, start)| *start).collect::<Vec<_>>())
        .fetch_all(self.0.sqlx())
        .await
        .map_err(store_error)
    }
}

#[async_trait]
impl CallLedger for PgStore {
    async fn record(
        &self,
        scope: &SystemScope,
        recorder: Uuid,
        batch: i64,
        counts: &[CallCount],
    ) -> Result<bool, StoreError> {
        let workspaces: Vec<WorkspaceId> = counts.iter().map(|count| count.workspace).collect();
        let mut tx = self.begin_machinery(scope).await?;
        tx.declare(&workspaces).await?;
        let done = sqlx::query(
            "with fresh as (
                 insert into usage_recorder as r (recorder, batch, at) values ($1, $2, $3)
                 on conflict (recorder) do update set batch = excluded.batch, at = excluded.at where r.batch < excluded.batch
                 returning 1)
             insert into usage_counter as c (workspace_id, meter, period_start, used)
             select u.workspace_id, 'api_calls', u.day, u.calls
             from unnest($4::uuid[], $5::timestamptz[], $6::bigint[]) u (workspace_id, day, calls)
             where exists (select from fresh)
             order by u.workspace_id
             on conflict (workspace_id, meter, period_start) do update set used = c.used + excluded.used",
        )
        .bind(recorder)
        .bind(batch)
        .bind(self.now())
        .bind(workspaces.iter().map(WorkspaceId::as_uuid).collect::<Vec<_>>())
        .bind(counts.iter().map(|count| count.day).collect::<Vec<_>>())
        .bind(counts.iter().map(|count| count.calls).collect::<Vec<_>>())
        .execute(tx.sqlx())
        .await
        .map_err(store_error)?;
        tx.commit().await?;
        Ok(done.rows_affected() > 0)
    }
}
