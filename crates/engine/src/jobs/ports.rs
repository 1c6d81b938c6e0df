//! The ports of jobs.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tidegate_kernel::{AuditLog, JobId, Page, PageSize, RequestId, StoreError, SystemScope, Transaction, UserId};

use super::model::{ClaimedJob, EndedJob, Job, JobClaim, JobCount, JobFilter, JobKey, JobOutlook, Recurrence};
use crate::model::{ShardId, Tenure, WorkerId};

/// The store of the job runner. Every method is one transaction.
#[async_trait]
pub trait JobStore: Send + Sync {
    /// Makes a bounded number of scheduled jobs ready that are due by `now`, and returns the work to do.
    ///
    /// MUST NOT make a job ready in a shard that is not held under its tenure. The cost MUST NOT depend on the backlog
    /// behind the first job of a lane.
    async fn look(
        &self,
        scope: &SystemScope,
        worker: WorkerId,
        tenures: &[Tenure],
        now: DateTime<Utc>,
    ) -> Result<JobOutlook, StoreError>;

    /// Leases jobs: of each lane the first ones after the bound.
    ///
    /// MUST NOT lease a job in a shard that is not held under its tenure, or a job twice. MUST skip a job while a
    /// transaction is enqueueing its unique key again.
    async fn claim(
        &self,
        scope: &SystemScope,
        worker: WorkerId,
        claim: &JobClaim,
    ) -> Result<Vec<ClaimedJob>, StoreError>;

    /// Makes jobs ready again that are leased under these tenures but are not being executed. A claim whose answer was
    /// lost leaves such jobs.
    ///
    /// MUST NOT be called while a claim is in progress.
    async fn recover(
        &self,
        scope: &SystemScope,
        worker: WorkerId,
        tenures: &[Tenure],
        in_hand: &[JobKey],
    ) -> Result<(), StoreError>;

    /// Stores the results of attempts, and returns the jobs for which it did.
    ///
    /// MUST change nothing for a job that is not leased under the tenure. MUST delete a job that has failed and was
    /// cancelled meanwhile.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] and [`StoreError::Internal`] if nothing was written and the same batch can never be
    /// written. [`StoreError::Unavailable`] if it is unknown whether the batch was written.
    async fn finish(
        &self,
        scope: &SystemScope,
        worker: WorkerId,
        ended: &[EndedJob],
        now: DateTime<Utc>,
    ) -> Result<Vec<JobKey>, StoreError>;

    /// Enqueues the recurring jobs that are due, and returns when the next one is due.
    ///
    /// MUST enqueue each occurrence once, also with concurrent callers. MUST make up for any number of missed
    /// occurrences with one job. MUST apply a changed cron pattern from now on.
    async fn recur(
        &self,
        scope: &SystemScope,
        recurrences: &[Recurrence],
        now: DateTime<Utc>,
    ) -> Result<Option<DateTime<Utc>>, StoreError>;

    /// Counts the jobs in these shards by kind and status, and returns since when they wait. The counting stops at a
    /// bound.
    async fn count(&self, scope: &SystemScope, shards: &[ShardId]) -> Result<Vec<JobCount>, StoreError>;
}

/// The jobs of the transaction's workspace, or of the installation.
#[async_trait]
pub trait JobRepository: Send {
    /// A page of jobs, newest first, after the job `after`.
    async fn list(
        &mut self,
        filter: &JobFilter,
        after: Option<JobId>,
        size: PageSize,
    ) -> Result<Page<Job, JobId>, StoreError>;

    /// One job.
    async fn find(&mut self, job: JobId) -> Result<Option<Job>, StoreError>;

    /// Makes a dead job ready again, with a full number of attempts.
    ///
    /// If several callers do this at the same time, MUST do it once and return `false` to the others. MUST return
    /// `false` if no dead job has this id.
    async fn redrive(&mut self, job: JobId, now: DateTime<Utc>) -> Result<bool, StoreError>;

    /// Deletes a dead job. MUST return `false` if no dead job has this id.
    async fn discard(&mut self, job: JobId) -> Result<bool, StoreError>;
}

/// The slice of a store with which people manage a workspace's jobs.
pub trait JobsTx: Transaction {
    /// The workspace's jobs.
    fn queue(&mut self) -> Box<dyn JobRepository + '_>;
    /// The workspace's audit log.
    fn audit(&mut self) -> Box<dyn AuditLog + '_>;
}

/// The log of the operators' actions on the installation's jobs.
#[async_trait]
pub trait InstallationLog: Send {
    /// Records that an operator did `action` to a job.
    async fn record_operation(
        &mut self,
        operator: UserId,
        action: &'static str,
        job: JobId,
        request_id: &RequestId,
    ) -> Result<(), StoreError>;
}

/// The slice of a store with which operators manage the installation's jobs.
pub trait InstallationJobsTx: Transaction {
    /// The installation's jobs.
    fn queue(&mut self) -> Box<dyn JobRepository + '_>;
    /// The log of the operators' actions.
    fn operations(&mut self) -> Box<dyn InstallationLog + '_>;
}

/// The dead jobs of all workspaces and of the installation, for operators.
#[async_trait]
pub trait DeadJobs: Send + Sync {
    /// A page of them; the job that has been dead the longest comes first.
    async fn list(
        &self,
        scope: &SystemScope,
        after: Option<(DateTime<Utc>, JobId)>,
        size: PageSize,
    ) -> Result<Page<Job, (DateTime<Utc>, JobId)>, StoreError>;

    /// The workspace of a dead job.
    async fn find(&self, scope: &SystemScope, job: JobId) -> Result<Option<JobKey>, StoreError>;
}
