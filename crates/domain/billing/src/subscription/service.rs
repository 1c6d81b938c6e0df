//! Use cases of subscriptions, invoices and the ledger.

use std::sync::Arc;

use chrono::{DateTime, SubsecRound, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tidegate_kernel::{
    AuditEntry, Environment, Forbidden, InvoiceId, JobPayload, Limit, Meter, Page, PageSize, Permission, StoreError,
    UnitOfWork, WorkspaceScope,
};
use uuid::Uuid;

use super::billing::{Executor, InvoiceTerms};
use super::{CancelAt, Command, Excess, Refusal, Subscription};
use crate::calendar::OutOfRange;
use crate::catalogue::{EntitlementName, Interval, Plan, PlanVersion};
use crate::error::CatalogueError;
use crate::invoice::{CreditNoteError, IssuedInvoice, PromoRedemption, Sold};
use crate::ledger::Posting;
use crate::money::Currency;
use crate::ports::BillingTx;
use crate::service::Billing;

/// The length of a trial: the rest of the first day and this many days more.
const TRIAL_DAYS: u16 = 14;

/// What a plan limits at any time: a plan with a lower limit is refused.
const LEVELS: [(Meter, EntitlementName); 3] = [
    (Meter::StorageBytes, EntitlementName::StorageBytes),
    (Meter::Workflows, EntitlementName::Workflows),
    (Meter::Members, EntitlementName::Members),
];

/// The job that does what a subscription has to do at a time: end a period, a trial or a grace, and send notices.
#[derive(Debug, Serialize, Deserialize)]
pub struct WakeSubscription {}

impl JobPayload for WakeSubscription {
    const KIND: &'static str = "subscription.wake";
}

/// A subscription to buy.
#[derive(Debug, Clone)]
pub struct NewSubscription {
    /// The name of the plan. Its newest version is bought.
    pub plan: String,
    /// How often the price is due.
    pub interval: Interval,
    /// The currency of all invoices.
    pub currency: Currency,
    /// The time zone in which periods begin at midnight.
    pub zone: Tz,
    /// Whether it begins with a trial. Only the first subscription of a workspace can.
    pub trial: bool,
}

/// A subscription, and what takes off from its next invoices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The subscription.
    pub subscription: Subscription,
    /// What the workspace has redeemed and not used up, in the order in which it takes off.
    pub discounts: Vec<PromoRedemption>,
}

/// Why a request about subscriptions or invoices is refused.
#[derive(Debug, thiserror::Error)]
pub enum SubscriptionError {
    /// The caller lacks the permission.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    /// There is no such invoice, or no subscription.
    #[error("there is no such thing")]
    NotFound,
    /// There is no such plan.
    #[error(transparent)]
    UnknownPlan(#[from] CatalogueError),
    /// The plan has no such price.
    #[error("the plan has no price for this interval in this currency")]
    NotSold,
    /// The workspace has a subscription that has not ended.
    #[error("the workspace has a subscription; change it instead")]
    Exists,
    /// The workspace had a subscription before.
    #[error("only the first subscription of a workspace can begin with a trial")]
    TrialUsed,
    /// The subscription does not allow it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The invoice is not paid.
    #[error("the invoice is not paid; only what was paid is taken back")]
    NotPaid,
    /// More is taken back than was paid.
    #[error(transparent)]
    CreditNote(#[from] CreditNoteError),
    /// The workspace is erased.
    #[error("the workspace is erased; its invoices are kept as they are")]
    Erased,
    /// The invoice is not open.
    #[error("the invoice is not open")]
    NotOpen,
    /// The payment is not what is due.
    #[error("the invoice is over {due} minor units of {currency}")]
    WrongAmount {
        /// What is due.
        due: i64,
        /// The currency of the invoice.
        currency: Currency,
    },
    /// The store failed, or an amount does not fit.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<OutOfRange> for SubscriptionError {
    fn from(error: OutOfRange) -> Self {
        Self::Refused(error.into())
    }
}

/// The subscriptions of workspaces, their invoices and their ledgers.
#[derive(Clone)]
pub struct Subscriptions {
    pub(super) store: Arc<dyn UnitOfWork<dyn BillingTx>>,
    pub(super) executor: Executor,
}

impl std::fmt::Debug for Subscriptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subscriptions").finish_non_exhaustive()
    }
}

impl Subscriptions {
    /// The use cases over a store.
    #[must_use]
    pub fn new(
        store: Arc<dyn UnitOfWork<dyn BillingTx>>,
        billing: Billing,
        terms: InvoiceTerms,
        env: Environment,
    ) -> Self {
        Self { store, executor: Executor { billing, terms, env, collects: false } }
    }

    /// The same use cases with a payment provider that collects invoices.
    #[must_use]
    pub fn collecting(mut self) -> Self {
        self.executor.collects = true;
        self
    }

    /// The current time with the precision of stores.
    pub(super) fn now(&self) -> DateTime<Utc> {
        self.executor.env.now().trunc_subsecs(6)
    }

