//! Wires workflows: definitions and their versions, runs, triggers, and the engine.

mod compute;
mod emitter;
mod engine;
mod outbound;
mod triggers;

use std::sync::Arc;

use tidegate_engine::follower::follow;
use tidegate_engine::handlers::{HandlerMap, standard, step_types};
use tidegate_engine::scheduler::keep_time;
use tidegate_engine::{Engine, OwnedShards, RunEndings};
use tidegate_kernel::{Quota, ScopeIssuer};
use tidegate_outbound_http::GuardedHttp;
use tidegate_use_cases::ApplySuggestion;
use tidegate_workflows::Workflows;
use tidegate_workflows::run::{Quarantine, Runs};

use crate::events::EventServices;
use crate::platform::Platform;
use crate::server::StartError;
use compute::BlockingPool;
use emitter::EventsOfRuns;
use outbound::TracedHttp;

/// The services of workflows.
#[derive(Clone)]
pub(crate) struct WorkflowServices {
    /// Workflows and their versions.
    pub(crate) definitions: Workflows,
    /// Turns suggestions into workflows.
    pub(crate) apply_suggestion: ApplySuggestion,
    /// Starts, reads, lists and cancels runs.
    pub(crate) runs: Runs,
    /// Callers that wait for a run to end.
    pub(crate) run_endings: RunEndings,
    /// Runs in quarantine, for operators.
    pub(crate) quarantine: Arc<Quarantine>,
    /// Limits the attempts of steps.
    quota: Arc<dyn Quota>,
    /// The shards that this process owns.
    pub(crate) shards: OwnedShards,
    /// The handlers of steps with side effects.
    handlers: HandlerMap,
}

impl WorkflowServices {
    /// Wires workflows, which `quota` limits. Steps send events through `events` and make HTTP calls through `outbound`.
    ///
    /// # Errors
    /// [`StartError::Setting`] if step types and their handlers do not match, which is a defect.
    pub(crate) fn wire(
        platform: &Platform,
        issuer: &ScopeIssuer,
        events: &EventServices,
        quota: Arc<dyn Quota>,
        outbound: GuardedHttp,
    ) -> Result<Self, StartError> {
        let Platform { store, signals, env, .. } = platform;
        let pool = Arc::new(BlockingPool::new());
        let steps = Arc::new(step_types().map_err(StartError::setting)?);
        let emitter = EventsOfRuns { events: events.log.clone(), bus: Arc::clone(signals), env: env.clone() };
        let outbound = TracedHttp(Arc::new(outbound));
        let handlers = HandlerMap::bind(&steps, standard(Arc::new(outbound), Arc::new(emitter)));
        let definitions = Workflows::new(store.clone(), steps.clone(), env.clone())
            .computing_on(pool.clone())
            .limited_by(Arc::clone(&quota));
        Ok(Self {
            apply_suggestion: ApplySuggestion::new(store.clone(), definitions.clone(), Arc::clone(&events.catalogue)),
            definitions,
            runs: Runs::new(store.clone(), steps, signals.clone(), env.clone())
                .computing_on(pool)
                .limited_by(Arc::clone(&quota)),
            quota,
            run_endings: RunEndings::across(signals.clone()),
            quarantine: Arc::new(Quarantine::new(
                store.clone(),
                store.clone(),
                issuer.system("showing operators what was set aside"),
                signals.clone(),
                env.clone(),
            )),
            shards: OwnedShards::default(),
            handlers: handlers.map_err(StartError::setting)?,
        })
    }

    /// Starts listening for runs that end in other processes.
    pub(crate) fn support(&self, platform: &Platform) {
        let endings = self.run_endings.clone();
        let effect = "who waits for a run that ends elsewhere has to ask";
        platform.supervisor.spawn_support("run-endings", effect, move || {
            let endings = endings.clone();
            async move { endings.relay().await }
        });
    }

    /// Starts the engine, and the triggers for events and schedules.
    pub(crate) fn start(&self, platform: &Platform, issuer: &Arc<ScopeIssuer>) {
        let (workflows, on, scopes) = (self.clone(), platform.clone(), Arc::clone(issuer));
        platform.supervisor.spawn("engine", "runs do not go on in this process", move || {
            Engine::run(engine::parts(&workflows, &on, &scopes), on.stopping.clone())
        });
        let (runs, on, scopes) = (self.runs.clone(), platform.clone(), Arc::clone(issuer));
        platform.supervisor.spawn("event-triggers", "events do not start workflows in this process", move || {
            follow(triggers::following(&runs, &on, &scopes), on.stopping.clone())
        });
        let (runs, on, scopes) = (self.runs.clone(), platform.clone(), Arc::clone(issuer));
        platform.supervisor.spawn("schedules", "schedules do not start workflows in this process", move || {
            keep_time(triggers::scheduling(&runs, &on, &scopes), on.stopping.clone())
        });
    }
}
