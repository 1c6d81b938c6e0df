//! The job that finishes what is to be done about files.

use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tidegate_engine::jobs::{JobError, JobHandler, JobKindError, JobKinds, JobOptions, JobTask};
use tidegate_files::FileTasks;
use tidegate_kernel::JobPayload;
use tidegate_workflows::compiled::RetryPolicy;

/// Gives up broken uploads, purges deleted files, and removes what presigned requests have left.
#[derive(Debug, Serialize, Deserialize)]
struct SettleFiles {}

impl JobPayload for SettleFiles {
    const KIND: &'static str = "files.settle";
}

struct Settle(FileTasks);

#[async_trait]
impl JobHandler<SettleFiles> for Settle {
    async fn run(&self, task: &JobTask, _payload: SettleFiles) -> Result<(), JobError> {
        let figures = self.0.run(&task.request_id).await?;
        metrics::counter!("file_tasks_total", "outcome" => "done").increment(figures.done);
        metrics::counter!("file_tasks_total", "outcome" => "failed").increment(figures.failed);
        if figures.failed > 0 {
            tracing::warn!(failed = figures.failed, "tasks of files failed; each is tried again later");
        }
        Ok(())
    }
}

/// Registers the job, which recurs every five minutes. Without an object store there is none.
///
/// # Errors
/// [`JobKindError`] if the name is taken.
pub(super) fn register(kinds: JobKinds, tasks: Option<FileTasks>) -> Result<JobKinds, JobKindError> {
    let Some(tasks) = tasks else { return Ok(kinds) };
    // It recurs by itself, so an attempt that fails is not urgent.
    let retry = RetryPolicy { max_attempts: 3, ..JobOptions::default().retry };
    let options = JobOptions { retry, timeout: Duration::from_secs(600), concurrency: 1 };
    kinds.register_recurring("*/5 * * * *", &SettleFiles {}, options, Settle(tasks))
}
