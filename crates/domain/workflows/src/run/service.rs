//! Use cases of runs: read, cancel, and start (in `start`). The engine drives runs.

use std::sync::Arc;

use tidegate_kernel::{
    AuditEntry, CacheFigures, Environment, Forbidden, NoQuota, Page, PageSize, Permission, Quota, RunId, Signal,
    SignalBus, StoreError, Topic, UnitOfWork, WorkspaceScope,
};

use super::cache::CompiledCache;
use super::context::CompiledWorkflows;
use super::ports::RunsTx;
use super::record::{Run, RunDetails, RunFilter};
use super::timeline::timeline;
use crate::compute::{ComputePool, Inline};
use crate::step::StepRegistry;

/// Why a run could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The caller lacks the permission.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    /// The workspace has no such run.
    #[error("there is no such run")]
    NotFound,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a run was not cancelled.
#[derive(Debug, thiserror::Error)]
pub enum CancelError {
    /// The caller lacks the permission.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    /// The workspace has no such run.
    #[error("there is no such run")]
    NotFound,
    /// It has ended.
    #[error("the run has ended")]
    Ended,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The use cases of runs.
#[derive(Clone)]
pub struct Runs {
    pub(super) store: Arc<dyn UnitOfWork<dyn RunsTx>>,
    pub(super) steps: Arc<StepRegistry>,
    pub(super) cache: CompiledCache,
    pub(super) pool: Arc<dyn ComputePool>,
    bus: Arc<dyn SignalBus>,
    pub(super) quota: Arc<dyn Quota>,
    pub(super) env: Environment,
}

impl std::fmt::Debug for Runs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runs").finish_non_exhaustive()
    }
}

impl Runs {
    /// The use cases over `store`, for documents whose step types are in `steps`. `bus` signals new work to the engine.
    #[must_use]
    pub fn new(
        store: Arc<dyn UnitOfWork<dyn RunsTx>>,
        steps: Arc<StepRegistry>,
        bus: Arc<dyn SignalBus>,
        env: Environment,
    ) -> Self {
        let (cache, pool, quota) = (CompiledCache::default(), Arc::new(Inline), Arc::new(NoQuota));
        Self { store, steps, cache, pool, bus, quota, env }
    }

    /// Limits the runs of a workspace by `quota`.
    #[must_use]
    pub fn limited_by(mut self, quota: Arc<dyn Quota>) -> Self {
        self.quota = quota;
        self
    }

    /// Checks inputs and compiles workflows on `pool` instead of the calling thread.
    #[must_use]
    pub fn computing_on(mut self, pool: Arc<dyn ComputePool>) -> Self {
        self.pool = pool;
        self
    }

    /// The statistics of the caches of compiled workflows and of published versions.
    #[must_use]
    pub fn cache_figures(&self) -> [CacheFigures; 2] {
        self.cache.figures()
    }

    /// Signals to the engine that the workspace has work. Call it after the commit.
    pub fn wake(&self, scope: &WorkspaceScope) {
        self.bus.publish(Signal::new(Topic::WorkReady, &scope.workspace()));
    }

    /// A run with its steps.
    ///
    /// # Errors
    /// [`ReadError`] if the caller lacks `runs:read` or the workspace has no such run.
    pub async fn get(&self, scope: &WorkspaceScope, id: RunId) -> Result<RunDetails, ReadError> {
        scope.require(Permission::RunsRead)?;
        let mut tx = self.store.begin(scope).await?;
        let run = tx.runs().find(id).await?.ok_or(ReadError::NotFound)?;
        let transitions = tx.runs().transitions(id).await?;
        // A version that is not cached is read in a separate transaction, so this one ends first.
        drop(tx);
        let compiled = self.compiled(scope, run.workflow, run.version).await?;
        let steps = compiled.map(|compiled| timeline(&compiled, &transitions)).unwrap_or_default();
        Ok(RunDetails { run, steps })
    }

    /// A run without its steps.
    ///
    /// # Errors
    /// [`ReadError`] if the caller lacks `runs:read` or the workspace has no such run.
    pub async fn peek(&self, scope: &WorkspaceScope, id: RunId) -> Result<Run, ReadError> {
        scope.require(Permission::RunsRead)?;
        self.store.begin(scope).await?.runs().find(id).await?.ok_or(ReadError::NotFound)
    }

    /// Runs, newest first.
    ///
    /// # Errors
    /// [`ReadError::Forbidden`] if the caller lacks `runs:read`.
    pub async fn list(
        &self,
        scope: &WorkspaceScope,
        filter: &RunFilter,
        after: Option<RunId>,
        size: PageSize,
    ) -> Result<Page<Run, RunId>, ReadError> {
        scope.require(Permission::RunsRead)?;
        Ok(self.store.begin(scope).await?.runs().list(filter, after, size).await?)
    }

    /// Requests the cancellation of a run. The run ends as soon as its worker handles the request.
    ///
    /// # Errors
    /// [`CancelError`] if the caller lacks `runs:execute`, the workspace has no such run, or the run has ended.
    pub async fn cancel(&self, scope: &WorkspaceScope, id: RunId) -> Result<Run, CancelError> {
        scope.require(Permission::RunsExecute)?;
        let mut tx = self.store.begin(scope).await?;
        let run = tx.runs().find(id).await?.ok_or(CancelError::NotFound)?;
        if run.status.is_terminal() {
            return Err(CancelError::Ended);
        }
        tx.runs().request_cancel(id, self.env.now()).await?;
        tx.audit().record(AuditEntry::new("run.cancel_requested", id)).await?;
        tx.commit().await?;
        self.bus.publish(Signal::new(Topic::WorkReady, &id));
        Ok(run)
    }
}
