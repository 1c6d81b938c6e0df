//! The job that tells people of alerts about quotas.

use async_trait::async_trait;
use tidegate_billing::NotifyQuota;
use tidegate_engine::jobs::{JobError, JobHandler, JobTask};
use tidegate_use_cases::NotifyQuotas;

/// Tells people of alerts.
pub(super) struct NotifyOwners(pub(super) NotifyQuotas);

#[async_trait]
impl JobHandler<NotifyQuota> for NotifyOwners {
    async fn run(&self, task: &JobTask, alert: NotifyQuota) -> Result<(), JobError> {
        Ok(self.0.notify(task.in_workspace()?, &alert).await?)
    }
}
