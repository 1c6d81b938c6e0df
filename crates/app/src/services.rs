//! Everything that handlers and background work share: the domain services and what they were wired with.

use std::sync::Arc;

use metrics_exporter_prometheus::PrometheusHandle;
use tidegate_billing::{Billing, CallMeter};
use tidegate_engine::handlers::{HandlerMap, step_types};
use tidegate_engine::jobs::{JobKinds, JobQueue};
use tidegate_engine::{OwnedShards, RunEndings};
use tidegate_events::Events;
use tidegate_events::pattern::Patterns;
use tidegate_events::suggestion::{Catalogue, Suggestions};
use tidegate_in_process::{InProcessRateLimiter, InProcessSignalBus};
use tidegate_kernel::{Environment, RateLimiter, ScopeIssuer, SignalBus};
use tidegate_mail::Texts;
use tidegate_outbound_http::GuardedHttp;
use tidegate_postgres::PgStore;
use tidegate_redis::{Redis, RedisError, RedisRateLimiter, RedisSignalBus};
use tidegate_tenancy::Mailer;
use tidegate_use_cases::{ApplySuggestion, DeleteWorkspace, PlanQuota};
use tidegate_workflows::Workflows;
use tidegate_workflows::run::{Quarantine, Runs};
use tokio_util::sync::CancellationToken;

use crate::checked::CheckedSettings;
use crate::compute::BlockingPool;
use crate::engine;
use crate::http::support::cursor::Cursors;
use crate::jobs;
use crate::mail::{KeptMails, SendMails};
use crate::measures::monitor::Monitor;
use crate::secrets::MasterSecret;
use crate::server::StartError;
use crate::settings::Settings;
use crate::supervisor::Supervisor;
use crate::tenancy::Tenancy;
use crate::tenancy::limits::Limits;

/// The most events of one transaction where everybody waits for the one connection of the embedded PostgreSQL. It takes some
/// ten milliseconds.
const EMBEDDED_INGEST: usize = 150;

/// The wired services of one server.
#[derive(Clone)]
pub struct Services {
    /// Time and randomness.
    pub env: Environment,
    /// The store, for health and pool figures; use cases go through the services.
    pub store: Arc<PgStore>,
    /// Seals and opens cursors.
    pub cursors: Cursors,
    /// Renders the measurements.
    pub metrics: PrometheusHandle,
    /// Looks up what is measured when somebody asks.
    pub monitor: Monitor,
    /// Who may do what where.
    pub tenancy: Tenancy,
    /// Workflows and their versions.
    pub workflows: Workflows,
    /// Short messages between parts and processes.
    pub signals: Arc<dyn SignalBus>,
    /// Redis, where there is one; for health.
    pub redis: Option<Redis>,
    /// What happens again and again.
    pub patterns: Patterns,
    /// What could be done about it.
    pub suggestions: Suggestions,
    /// Makes workflows of suggestions.
    pub apply_suggestion: ApplySuggestion,
    /// Ends workspaces.
    pub delete_workspace: DeleteWorkspace,
    /// The rules and templates that suggestions are made by.
    pub catalogue: Arc<Catalogue>,
    /// What is done with runs, beside driving them.
    pub runs: Runs,
    /// Runs that the engine set aside, for operators.
    pub quarantine: Arc<Quarantine>,
    /// Who waits for a run to end.
    pub run_endings: RunEndings,
    /// Background jobs, for people.
    pub jobs: Arc<JobQueue>,
    /// The kinds of background jobs that this process does.
    pub(crate) job_kinds: JobKinds,
    /// Mails that were kept instead of sent.
    pub(crate) kept_mails: Arc<KeptMails>,
    /// The shards that this process owns.
    pub(crate) shards: OwnedShards,
    /// Who does the steps with effects.
    pub(crate) handlers: HandlerMap,
    /// Calls out of workflows.
    pub outbound: Arc<GuardedHttp>,
    /// Whether everybody shares the one connection of the embedded PostgreSQL.
    pub embedded: bool,
    /// Takes events in and lists them.
    pub events: Events,
    /// Plans and usage.
    pub billing: Billing,
    /// Counts API calls.
    pub calls: Arc<CallMeter>,
    /// Issues the scopes of background work.
    pub(crate) issuer: Arc<ScopeIssuer>,
    /// Keeps background tasks running.
    pub supervisor: Supervisor,
    /// Cancelled when the server stops taking work.
    pub stopping: CancellationToken,
}

