//! Quarantined runs: the engine set them aside because it cannot drive them, and operators release or end them.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use tidegate_kernel::{
    AuditEntry, Environment, OperatorScope, Page, PageSize, RunId, Signal, SignalBus, StoreError, SystemScope, Topic,
    UnitOfWork, WorkspaceId,
};

use super::model::UnknownStatus;
use super::ports::{QuarantineDirectory, RunsTx};

/// Why a run is in quarantine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum QuarantineReason {
    /// The database rejects what the run would write.
    Refused,
    /// The stored data of the run cannot be read or is inconsistent.
    Unreadable,
    /// The run needs another release of the program. It is tried again whenever a worker takes over its shard.
    Unsupported,
}

impl QuarantineReason {
    /// Every reason.
    pub const ALL: &'static [Self] = &[Self::Refused, Self::Unreadable, Self::Unsupported];

    /// The name in the API for operators.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Unreadable => "unreadable",
            Self::Unsupported => "unsupported",
        }
    }
}

impl fmt::Display for QuarantineReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for QuarantineReason {
    type Err = UnknownStatus;
    fn from_str(text: &str) -> Result<Self, UnknownStatus> {
        Self::ALL.iter().copied().find(|reason| reason.as_str() == text).ok_or_else(|| UnknownStatus(text.to_owned()))
    }
}

/// A run in quarantine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuarantinedRun {
    /// The workspace.
    pub workspace: WorkspaceId,
    /// The run.
    pub run: RunId,
    /// The reason, for programs.
    pub reason: QuarantineReason,
    /// The error, for operators.
    pub error: String,
    /// When it was quarantined.
    pub at: DateTime<Utc>,
}

/// The key of the next page of quarantined runs, which are ordered oldest first.
pub type QuarantineKey = (DateTime<Utc>, RunId);

/// An operator's action on a quarantined run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuarantineAction {
    /// The engine tries to drive it again, from its committed transitions.
    Release,
    /// The run ends as failed.
    End,
}

/// Why an operator's action was refused.
#[derive(Debug, thiserror::Error)]
pub enum OperateError {
    /// No run with this id is in quarantine.
    #[error("no such run is in quarantine")]
    NotFound,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The use cases of operators on quarantined runs.
pub struct Quarantine {
    store: Arc<dyn UnitOfWork<dyn RunsTx>>,
    directory: Arc<dyn QuarantineDirectory>,
    system: SystemScope,
    bus: Arc<dyn SignalBus>,
    env: Environment,
}

impl fmt::Debug for Quarantine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Quarantine").finish_non_exhaustive()
    }
}

impl Quarantine {
    /// The use cases over `store`. `directory` finds the runs of all workspaces with the scope `system`.
    #[must_use]
    pub fn new(
        store: Arc<dyn UnitOfWork<dyn RunsTx>>,
        directory: Arc<dyn QuarantineDirectory>,
        system: SystemScope,
        bus: Arc<dyn SignalBus>,
        env: Environment,
    ) -> Self {
        Self { store, directory, system, bus, env }
    }

    /// Quarantined runs, oldest first.
    ///
    /// # Errors
    /// [`StoreError`] if the runs could not be read.
    pub async fn list(
        &self,
        _operator: &OperatorScope,
        after: Option<QuarantineKey>,
        size: PageSize,
    ) -> Result<Page<QuarantinedRun, QuarantineKey>, StoreError> {
        self.directory.list(&self.system, after, size).await
    }

    /// The number of quarantined runs, at most `most`.
    ///
    /// # Errors
    /// [`StoreError`] if the runs could not be counted.
    pub async fn count(&self, most: u32) -> Result<u32, StoreError> {
        self.directory.count(&self.system, most).await
    }

    /// Requests the release or the end of a quarantined run. The request is recorded in the workspace's audit log.
    ///
    /// # Errors
    /// [`OperateError::NotFound`] if no such run is in quarantine.
    pub async fn request(
        &self,
        operator: &OperatorScope,
        run: RunId,
        action: QuarantineAction,
    ) -> Result<QuarantinedRun, OperateError> {
        let found = self.directory.find(&self.system, run).await?.ok_or(OperateError::NotFound)?;
        let mut tx = self.store.begin(&operator.enter(found.workspace)).await?;
        if !tx.runs().request_in_quarantine(run, action, self.env.now()).await? {
            return Err(OperateError::NotFound);
        }
        let audited = match action {
            QuarantineAction::Release => "run.release_requested",
            QuarantineAction::End => "run.end_requested",
        };
        tx.audit().record(AuditEntry::new(audited, run)).await?;
        tx.commit().await?;
        self.bus.publish(Signal::new(Topic::WorkReady, &run));
        Ok(found)
    }
}
