//! What a workspace says about itself as a customer.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tidegate_billing::CustomerRepository;
use tidegate_billing::invoice::{CustomerDetails, Party};
use tidegate_kernel::StoreError;

use crate::error::store_error;
use crate::transaction::{PgTx, Tenant};

/// [`CustomerRepository`] in one transaction.
pub(crate) struct PgCustomerRepository<'c>(pub(crate) &'c mut PgTx<Tenant>);

#[async_trait]
impl CustomerRepository for PgCustomerRepository<'_> {
    async fn details(&mut self) -> Result<CustomerDetails, StoreError> {
        let query = sqlx::query_as(
            "select w.name, d.details, d.revision from workspace w left join billing_details d on d.workspace_id = $1
             where w.workspace_id = $1",
        );
        let row: (String, Option<Vec<u8>>, Option<i32>) =
            query.bind(self.0.workspace().as_uuid()).fetch_one(self.0.sqlx()).await.map_err(store_error)?;
        let (name, details, revision) = row;
        let party = match details {
            Some(details) => serde_json::from_slice(&details).map_err(|error| StoreError::Internal(Box::new(error)))?,
            None => Party { name, ..Party::default() },
        };
        Ok(CustomerDetails { party, revision: revision.unwrap_or(0) })
    }

    async fn replace_details(&mut self, details: &Party, at: i32, now: DateTime<Utc>) -> Result<bool, StoreError> {
        let details = serde_json::to_vec(details).map_err(|error| StoreError::Internal(Box::new(error)))?;
        // A row that somebody else inserts or changes meanwhile is waited for, and is at another revision then.
        let query = sqlx::query(if at == 0 {
            "insert into billing_details (workspace_id, details, revision, changed_at) values ($1, $2, $3 + 1, $4)
             on conflict (workspace_id) do nothing"
        } else {
            "update billing_details set details = $2, revision = $3 + 1, changed_at = $4
             where workspace_id = $1 and revision = $3"
        });
        let query = query.bind(self.0.workspace().as_uuid()).bind(details).bind(at).bind(now);
        Ok(query.execute(self.0.sqlx()).await.map_err(store_error)?.rows_affected() == 1)
    }
}