    /// The subscription of the workspace; `None` if there never was one.
    ///
    /// # Errors
    /// [`SubscriptionError`] without `billing:read`, or if it could not be read.
    pub async fn get(&self, scope: &WorkspaceScope) -> Result<Option<Subscription>, SubscriptionError> {
        scope.require(Permission::BillingRead)?;
        Ok(self.store.begin(scope).await?.subscription().find().await?)
    }

    /// Buys the newest version of a plan. If the workspace has this very subscription already, returns it and false.
    ///
    /// # Errors
    /// [`SubscriptionError`] says why not.
    pub async fn buy(
        &self,
        scope: &WorkspaceScope,
        new: NewSubscription,
    ) -> Result<(Standing, bool), SubscriptionError> {
        scope.require(Permission::BillingWrite)?;
        let catalogue = self.executor.billing.sold().await?;
        let plan = catalogue.newest(&new.plan)?;
        let sold = sold(plan, new.interval, new.currency)?;
        let (now, default) = (self.now(), self.default().await?);
        let mut tx = self.store.begin(scope).await?;
        let before = lock(&mut *tx, &default, now).await?;
        match before {
            Some(same) if !same.is_over() && same.sold == sold && same.anchor.zone == new.zone => {
                let discounts = tx.promos().redeemed().await?;
                return Ok((Standing { subscription: same, discounts }, false));
            }
            Some(other) if !other.is_over() => return Err(SubscriptionError::Exists),
            Some(_) if new.trial => return Err(SubscriptionError::TrialUsed),
            _ => {}
        }
        let excess = excess(&mut *tx, plan, now).await?;
        if !excess.is_empty() {
            return Err(Refusal::TooMuchUsed(excess).into());
        }
        let trial_days = if new.trial { TRIAL_DAYS } else { 0 };
        let (subscription, commands) = Subscription::start(sold, new.zone, trial_days, now)?;
        let done = ("subscription.started", &default);
        Ok((self.finish(tx, scope, subscription, commands, done, now).await?, true))
    }

    /// Changes to the newest version of a plan: at once if it costs more per month, otherwise at the end of the period.
    ///
    /// # Errors
    /// [`SubscriptionError`] says why not.
    pub async fn change(
        &self,
        scope: &WorkspaceScope,
        plan: &str,
        interval: Interval,
    ) -> Result<Standing, SubscriptionError> {
        scope.require(Permission::BillingWrite)?;
        let catalogue = self.executor.billing.sold().await?;
        let plan = catalogue.newest(plan)?;
        let (now, default) = (self.now(), self.default().await?);
        let mut tx = self.store.begin(scope).await?;
        let mut subscription = lock(&mut *tx, &default, now).await?.ok_or(SubscriptionError::NotFound)?;
        let sold = sold(plan, interval, subscription.sold.price.currency)?;
        let excess = excess(&mut *tx, plan, now).await?;
        let commands = subscription.change(sold, excess, now)?;
        self.finish(tx, scope, subscription, commands, ("subscription.changed", &default), now).await
    }

    /// Ends the subscription.
    ///
    /// # Errors
    /// [`SubscriptionError`] says why not.
    pub async fn cancel(&self, scope: &WorkspaceScope, at: CancelAt) -> Result<Standing, SubscriptionError> {
        self.request(scope, "subscription.cancelled", |subscription, now| subscription.cancel(at, now)).await
    }

    /// Pauses the subscription at the end of the period.
    ///
    /// # Errors
    /// [`SubscriptionError`] says why not.
    pub async fn pause(&self, scope: &WorkspaceScope) -> Result<Standing, SubscriptionError> {
        self.request(scope, "subscription.paused", |subscription, _| subscription.pause()).await
    }

    /// Takes back a pause or a pending cancellation.
    ///
    /// # Errors
    /// [`SubscriptionError`] says why not.
    pub async fn resume(&self, scope: &WorkspaceScope) -> Result<Standing, SubscriptionError> {
        self.request(scope, "subscription.resumed", Subscription::resume).await
    }

    async fn request(
        &self,
        scope: &WorkspaceScope,
        action: &'static str,
        ask: impl FnOnce(&mut Subscription, DateTime<Utc>) -> Result<Vec<Command>, Refusal> + Send,
    ) -> Result<Standing, SubscriptionError> {
        scope.require(Permission::BillingWrite)?;
        let (now, default) = (self.now(), self.default().await?);
        let mut tx = self.store.begin(scope).await?;
        let mut subscription = lock(&mut *tx, &default, now).await?.ok_or(SubscriptionError::NotFound)?;
        let commands = ask(&mut subscription, now)?;
        self.finish(tx, scope, subscription, commands, (action, &default), now).await
    }

