//! Applies the plan of a workspace to its events.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tidegate_events::{Allowance, EventQuota};
use tidegate_kernel::{Meter, Quota, StoreError, WorkspaceScope};

/// Limits events by the workspace's quota. They are not reserved: the statement that adds them counts them.
#[derive(Clone)]
pub struct EventsByQuota(Arc<dyn Quota>);

impl EventsByQuota {
    /// The allowance from `quota`.
    #[must_use]
    pub fn new(quota: Arc<dyn Quota>) -> Self {
        Self(quota)
    }
}

impl std::fmt::Debug for EventsByQuota {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventsByQuota").finish_non_exhaustive()
    }
}

#[async_trait]
impl EventQuota for EventsByQuota {
    async fn allowance(&self, scope: &WorkspaceScope, now: DateTime<Utc>) -> Result<Allowance, StoreError> {
        let limit = self.0.limit(scope, Meter::Events).await?.at_most();
        Ok(Allowance { period_start: Meter::Events.period(now).start, limit })
    }
}
