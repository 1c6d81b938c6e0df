//! Deletes a workspace and ends its activities.

use std::sync::Arc;

use chrono::TimeDelta;
use tidegate_kernel::{Environment, Signal, SignalBus, Topic, UnitOfWork, WorkspaceScope};
use tidegate_tenancy::WorkspaceDeletion;
use tidegate_tenancy::error::WorkspaceError;
use tidegate_tenancy::ports::TenancyTx;
use tidegate_tenancy::service::Workspaces;
use tidegate_workflows::ports::TriggerPlacements;
use tidegate_workflows::run::ports::RunRepository;

/// The slice of a store for deleting a workspace: parts of both domains in one transaction.
pub trait DeleteWorkspaceTx: TenancyTx {
    /// The placed triggers.
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
    /// The use case over `store`. The workspace's data is erased after `erase_after`.
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

    /// Deletes the workspace of `scope`. Its triggers are deleted, and its runs are cancelled as soon as their workers
    /// handle the requests.
    ///
    /// # Errors
    /// [`WorkspaceError`] if the caller lacks the permission or the workspace does not exist. Nothing was changed then.
    pub async fn delete(&self, scope: &WorkspaceScope) -> Result<WorkspaceDeletion, WorkspaceError> {
        let mut tx = self.store.begin(scope).await?;
        let deletion = self.workspaces.delete_in(&mut *tx, scope, self.erase_after).await?;
        tx.placements().clear().await?;
        tx.runs().request_cancel_all(self.env.now()).await?;
        tx.commit().await?;
        self.workspaces.changed(scope);
        // Not the id of a workspace: with an id, workers claim only its ready runs. With any other text, they also
        // look for requests.
        self.bus.publish(Signal::new(Topic::WorkReady, &"deleted"));
        Ok(deletion)
    }
}
