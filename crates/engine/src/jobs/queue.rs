//! Use cases of people on jobs: list them, retry dead ones, discard dead ones.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use tidegate_kernel::{
    AuditEntry, Environment, Forbidden, JobId, OperatorScope, Page, PageSize, Permission, StoreError, SystemScope,
    UnitOfWork, WorkspaceScope,
};

use super::model::{INSTALLATION, Job, JobFilter, JobKey};
use super::ports::{DeadJobs, InstallationJobsTx, JobRepository, JobsTx};

/// An action on a dead job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobAction {
    /// Retry it, with a full number of attempts.
    Redrive,
    /// Delete it.
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

/// Why an action on a job, or a list of jobs, was refused.
#[derive(Debug, thiserror::Error)]
pub enum JobQueueError {
    /// The actor lacks a permission.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    /// No such job exists.
    #[error("there is no such job")]
    NotFound,
    /// The job is not dead.
    #[error("only a dead job can be redriven or discarded")]
    NotDead,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The key of the next page of dead jobs, which are ordered by the time of death, the oldest first.
pub type DeadJobKey = (DateTime<Utc>, JobId);

/// The use cases of people on jobs.
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
    /// The use cases over a store. `system` opens the transactions of operators.
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
    /// [`JobQueueError::Forbidden`] without `jobs:read`. [`JobQueueError::Store`] if the jobs could not be read.
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

    /// Does `action` to a dead job of the workspace. Returns the job afterwards, or `None` if it was deleted.
    ///
    /// # Errors
    /// [`JobQueueError::Forbidden`] without `jobs:write`. [`JobQueueError::NotFound`] if the workspace has no such job.
    /// [`JobQueueError::NotDead`] if the job is not dead.
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

    /// Dead jobs of all workspaces and of the installation, ordered by the time of death, the oldest first.
    ///
    /// # Errors
    /// [`StoreError`] if the jobs could not be read.
    pub async fn dead(
        &self,
        _operator: &OperatorScope,
        after: Option<DeadJobKey>,
        size: PageSize,
    ) -> Result<Page<Job, DeadJobKey>, StoreError> {
        self.dead.list(&self.system, after, size).await
    }

    /// Does `action` to a dead job of any workspace or of the installation. The action is recorded in the workspace's
    /// audit log with the operator as actor, or for a job of the installation in the log of the operator's account.
    ///
    /// # Errors
    /// [`JobQueueError::NotFound`] if no dead job has this id.
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
