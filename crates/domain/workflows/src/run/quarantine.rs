//! Runs that the engine set aside because it cannot drive them, and what operators do about them.

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
    /// The database refuses what the run would write.
    Refused,
    /// What is stored of the run cannot be read, or does not fit together.
    Unreadable,
    /// The run needs another release of the program. It is tried again whenever a worker takes its shard over.
    Unsupported,
}

impl QuarantineReason {
    /// Every reason.
    pub const ALL: &'static [Self] = &[Self::Refused, Self::Unreadable, Self::Unsupported];

    /// The text that operators see.
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
    /// Why, for programs.
    pub reason: QuarantineReason,
    /// Why, for people.
    pub error: String,
    /// Since when.
    pub at: DateTime<Utc>,
}

/// Where a page of runs in quarantine ends: lists are oldest first.
pub type QuarantineKey = (DateTime<Utc>, RunId);

/// What an operator wants of a run in quarantine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuarantineAction {
    /// The engine tries to drive it again, from what was committed.
    Release,
    /// The run ends as failed.
    End,
}

/// Why an operator's wish was not taken.
#[derive(Debug, thiserror::Error)]
pub enum OperateError {
    /// No run with this id is in quarantine.
    #[error("no such run is in quarantine")]
    NotFound,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What operators do with runs in quarantine.
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
    /// The use cases over `store`; `directory` finds runs of all workspaces under `system`.
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

    /// Runs in quarantine, oldest first.
    ///
    /// # Errors
    /// [`StoreError`] when they could not be read.
    pub async fn list(
        &self,
        _operator: &OperatorScope,
        after: Option<QuarantineKey>,
        size: PageSize,
    ) -> Result<Page<QuarantinedRun, QuarantineKey>, StoreError> {
        self.directory.list(&self.system, after, size).await
    }

    /// How many runs are in quarantine; counting stops at `most`.
    ///
    /// # Errors
    /// [`StoreError`] when they could not be counted.
    pub async fn count(&self, most: u32) -> Result<u32, StoreError> {
        self.directory.count(&self.system, most).await
    }

    /// Asks the engine to release or end a run. The run's workspace finds it in its audit log.
    ///
    /// # Errors
    /// [`OperateError::NotFound`] where no such run is in quarantine.
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
