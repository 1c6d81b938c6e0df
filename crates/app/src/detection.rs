//! Detection as a reader behind the insert.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tidegate_engine::follower::{Consumer, FollowerConfig, FollowerParts, Progress};
use tidegate_events::EventBacklog;
use tidegate_events::pattern::{DETECTION, Detection};
use tidegate_kernel::{StoreError, SystemScope, Urgency, WorkspaceId, WorkspaceScope};
use tokio::time::Instant;

use crate::Services;

/// Events that are counted in one transaction.
const CHUNK: u32 = 5_000;
/// How long a transaction of background work takes about, where everybody shares the one connection of the embedded PostgreSQL.
/// Whoever asks waits for one at most, so it is well below the 20 ms that they may notice.
const EMBEDDED_SLICE: Duration = Duration::from_millis(12);

struct Detecting {
    detection: Detection,
    backlog: Arc<dyn EventBacklog>,
}

#[async_trait]
impl Consumer for Detecting {
    fn name(&self) -> &'static str {
        "detection"
    }

    async fn behind(&self, scope: &SystemScope, limit: u32) -> Result<Vec<WorkspaceId>, StoreError> {
        self.backlog.behind(scope, DETECTION, limit).await
    }

    fn most(&self) -> u32 {
        self.detection.chunk()
    }

    async fn step(&self, scope: &WorkspaceScope, limit: u32) -> Result<Progress, StoreError> {
        let tx = self.detection.begin(scope).await?;
        let began = Instant::now();
        let step = self.detection.step_in(tx, limit).await?;
        let events = u32::try_from(step.events).unwrap_or(u32::MAX);
        Ok(Progress { events, more: step.more, took: began.elapsed(), oldest: step.oldest })
    }
}

/// What follows the insert with detection.
pub(crate) fn parts(services: &Services) -> FollowerParts {
    let detection = Detection::new(services.store.clone(), Arc::clone(&services.catalogue), CHUNK);
    FollowerParts {
        consumer: Arc::new(Detecting { detection, backlog: services.store.clone() }),
        bus: Arc::clone(&services.signals),
        env: services.env.clone(),
        scope: services.issuer.system("detection").with_urgency(Urgency::Background),
        config: follower_config(services),
    }
}

/// How readers behind the insert go about it here.
pub(crate) fn follower_config(services: &Services) -> FollowerConfig {
    let default = FollowerConfig::default();
    if services.embedded { FollowerConfig { lanes: 1, slice: Some(EMBEDDED_SLICE), ..default } } else { default }
}
