//! What a server does besides answering requests. Each task ends by itself when the server stops.

use std::time::Duration;

use tidegate_engine::erasure::{ErasureParts, erase_when_due};
use tidegate_engine::follower::follow;
use tidegate_kernel::{SystemScope, Urgency};
use tokio_util::task::TaskTracker;

use crate::{Services, detection, engine, triggers};

/// How often partitions are looked after. They are made two spans ahead, so a missed turn harms nobody.
const PARTITION_UPKEEP: Duration = Duration::from_secs(6 * 60 * 60);

/// How often API calls that were counted are written.
const CALLS_WRITTEN: Duration = Duration::from_secs(1);

/// Writes API calls every second, where there were any. What came last is for whoever stops the server to write.
pub(crate) async fn write_calls(services: Services) {
    let mut seconds = tokio::time::interval(CALLS_WRITTEN);
    while services.stopping.run_until_cancelled(seconds.tick()).await.is_some() {
        flush_calls(&services).await;
    }
}

/// Hears from other processes which runs have ended that somebody here waits for, and tells them of those that end here.
pub(crate) async fn relay_endings(services: Services) {
    services.stopping.run_until_cancelled(services.run_endings.relay()).await;
}

/// Writes the API calls that were counted up to now.
pub(crate) async fn flush_calls(services: &Services) {
    let scope = services.issuer.system("counting API calls").with_urgency(Urgency::Background);
    if let Err(error) = services.calls.flush(&scope).await {
        tracing::warn!(%error, "API calls were not written; trying again with the next ones");
    }
}

/// Starts every worker.
pub(crate) fn start(tasks: &TaskTracker, services: &Services) {
    tasks.spawn(keep_partitions(services.clone()));
    tasks.spawn(engine::drive(services.clone()));
    tasks.spawn(follow(detection::parts(services), services.stopping.clone()));
    tasks.spawn(erase_when_due(erasure(services), services.stopping.clone()));
    triggers::start(tasks, services);
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

async fn keep_partitions(services: Services) {
    let scope: SystemScope = services.issuer.system("partition upkeep").with_urgency(Urgency::Background);
    loop {
        match services.store.ensure_partitions(&scope).await {
            Ok(0) => {}
            Ok(made) => tracing::info!(made, "made partitions ahead"),
            Err(error) => tracing::warn!(%error, "partitions could not be made; trying again later"),
        }
        tokio::select! {
            () = services.stopping.cancelled() => return,
            () = tokio::time::sleep(PARTITION_UPKEEP) => {}
        }
    }
}
