//! A workspace ends, and with it what goes on in it.

use std::sync::Arc;

use chrono::TimeDelta;
use tidegate_kernel::{Environment, Signal, SignalBus, Topic, UnitOfWork, WorkspaceScope};
use tidegate_tenancy::WorkspaceDeletion;
use tidegate_tenancy::error::WorkspaceError;
use tidegate_tenancy::ports::TenancyTx;
use tidegate_tenancy::service::Workspaces;
use tidegate_workflows::ports::TriggerPlacements;
use tidegate_workflows::run::ports::RunRepository;

/// What deleting a workspace needs of a store: parts of both domains in one transaction.
pub trait DeleteWorkspaceTx: TenancyTx {
    /// What starts workflows by itself.
    fn placements(&mut self) -> Box<dyn TriggerPlacements + '_>;
    /// Runs.
    fn runs(&mut self) -> Box<dyn RunRepository + '_>;
}

/// Deletes workspaces.
#[derive(Clone)]
pub struct DeleteWorkspace {
    store: Arc<dyn UnitOfWork<dyn DeleteWorkspaceTx>>,
    workspaces: Arc<Workspaces>,
    bus: Arc<dyn SignalBus>,
    env: Environment,
    erase_after: TimeDelta,
}

impl DeleteWorkspace {
    /// The use case over `store`; what a workspace leaves is erased after `erase_after`.
    #[must_use]
    pub fn new(
        store: Arc<dyn UnitOfWork<dyn DeleteWorkspaceTx>>,
        workspaces: Arc<Workspaces>,
        bus: Arc<dyn SignalBus>,
        env: Environment,
        erase_after: TimeDelta,
    ) -> Self {
        Self { store, workspaces, bus, env, erase_after }
    }

    /// Deletes the workspace of `scope`: nothing starts in it by itself any more, and its runs are cancelled as soon as
    /// their workers hear of it.
    ///
    /// # Errors
    /// [`WorkspaceError`]: not allowed, or gone; nothing was changed then.
    pub async fn delete(&self, scope: &WorkspaceScope) -> Result<WorkspaceDeletion, WorkspaceError> {
        let mut tx = self.store.begin(scope).await?;
        let deletion = self.workspaces.delete_in(&mut *tx, scope, self.erase_after).await?;
        tx.placements().clear().await?;
        tx.runs().request_cancel_all(self.env.now()).await?;
        tx.commit().await?;
        self.workspaces.changed(scope);
        // No id of a workspace: workers look for ready runs of one, and for signals where they do not know what it is about.
        self.bus.publish(Signal::new(Topic::WorkReady, &"deleted"));
        Ok(deletion)
    }
}
