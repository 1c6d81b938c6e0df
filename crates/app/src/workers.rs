//! What a server does besides answering requests. Each task ends by itself when the server stops.

use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use tidegate_engine::erasure::{ErasureParts, erase_when_due};
use tidegate_engine::follower::follow;
use tidegate_engine::scheduler::keep_time;
use tidegate_kernel::Urgency;

use crate::{Services, detection, engine, jobs, measures, triggers, unreadable};

/// How often API calls that were counted are written.
const CALLS_WRITTEN: Duration = Duration::from_secs(1);

/// Writes API calls every second, where there were any. What came last is for whoever stops the server to write.
pub(crate) async fn write_calls(services: Services) {
    let mut seconds = tokio::time::interval(CALLS_WRITTEN);
    while services.stopping.run_until_cancelled(seconds.tick()).await.is_some() {
        flush_calls(&services).await;
    }
}

/// Writes the API calls that were counted up to now.
pub(crate) async fn flush_calls(services: &Services) {
    let scope = services.issuer.system("counting API calls").with_urgency(Urgency::Background);
    if let Err(error) = services.calls.flush(&scope).await {
        tracing::warn!(%error, "API calls were not written; trying again with the next ones");
    }
}

/// Starts what every server does, whatever its role.
pub(crate) fn support(services: &Services) {
    let of = services.clone();
    services.supervisor.spawn("api-calls", "API calls are counted and not written", move || write_calls(of.clone()));
    let stopping = services.stopping.clone();
    services.supervisor.spawn("unreadable-requests", "requests that cannot be read are not told of", move || {
        unreadable::report_unreadable_requests(stopping.clone())
    });
    let (recorder, stopping) = (services.metrics.clone(), services.stopping.clone());
    services.supervisor.spawn("measurements", "samples are kept one by one until somebody asks", move || {
        measures::keep_up(recorder.clone(), stopping.clone())
    });
    let endings = services.run_endings.clone();
    services.supervisor.spawn_support("run-endings", "who waits for a run that ends elsewhere has to ask", move || {
        let endings = endings.clone();
        async move { endings.relay().await }
    });
}

/// Starts what works across tenants.
pub(crate) fn start(services: &Services) {
    let start = |name, effect, task: fn(Services) -> BoxFuture<'static, ()>| {
        let of = services.clone();
        services.supervisor.spawn(name, effect, move || task(of.clone()));
    };
    start("engine", "runs do not go on in this process", |services| engine::drive(services).boxed());
    start("detection", "patterns are not found in this process", |services| {
        follow(detection::parts(&services), services.stopping).boxed()
    });
    start("event-triggers", "events do not start workflows in this process", |services| {
        follow(triggers::following(&services), services.stopping).boxed()
    });
    start("schedules", "schedules do not start workflows in this process", |services| {
        keep_time(triggers::scheduling(&services), services.stopping).boxed()
    });
    start("erasure", "deleted workspaces are not erased by this process", |services| {
        erase_when_due(erasure(&services), services.stopping).boxed()
    });
    start("jobs", "background jobs are not done by this process", |services| jobs::work(services).boxed());
}

/// What erases deleted workspaces.
fn erasure(services: &Services) -> ErasureParts {
    ErasureParts {
        store: services.store.clone(),
        env: services.env.clone(),
        scope: services.issuer.system("erasing deleted workspaces").with_urgency(Urgency::Background),
        report: |waiting, failed| {
            #[expect(clippy::cast_precision_loss, reason = "a gauge is a double; there are not that many workspaces")]
            let gauge = |state: &'static str, count: u64| {
                metrics::gauge!("workspace_erasures", "state" => state).set(count as f64);
            };
            gauge("waiting", waiting);
            gauge("failed", failed);
        },
    }
}
