//! Billing: plans, subscriptions, invoices, usage, and what is allowed.
//!
//! - [`catalogue`] has the plans: versioned data in the store. [`money`] has currencies and rounding.
//! - [`subscription`] is the state machine of a subscription. [`calendar`] says when its periods begin.
//! - [`invoice`] computes invoices. [`ledger`] records them with double entry.
//! - [`payment`] collects invoices through a payment provider.
//! - [`meter`] has the limits of plans by meter. [`quota`] reserves from them. [`calls`] counts API calls in memory and
//!   writes batches. [`alert`] tells people that a limit is near. [`notice`] tells them about invoices and payments.
//!   [`correction`] has what operators add to the counts.
//! - [`ports`] has the obligations of a store. [`service`] answers what a workspace may use and has used.
//!
//! The row that assigns positions counts events. The statements that record runs and steps count those. Nothing is
//! estimated.

pub mod alert;
pub mod calendar;
pub mod calls;
pub mod catalogue;
pub mod correction;
pub mod error;
pub mod invoice;
pub mod ledger;
pub mod meter;
pub mod money;
mod names;
pub mod notice;
pub mod payment;
pub mod ports;
pub mod quota;
pub mod service;
pub mod subscription;
#[cfg(test)]
mod testing;

pub use alert::{NotifyQuota, QuotaAlert};
pub use calls::CallMeter;
pub use catalogue::{
    Catalogue, EditPlanError, EntitlementName, Entitlements, Feature, Interval, Metered, Overage, Plan, PlanEditor,
    PlanFault, PlanRecord, PlanStatus, PlanVersion, Price,
};
pub use error::{CatalogueError, PlanError, UsageError};
pub use meter::{Usage, UsageQuery, limit_of};
pub use money::Currency;
pub use notice::{OwnerNotice, SendNotice};
pub use payment::{ChargeInvoice, FollowPayment, ManualPayments, Payment, PaymentProvider, PaymentState, Payments};
pub use ports::{
    AlertRepository, BillingTx, BudgetLedger, CallCount, CallLedger, CatalogueTx, CreditNoteRepository,
    CustomerRepository, DayCount, InvoiceRepository, LedgerRepository, NoticeRepository, OperatorLog,
    OverdueSubscriptions, PaymentRepository, PlanCatalogue, PlanLimits, PlanRepository, PromoCatalogue,
    PromoRepository, SubscriptionRepository, UsageRepository,
};
pub use quota::PlanQuota;
pub use service::Billing;
