//! Plans and usage on PostgreSQL.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::FromRow;
use tidegate_billing::correction::UsageCorrection;
use tidegate_billing::{CallCount, CallLedger, DayCount, Plan, PlanRepository, PlanVersion, UsageRepository};
use tidegate_kernel::{Limit, Meter, Period, StoreError, SystemScope, Transaction, UnknownMeter, WorkspaceId};
use uuid::Uuid;

use crate::catalogue::plan;
use crate::engine::PLACE;
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
    async fn version(&mut self, id: &PlanVersion) -> Result<Option<Plan>, StoreError> {
        let query = sqlx::query_scalar(
            "select document from plan_version where name = $1 and version = $2 and status <> 'draft'",
        );
        let query = query.bind(&id.name).bind(id.version);
        let document: Option<Vec<u8>> = query.fetch_optional(self.0.sqlx()).await.map_err(store_error)?;
        document.map(|document| plan(&document)).transpose()
    }

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

    async fn run_limit(&mut self) -> Result<Limit, StoreError> {
        let workspace = self.0.workspace().as_uuid();
        let query = sqlx::query_scalar("select run_limit from workspace_slot where workspace_id = $1").bind(workspace);
        let limit: Option<Option<i32>> = query.fetch_optional(self.0.sqlx()).await.map_err(store_error)?;
        Ok(limit.flatten().map_or(Limit::Unlimited, |limit| Limit::AtMost(limit.into())))
    }

    async fn set_run_limit(&mut self, limit: Limit) -> Result<(), StoreError> {
        let workspace = self.0.workspace().as_uuid();
        let limit = limit.at_most().map(|limit| i32::try_from(limit).unwrap_or(i32::MAX));
        sqlx::query(PLACE).bind(workspace).execute(self.0.sqlx()).await.map_err(store_error)?;
        let query = sqlx::query("update workspace_slot set run_limit = $2 where workspace_id = $1");
        query.bind(workspace).bind(limit).execute(self.0.sqlx()).await.map(drop).map_err(store_error)
    }

    async fn set(&mut self, plan: &PlanVersion, now: DateTime<Utc>) -> Result<(), StoreError> {
        let query = sqlx::query(
            "insert into workspace_plan (workspace_id, plan, version, since) values ($1, $2, $3, $4)
             on conflict (workspace_id) do update set plan = excluded.plan, version = excluded.version, since = excluded.since
                 where (workspace_plan.plan, workspace_plan.version) <> (excluded.plan, excluded.version)",
        );
        let query = query.bind(self.0.workspace().as_uuid()).bind(&plan.name).bind(plan.version).bind(now);
        query.execute(self.0.sqlx()).await.map(drop).map_err(store_error)
    }
}

/// [`UsageRepository`] in one transaction.
pub(crate) struct PgUsageRepository<'c>(pub(crate) &'c mut PgTx<Tenant>);

/// The usage of each meter in each period. Events are counted with their positions, levels in `quota_level`, and the rest
/// by day. Counts that are old are gone before their corrections are.
const USED: &str = "
    select greatest(0, coalesce(case
        when p.level then (select used from quota_level where workspace_id = $1 and meter = p.meter)
        when p.meter = 'events' then coalesce(
            (select used from workspace_head where workspace_id = $1 and period_start = p.first),
            (select sum(used)::bigint from event_day where workspace_id = $1 and day >= p.first and day < p.until))
        else (select sum(used)::bigint from usage_counter
              where workspace_id = $1 and meter = p.meter and period_start >= p.first and period_start < p.until)
        end, 0) + coalesce((
            select sum(amount)::bigint from usage_correction
            where workspace_id = $1 and meter = p.meter and day >= p.first and day < p.until), 0))
    from unnest($2::text[], $3::timestamptz[], $4::timestamptz[], $5::bool[])
        with ordinality p (meter, first, until, level, nth)
    order by nth";

