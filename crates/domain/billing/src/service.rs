//! Use cases of billing: list plans, the plan of a workspace, its usage.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use tidegate_kernel::{
    Environment, Limit, Meter, Period, Permission, Span, StoreError, UnitOfWork, WorkspaceId, WorkspaceScope,
};

use crate::catalogue::{Catalogue, Plan, PlanVersion};
use crate::error::{CatalogueError, PlanError, UsageError};
use crate::meter::{Usage, UsageQuery, limit_of};
use crate::ports::{BillingTx, PlanLimits};

/// The time to live of a cached plan.
const FRESH: TimeDelta = TimeDelta::seconds(10);

/// The maximum number of cached plans. All are dropped when it is reached.
const REMEMBERED: usize = 10_000;

/// Cached plans, and until when they are valid.
type Remembered = HashMap<WorkspaceId, (Arc<Plan>, DateTime<Utc>)>;

/// Plans and usage of workspaces.
#[derive(Clone)]
pub struct Billing {
    store: Arc<dyn UnitOfWork<dyn BillingTx>>,
    catalogue: Arc<Catalogue>,
    default: Arc<Plan>,
    plans: Arc<Mutex<Remembered>>,
    env: Environment,
}

impl Billing {
    /// A service over this store. A workspace without a plan gets the newest version of `default`.
    ///
    /// # Errors
    /// [`CatalogueError::Unknown`] if the catalogue has no plan `default`.
    pub fn new(
        store: Arc<dyn UnitOfWork<dyn BillingTx>>,
        catalogue: Catalogue,
        default: &str,
        env: Environment,
    ) -> Result<Self, CatalogueError> {
        let default = Arc::new(catalogue.newest(default)?.clone());
        Ok(Self { store, catalogue: Arc::new(catalogue), default, plans: Arc::default(), env })
    }

    /// The newest version of each plan.
    pub fn plans(&self) -> impl Iterator<Item = &Plan> {
        self.catalogue.current()
    }

    /// The plan of the scope's workspace, at most 10 seconds old. It needs no permission beyond the scope.
    ///
    /// # Errors
    /// [`PlanError`] if the plan could not be read, or this program does not know it.
    pub async fn plan_of(&self, scope: &WorkspaceScope) -> Result<Arc<Plan>, PlanError> {
        let now = self.env.now();
        if let Some(plan) = self.remembered(scope.workspace(), now) {
            return Ok(plan);
        }
        let mut tx = self.store.begin(scope).await?;
        let id = tx.plan().plan_or(&self.default.id(), now).await?;
        let plan = self.catalogue.version(&id).cloned().map(Arc::new).ok_or(PlanError::Unknown(id))?;
        // The engine reads the limit with the runs that it claims.
        let run_limit = plan.entitlements.concurrent_runs;
        if tx.plan().run_limit().await? != run_limit {
            tx.plan().set_run_limit(run_limit).await?;
        }
        tx.commit().await?;
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        if plans.len() >= REMEMBERED {
            plans.clear();
        }
        plans.insert(scope.workspace(), (Arc::clone(&plan), now + FRESH));
        Ok(plan)
    }

    /// The newest version of the plan with this name.
    ///
    /// # Errors
    /// [`CatalogueError::Unknown`] if no plan has this name.
    pub fn newest(&self, name: &str) -> Result<&Plan, CatalogueError> {
        self.catalogue.newest(name)
    }

    /// The plan with this name and version.
    #[must_use]
    pub fn version(&self, id: &PlanVersion) -> Option<&Plan> {
        self.catalogue.version(id)
    }

    /// The plan of a workspace without a subscription.
    #[must_use]
    pub fn default_plan(&self) -> &Plan {
        &self.default
    }

    /// Reads the plan of the workspace again when it is needed. Call it after a change of the plan.
    pub fn forget(&self, workspace: WorkspaceId) {
        self.plans.lock().unwrap_or_else(PoisonError::into_inner).remove(&workspace);
    }

    fn remembered(&self, workspace: WorkspaceId, now: DateTime<Utc>) -> Option<Arc<Plan>> {
        let plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        plans.get(&workspace).filter(|(_, until)| now < *until).map(|(plan, _)| Arc::clone(plan))
    }

    /// The workspace's usage, by meter and period. Levels have no past, so they are told of the current period only.
    ///
    /// # Errors
    /// [`UsageError`] if the caller lacks the permission, or the plan or the usage could not be read.
    pub async fn usage(&self, scope: &WorkspaceScope, query: &UsageQuery) -> Result<Vec<Usage>, UsageError> {
        scope.require(Permission::UsageRead)?;
        let plan = self.plan_of(scope).await?;
        let now = self.env.now();
        let mut tx = self.store.begin(scope).await?;
        let counts: Vec<(Meter, Period, i64)> = if query.by_day {
            let month = query.month.unwrap_or_else(|| Span::Month.period(now));
            let days = tx.usage().by_day(month).await?;
            days.into_iter().map(|count| (count.meter, Span::Day.period(count.day), count.used)).collect()
        } else {
            let meters = Meter::ALL.iter().filter(|meter| query.month.is_none() || !meter.is_level());
            let periods: Vec<_> =
                meters.map(|meter| (*meter, query.month.unwrap_or_else(|| meter.period(now)))).collect();
            let used = tx.usage().used(&periods).await?;
            periods.into_iter().zip(used).map(|((meter, period), used)| (meter, period, used)).collect()
        };
        let usage = |(meter, period, used): (Meter, Period, i64)| {
            let is_limited = period == meter.period(now);
            let limit = if is_limited { limit_of(meter, &plan.entitlements) } else { Limit::Unlimited };
            Usage { meter, used, limit, period }
        };
        Ok(counts.into_iter().filter(|(meter, ..)| query.asks_for(*meter)).map(usage).collect())
    }
}

#[async_trait]
impl PlanLimits for Billing {
    async fn limit(&self, scope: &WorkspaceScope, meter: Meter) -> Result<Limit, StoreError> {
        Ok(limit_of(meter, &self.plan_of(scope).await?.entitlements))
    }
}

impl std::fmt::Debug for Billing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Billing").field("default", &self.default.name).finish_non_exhaustive()
    }
}
