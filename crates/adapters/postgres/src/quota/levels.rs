//! The levels of a workspace: stored bytes, workflows, members.

use async_trait::async_trait;
use tidegate_kernel::{Limit, Meter, QuotaError, QuotaExceeded, QuotaLevels, StoreError};

use super::alerts::raise;
use crate::error::store_error;
use crate::transaction::{PgTx, Tenant};

/// Adds to a level unless it would exceed the limit. A second transaction waits at the row, and then compares with what
/// the first has left.
const TAKE: &str = "
    insert into quota_level as l (workspace_id, meter, used) select $1, $2, $3 where $3 <= $4
    on conflict (workspace_id, meter) do update set used = l.used + excluded.used
        where l.used + excluded.used <= $4
    returning used";

const GIVE_BACK: &str = "
    update quota_level set used = used - $3 where workspace_id = $1 and meter = $2 and used >= $3";

/// [`QuotaLevels`] in one transaction.
pub(crate) struct PgQuotaLevels<'c>(pub(crate) &'c mut PgTx<Tenant>);

#[async_trait]
impl QuotaLevels for PgQuotaLevels<'_> {
    async fn take(&mut self, meter: Meter, amount: i64, limit: Limit) -> Result<i64, QuotaError> {
        let workspace = self.0.workspace().as_uuid();
        let taken: Option<i64> = sqlx::query_scalar(TAKE)
            .bind(workspace)
            .bind(meter.as_str())
            .bind(amount)
            .bind(limit.at_most().unwrap_or(i64::MAX))
            .fetch_optional(self.0.sqlx())
            .await
            .map_err(store_error)?;
        match (taken, limit) {
            (Some(level), _) => {
                let period = meter.period(self.0.env.now());
                raise(self.0, meter, period.start, level, limit).await?;
                Ok(level)
            }
            (None, Limit::AtMost(limit)) => {
                let used = self.level(meter).await?;
                Err(QuotaExceeded { meter, limit, used, resets_at: None }.into())
            }
            (None, Limit::Unlimited) => {
                Err(StoreError::Internal(format!("the level of {meter} cannot be counted any more").into()).into())
            }
        }
    }

    async fn give_back(&mut self, meter: Meter, amount: i64) -> Result<(), StoreError> {
        let workspace = self.0.workspace().as_uuid();
        let query = sqlx::query(GIVE_BACK).bind(workspace).bind(meter.as_str()).bind(amount);
        let done = query.execute(self.0.sqlx()).await.map_err(store_error)?;
        if done.rows_affected() == 0 && amount > 0 {
            return Err(StoreError::Internal(format!("{amount} {meter} are given back and fewer were taken").into()));
        }
        Ok(())
    }

    async fn level(&mut self, meter: Meter) -> Result<i64, StoreError> {
        let workspace = self.0.workspace().as_uuid();
        let query = sqlx::query_scalar("select used from quota_level where workspace_id = $1 and meter = $2");
        let level = query.bind(workspace).bind(meter.as_str()).fetch_optional(self.0.sqlx()).await;
        Ok(level.map_err(store_error)?.unwrap_or(0))
    }
}
