//! The store ports of runs.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tidegate_kernel::{AuditLog, Page, PageSize, RunId, StoreError, SystemScope, Transaction, WorkflowId};

use super::model::TransitionRecord;
use super::quarantine::{QuarantineAction, QuarantineKey, QuarantinedRun};
use super::record::{NewRun, Run, RunFilter};
use crate::ports::WorkflowRepository;

/// The slice of a store for the use cases of runs.
pub trait RunsTx: Transaction {
    /// Runs.
    fn runs(&mut self) -> Box<dyn RunRepository + '_>;
    /// Workflows, for the documents that runs execute.
    fn workflows(&mut self) -> Box<dyn WorkflowRepository + '_>;
    /// The audit log.
    fn audit(&mut self) -> Box<dyn AuditLog + '_>;
}

/// The run that a dedupe key has started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyedRun {
    /// The run.
    pub run: RunId,
    /// The digest of its input.
    pub input: [u8; 32],
}

/// The runs of one workspace.
#[async_trait]
pub trait RunRepository: Send {
    /// Assigns the key to `run`, unless another run of the workflow claimed it at or after `since`, which is returned
    /// then.
    ///
    /// MUST serialize two transactions that claim the same key at the same time: the second waits and is told of the
    /// first.
    async fn claim_key(
        &mut self,
        workflow: WorkflowId,
        key: &str,
        run: RunId,
        input: [u8; 32],
        now: DateTime<Utc>,
        since: DateTime<Utc>,
    ) -> Result<Option<KeyedRun>, StoreError>;

    /// The run that claimed the key at or after `since`, if any.
    async fn find_key(
        &mut self,
        workflow: WorkflowId,
        key: &str,
        since: DateTime<Utc>,
    ) -> Result<Option<KeyedRun>, StoreError>;

    /// Stores a new run and makes it ready, so that the engine finds it after the commit.
    async fn add(&mut self, run: &NewRun) -> Result<(), StoreError>;

    /// Like [`RunRepository::add`], if the run's version is the published one. Otherwise stores nothing and returns
    /// false.
    async fn add_if_published(&mut self, run: &NewRun) -> Result<bool, StoreError>;

    /// The run, or `None` if the workspace has none with this id.
    async fn find(&mut self, id: RunId) -> Result<Option<Run>, StoreError>;

    /// The transitions of a run, in order; empty if the workspace has none with this id.
    async fn transitions(&mut self, id: RunId) -> Result<Vec<TransitionRecord>, StoreError>;

    /// The runs that match `filter`, newest first, after the cursor `after`.
    async fn list(
        &mut self,
        filter: &RunFilter,
        after: Option<RunId>,
        size: PageSize,
    ) -> Result<Page<Run, RunId>, StoreError>;

    /// Requests the cancellation of a run of the workspace. MUST NOT change the run itself.
    async fn request_cancel(&mut self, id: RunId, at: DateTime<Utc>) -> Result<(), StoreError>;

    /// Requests the cancellation of every run of the workspace that has not ended. MUST NOT change the runs themselves.
    async fn request_cancel_all(&mut self, at: DateTime<Utc>) -> Result<(), StoreError>;

    /// Requests the release or the end of a quarantined run of the workspace. Returns false, without a request, if the
    /// run is not in quarantine.
    async fn request_in_quarantine(
        &mut self,
        id: RunId,
        action: QuarantineAction,
        at: DateTime<Utc>,
    ) -> Result<bool, StoreError>;
}

/// The quarantined runs of all workspaces, for operators.
#[async_trait]
pub trait QuarantineDirectory: Send + Sync {
    /// Quarantined runs, oldest first, after the cursor `after`.
    async fn list(
        &self,
        scope: &SystemScope,
        after: Option<QuarantineKey>,
        size: PageSize,
    ) -> Result<Page<QuarantinedRun, QuarantineKey>, StoreError>;

    /// The run, or `None` if it is not in quarantine.
    async fn find(&self, scope: &SystemScope, run: RunId) -> Result<Option<QuarantinedRun>, StoreError>;

    /// The number of quarantined runs, at most `most`.
    async fn count(&self, scope: &SystemScope, most: u32) -> Result<u32, StoreError>;
}
