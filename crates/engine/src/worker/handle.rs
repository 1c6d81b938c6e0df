//! Starts and stops workers.

use std::sync::Arc;

use tidegate_kernel::{Environment, Quota, SignalBus, SystemScope};
use tidegate_workflows::run::CompiledWorkflows;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::Worker;
use crate::config::EngineConfig;
use crate::endings::RunEndings;
use crate::handlers::HandlerMap;
use crate::ports::{ContinueTrace, EngineStore};
use crate::shards::OwnedShards;

/// The dependencies of an engine.
pub struct EngineParts {
    /// The store of runs.
    pub store: Arc<dyn EngineStore>,
    /// The source of compiled workflows, such as [`tidegate_workflows::run::Runs`].
    pub workflows: Arc<dyn CompiledWorkflows>,
    /// The handlers of steps with effects.
    pub handlers: HandlerMap,
    /// The bus that signals new work.
    pub bus: Arc<dyn SignalBus>,
    /// The waiters for the ends of runs.
    pub endings: RunEndings,
    /// Limits the attempts of steps; [`NoQuota`](tidegate_kernel::NoQuota) limits none.
    pub quota: Arc<dyn Quota>,
    /// The owned shards, shared with the job runner.
    pub shards: OwnedShards,
    /// Time and randomness.
    pub env: Environment,
    /// The proof that this may work across tenants.
    pub scope: SystemScope,
    /// Settings.
    pub config: EngineConfig,
    /// Joins a run's span to the trace in which the run was started.
    pub continue_trace: ContinueTrace,
}

impl std::fmt::Debug for EngineParts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EngineParts").field("config", &self.config).finish_non_exhaustive()
    }
}

/// Starts workers.
#[derive(Debug)]
pub struct Engine;

impl Engine {
    /// Drives runs until `stop` is cancelled. Then it claims no more work, finishes or hands back the runs in memory,
    /// commits them and gives its shards up. If the future is dropped earlier, it stops at once, as in a crash.
    pub async fn run(parts: EngineParts, stop: CancellationToken) {
        Worker::new(parts, stop).run().await;
    }

    /// Starts a worker.
    #[must_use]
    pub fn start(parts: EngineParts) -> EngineHandle {
        let stop = CancellationToken::new();
        let task = tokio::spawn(Self::run(parts, stop.clone()));
        EngineHandle { stop, task }
    }
}

/// A running worker. If the handle is dropped, the worker continues and can no longer be stopped.
#[derive(Debug)]
pub struct EngineHandle {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl EngineHandle {
    /// Stops claiming, finishes or hands back the runs in memory, commits them and gives the shards up.
    pub async fn shutdown(self) {
        self.stop.cancel();
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the engine's worker ended badly");
        }
    }

    /// Stops the worker at once, as in a crash.
    pub fn kill(self) {
        self.task.abort();
    }
}
