//! The log of what people did to their own accounts.

use async_trait::async_trait;
use tidegate_kernel::{RequestId, StoreError};
use tidegate_tenancy::{AccountEvent, AccountLog};

use crate::error::store_error;
use crate::transaction::{Directory, PgTx};

/// [`AccountLog`] in one transaction.
pub(crate) struct PgAccountLog<'c>(pub(crate) &'c mut PgTx<Directory>);

#[async_trait]
impl AccountLog for PgAccountLog<'_> {
    async fn record(&mut self, event: AccountEvent, request_id: &RequestId) -> Result<(), StoreError> {
        let query = sqlx::query(
            "insert into account_event (id, user_id, at, action, details, request_id)
             values ($1, $2, $3, $4, $5::json, $6)",
        )
        .bind(self.0.env.uuid_v7())
        .bind(event.user.as_uuid())
        .bind(self.0.env.now())
        .bind(event.action)
        .bind(event.details.to_string())
        .bind(request_id.as_str());
        query.execute(self.0.sqlx()).await.map(drop).map_err(store_error)
    }
}
