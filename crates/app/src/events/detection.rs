//! Detection as a consumer of the event feed.

use std::sync::Arc;

use async_trait::async_trait;
use tidegate_engine::follower::{Consumer, FollowerParts, Progress};
use tidegate_events::EventBacklog;
use tidegate_events::pattern::{DETECTION, Detection};
use tidegate_events::suggestion::Catalogue;
use tidegate_kernel::{ScopeIssuer, StoreError, SystemScope, Urgency, WorkspaceId, WorkspaceScope};
use tokio::time::Instant;

use crate::platform::Platform;

/// The most events that are counted in one transaction.
const CHUNK: u32 = 5_000;

struct Detecting {
    detection: Detection,
    backlog: Arc<dyn EventBacklog>,
}

#[async_trait]
impl Consumer for Detecting {
    fn name(&self) -> &'static str {
        DETECTION.0
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

/// The parts of the follower that runs detection.
pub(super) fn parts(catalogue: &Arc<Catalogue>, platform: &Platform, issuer: &ScopeIssuer) -> FollowerParts {
    let Platform { store, signals, env, .. } = platform;
    let detection = Detection::new(store.clone(), Arc::clone(catalogue), CHUNK);
    FollowerParts {
        consumer: Arc::new(Detecting { detection, backlog: store.clone() }),
        bus: Arc::clone(signals),
        env: env.clone(),
        scope: issuer.system("detection").with_urgency(Urgency::Background),
        config: platform.follower_config(),
    }
}
