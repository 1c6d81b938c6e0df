//! Applies the plan of a workspace to its events.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tidegate_billing::{Billing, Meter, PlanError};
use tidegate_events::{Allowance, EventQuota};
use tidegate_kernel::{StoreError, WorkspaceScope};

/// Limits events by the workspace's plan.
#[derive(Debug, Clone)]
pub struct PlanQuota(Billing);

impl PlanQuota {
    /// The quota from these plans.
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