impl Services {
    /// Wires the services: the composition root.
    ///
    /// # Errors
    /// [`StartError::Setting`] where a setting cannot be used.
    #[expect(clippy::disallowed_methods, reason = "this is where the program is wired together")]
    pub fn wire(
        settings: &Settings,
        checked: CheckedSettings,
        env: Environment,
        store: PgStore,
        secret: &MasterSecret,
        metrics: PrometheusHandle,
    ) -> Result<Self, StartError> {
        let issuer = Arc::new(ScopeIssuer::root());
        let alone: Arc<dyn RateLimiter> = Arc::new(InProcessRateLimiter::new(env.clone()));
        let redis = checked.redis;
        let stopping = CancellationToken::new();
        let supervisor = Supervisor::new(stopping.clone());
        let (limiter, signals): (Arc<dyn RateLimiter>, Arc<dyn SignalBus>) = match &redis {
            Some(redis) => (
                Arc::new(RedisRateLimiter::new(redis.clone(), alone)),
                relayed(RedisSignalBus::new(redis, &env).map_err(unusable)?, &supervisor),
            ),
            None => (alone, Arc::new(InProcessSignalBus::new())),
        };
        let store = Arc::new(store.announcing(Arc::clone(&signals)));
        let limits = Limits::new(limiter, checked.limits);
        let tenancy = Tenancy::wire(limits, checked.operators, &env, &store, secret, &issuer, &signals);
        tenancy.follow(&signals, &supervisor);
        let catalogue = Arc::new(Catalogue::built_in().map_err(setting)?);
        let pool = Arc::new(BlockingPool::new());
        let steps = Arc::new(step_types().map_err(setting)?);
        let workflows = Workflows::new(store.clone(), steps.clone(), env.clone()).computing_on(pool.clone());
        let billing = Billing::new(store.clone(), checked.plans, settings.plan(), env.clone()).map_err(setting)?;
        let quota = Arc::new(PlanQuota::new(billing.clone()));
        let events = Events::new(store.clone(), quota, env.clone()).announcing(Arc::clone(&signals));
        let events = if settings.is_embedded() { events.in_transactions_of(EMBEDDED_INGEST) } else { events };
        let outbound = Arc::new(checked.outbound);
        let handlers = engine::handlers(&steps, outbound.clone(), events.clone(), Arc::clone(&signals), env.clone())
            .map_err(setting)?;
        let kept_mails = Arc::new(KeptMails::new(store.clone(), issuer.system("mails that are kept")));
        let mailer: Arc<dyn Mailer> = match checked.smtp {
            Some(smtp) => Arc::new(smtp),
            None => kept_mails.clone(),
        };
        let mails = SendMails { texts: Arc::new(Texts::built_in().map_err(setting)?), mailer };
        let calls = Arc::new(CallMeter::new(store.clone(), env.clone()));
        Ok(Self {
            events,
            billing,
            calls,
            runs: Runs::new(store.clone(), steps, signals.clone(), env.clone()).computing_on(pool),
            quarantine: Arc::new(Quarantine::new(
                store.clone(),
                store.clone(),
                issuer.system("showing operators what was set aside"),
                signals.clone(),
                env.clone(),
            )),
            jobs: Arc::new(JobQueue::new(&store, issuer.system("jobs of everybody, for operators"), env.clone())),
            job_kinds: jobs::kinds(&store, &issuer, &env, checked.retention, mails).map_err(setting)?,
            kept_mails,
            shards: OwnedShards::default(),
            run_endings: RunEndings::across(signals.clone()),
            handlers,
            outbound,
            patterns: Patterns::new(store.clone()),
            suggestions: Suggestions::new(store.clone()),
            apply_suggestion: ApplySuggestion::new(store.clone(), workflows.clone(), Arc::clone(&catalogue)),
            delete_workspace: DeleteWorkspace::new(
                store.clone(),
                tenancy.workspaces.clone(),
                Arc::clone(&signals),
                env.clone(),
                checked.erase_after,
            ),
            catalogue,
            embedded: settings.is_embedded(),
            cursors: Cursors::new(secret, env.clone()),
            metrics,
            monitor: Monitor::default(),
            tenancy,
            workflows,
            signals,
            redis,
            issuer,
            supervisor,
            stopping,
            store,
            env,
        })
    }
}

/// A bus whose signals go to the other processes and come from them for as long as anybody here needs them.
fn relayed(bus: RedisSignalBus, supervisor: &Supervisor) -> Arc<dyn SignalBus> {
    let bus = Arc::new(bus);
    let relaying = Arc::clone(&bus);
    supervisor.spawn_support("signals", "other processes hear of changes and of new work later", move || {
        let bus = Arc::clone(&relaying);
        async move { bus.relay().await }
    });
    bus
}

#[expect(clippy::needless_pass_by_value, reason = "it maps errors")]
fn unusable(error: RedisError) -> StartError {
    StartError::Setting(format!("REDIS_URL: {error}"))
}

fn setting(error: impl std::fmt::Display) -> StartError {
    StartError::Setting(error.to_string())
}
