//! The kinds of background jobs that this program does, and what does them.

use std::sync::Arc;

use tidegate_engine::jobs::{JobKindError, JobKinds, JobOptions, JobRunnerConfig, JobRunnerParts, run_jobs};
use tidegate_engine::upkeep::{self, Retention, UpkeepParts};
use tidegate_kernel::{Environment, ScopeIssuer, Urgency};
use tidegate_postgres::{PgEngineStore, PgStore};
use tidegate_tenancy::SendMail;

use crate::Services;
use crate::mail::SendMails;
use crate::telemetry::traces;

/// Every kind.
///
/// # Errors
/// [`JobKindError`] where two have one name: a defect.
pub(crate) fn kinds(
    store: &Arc<PgStore>,
    issuer: &ScopeIssuer,
    env: &Environment,
    retention: Retention,
    mails: SendMails,
) -> Result<JobKinds, JobKindError> {
    let scope = issuer.system("removing what is old").with_urgency(Urgency::Background);
    let upkeep = UpkeepParts { store: store.clone(), retention, scope: Arc::new(scope), env: env.clone() };
    let kinds = JobKinds::default().register::<SendMail>(JobOptions::default(), mails)?;
    upkeep::register(kinds, &upkeep)
}

/// Does jobs until the server stops.
pub(crate) async fn work(services: Services) {
    let store = (*services.store).clone();
    let store = if services.embedded { PgEngineStore::alone(store) } else { PgEngineStore::new(store) };
    let parts = JobRunnerParts {
        store: Arc::new(store),
        kinds: services.job_kinds.clone(),
        shards: services.shards.clone(),
        bus: services.signals.clone(),
        continue_trace: traces::continue_trace,
        env: services.env.clone(),
        scope: services.issuer.system("background jobs").with_urgency(Urgency::Background),
        config: JobRunnerConfig::default(),
    };
    run_jobs(parts, services.stopping).await;
}
