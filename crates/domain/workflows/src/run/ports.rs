//! What runs need from a store.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tidegate_kernel::{AuditLog, Page, PageSize, RunId, StoreError, SystemScope, Transaction, WorkflowId};

use super::model::TransitionRecord;
use super::quarantine::{QuarantineAction, QuarantineKey, QuarantinedRun};
use super::record::{NewRun, Run, RunFilter};
use crate::ports::WorkflowRepository;

/// The slice of a store that the use cases of runs work on.
pub trait RunsTx: Transaction {
    /// Runs.
    fn runs(&mut self) -> Box<dyn RunRepository + '_>;
    /// Workflows, whose versions runs execute.
    fn workflows(&mut self) -> Box<dyn WorkflowRepository + '_>;
    /// Who did what.
    fn audit(&mut self) -> Box<dyn AuditLog + '_>;
}

/// Whether a dedupe key was free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyClaim {
    /// It is this run's now.
    Claimed,
    /// Another run was started with it.
    Known {
        /// That run.
        run: RunId,
        /// The digest of its input.
        input: [u8; 32],
    },
}

/// The runs of one workspace.
#[async_trait]
pub trait RunRepository: Send {
    /// Gives the key to `run`, unless another run of the workflow got it at or after `since`.
    ///
    /// MUST give a key to one of two transactions that ask at once; the other waits and is told of the first.
    async fn claim_key(
        &mut self,
        workflow: WorkflowId,
        key: &str,
        run: RunId,
        input: [u8; 32],
        now: DateTime<Utc>,
        since: DateTime<Utc>,
    ) -> Result<KeyClaim, StoreError>;

    /// Keeps a new run and makes it ready, so that the engine finds it as soon as this commits.
    async fn add(&mut self, run: &NewRun) -> Result<(), StoreError>;

    /// The same if the version that it follows is the published one; else keeps nothing and says so.
    async fn add_if_published(&mut self, run: &NewRun) -> Result<bool, StoreError>;

    /// The run, or `None` where the workspace has none with this id.
    async fn find(&mut self, id: RunId) -> Result<Option<Run>, StoreError>;

    /// The transitions of a run, in order; empty where the workspace has none with this id.
    async fn transitions(&mut self, id: RunId) -> Result<Vec<TransitionRecord>, StoreError>;

    /// Runs that `filter` admits, newest first, those before `after`.
    async fn list(
        &mut self,
        filter: &RunFilter,
        after: Option<RunId>,
        size: PageSize,
    ) -> Result<Page<Run, RunId>, StoreError>;

    /// Asks the engine to cancel a run that the workspace has. MUST NOT change the run itself.
    async fn request_cancel(&mut self, id: RunId, at: DateTime<Utc>) -> Result<(), StoreError>;

    /// Asks the engine to cancel every run of the workspace that has not ended. MUST NOT change the runs themselves.
    async fn request_cancel_all(&mut self, at: DateTime<Utc>) -> Result<(), StoreError>;

    /// Asks the engine to release or end a run of the workspace. False, and no request, where the run is not in quarantine.
    async fn request_in_quarantine(
        &mut self,
        id: RunId,
        action: QuarantineAction,
        at: DateTime<Utc>,
    ) -> Result<bool, StoreError>;
}

/// The runs in quarantine, whosever they are: for operators.
#[async_trait]
pub trait QuarantineDirectory: Send + Sync {
    /// Runs in quarantine, oldest first, those after `after`.
    async fn list(
        &self,
        scope: &SystemScope,
        after: Option<QuarantineKey>,
        size: PageSize,
    ) -> Result<Page<QuarantinedRun, QuarantineKey>, StoreError>;

    /// The run, or `None` where it is not in quarantine.
    async fn find(&self, scope: &SystemScope, run: RunId) -> Result<Option<QuarantinedRun>, StoreError>;

    /// How many there are, at most `most`.
    async fn count(&self, scope: &SystemScope, most: u32) -> Result<u32, StoreError>;
}
