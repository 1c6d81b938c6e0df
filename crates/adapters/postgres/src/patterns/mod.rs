//! Patterns and suggestions: the counters that detection adds to, and the lists that are read from them.

mod apply;
mod counters;
mod facts;
mod list;
mod suggestions;

pub(crate) use counters::PgPatternCounters;
pub(crate) use list::PgPatternRepository;
pub(crate) use suggestions::{PgSuggestionLedger, PgSuggestionRepository};

use tidegate_kernel::{Position, StoreError};

use crate::error::store_error;
use crate::transaction::{PgTx, Tenant};

impl PgTx<Tenant> {
    /// Makes all following reads see the same snapshot. It must be the first statement of the transaction.
    async fn hold_snapshot(&mut self) -> Result<(), StoreError> {
        let hold = sqlx::query("set transaction isolation level repeatable read, read only");
        hold.execute(self.sqlx()).await.map(drop).map_err(store_error)
    }

    /// The position up to which detection has read, in this snapshot.
    async fn detected(&mut self) -> Result<Position, StoreError> {
        let workspace = self.workspace().as_uuid();
        sqlx::query_scalar::<_, i64>(
            "select position from event_consumer where workspace_id = $1 and consumer = 'detection'",
        )
        .bind(workspace)
        .fetch_optional(self.sqlx())
        .await
        .map(|position| position.map_or(Position::START, Position))
        .map_err(store_error)
    }
}

/// An error for a row that the schema does not allow.
fn broken(what: &str) -> StoreError {
    StoreError::Internal(format!("the database holds {what}").into())
}
