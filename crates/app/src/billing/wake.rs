//! The job that wakes a subscription at a time.

use async_trait::async_trait;
use tidegate_billing::subscription::{SubscriptionError, Subscriptions, WakeSubscription};
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
