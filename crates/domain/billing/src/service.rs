//! Use cases of billing: list plans, the plan of a workspace, its usage.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use tidegate_kernel::{
    Environment, Limit, Meter, Period, Permission, Span, StoreError, SystemScope, UnitOfWork, WorkspaceId,
    WorkspaceScope,
};

use crate::catalogue::{Catalogue, Plan, PlanRecord, PlanVersion};
use crate::error::{OpenError, PlanError, UsageError};
use crate::meter::{Usage, UsageQuery, limit_of};
use crate::ports::{BillingTx, CatalogueTx, PlanLimits};

/// The time to live of what is cached: the plan of a workspace, and what is sold.
const FRESH: TimeDelta = TimeDelta::seconds(10);

/// The maximum number of cached plans. All are dropped when it is reached.
const REMEMBERED: usize = 10_000;

/// Cached plans, and until when they are valid.
type Remembered = HashMap<WorkspaceId, (Arc<Plan>, DateTime<Utc>)>;

/// What is sold, and what was ever published.
struct Published {
    /// The newest published version of each plan.
    sold: Arc<Catalogue>,
    /// Until when `sold` is fresh.
    until: DateTime<Utc>,
    /// Published versions, which never change.
    versions: HashMap<PlanVersion, Arc<Plan>>,
}

/// Plans and usage of workspaces.
#[derive(Clone)]
pub struct Billing {
    store: Arc<dyn UnitOfWork<dyn BillingTx>>,
    catalogue: Arc<dyn UnitOfWork<dyn CatalogueTx, SystemScope>>,
    system: Arc<SystemScope>,
    default: Arc<str>,
    published: Arc<Mutex<Published>>,
    plans: Arc<Mutex<Remembered>>,
    env: Environment,
}

impl Billing {
    /// A service over this store. A workspace without a plan gets the newest version of `default`. Until
    /// [`Billing::open`] it knows the plans that ship with the program.
    #[must_use]
    pub fn new<S>(store: Arc<S>, system: SystemScope, built_in: Catalogue, default: &str, env: Environment) -> Self
    where
        S: UnitOfWork<dyn BillingTx> + UnitOfWork<dyn CatalogueTx, SystemScope> + 'static,
    {
        let published =
            Published { sold: Arc::new(built_in), until: DateTime::<Utc>::MIN_UTC, versions: HashMap::new() };
        Self {
            store: store.clone(),
            catalogue: store,
            system: Arc::new(system),
            default: default.into(),
            published: Arc::new(Mutex::new(published)),
            plans: Arc::default(),
            env,
        }
    }

    /// Adds to the store the versions of the program that are absent, and reads what is sold. A version that is there
    /// is never changed, also if the program has another one.
    ///
    /// # Errors
    /// [`OpenError`] if the store failed, or the default plan is not sold.
    pub async fn open(&self, built_in: &Catalogue) -> Result<(), OpenError> {
        let now = self.env.now().trunc_subsecs(6);
        for plan in built_in.versions() {
            let mut tx = self.catalogue.begin(&self.system).await?;
            let others = tx.catalogue().lock(&plan.name).await?;
            if !others.iter().any(|other| other.plan.version == plan.version) {
                tx.catalogue().insert(&PlanRecord::built_in(plan.clone(), &others, now)).await?;
            }
            tx.commit().await?;
        }
        self.forget_catalogue();
        self.sold().await?.newest(&self.default)?;
        Ok(())
    }

    /// What is sold: the newest published version of each plan, at most 10 seconds old. It opens a transaction, so it
    /// is called before one is open.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be read.
    pub async fn sold(&self) -> Result<Arc<Catalogue>, StoreError> {
        let now = self.env.now();
        if let Some(sold) = self.fresh(now) {
            return Ok(sold);
        }
        let mut tx = self.catalogue.begin(&self.system).await?;
        let sold = Catalogue::of(tx.catalogue().on_sale().await?);
        tx.commit().await?;
        let mut published = self.published();
        (published.sold, published.until) = (Arc::new(sold), now + FRESH);
        Ok(Arc::clone(&published.sold))
    }

    fn fresh(&self, now: DateTime<Utc>) -> Option<Arc<Catalogue>> {
        let published = self.published();
        (now < published.until).then(|| Arc::clone(&published.sold))
    }

    fn published(&self) -> MutexGuard<'_, Published> {
        self.published.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads what is sold again when it is needed. Call it after a change of the catalogue.
    pub fn forget_catalogue(&self) {
        self.published().until = DateTime::<Utc>::MIN_UTC;
    }

    /// The version of a plan that was published. It is read in the transaction if it is not cached.
    ///
    /// # Errors
    /// [`PlanError`] if there is no such version, or it could not be read.
    pub async fn version(&self, tx: &mut dyn BillingTx, id: &PlanVersion) -> Result<Arc<Plan>, PlanError> {
        let known = self.published().versions.get(id).cloned();
        if let Some(plan) = known {
            return Ok(plan);
        }
        let plan = tx.plan().version(id).await?.map(Arc::new).ok_or_else(|| PlanError::Unknown(id.clone()))?;
        let mut published = self.published();
        if published.versions.len() >= REMEMBERED {
            published.versions.clear();
        }
        published.versions.insert(id.clone(), Arc::clone(&plan));
        Ok(plan)
    }

    /// The name of the plan of a workspace without a subscription.
    #[must_use]
    pub fn default_name(&self) -> &str {
        &self.default
    }

    /// The plan of a workspace without a subscription, at most 10 seconds old.
    ///
    /// # Errors
    /// [`PlanError`] if what is sold could not be read, or the default plan is not sold.
    pub async fn default_plan(&self) -> Result<Arc<Plan>, PlanError> {
        let sold = self.sold().await?;
        let plan = sold.newest(&self.default).map_err(|error| StoreError::Internal(Box::new(error)))?;
        Ok(Arc::new(plan.clone()))
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
        let default = self.default_plan().await?.id();
        let mut tx = self.store.begin(scope).await?;
        let id = tx.plan().plan_or(&default, now).await?;
        let plan = self.version(&mut *tx, &id).await?;
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
        f.debug_struct("Billing").field("default", &self.default).finish_non_exhaustive()
    }
}
