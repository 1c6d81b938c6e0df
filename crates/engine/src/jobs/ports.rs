//! What jobs need of a store.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tidegate_kernel::{AuditLog, JobId, Page, PageSize, RequestId, StoreError, SystemScope, Transaction, UserId};

use super::model::{ClaimedJob, EndedJob, Job, JobClaim, JobCount, JobFilter, JobKey, JobOutlook, Recurrence};
use crate::model::{ShardId, Tenure, WorkerId};

/// Where the runner finds jobs. Every method is one transaction.
#[async_trait]
pub trait JobStore: Send + Sync {
    /// Makes scheduled jobs ready whose time has come by `now`, a bounded number of them, and says what there is to do.
    ///
    /// MUST make nothing ready in a shard that is not held under its tenure. MUST cost nothing for a backlog behind the first
    /// job of a lane.
    async fn look(
        &self,
        scope: &SystemScope,
        worker: WorkerId,
        tenures: &[Tenure],
        now: DateTime<Utc>,
    ) -> Result<JobOutlook, StoreError>;

    /// Leases jobs: of each lane the first ones after the bound.
    ///
    /// MUST lease nothing in a shard that is not held under its tenure, and no job twice. MUST pass over a job whose key a
    /// transaction is enqueueing again, until that has ended.
    async fn claim(
        &self,
        scope: &SystemScope,
        worker: WorkerId,
        claim: &JobClaim,
    ) -> Result<Vec<ClaimedJob>, StoreError>;

    /// Makes jobs ready again that are leased under these tenures and not in hand: a claim whose answer was lost leaves such.
    ///
    /// MUST NOT be called while a claim is on its way.
    async fn recover(
        &self,
        scope: &SystemScope,
        worker: WorkerId,
        tenures: &[Tenure],
        in_hand: &[JobKey],
    ) -> Result<(), StoreError>;

    /// Writes how attempts ended, and says of which jobs.
    ///
    /// MUST change nothing of a job that is not leased under the tenure. MUST forget a job that was cancelled meanwhile and has
    /// failed.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] and [`StoreError::Internal`] say that nothing was written and that the same batch cannot be;
    /// [`StoreError::Unavailable`] leaves open whether it was.
    async fn finish(
        &self,
        scope: &SystemScope,
        worker: WorkerId,
        ended: &[EndedJob],
        now: DateTime<Utc>,
    ) -> Result<Vec<JobKey>, StoreError>;

    /// Enqueues those recurring jobs whose time has come, and says when the next one is due.
    ///
    /// MUST enqueue each time once, whoever else asks at the same moment, and MUST make up for any number of missed times with
    /// one job. MUST follow a changed pattern from now on.
    async fn recur(
        &self,
        scope: &SystemScope,
        recurrences: &[Recurrence],
        now: DateTime<Utc>,
    ) -> Result<Option<DateTime<Utc>>, StoreError>;

    /// How many jobs of which kinds there are in these shards, and since when. Counting stops at a bound.
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

    /// Makes a dead job ready, with all its attempts before it.
    ///
    /// MUST do so once, of any number who ask at the same moment, and answer `false` to the others and where none is dead.
    async fn redrive(&mut self, job: JobId, now: DateTime<Utc>) -> Result<bool, StoreError>;

    /// Deletes a dead job. MUST answer `false` where none is.
    async fn discard(&mut self, job: JobId) -> Result<bool, StoreError>;
}

/// The slice of a store in which people look after a workspace's jobs.
pub trait JobsTx: Transaction {
    /// The workspace's jobs.
    fn queue(&mut self) -> Box<dyn JobRepository + '_>;
    /// The workspace's audit log.
    fn audit(&mut self) -> Box<dyn AuditLog + '_>;
}

/// What operators did with the installation's jobs.
#[async_trait]
pub trait InstallationLog: Send {
    /// Writes down that an operator did `action` to a job.
    async fn record_operation(
        &mut self,
        operator: UserId,
        action: &'static str,
        job: JobId,
        request_id: &RequestId,
    ) -> Result<(), StoreError>;
}

/// The slice of a store in which operators look after the installation's jobs.
pub trait InstallationJobsTx: Transaction {
    /// The installation's jobs.
    fn queue(&mut self) -> Box<dyn JobRepository + '_>;
    /// What operators did.
    fn operations(&mut self) -> Box<dyn InstallationLog + '_>;
}

/// Dead jobs of everybody, for operators.
#[async_trait]
pub trait DeadJobs: Send + Sync {
    /// A page of them, the longest dead first.
    async fn list(
        &self,
        scope: &SystemScope,
        after: Option<(DateTime<Utc>, JobId)>,
        size: PageSize,
    ) -> Result<Page<Job, (DateTime<Utc>, JobId)>, StoreError>;

    /// Whose job it is.
    async fn find(&self, scope: &SystemScope, job: JobId) -> Result<Option<JobKey>, StoreError>;
}
