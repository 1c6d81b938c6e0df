//! Patterns and suggestions: the counters that detection adds to, and what is read from them.

mod apply;
mod counters;
mod facts;
mod list;
mod suggestions;

use async_trait::async_trait;
use tidegate_events::pattern::{DetectionTx, PatternCounters, PatternRepository, PatternsTx};
use tidegate_events::suggestion::{SuggestionLedger, SuggestionRepository, SuggestionsTx};
use tidegate_events::{EventConsumers, EventFeed};
use tidegate_kernel::{AuditLog, Position, StoreError, UnitOfWork, WorkspaceScope};

use tidegate_use_cases::ApplySuggestionTx;
use tidegate_workflows::ports::WorkflowsTx;

use crate::error::store_error;
use crate::store::PgStore;
use crate::transaction::{PgTx, Tenant};

#[async_trait]
impl UnitOfWork<dyn DetectionTx> for PgStore {
    async fn begin(&self, scope: &WorkspaceScope) -> Result<Box<dyn DetectionTx>, StoreError> {
        Ok(self.begin_tenant(scope).await?)
    }
}

impl DetectionTx for PgTx<Tenant> {
    fn feed(&mut self) -> &mut dyn EventFeed {
        self
    }

    fn consumers(&mut self) -> &mut dyn EventConsumers {
        self
    }

    fn counters(&mut self) -> &mut dyn PatternCounters {
        self
    }

    fn suggestions(&mut self) -> &mut dyn SuggestionLedger {
        self
    }
}

#[async_trait]
impl UnitOfWork<dyn PatternsTx> for PgStore {
    async fn begin(&self, scope: &WorkspaceScope) -> Result<Box<dyn PatternsTx>, StoreError> {
        Ok(self.begin_tenant(scope).await?)
    }
}

impl PatternsTx for PgTx<Tenant> {
    fn patterns(&mut self) -> &mut dyn PatternRepository {
        self
    }
}

#[async_trait]
impl UnitOfWork<dyn SuggestionsTx> for PgStore {
    async fn begin(&self, scope: &WorkspaceScope) -> Result<Box<dyn SuggestionsTx>, StoreError> {
        Ok(self.begin_tenant(scope).await?)
    }
}

impl SuggestionsTx for PgTx<Tenant> {
    fn suggestions(&mut self) -> &mut dyn SuggestionRepository {
        self
    }

    fn audit(&mut self) -> &mut dyn AuditLog {
        self
    }
}

#[async_trait]
impl UnitOfWork<dyn ApplySuggestionTx> for PgStore {
    async fn begin(&self, scope: &WorkspaceScope) -> Result<Box<dyn ApplySuggestionTx>, StoreError> {
        Ok(self.begin_tenant(scope).await?)
    }
}

impl ApplySuggestionTx for PgTx<Tenant> {
    fn as_workflows(&mut self) -> &mut dyn WorkflowsTx {
        self
    }
}

impl PgTx<Tenant> {
    /// Lets every following read see the same snapshot. It has to be the first statement of the transaction.
    async fn hold_snapshot(&mut self) -> Result<(), StoreError> {
        let hold = sqlx::query("set transaction isolation level repeatable read, read only");
        hold.execute(self.sqlx()).await.map(drop).map_err(store_error)
    }

    /// How far detection has read, in this snapshot.
    async fn detected(&mut self) -> Result<Position, StoreError> {
        let workspace = self.workspace().as_uuid();
        sqlx::query_scalar::<_, i64>(
            "select position from event_consumer where workspace_id = $1 and consumer = 'patterns'",
        )
        .bind(workspace)
        .fetch_optional(self.sqlx())
        .await
        .map(|position| position.map_or(Position::START, Position))
        .map_err(store_error)
    }
}

/// A row that the schema does not allow.
fn broken(what: &str) -> StoreError {
    StoreError::Internal(format!("the database holds {what}").into())
}
