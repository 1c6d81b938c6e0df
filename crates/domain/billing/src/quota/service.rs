//! Limits by the plan of the workspace.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures::lock::Mutex as AsyncMutex;
use tidegate_kernel::{
    Environment, Limit, Meter, Period, Quota, QuotaError, QuotaExceeded, Reservation, StoreError, SystemScope,
    WorkspaceId, WorkspaceScope,
};

use super::budget::{Budget, GrantRequest, Refusal, Returned};
use crate::ports::{BudgetLedger, PlanLimits};

/// What a budget is for.
type Key = (WorkspaceId, Meter, Period);

/// One budget, and the lock that lets one caller at a time ask the store for more.
#[derive(Default)]
struct Slot {
    budget: Mutex<Budget>,
    asking: AsyncMutex<()>,
}

impl Slot {
    fn with<T>(&self, change: impl FnOnce(&mut Budget) -> T) -> T {
        change(&mut self.budget.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// [`Quota`] by the plans of workspaces. One for a process.
#[derive(Clone)]
pub struct PlanQuota {
    limits: Arc<dyn PlanLimits>,
    ledger: Arc<dyn BudgetLedger>,
    env: Environment,
    slots: Arc<Mutex<HashMap<Key, Arc<Slot>>>>,
}

impl PlanQuota {
    /// Quotas by these limits, with budgets that `ledger` grants.
    #[must_use]
    pub fn new(limits: Arc<dyn PlanLimits>, ledger: Arc<dyn BudgetLedger>, env: Environment) -> Self {
        Self { limits, ledger, env, slots: Arc::default() }
    }

    /// Gives back what was not needed in the last second, and forgets periods that are over. Call it every second, one call
    /// at a time.
    ///
    /// # Errors
    /// [`StoreError`] if the units could not be given back. They count as used then, because it is unknown whether the
    /// store has them.
    pub async fn end_second(&self, scope: &SystemScope) -> Result<(), StoreError> {
        self.give_back(scope, Budget::end_second).await
    }

    /// Gives back everything, at shutdown.
    ///
    /// # Errors
    /// [`StoreError`] if the units could not be given back. They count as used then.
    pub async fn close(&self, scope: &SystemScope) -> Result<(), StoreError> {
        self.give_back(scope, Budget::take_all).await
    }

    /// The refusal of a meter whose limit is used up; `None` if it has no limit.
    ///
    /// # Errors
    /// [`StoreError`] if the plan could not be read.
    pub async fn used_up(&self, scope: &WorkspaceScope, meter: Meter) -> Result<Option<QuotaExceeded>, StoreError> {
        let limit = self.limits.limit(scope, meter).await?.at_most();
        let resets_at = meter.resets_at(self.env.now());
        Ok(limit.map(|limit| QuotaExceeded { meter, limit, used: limit, resets_at }))
    }

    async fn give_back(
        &self,
        scope: &SystemScope,
        mut unused: impl FnMut(&mut Budget) -> i64 + Send,
    ) -> Result<(), StoreError> {
        let now = self.env.now();
        let mut returned = Vec::new();
        {
            let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            slots.retain(|key, slot| {
                if now >= key.2.end {
                    // Nobody asks about a period that is over.
                    return false;
                }
                let units = slot.with(&mut unused);
                if units > 0 {
                    returned.push(Returned { workspace: key.0, meter: key.1, period_start: key.2.start, units });
                }
                // Whoever is about to use the slot holds it.
                Arc::strong_count(slot) > 1 || !slot.with(|budget| budget.is_idle())
            });
        }
        if returned.is_empty() { Ok(()) } else { self.ledger.give_back(scope, &returned).await }
    }

    /// Reserves from new grants.
    async fn reserve_granted(
        &self,
        scope: &WorkspaceScope,
        slot: &Slot,
        (meter, period, limit): (Meter, Period, i64),
        amount: i64,
    ) -> Result<(), QuotaError> {
        let _asking = slot.asking.lock().await;
        // The one who asked before may have been granted enough for both, and others reserve meanwhile.
        while !slot.with(|budget| budget.reserve(amount)) {
            let now = self.env.now();
            if let Some(used) = slot.with(|budget| budget.refused(amount, limit, now)) {
                return Err(QuotaExceeded { meter, limit, used, resets_at: Some(period.end) }.into());
            }
            let (needed, wanted) = slot.with(|budget| budget.demand(amount));
            let request = GrantRequest { meter, period, needed, wanted, limit };
            let grant = self.ledger.grant(scope, &request).await?;
            slot.with(|budget| match grant.units {
                0 => budget.refuse(Refusal { needed, limit, used: grant.used.min(limit), at: now }),
                units => budget.add(units),
            });
        }
        Ok(())
    }

    fn slot(&self, key: Key) -> Arc<Slot> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(slots.entry(key).or_default())
    }
}

#[async_trait]
impl Quota for PlanQuota {
    async fn limit(&self, scope: &WorkspaceScope, meter: Meter) -> Result<Limit, StoreError> {
        self.limits.limit(scope, meter).await
    }

    async fn reserve(&self, scope: &WorkspaceScope, meter: Meter, amount: i64) -> Result<Reservation, QuotaError> {
        let Limit::AtMost(limit) = self.limit(scope, meter).await? else { return Ok(Reservation::unlimited()) };
        let period = meter.period(self.env.now());
        let slot = self.slot((scope.workspace(), meter, period));
        if !slot.with(|budget| budget.reserve(amount)) {
            self.reserve_granted(scope, &slot, (meter, period, limit), amount).await?;
        }
        Ok(Reservation::new(amount, move |units| slot.with(|budget| budget.add(units))))
    }
}

impl std::fmt::Debug for PlanQuota {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let budgets = self.slots.lock().unwrap_or_else(PoisonError::into_inner).len();
        f.debug_struct("PlanQuota").field("budgets", &budgets).finish_non_exhaustive()
    }
}
