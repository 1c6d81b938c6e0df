//! The surroundings of the engine's store that its suite needs.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tidegate_billing::BillingTx;
use tidegate_engine::model::RunKey;
use tidegate_kernel::{Meter, UnitOfWork, WorkspaceId, WorkspaceScope};
use tidegate_postgres::PgStore;
use tidegate_workflows::run::ports::RunsTx;
use tidegate_workflows::run::{NewRun, QuarantineAction, RunStatus, TransitionRecord};

use crate::scope::workspace_scope;

/// Starts the runs of a store, and reads and requests what callers do. Every store under test has one. The ports for
/// the same in a whole program have suites of their own.
#[async_trait]
pub trait EngineWorld: Send + Sync {
    /// Stores a new run and makes it ready.
    async fn add(&self, scope: &WorkspaceScope, run: &NewRun);

    /// Requests the cancellation of a run, if the workspace has it.
    async fn cancel(&self, key: RunKey, at: DateTime<Utc>);

    /// Requests the cancellation of every run of a workspace that has not ended.
    async fn cancel_all(&self, workspace: WorkspaceId, at: DateTime<Utc>);

    /// Requests an action on a run in quarantine. Returns false, and requests nothing, if the workspace has no such run
    /// there.
    async fn ask(&self, key: RunKey, action: QuarantineAction, at: DateTime<Utc>) -> bool;

    /// The status of a run for callers.
    async fn status(&self, key: RunKey) -> RunStatus;

    /// The transitions of a run; empty if the workspace has no run with this id.
    async fn history(&self, key: RunKey) -> Vec<TransitionRecord>;

    /// The number of runs and steps that a workspace has used in the month of `at`.
    async fn used(&self, workspace: WorkspaceId, at: DateTime<Utc>) -> [i64; 2];
}

async fn begin(store: &PgStore, workspace: WorkspaceId) -> Box<dyn RunsTx> {
    store.begin(&workspace_scope(workspace)).await.expect("a transaction begins")
}

#[async_trait]
impl EngineWorld for PgStore {
    async fn add(&self, scope: &WorkspaceScope, run: &NewRun) {
        let mut tx: Box<dyn RunsTx> = self.begin(scope).await.expect("a transaction begins");
        tx.runs().add(run).await.expect("a run is added");
        tx.commit().await.expect("it commits");
    }

    async fn cancel(&self, key: RunKey, at: DateTime<Utc>) {
        let mut tx = begin(self, key.workspace).await;
        tx.runs().request_cancel(key.run, at).await.expect("a request is left");
        tx.commit().await.expect("it commits");
    }

    async fn cancel_all(&self, workspace: WorkspaceId, at: DateTime<Utc>) {
        let mut tx = begin(self, workspace).await;
        tx.runs().request_cancel_all(at).await.expect("all are asked to end");
        tx.commit().await.expect("it commits");
    }

    async fn ask(&self, key: RunKey, action: QuarantineAction, at: DateTime<Utc>) -> bool {
        let mut tx = begin(self, key.workspace).await;
        let asked = tx.runs().request_in_quarantine(key.run, action, at).await.expect("an answer");
        tx.commit().await.expect("it commits");
        asked
    }

    async fn status(&self, key: RunKey) -> RunStatus {
        let mut tx = begin(self, key.workspace).await;
        tx.runs().find(key.run).await.expect("a run is read").expect("it is there").status
    }

    async fn history(&self, key: RunKey) -> Vec<TransitionRecord> {
        begin(self, key.workspace).await.runs().transitions(key.run).await.expect("transitions are read")
    }

    async fn used(&self, workspace: WorkspaceId, at: DateTime<Utc>) -> [i64; 2] {
        let scope = workspace_scope(workspace);
        let mut tx: Box<dyn BillingTx> = self.begin(&scope).await.expect("a transaction begins");
        let periods = [Meter::Runs, Meter::Steps].map(|meter| (meter, meter.period(at)));
        let used = tx.usage().used(&periods).await.expect("usage is read");
        [used[0], used[1]]
    }
}
