//! The jobs that wake a subscription at a time, and those that were not woken.

use async_trait::async_trait;
use tidegate_billing::subscription::{
    OverdueSweep, SubscriptionError, Subscriptions, WakeOverdueSubscriptions, WakeSubscription,
};
use tidegate_engine::jobs::{JobError, JobHandler, JobTask};

/// Wakes subscriptions. A repeated attempt finds nothing to do.
pub(crate) struct WakeSubscriptions(pub(crate) Subscriptions);

#[async_trait]
impl JobHandler<WakeSubscription> for WakeSubscriptions {
    async fn run(&self, task: &JobTask, _: WakeSubscription) -> Result<(), JobError> {
        self.0.wake(task.in_workspace()?).await.map_err(|error| match error {
            SubscriptionError::Store(error) => error.into(),
            error => JobError::Permanent(error.to_string()),
        })
    }
}

/// Wakes subscriptions whose own job is dead or missing.
pub(crate) struct WakeOverdue(pub(crate) OverdueSweep);

#[async_trait]
impl JobHandler<WakeOverdueSubscriptions> for WakeOverdue {
    async fn run(&self, task: &JobTask, _: WakeOverdueSubscriptions) -> Result<(), JobError> {
        for (workspace, error) in self.0.run(&task.request_id).await? {
            tracing::error!(%workspace, %error, "an overdue subscription cannot be woken; nothing is charged to its workspace");
        }
        Ok(())
    }
}
