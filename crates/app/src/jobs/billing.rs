//! The jobs of billing.

use std::time::Duration;

use async_trait::async_trait;
use tidegate_billing::SendNotice;
use tidegate_billing::subscription::{OverdueSweep, Subscriptions, WakeOverdueSubscriptions, WakeSubscription};
use tidegate_engine::jobs::{JobError, JobHandler, JobKindError, JobKinds, JobOptions, JobTask};
use tidegate_use_cases::NotifyBilling;
use tidegate_workflows::compiled::RetryPolicy;

use crate::billing::{WakeOverdue, WakeSubscriptions};

/// What the jobs of billing call.
pub(crate) struct BillingJobs {
    /// Does what subscriptions have to do at a time.
    pub(crate) subscriptions: Subscriptions,
    /// Wakes subscriptions whose own job is dead or missing.
    pub(crate) overdue: OverdueSweep,
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
    kinds
        .register::<WakeSubscription>(JobOptions::default(), WakeSubscriptions(jobs.subscriptions))?
        .register::<SendNotice>(JobOptions::default(), SendNotices(jobs.notices))?
        .register_recurring("23 * * * *", &WakeOverdueSubscriptions {}, options, WakeOverdue(jobs.overdue))
}
