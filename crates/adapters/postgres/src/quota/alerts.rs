//! Alerts: a threshold of a limit was passed.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tidegate_billing::{AlertRepository, NotifyQuota, QuotaAlert};
use tidegate_kernel::quota::thresholds_passed;
use tidegate_kernel::{Limit, Meter, NewJob, StoreError, Transaction, UnknownMeter};

use crate::error::store_error;
use crate::transaction::{PgTx, Tenant};

const RAISE: &str = "
    insert into quota_alert (workspace_id, meter, period_start, percent, used, max, at) values ($1, $2, $3, $4, $5, $6, $7)
    on conflict (workspace_id, meter, period_start, percent) do nothing";

const FIND: &str = "
    select used, max from quota_alert
    where workspace_id = $1 and meter = $2 and period_start = $3 and percent = $4 and notified_at is null";

const MARK: &str = "
    update quota_alert set notified_at = $5
    where workspace_id = $1 and meter = $2 and period_start = $3 and percent = $4 and notified_at is null";

/// Raises the alerts of the thresholds that `used` has passed, unless they were raised in this period, and enqueues the
/// job that tells people.
pub(crate) async fn raise(
    tx: &mut PgTx<Tenant>,
    meter: Meter,
    period_start: DateTime<Utc>,
    used: i64,
    limit: Limit,
) -> Result<(), StoreError> {
    let Limit::AtMost(max) = limit else { return Ok(()) };
    for percent in thresholds_passed(used, limit) {
        let (workspace, now) = (tx.workspace().as_uuid(), tx.env.now());
        let raised = sqlx::query(RAISE)
            .bind(workspace)
            .bind(meter.as_str())
            .bind(period_start)
            .bind(percent)
            .bind(used)
            .bind(max)
            .bind(now)
            .execute(tx.sqlx())
            .await
            .map_err(store_error)?;
        if raised.rows_affected() == 1 {
            let alert = QuotaAlert { meter, period_start, percent, used, limit: max };
            tx.jobs().enqueue(&NewJob::new(&NotifyQuota::from(&alert))?).await?;
        }
    }
    Ok(())
}

/// [`AlertRepository`] in one transaction.
pub(crate) struct PgAlertRepository<'c>(pub(crate) &'c mut PgTx<Tenant>);

#[async_trait]
impl AlertRepository for PgAlertRepository<'_> {
    async fn find(&mut self, key: &NotifyQuota) -> Result<Option<QuotaAlert>, StoreError> {
        let meter = key.meter.parse().map_err(|error: UnknownMeter| StoreError::Internal(Box::new(error)))?;
        let workspace = self.0.workspace().as_uuid();
        let found: Option<(i64, i64)> = sqlx::query_as(FIND)
            .bind(workspace)
            .bind(&key.meter)
            .bind(key.period_start)
            .bind(key.percent)
            .fetch_optional(self.0.sqlx())
            .await
            .map_err(store_error)?;
        let (period_start, percent) = (key.period_start, key.percent);
        Ok(found.map(|(used, limit)| QuotaAlert { meter, period_start, percent, used, limit }))
    }

    async fn mark_notified(&mut self, key: &NotifyQuota, now: DateTime<Utc>) -> Result<bool, StoreError> {
        let workspace = self.0.workspace().as_uuid();
        sqlx::query(MARK)
            .bind(workspace)
            .bind(&key.meter)
            .bind(key.period_start)
            .bind(key.percent)
            .bind(now)
            .execute(self.0.sqlx())
            .await
            .map(|done| done.rows_affected() == 1)
            .map_err(store_error)
    }
}
