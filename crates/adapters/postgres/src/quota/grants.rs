//! Budgets: units of a period that are granted to processes.

use async_trait::async_trait;
use tidegate_billing::BudgetLedger;
use tidegate_billing::quota::{Grant, GrantRequest, Returned, granted_units};
use tidegate_kernel::{Limit, StoreError, SystemScope, Transaction, WorkspaceId, WorkspaceScope};

use super::alerts::raise;
use crate::error::store_error;
use crate::store::PgStore;

/// Makes the row of the period, so that it can be locked.
const ENSURE: &str = "
    insert into quota_grant (workspace_id, meter, period_start, granted) values ($1, $2, $3, 0)
    on conflict (workspace_id, meter, period_start) do nothing";

/// Locks the row of the period. What was used without a grant counts too: the plan may have had no limit before.
const LOCK: &str = "
    select greatest(g.granted, coalesce((
        select sum(c.used)::bigint from usage_counter c
        where c.workspace_id = $1 and c.meter = $2 and c.period_start >= $3 and c.period_start < $4), 0))
    from quota_grant g where g.workspace_id = $1 and g.meter = $2 and g.period_start = $3 for update of g";

const SET: &str = "update quota_grant set granted = $4 where workspace_id = $1 and meter = $2 and period_start = $3";

const GIVE_BACK: &str = "
    update quota_grant g set granted = g.granted - r.units
    from unnest($1::uuid[], $2::text[], $3::timestamptz[], $4::bigint[]) r (workspace_id, meter, period_start, units)
    where (g.workspace_id, g.meter, g.period_start) >= (r.workspace_id, r.meter, r.period_start)
      and (g.workspace_id, g.meter, g.period_start) <= (r.workspace_id, r.meter, r.period_start)";

#[async_trait]
impl BudgetLedger for PgStore {
    async fn grant(&self, scope: &WorkspaceScope, request: &GrantRequest) -> Result<Grant, StoreError> {
        let (workspace, meter, period) = (scope.workspace().as_uuid(), request.meter.as_str(), request.period);
        let mut tx = self.begin_tenant(scope).await?;
        let lock = || sqlx::query_scalar(LOCK).bind(workspace).bind(meter).bind(period.start).bind(period.end);
        let mut used: Option<i64> = lock().fetch_optional(tx.sqlx()).await.map_err(store_error)?;
        if used.is_none() {
            let ensure = sqlx::query(ENSURE).bind(workspace).bind(meter).bind(period.start);
            ensure.execute(tx.sqlx()).await.map_err(store_error)?;
            used = lock().fetch_optional(tx.sqlx()).await.map_err(store_error)?;
        }
        let used = used.ok_or_else(|| StoreError::Internal("the row of a quota's period is not there".into()))?;
        let units = granted_units(request, used);
        if units > 0 {
            let set = sqlx::query(SET).bind(workspace).bind(meter).bind(period.start).bind(used + units);
            set.execute(tx.sqlx()).await.map_err(store_error)?;
            raise(&mut tx, request.meter, period.start, used + units, Limit::AtMost(request.limit)).await?;
            tx.commit().await?;
        }
        Ok(Grant { units, used: used + units })
    }

    async fn give_back(&self, scope: &SystemScope, units: &[Returned]) -> Result<(), StoreError> {
        let mut units = units.to_vec();
        // One order for all processes, so that none waits for a row of another that waits for one of its own.
        units.sort_by_key(|returned| (returned.workspace, returned.meter.as_str(), returned.period_start));
        let workspaces: Vec<WorkspaceId> = units.iter().map(|returned| returned.workspace).collect();
        let mut tx = self.begin_machinery(scope).await?;
        tx.declare(&workspaces).await?;
        sqlx::query(GIVE_BACK)
            .bind(workspaces.iter().map(WorkspaceId::as_uuid).collect::<Vec<_>>())
            .bind(units.iter().map(|returned| returned.meter.as_str()).collect::<Vec<_>>())
            .bind(units.iter().map(|returned| returned.period_start).collect::<Vec<_>>())
            .bind(units.iter().map(|returned| returned.units).collect::<Vec<_>>())
            .execute(tx.sqlx())
            .await
            .map_err(store_error)?;
        tx.commit().await
    }
}
