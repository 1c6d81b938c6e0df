//! The store ports of plans and usage.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tidegate_kernel::{
    AuditLog, CreditNoteId, InvoiceId, Limit, Meter, Period, RequestId, StoreError, SystemScope, Transaction, UserId,
    WorkspaceId, WorkspaceScope,
};
use uuid::Uuid;

use crate::alert::{NotifyQuota, QuotaAlert};
use crate::catalogue::{Plan, PlanRecord, PlanVersion};
use crate::invoice::{CreditNoteNumber, InvoiceNumber, IssuedCreditNote, IssuedInvoice, PromoCode, PromoRedemption};
use crate::ledger::{Account, Posting};
use crate::money::Currency;
use crate::quota::{Grant, GrantRequest, Returned};
use crate::subscription::Subscription;

/// The slice of a store for plans and usage.
pub trait BillingTx: Transaction {
    /// The workspace's plan.
    fn plan(&mut self) -> Box<dyn PlanRepository + '_>;
    /// The subscription of the workspace.
    fn subscription(&mut self) -> Box<dyn SubscriptionRepository + '_>;
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

    /// Stores the subscription in place of an earlier one.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be stored.
    async fn save(&mut self, subscription: &Subscription, now: DateTime<Utc>) -> Result<(), StoreError>;
}

/// The invoices of one workspace.
#[async_trait]
pub trait InvoiceRepository: Send {
    /// The next number. Numbers are one series for all workspaces.
    ///
    /// MUST give each number to one committed transaction, and leave none out: the number is free again if the
    /// transaction is rolled back. So other transactions wait for this one.
    ///
    /// # Errors
    /// [`StoreError`] if there is no number.
    async fn next_number(&mut self) -> Result<InvoiceNumber, StoreError>;

    /// Stores an invoice with its lines.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be stored.
    async fn insert(&mut self, invoice: &IssuedInvoice) -> Result<(), StoreError>;

    /// An invoice with its lines, and with what credit notes have taken back.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be read.
    async fn find(&mut self, id: InvoiceId) -> Result<Option<IssuedInvoice>, StoreError>;

    /// At most `limit` invoices that were issued before `before`, newest first.
    ///
    /// # Errors
    /// [`StoreError`] if they could not be read.
    async fn list(&mut self, before: Option<InvoiceId>, limit: u32) -> Result<Vec<IssuedInvoice>, StoreError>;

    /// Marks an open invoice as paid. MUST change nothing and return false if it is not open.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be stored.
    async fn mark_paid(&mut self, id: InvoiceId, at: DateTime<Utc>) -> Result<bool, StoreError>;

    /// Marks an open invoice as uncollectible. MUST change nothing and return false if it is not open.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be stored.
    async fn mark_uncollectible(&mut self, id: InvoiceId) -> Result<bool, StoreError>;
}

/// The credit notes of one workspace.
#[async_trait]
pub trait CreditNoteRepository: Send {
    /// The next number. Numbers are one series for all workspaces, beside that of invoices.
    ///
    /// MUST give each number to one committed transaction, and leave none out, as [`InvoiceRepository::next_number`].
    ///
    /// # Errors
    /// [`StoreError`] if there is no number.
    async fn next_number(&mut self) -> Result<CreditNoteNumber, StoreError>;

    /// Stores a credit note.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be stored.
    async fn insert(&mut self, note: &IssuedCreditNote) -> Result<(), StoreError>;

    /// At most `limit` credit notes that were issued before `before`, newest first.
    ///
    /// # Errors
    /// [`StoreError`] if they could not be read.
    async fn list(&mut self, before: Option<CreditNoteId>, limit: u32) -> Result<Vec<IssuedCreditNote>, StoreError>;
}

/// The promo codes of the seller.
#[async_trait]
pub trait PromoCatalogue: Send {
    /// At most `limit` codes after `after`, in the order of their texts.
    ///
    /// # Errors
    /// [`StoreError`] if they could not be read.
    async fn list(&mut self, after: Option<&str>, limit: u32) -> Result<Vec<PromoCode>, StoreError>;

    /// A code; `None` if there is none.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be read.
    async fn find(&mut self, code: &str) -> Result<Option<PromoCode>, StoreError>;

    /// Stores a new code. MUST return false, and change nothing, if there is one with its text.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be stored.
    async fn insert(&mut self, code: &PromoCode) -> Result<bool, StoreError>;

    /// Deactivates a code. MUST keep the time if it was deactivated before.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be stored.
    async fn deactivate(&mut self, code: &str, at: DateTime<Utc>) -> Result<(), StoreError>;
}

/// The promo codes that one workspace redeems.
#[async_trait]
pub trait PromoRepository: Send {
    /// A code of the seller, for its redemption; `None` if there is none.
    ///
    /// MUST wait until no other transaction has it locked, whosever it is.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be locked or read.
    async fn lock(&mut self, code: &str) -> Result<Option<PromoCode>, StoreError>;

    /// Stores how often a locked code was redeemed, and nothing else of it.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be stored.
    async fn save(&mut self, code: &PromoCode) -> Result<(), StoreError>;

    /// Stores a redemption. MUST return false, and change nothing, if the workspace has redeemed the code before.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be stored.
    async fn add(&mut self, redemption: &PromoRedemption) -> Result<bool, StoreError>;