const BY_DAY: &str = "
    select meter, day, sum(used)::bigint from (
        select meter, period_start as day, used from usage_counter
        where workspace_id = $1 and period_start >= $2 and period_start < $3
        union all
        select 'events', day, used from event_day where workspace_id = $1 and day >= $2 and day < $3
        union all
        select 'events', day_start, day_used from workspace_head
        where workspace_id = $1 and day_start >= $2 and day_start < $3 and day_used > 0
        union all
        select meter, day, amount from usage_correction
        where workspace_id = $1 and meter = any ('{api_calls,events,runs,steps}') and day >= $2 and day < $3) counted
    group by meter, day having sum(used) > 0 order by meter, day";

const CORRECT: &str = "
    insert into usage_correction (workspace_id, id, reference, meter, day, asked, amount, reason, at)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9) on conflict (workspace_id, reference) do nothing";

const CORRECTIONS: &str = "
    select id, reference, meter, day, asked, amount, reason, at from usage_correction
    where workspace_id = $1 and ($2::uuid is null or id < $2) order by id desc limit $3";

#[derive(Debug, FromRow)]
struct CorrectionRow {
    id: Uuid,
    reference: String,
    meter: String,
    day: DateTime<Utc>,
    asked: i64,
    amount: i64,
    reason: String,
    at: DateTime<Utc>,
}

impl CorrectionRow {
    fn correction(self) -> Result<UsageCorrection, StoreError> {
        let Self { id, reference, meter, day, asked, amount, reason, at } = self;
        Ok(UsageCorrection { id, reference, meter: named(&meter)?, day, asked, amount, reason, at })
    }
}

fn named(meter: &str) -> Result<Meter, StoreError> {
    meter.parse().map_err(|error: UnknownMeter| StoreError::Internal(Box::new(error)))
}

#[async_trait]
impl UsageRepository for PgUsageRepository<'_> {
    async fn used(&mut self, periods: &[(Meter, Period)]) -> Result<Vec<i64>, StoreError> {
        let workspace = self.0.workspace().as_uuid();
        sqlx::query_scalar(USED)
            .bind(workspace)
            .bind(periods.iter().map(|(meter, _)| meter.as_str()).collect::<Vec<_>>())
            .bind(periods.iter().map(|(_, period)| period.start).collect::<Vec<_>>())
            .bind(periods.iter().map(|(_, period)| period.end).collect::<Vec<_>>())
            .bind(periods.iter().map(|(meter, _)| meter.is_level()).collect::<Vec<_>>())
            .fetch_all(self.0.sqlx())
            .await
            .map_err(store_error)
    }

    async fn by_day(&mut self, period: Period) -> Result<Vec<DayCount>, StoreError> {
        let workspace = self.0.workspace().as_uuid();
        let query = sqlx::query_as(BY_DAY).bind(workspace).bind(period.start).bind(period.end);
        let rows: Vec<(String, DateTime<Utc>, i64)> = query.fetch_all(self.0.sqlx()).await.map_err(store_error)?;
        rows.into_iter().map(|(meter, day, used)| Ok(DayCount { meter: named(&meter)?, day, used })).collect()
    }

    async fn lock(&mut self) -> Result<bool, StoreError> {
        let query = sqlx::query("select from workspace where workspace_id = $1 for no key update");
        let found =
            query.bind(self.0.workspace().as_uuid()).fetch_optional(self.0.sqlx()).await.map_err(store_error)?;
        Ok(found.is_some())
    }

    async fn correct(&mut self, correction: &UsageCorrection) -> Result<bool, StoreError> {
        let query = sqlx::query(CORRECT)
            .bind(self.0.workspace().as_uuid())
            .bind(correction.id)
            .bind(&correction.reference)
            .bind(correction.meter.as_str())
            .bind(correction.day)
            .bind(correction.asked)
            .bind(correction.amount)
            .bind(&correction.reason)
            .bind(correction.at);
        query.execute(self.0.sqlx()).await.map(|done| done.rows_affected() == 1).map_err(store_error)
    }

    async fn corrections(&mut self, before: Option<Uuid>, limit: u32) -> Result<Vec<UsageCorrection>, StoreError> {
        let query = sqlx::query_as(CORRECTIONS).bind(self.0.workspace().as_uuid()).bind(before).bind(i64::from(limit));
        let rows: Vec<CorrectionRow> = query.fetch_all(self.0.sqlx()).await.map_err(store_error)?;
        rows.into_iter().map(CorrectionRow::correction).collect()
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
