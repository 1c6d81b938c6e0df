//! The subscription of a workspace on PostgreSQL.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tidegate_billing::SubscriptionRepository;
use tidegate_billing::subscription::Subscription;
use tidegate_kernel::StoreError;

use crate::error::store_error;
use crate::transaction::{PgTx, Tenant};

/// [`SubscriptionRepository`] in one transaction.
pub(crate) struct PgSubscriptionRepository<'c>(pub(crate) &'c mut PgTx<Tenant>);

#[async_trait]
impl SubscriptionRepository for PgSubscriptionRepository<'_> {
    async fn find(&mut self) -> Result<Option<Subscription>, StoreError> {
        let workspace = self.0.workspace().as_uuid();
        let query = sqlx::query_scalar("select state from subscription where workspace_id = $1").bind(workspace);
        let state: Option<Vec<u8>> = query.fetch_optional(self.0.sqlx()).await.map_err(store_error)?;
        let read = |state: Vec<u8>| serde_json::from_slice(&state);
        state.map(read).transpose().map_err(|error| StoreError::Internal(Box::new(error)))
    }

    async fn lock(&mut self) -> Result<Option<Subscription>, StoreError> {
        // The plan's row is there before there is a subscription.
        let workspace = self.0.workspace().as_uuid();
        let query = sqlx::query("select 1 from workspace_plan where workspace_id = $1 for update").bind(workspace);
        query.execute(self.0.sqlx()).await.map_err(store_error)?;
        let query = sqlx::query_scalar(
            "select exists (select from workspace where workspace_id = $1 and deleted_at is not null)",
        );
        let deleted: bool = query.bind(workspace).fetch_one(self.0.sqlx()).await.map_err(store_error)?;
        if deleted { Ok(None) } else { self.find().await }
    }

    async fn save(&mut self, subscription: &Subscription, now: DateTime<Utc>) -> Result<(), StoreError> {
        let state = serde_json::to_vec(subscription).map_err(|error| StoreError::Internal(Box::new(error)))?;
        let query = sqlx::query(
            "insert into subscription (workspace_id, status, state, changed_at) values ($1, $2, $3, $4)
             on conflict (workspace_id)
             do update set status = excluded.status, state = excluded.state, changed_at = excluded.changed_at",
        );
        let query = query.bind(self.0.workspace().as_uuid()).bind(subscription.status.as_str()).bind(state).bind(now);
        query.execute(self.0.sqlx()).await.map(drop).map_err(store_error)
    }
}
