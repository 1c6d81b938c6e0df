//! The subscription of a workspace on PostgreSQL, the notices to its owners, and the subscriptions that were not woken.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tidegate_billing::subscription::Subscription;
use tidegate_billing::{NoticeRepository, OverdueSubscriptions, SubscriptionRepository};
use tidegate_kernel::{StoreError, SystemScope, Transaction, WorkspaceId};
use uuid::Uuid;

use crate::error::store_error;
use crate::store::PgStore;
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
            "insert into subscription (workspace_id, status, state, changed_at, wake_at) values ($1, $2, $3, $4, $5)
             on conflict (workspace_id)
             do update set status = excluded.status, state = excluded.state, changed_at = excluded.changed_at,
                 wake_at = excluded.wake_at",
        );
        let wake_at = subscription.next_wakeup().map_err(|error| StoreError::Internal(Box::new(error)))?;
        let query = query.bind(self.0.workspace().as_uuid()).bind(subscription.status.as_str()).bind(state).bind(now);
        let query = query.bind(wake_at);
        query.execute(self.0.sqlx()).await.map(drop).map_err(store_error)
    }
}

/// [`NoticeRepository`] in one transaction.
pub(crate) struct PgNoticeRepository<'c>(pub(crate) &'c mut PgTx<Tenant>);

#[async_trait]
impl NoticeRepository for PgNoticeRepository<'_> {
    async fn mark_sent(&mut self, id: Uuid, now: DateTime<Utc>) -> Result<bool, StoreError> {
        let query = sqlx::query(
            "insert into billing_notice (workspace_id, id, sent_at) values ($1, $2, $3)
             on conflict (workspace_id, id) do nothing",
        );
        let query = query.bind(self.0.workspace().as_uuid()).bind(id).bind(now);
        Ok(query.execute(self.0.sqlx()).await.map_err(store_error)?.rows_affected() == 1)
    }
}

const OVERDUE: &str = "
    select wake_at, workspace_id from subscription where wake_at < $1 and (wake_at, workspace_id) > ($2, $3)
    order by wake_at, workspace_id limit $4";

#[async_trait]
impl OverdueSubscriptions for PgStore {
    async fn overdue(
        &self,
        scope: &SystemScope,
        before: DateTime<Utc>,
        after: Option<(DateTime<Utc>, WorkspaceId)>,
        limit: u32,
    ) -> Result<Vec<(DateTime<Utc>, WorkspaceId)>, StoreError> {
        let mut after = after.map_or((DateTime::UNIX_EPOCH, Uuid::nil()), |(at, id)| (at, id.as_uuid()));
        let mut tx = self.begin_machinery(scope).await?;
        let rows = loop {
            let query = sqlx::query_as(OVERDUE).bind(before).bind(after.0).bind(after.1).bind(i64::from(limit));
            let mut rows: Vec<(DateTime<Utc>, Uuid)> = query.fetch_all(tx.sqlx()).await.map_err(store_error)?;
            let Some(last) = rows.last().copied() else { break rows };
            after = last;
            // Workspaces that are deleted are left to their erasure.
            let deleted = tx.erasures(rows.iter().map(|(_, workspace)| *workspace)).await?;
            rows.retain(|(_, workspace)| !deleted.contains_key(workspace));
            if !rows.is_empty() {
                break rows;
            }
        };
        tx.commit().await?;
        Ok(rows.into_iter().map(|(at, id)| (at, WorkspaceId::from_uuid(id))).collect())
    }
}
