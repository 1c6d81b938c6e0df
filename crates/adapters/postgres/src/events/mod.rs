//! Events on PostgreSQL: added by one function, listed by ids that rise with positions, read behind the insert.

mod add;
mod feed;
mod list;
mod row;

use async_trait::async_trait;
use tidegate_events::{EventConsumers, EventFeed, EventRepository, EventsTx, FeedTx};
use tidegate_kernel::{StoreError, UnitOfWork, WorkspaceScope};

use crate::store::PgStore;
use crate::transaction::{PgTx, Tenant};

#[async_trait]
impl UnitOfWork<dyn EventsTx> for PgStore {
    async fn begin(&self, scope: &WorkspaceScope) -> Result<Box<dyn EventsTx>, StoreError> {
        Ok(self.begin_tenant(scope).await?)
    }
}

#[async_trait]
impl UnitOfWork<dyn FeedTx> for PgStore {
    async fn begin(&self, scope: &WorkspaceScope) -> Result<Box<dyn FeedTx>, StoreError> {
        Ok(self.begin_tenant(scope).await?)
    }
}

impl EventsTx for PgTx<Tenant> {
    fn events(&mut self) -> &mut dyn EventRepository {
        self
    }
}

impl FeedTx for PgTx<Tenant> {
    fn feed(&mut self) -> &mut dyn EventFeed {
        self
    }
    fn consumers(&mut self) -> &mut dyn EventConsumers {
        self
    }
}
