//! The parts that the engine is started with.

use std::sync::Arc;

use tidegate_engine::handlers::OpenWorkspaces;
use tidegate_engine::{EngineConfig, EngineParts};
use tidegate_kernel::{ScopeIssuer, Urgency};

use super::WorkflowServices;
use crate::platform::Platform;
use crate::telemetry::traces;

/// The parts of the engine.
pub(super) fn parts(workflows: &WorkflowServices, platform: &Platform, issuer: &ScopeIssuer) -> EngineParts {
    let workspaces = OpenWorkspaces::new(
        platform.store.clone(),
        issuer.system("whether a workspace is there").with_urgency(Urgency::Engine),
    );
    EngineParts {
        store: Arc::new(platform.engine_store()),
        workflows: Arc::new(workflows.runs.clone()),
        handlers: workflows.handlers.clone().while_open(&Arc::new(workspaces)),
        bus: platform.signals.clone(),
        endings: workflows.run_endings.clone(),
        quota: workflows.quota.clone(),
        shards: workflows.shards.clone(),
        env: platform.env.clone(),
        scope: issuer.system("engine").with_urgency(Urgency::Engine),
        config: EngineConfig::default(),
        continue_trace: traces::continue_trace,
    }
}
