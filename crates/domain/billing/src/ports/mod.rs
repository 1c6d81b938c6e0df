//! The store ports of plans, subscriptions, their books and usage.

mod books;
mod usage;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tidegate_kernel::{AuditLog, Limit, RequestId, StoreError, SystemScope, Transaction, UserId, WorkspaceId};

pub use books::{
    CreditNoteRepository, CustomerRepository, InvoiceRepository, LedgerRepository, NoticeRepository, PaymentRepository,
    PromoCatalogue, PromoRepository,
};
pub use usage::{AlertRepository, BudgetLedger, CallCount, CallLedger, DayCount, PlanLimits, UsageRepository};

use crate::catalogue::{Plan, PlanRecord, PlanVersion};
use crate::subscription::Subscription;

/// The slice of a store for plans and usage.
pub trait BillingTx: Transaction {
    /// The workspace's plan.
    fn plan(&mut self) -> Box<dyn PlanRepository + '_>;
    /// The subscription of the workspace.
    fn subscription(&mut self) -> Box<dyn SubscriptionRepository + '_>;
    /// What the workspace says about itself as a customer.
    fn customer(&mut self) -> Box<dyn CustomerRepository + '_>;
    /// The invoices of the workspace.
    fn invoices(&mut self) -> Box<dyn InvoiceRepository + '_>;
    /// The credit notes of the workspace.
    fn credit_notes(&mut self) -> Box<dyn CreditNoteRepository + '_>;
    /// The ledger of the workspace.
    fn ledger(&mut self) -> Box<dyn LedgerRepository + '_>;
    /// The audit log of the workspace.
    fn audit(&mut self) -> Box<dyn AuditLog + '_>;
    /// What the workspace redeems.
    fn promos(&mut self) -> Box<dyn PromoRepository + '_>;
    /// The usage of the workspace.
    fn usage(&mut self) -> Box<dyn UsageRepository + '_>;
    /// The payments of the workspace.
    fn payments(&mut self) -> Box<dyn PaymentRepository + '_>;
    /// What the owners were told.
    fn notices(&mut self) -> Box<dyn NoticeRepository + '_>;
    /// The alerts of the workspace.
    fn alerts(&mut self) -> Box<dyn AlertRepository + '_>;
}

/// The slice of a store for the catalogue of plans, which belongs to no workspace.
pub trait CatalogueTx: Transaction {
    /// The versions of plans.
    fn catalogue(&mut self) -> Box<dyn PlanCatalogue + '_>;
    /// The promo codes of the seller.
    fn promo_codes(&mut self) -> Box<dyn PromoCatalogue + '_>;
    /// The log of the operators' acts.
    fn operations(&mut self) -> Box<dyn OperatorLog + '_>;
}

/// The versions of all plans.
#[async_trait]
pub trait PlanCatalogue: Send {
    /// The newest published version of each plan, in any order.
    ///
    /// # Errors
    /// [`StoreError`] if they could not be read.
    async fn on_sale(&mut self) -> Result<Vec<Plan>, StoreError>;

    /// At most `limit` versions after `after`, by name and version.
    ///
    /// # Errors
    /// [`StoreError`] if they could not be read.
    async fn list(&mut self, after: Option<&PlanVersion>, limit: u32) -> Result<Vec<PlanRecord>, StoreError>;

    /// A version; `None` if there is none.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be read.
    async fn find(&mut self, id: &PlanVersion) -> Result<Option<PlanRecord>, StoreError>;

    /// The versions of a plan for a change, the oldest first.
    ///
    /// MUST wait until no other transaction has one of them locked.
    ///
    /// # Errors
    /// [`StoreError`] if they could not be locked or read.
    async fn lock(&mut self, name: &str) -> Result<Vec<PlanRecord>, StoreError>;

    /// Stores a new version. MUST return false, and change nothing, if there is a version with its name and number,
    /// also if another transaction stores it at the same time.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be stored.
    async fn insert(&mut self, record: &PlanRecord) -> Result<bool, StoreError>;

    /// Stores a version in place of what it was.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be stored.
    async fn save(&mut self, record: &PlanRecord) -> Result<(), StoreError>;

    /// Deletes a version.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be deleted.
    async fn delete(&mut self, id: &PlanVersion) -> Result<(), StoreError>;
}

/// The log of what operators did to the installation.
#[async_trait]
pub trait OperatorLog: Send {
    /// Records that an operator did something.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be recorded.
    async fn record(
        &mut self,
        operator: UserId,
        action: &'static str,
        details: &serde_json::Value,
        request_id: &RequestId,
    ) -> Result<(), StoreError>;
}

/// The plan of one workspace.
#[async_trait]
pub trait PlanRepository: Send {
    /// A version of a plan that was published; `None` if there is none.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be read.
    async fn version(&mut self, id: &PlanVersion) -> Result<Option<Plan>, StoreError>;

    /// The workspace's plan. If it has none yet, stores `default` and returns it.
    ///
    /// If two transactions do this for the first time at once, MUST give both the same answer.
    ///
    /// # Errors
    /// [`StoreError`] if the plan could not be read or stored.
    async fn plan_or(&mut self, default: &PlanVersion, now: DateTime<Utc>) -> Result<PlanVersion, StoreError>;

    /// How many runs of the workspace the engine lets run at once.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be read.
    async fn run_limit(&mut self) -> Result<Limit, StoreError>;

    /// Sets how many runs of the workspace the engine lets run at once; at least 1. Runs that run already go on.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be stored.
    async fn set_run_limit(&mut self, limit: Limit) -> Result<(), StoreError>;

    /// Stores the plan of the workspace, whether it has one or not.
    ///
    /// # Errors
    /// [`StoreError`] if the plan could not be stored.
    async fn set(&mut self, plan: &PlanVersion, now: DateTime<Utc>) -> Result<(), StoreError>;
}

/// The subscription of one workspace.
#[async_trait]
pub trait SubscriptionRepository: Send {
    /// The subscription, which may have ended; `None` if there never was one.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be read.
    async fn find(&mut self) -> Result<Option<Subscription>, StoreError>;

    /// The subscription, for a change.
    ///
    /// MUST wait until no other transaction has it locked, also if there is no subscription. MUST return `None` if the
    /// workspace is deleted, so that nothing is charged any more. The workspace must have a plan
    /// ([`PlanRepository::plan_or`]).
    ///
    /// # Errors
    /// [`StoreError`] if it could not be locked or read.
    async fn lock(&mut self) -> Result<Option<Subscription>, StoreError>;

    /// Stores the subscription in place of an earlier one, with the time at which it has something to do
    /// ([`Subscription::next_wakeup`]).
    ///
    /// # Errors
    /// [`StoreError`] if it could not be stored.
    async fn save(&mut self, subscription: &Subscription, now: DateTime<Utc>) -> Result<(), StoreError>;
}

/// Finds subscriptions that were not woken.
#[async_trait]
pub trait OverdueSubscriptions: Send + Sync {
    /// At most `limit` subscriptions that have had something to do since before `before`, longest first, and those after
    /// `after` in this order only. MUST leave out deleted workspaces. MUST find them by an index.
    ///
    /// # Errors
    /// [`StoreError`] if they could not be read.
    async fn overdue(
        &self,
        scope: &SystemScope,
        before: DateTime<Utc>,
        after: Option<(DateTime<Utc>, WorkspaceId)>,
        limit: u32,
    ) -> Result<Vec<(DateTime<Utc>, WorkspaceId)>, StoreError>;
}
