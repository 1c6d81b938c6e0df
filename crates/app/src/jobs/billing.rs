//! The jobs of billing.

use std::time::Duration;

use async_trait::async_trait;
use tidegate_billing::payment::{PaymentEvent, PaymentInbox};
use tidegate_billing::subscription::{OverdueSweep, Subscriptions, WakeOverdueSubscriptions, WakeSubscription};
use tidegate_billing::{ChargeInvoice, FollowPayment, Payments, SendNotice};
use tidegate_engine::jobs::{JobError, JobHandler, JobKindError, JobKinds, JobOptions, JobTask};
use tidegate_use_cases::NotifyBilling;
use tidegate_workflows::compiled::RetryPolicy;

use crate::billing::{CollectPayments, HandlePaymentEvents, WakeOverdue, WakeSubscriptions};

/// What the jobs of billing call.
pub(crate) struct BillingJobs {
    /// Does what subscriptions have to do at a time.
    pub(crate) subscriptions: Subscriptions,
    /// Wakes subscriptions whose own job is dead or missing.
    pub(crate) overdue: OverdueSweep,
    /// Collects invoices.
    pub(crate) payments: Payments,
    /// Handles notifications of the payment provider.
    pub(crate) inbox: PaymentInbox,
    /// Tells owners about invoices and payments.
    pub(crate) notices: NotifyBilling,
}

/// Tells owners of notices.
struct SendNotices(NotifyBilling);

#[async_trait]
impl JobHandler<SendNotice> for SendNotices {
    async fn run(&self, task: &JobTask, notice: SendNotice) -> Result<(), JobError> {
        Ok(self.0.notify(task.in_workspace()?, notice).await?)
    }
}

/// Registers the jobs. That which wakes overdue subscriptions recurs every hour.
///
/// # Errors
/// [`JobKindError`] if a name is taken.
pub(super) fn register(kinds: JobKinds, jobs: BillingJobs) -> Result<JobKinds, JobKindError> {
    // It recurs by itself, so an attempt that fails is not urgent.
    let retry = RetryPolicy { max_attempts: 3, ..JobOptions::default().retry };
    let options = JobOptions { retry, timeout: Duration::from_secs(600), concurrency: 1 };
    // A provider may be asked several times, with pauses.
    let collecting = JobOptions { timeout: Duration::from_secs(300), ..JobOptions::default() };
    let payments = jobs.payments;
    kinds
        .register::<WakeSubscription>(JobOptions::default(), WakeSubscriptions(jobs.subscriptions))?
        .register::<ChargeInvoice>(collecting, CollectPayments(payments.clone()))?
        .register::<FollowPayment>(collecting, CollectPayments(payments))?
        .register::<PaymentEvent>(collecting, HandlePaymentEvents(jobs.inbox))?
        .register::<SendNotice>(JobOptions::default(), SendNotices(jobs.notices))?
        .register_recurring("23 * * * *", &WakeOverdueSubscriptions {}, options, WakeOverdue(jobs.overdue))
}
