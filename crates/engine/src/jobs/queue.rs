//! What people do with jobs: see them, try dead ones again, discard them.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use tidegate_kernel::{
    AuditEntry, Environment, Forbidden, JobId, OperatorScope, Page, PageSize, Permission, StoreError, SystemScope,
    UnitOfWork, WorkspaceScope,
};

use super::model::{INSTALLATION, Job, JobFilter, JobKey};
use super::ports::{DeadJobs, InstallationJobsTx, JobRepository, JobsTx};

/// What is wanted of a dead job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobAction {
    /// It is tried again, with all its attempts before it.
    Redrive,
    /// It is deleted.
    Discard,
}

impl JobAction {
    const fn audited(self) -> &'static str {
        match self {
            Self::Redrive => "job.redriven",
            Self::Discard => "job.discarded",
        }
    }
}

/// Why a wish was not taken.
#[derive(Debug, thiserror::Error)]
pub enum JobQueueError {
    /// The actor lacks a permission.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    /// There is no such job.
    #[error("there is no such job")]
    NotFound,
    /// The job has not failed for good.
    #[error("only a dead job can be redriven or discarded")]
    NotDead,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Where a page of dead jobs ends: operators see the longest dead first.
pub type DeadJobKey = (DateTime<Utc>, JobId);

/// The use cases of people with jobs.
pub struct JobQueue {
    workspaces: Arc<dyn UnitOfWork<dyn JobsTx>>,
    installation: Arc<dyn UnitOfWork<dyn InstallationJobsTx, SystemScope>>,
    dead: Arc<dyn DeadJobs>,
    system: SystemScope,
    env: Environment,
}

impl std::fmt::Debug for JobQueue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JobQueue").finish_non_exhaustive()
    }
}

impl JobQueue {
    /// The use cases over a store; `system` opens what operators see.
    #[must_use]
    pub fn new<S>(store: &Arc<S>, system: SystemScope, env: Environment) -> Self
    where
        S: UnitOfWork<dyn JobsTx> + UnitOfWork<dyn InstallationJobsTx, SystemScope> + DeadJobs + 'static,
    {
        Self { workspaces: store.clone(), installation: store.clone(), dead: store.clone(), system, env }
    }

    /// The workspace's jobs, newest first.
    ///
    /// # Errors
    /// [`JobQueueError::Forbidden`] without `jobs:read`; [`JobQueueError::Store`] when they could not be read.
    pub async fn list(
        &self,
        scope: &WorkspaceScope,
        filter: &JobFilter,
        after: Option<JobId>,
        size: PageSize,
    ) -> Result<Page<Job, JobId>, JobQueueError> {
        scope.require(Permission::JobsRead)?;
        let mut tx = self.workspaces.begin(scope).await?;
        let page = tx.queue().list(filter, after, size).await?;
        tx.commit().await?;
        Ok(page)
    }

    /// Does `action` to a dead job of the workspace, and answers it as it is then; `None` where it is gone.
    ///
    /// # Errors
    /// [`JobQueueError::Forbidden`] without `jobs:write`, [`JobQueueError::NotFound`] where the workspace has no such job,
    /// [`JobQueueError::NotDead`] where it has not failed for good.
    pub async fn act(
        &self,
        scope: &WorkspaceScope,
        job: JobId,
        action: JobAction,
    ) -> Result<Option<Job>, JobQueueError> {
        scope.require(Permission::JobsWrite)?;
        self.act_in(scope, job, action).await
    }

    async fn act_in(
        &self,
        scope: &WorkspaceScope,
        job: JobId,
        action: JobAction,
    ) -> Result<Option<Job>, JobQueueError> {
        let mut tx = self.workspaces.begin(scope).await?;
        let found = apply(&mut *tx.queue(), job, action, self.env.now()).await?;
        tx.audit().record(AuditEntry::new(action.audited(), job)).await?;
        tx.commit().await?;
        Ok(found)
    }

    /// Dead jobs of all workspaces and of the installation, the longest dead first.
    ///
    /// # Errors
    /// [`StoreError`] when they could not be read.
    pub async fn dead(
        &self,
        _operator: &OperatorScope,
        after: Option<DeadJobKey>,
        size: PageSize,
    ) -> Result<Page<Job, DeadJobKey>, StoreError> {
        self.dead.list(&self.system, after, size).await
    }

    /// Does `action` to a dead job, whosever it is. The workspace's audit log names the operator, or the log of the operator's
    /// account where it is the installation's.
    ///
    /// # Errors
    /// [`JobQueueError::NotFound`] where no such job is dead.
    pub async fn operate(
        &self,
        operator: &OperatorScope,
        job: JobId,
        action: JobAction,
    ) -> Result<Option<Job>, JobQueueError> {
        let JobKey { workspace, .. } = self.dead.find(&self.system, job).await?.ok_or(JobQueueError::NotFound)?;
        if workspace != INSTALLATION {
            return self.act_in(&operator.enter(workspace), job, action).await;
        }
        let mut tx = self.installation.begin(&self.system).await?;
        let found = apply(&mut *tx.queue(), job, action, self.env.now()).await?;
        tx.operations().record_operation(operator.user(), action.audited(), job, operator.request_id()).await?;
        tx.commit().await?;
        Ok(found)
    }
}

async fn apply(
    jobs: &mut dyn JobRepository,
    job: JobId,
    action: JobAction,
    now: DateTime<Utc>,
) -> Result<Option<Job>, JobQueueError> {
    let done = match action {
        JobAction::Redrive => jobs.redrive(job, now).await?,
        JobAction::Discard => jobs.discard(job).await?,
    };
    match (done, jobs.find(job).await?) {
        (true, found) => Ok(found),
        (false, Some(_)) => Err(JobQueueError::NotDead),
        (false, None) => Err(JobQueueError::NotFound),
    }
}