    /// Does what the time has come for. Does nothing if there is no subscription, it has nothing to do, or the workspace
    /// is deleted.
    ///
    /// # Errors
    /// [`StoreError`] if something could not be read or stored.
    pub async fn wake(&self, scope: &WorkspaceScope) -> Result<(), SubscriptionError> {
        let (now, default) = (self.now(), self.default().await?);
        let mut tx = self.store.begin(scope).await?;
        let Some(mut subscription) = self.lock_existing(&mut *tx, &default, now).await? else { return Ok(()) };
        while subscription.next_wakeup()?.is_some_and(|at| at <= now) {
            let commands = subscription.wake(now)?;
            self.executor.execute(&mut *tx, &mut subscription, commands, &default, now).await?;
        }
        // The job of another server may have come early, by its clock.
        self.executor.execute(&mut *tx, &mut subscription, Vec::new(), &default, now).await?;
        tx.commit().await?;
        self.executor.billing.forget(scope.workspace());
        Ok(())
    }

    /// An invoice.
    ///
    /// # Errors
    /// [`SubscriptionError`] without `billing:read`, or if there is no such invoice.
    pub async fn invoice(&self, scope: &WorkspaceScope, id: InvoiceId) -> Result<IssuedInvoice, SubscriptionError> {
        scope.require(Permission::BillingRead)?;
        self.store.begin(scope).await?.invoices().find(id).await?.ok_or(SubscriptionError::NotFound)
    }

    /// The invoices of the workspace, newest first.
    ///
    /// # Errors
    /// [`SubscriptionError`] without `billing:read`, or if they could not be read.
    pub async fn invoices(
        &self,
        scope: &WorkspaceScope,
        before: Option<InvoiceId>,
        size: PageSize,
    ) -> Result<Page<IssuedInvoice, InvoiceId>, SubscriptionError> {
        scope.require(Permission::BillingRead)?;
        let rows = self.store.begin(scope).await?.invoices().list(before, size.get() + 1).await?;
        Ok(Page::from_overfetch(rows, size, |invoice| invoice.id))
    }

    /// The transactions of the workspace's ledger, newest first.
    ///
    /// # Errors
    /// [`SubscriptionError`] without `billing:read`, or if they could not be read.
    pub async fn ledger(
        &self,
        scope: &WorkspaceScope,
        before: Option<Uuid>,
        size: PageSize,
    ) -> Result<Page<Posting, Uuid>, SubscriptionError> {
        scope.require(Permission::BillingRead)?;
        let rows = self.store.begin(scope).await?.ledger().list(before, size.get() + 1).await?;
        Ok(Page::from_overfetch(rows, size, |posting| posting.id))
    }

    /// The plan of a workspace whose subscription does not count. Ask before a transaction begins: it may read the store.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be read.
    pub(crate) async fn default(&self) -> Result<PlanVersion, StoreError> {
        Ok(self.executor.billing.default_plan().await?.id())
    }

    /// Executes the commands, and commits with an entry in the audit log.
    async fn finish(
        &self,
        mut tx: Box<dyn BillingTx>,
        scope: &WorkspaceScope,
        mut subscription: Subscription,
        commands: Vec<Command>,
        (action, default): (&'static str, &PlanVersion),
        now: DateTime<Utc>,
    ) -> Result<Standing, SubscriptionError> {
        self.executor.execute(&mut *tx, &mut subscription, commands, default, now).await?;
        let sold = &subscription.sold;
        let details = json!({
            "plan": sold.plan.name, "version": sold.plan.version, "interval": sold.price.interval.as_str(),
            "currency": sold.price.currency, "amount": sold.price.amount, "status": subscription.status.as_str(),
        });
        tx.audit().record(AuditEntry::new(action, scope.workspace()).with(details)).await?;
        let discounts = tx.promos().redeemed().await?;
        tx.commit().await?;
        self.executor.billing.forget(scope.workspace());
        Ok(Standing { subscription, discounts })
    }
}

/// The subscription, locked against other changes.
pub(super) async fn lock(
    tx: &mut dyn BillingTx,
    default: &PlanVersion,
    now: DateTime<Utc>,
) -> Result<Option<Subscription>, StoreError> {
    tx.plan().plan_or(default, now).await?;
    tx.subscription().lock().await
}

/// The plan at its price for this interval and currency.
fn sold(plan: &Plan, interval: Interval, currency: Currency) -> Result<Sold, SubscriptionError> {
    let price = plan.price(interval, currency).ok_or(SubscriptionError::NotSold)?;
    Ok(Sold { plan: plan.id(), title: plan.title.clone(), price })
}

/// What the workspace uses above the limits of a plan.
async fn excess(tx: &mut dyn BillingTx, plan: &Plan, now: DateTime<Utc>) -> Result<Vec<Excess>, StoreError> {
    let asked = LEVELS.map(|(meter, _)| (meter, meter.period(now)));
    let used = tx.usage().used(&asked).await?;
    let levels = LEVELS.iter().zip(used);
    let above = levels.filter_map(|((_, name), used)| match plan.entitlements.limit(*name) {
        Limit::AtMost(limit) if used > limit => Some(Excess { name: *name, used, limit }),
        _ => None,
    });
    Ok(above.collect())
}
