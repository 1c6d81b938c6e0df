//! The use cases: which plans there are, what a workspace may use, what it has used.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use tidegate_kernel::{Environment, Permission, UnitOfWork, WorkspaceId, WorkspaceScope};

use crate::error::{CatalogueError, PlanError, UsageError};
use crate::meter::{Meter, Usage};
use crate::plan::{Catalogue, Plan};
use crate::ports::BillingTx;

/// How long a plan that was read counts before it is read again.
const FRESH: TimeDelta = TimeDelta::seconds(10);

/// How many plans are remembered before all are forgotten.
const REMEMBERED: usize = 10_000;

/// Plans that were read, and until when they count.
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
    /// A service over this store; a workspace that has no plan yet gets the newest version of `default`.
    ///
    /// # Errors
    /// [`CatalogueError::Unknown`] where the catalogue has no such plan.
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

    /// The plan of the scope's workspace, at most 10 seconds old. Whoever has a scope may be told what it allows.
    ///
    /// # Errors
    /// [`PlanError`] when it could not be told.
    pub async fn plan_of(&self, scope: &WorkspaceScope) -> Result<Arc<Plan>, PlanError> {
        let now = self.env.now();
        if let Some(plan) = self.remembered(scope.workspace(), now) {
            return Ok(plan);
        }
        let mut tx = self.store.begin(scope).await?;
        let id = tx.plan().plan_or(&self.default.id(), now).await?;
        tx.commit().await?;
        let plan = self.catalogue.version(&id).cloned().map(Arc::new).ok_or(PlanError::Unknown(id))?;
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        if plans.len() >= REMEMBERED {
            plans.clear();
        }
        plans.insert(scope.workspace(), (Arc::clone(&plan), now + FRESH));
        Ok(plan)
    }

    fn remembered(&self, workspace: WorkspaceId, now: DateTime<Utc>) -> Option<Arc<Plan>> {
        let plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        plans.get(&workspace).filter(|(_, until)| now < *until).map(|(plan, _)| Arc::clone(plan))
    }

    /// What the workspace has used of every meter in the current period.
    ///
    /// # Errors
    /// [`UsageError`] when the caller may not, or the store failed.
    pub async fn usage(&self, scope: &WorkspaceScope) -> Result<Vec<Usage>, UsageError> {
        scope.require(Permission::UsageRead)?;
        let plan = self.plan_of(scope).await?;
        let now = self.env.now();
        let periods = Meter::ALL.map(|meter| (meter, meter.period(now)));
        let starts = periods.map(|(meter, period)| (meter, period.start));
        let used = self.store.begin(scope).await?.usage().used(&starts).await?;
        let lines = periods.into_iter().zip(used);
        Ok(lines
            .map(|((meter, period), used)| Usage { meter, used, limit: meter.limit(&plan.entitlements), period })
            .collect())
    }
}

impl std::fmt::Debug for Billing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Billing").field("default", &self.default.name).finish_non_exhaustive()
    }
}
