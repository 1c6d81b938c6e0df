//! What the plan of a workspace means for its events.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tidegate_billing::{Billing, Meter, PlanError};
use tidegate_events::{Allowance, EventQuota};
use tidegate_kernel::{StoreError, WorkspaceScope};

/// Lets events in as far as the workspace's plan goes.
#[derive(Debug, Clone)]
pub struct PlanQuota(Billing);

impl PlanQuota {
    /// The quota of these plans.
    #[must_use]
    pub const fn new(billing: Billing) -> Self {
        Self(billing)
    }
}

#[async_trait]
impl EventQuota for PlanQuota {
    async fn allowance(&self, scope: &WorkspaceScope, now: DateTime<Utc>) -> Result<Allowance, StoreError> {
        let plan = self.0.plan_of(scope).await.map_err(|error| match error {
            PlanError::Store(error) => error,
            unknown @ PlanError::Unknown(_) => StoreError::Internal(Box::new(unknown)),
        })?;
        let period_start = Meter::Events.period(now).start;
        Ok(Allowance { period_start, limit: Meter::Events.limit(&plan.entitlements) })
    }
}