    /// The redemptions that still count, the oldest first.
    ///
    /// # Errors
    /// [`StoreError`] if they could not be read.
    async fn redeemed(&mut self) -> Result<Vec<PromoRedemption>, StoreError>;

    /// These codes have taken off from one more invoice. One that counts for all of them does not change.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be stored.
    async fn use_up(&mut self, codes: &[&str]) -> Result<(), StoreError>;
}

/// The ledger of one workspace. It is append-only.
#[async_trait]
pub trait LedgerRepository: Send {
    /// Adds a transaction. MUST refuse entries that do not sum to zero, at the latest at the commit.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be stored.
    async fn post(&mut self, posting: &Posting) -> Result<(), StoreError>;

    /// The balance of an account: positive is a debit balance; 0 if nothing was posted.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be read or does not fit.
    async fn balance(&mut self, currency: Currency, account: Account) -> Result<i64, StoreError>;

    /// At most `limit` transactions before `before`, newest first.
    ///
    /// # Errors
    /// [`StoreError`] if they could not be read.
    async fn list(&mut self, before: Option<Uuid>, limit: u32) -> Result<Vec<Posting>, StoreError>;
}

/// The usage of one workspace.
#[async_trait]
pub trait UsageRepository: Send {
    /// The count of each meter in each period, in the order of `periods`; 0 if nothing was counted. A level has one
    /// count, whatever the period.
    ///
    /// MUST count committed facts only: nothing that was rolled back, rejected or a duplicate.
    ///
    /// # Errors
    /// [`StoreError`] if the counts could not be read.
    async fn used(&mut self, periods: &[(Meter, Period)]) -> Result<Vec<i64>, StoreError>;

    /// The count of each meter on each day of `period`, by meter and day. A day without usage, and a level, is left out.
    ///
    /// MUST count the same facts as [`UsageRepository::used`].
    ///
    /// # Errors
    /// [`StoreError`] if the counts could not be read.
    async fn by_day(&mut self, period: Period) -> Result<Vec<DayCount>, StoreError>;
}

/// The alerts of one workspace. The adapters raise them in the transaction that passes a threshold.
#[async_trait]
pub trait AlertRepository: Send {
    /// The alert, unless people were told of it before.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be read.
    async fn find(&mut self, key: &NotifyQuota) -> Result<Option<QuotaAlert>, StoreError>;

    /// From the commit on, people were told of the alert. Returns false, and changes nothing, if they were before.
    ///
    /// MUST return true to one transaction that commits: a second transaction waits until the first has ended. To add
    /// events raises alerts, so a transaction that adds events MUST add them before it calls this.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be stored.
    async fn mark_notified(&mut self, key: &NotifyQuota, now: DateTime<Utc>) -> Result<bool, StoreError>;
}

/// The usage of one meter on one day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayCount {
    /// The meter.
    pub meter: Meter,
    /// The first instant of the day.
    pub day: DateTime<Utc>,
    /// The count.
    pub used: i64,
}

/// The API calls of one workspace on one day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallCount {
    /// The workspace.
    pub workspace: WorkspaceId,
    /// The first instant of the day.
    pub day: DateTime<Utc>,
    /// The number of calls.
    pub calls: i64,
}

/// Stores counted API calls.
#[async_trait]
pub trait CallLedger: Send + Sync {
    /// Adds a batch of counts. Returns false if this `recorder` has already written this `batch` or a later one.
    ///
    /// MUST add a batch once, however often it is written. A workspace that does not exist any more MUST NOT prevent
    /// the counts of the others from being added.
    ///
    /// # Errors
    /// [`StoreError`] if it is unknown whether the batch was written; writing it again is safe.
    async fn record(
        &self,
        scope: &SystemScope,
        recorder: Uuid,
        batch: i64,
        counts: &[CallCount],
    ) -> Result<bool, StoreError>;
}

/// The limits of plans.
#[async_trait]
pub trait PlanLimits: Send + Sync {
    /// The limit of the workspace's plan. MAY be some seconds old.
    ///
    /// # Errors
    /// [`StoreError`] if the plan could not be read.
    async fn limit(&self, scope: &WorkspaceScope, meter: Meter) -> Result<Limit, StoreError>;
}

/// Grants units of a period to processes.
#[async_trait]
pub trait BudgetLedger: Send + Sync {
    /// Grants units to this process, as many as [`granted_units`](crate::quota::granted_units) says.
    ///
    /// MUST NOT let the sum of all grants that were not given back exceed the limit, under any concurrency. MUST count
    /// usage that was never granted, because the plan had no limit then, as granted. MUST raise an alert when a threshold
    /// is passed, in the same transaction and once in a period.
    ///
    /// # Errors
    /// [`StoreError`] if nothing was granted, or it is unknown whether something was.
    async fn grant(&self, scope: &WorkspaceScope, request: &GrantRequest) -> Result<Grant, StoreError>;

    /// Takes units back that their process did not use. A workspace that does not exist any more MUST NOT prevent the
    /// units of the others from being taken back.
    ///
    /// # Errors
    /// [`StoreError`] if it is unknown whether the units were taken back. The caller MUST NOT try again.
    async fn give_back(&self, scope: &SystemScope, units: &[Returned]) -> Result<(), StoreError>;
}
