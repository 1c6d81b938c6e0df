//! What a server does besides answering requests. Each task ends by itself when the server stops.

use std::time::Duration;

use tidegate_engine::follower::follow;
use tidegate_kernel::SystemScope;
use tokio_util::task::TaskTracker;

use crate::{Services, detection};

/// How often partitions are looked after. They are made two spans ahead, so a missed turn harms nobody.
const PARTITION_UPKEEP: Duration = Duration::from_secs(6 * 60 * 60);

/// Starts every worker.
pub(crate) fn start(tasks: &TaskTracker, services: &Services) {
    tasks.spawn(keep_partitions(services.clone()));
    tasks.spawn(follow(detection::parts(services), services.stopping.clone()));
}

async fn keep_partitions(services: Services) {
    let scope: SystemScope = services.issuer.system("partition upkeep");
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
