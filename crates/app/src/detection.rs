//! Detection as a reader behind the insert.

use std::sync::Arc;

use async_trait::async_trait;
use tidegate_engine::follower::{Consumer, FollowerConfig, FollowerParts};
use tidegate_events::EventBacklog;
use tidegate_events::pattern::{DETECTION, Detection};
use tidegate_kernel::{StoreError, SystemScope, WorkspaceId, WorkspaceScope};

use crate::Services;

/// Events that are counted in one transaction.
const CHUNK: u32 = 5_000;
/// The same where everybody shares the one connection of the embedded PostgreSQL.
const EMBEDDED_CHUNK: u32 = 250;

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

    async fn step(&self, scope: &WorkspaceScope) -> Result<bool, StoreError> {
        self.detection.step(scope).await.map(|step| step.more)
    }
}

/// What follows the insert with detection.
pub(crate) fn parts(services: &Services) -> FollowerParts {
    let chunk = if services.embedded { EMBEDDED_CHUNK } else { CHUNK };
    let detection = Detection::new(services.store.clone(), Arc::clone(&services.catalogue), chunk);
    FollowerParts {
        consumer: Arc::new(Detecting { detection, backlog: services.store.clone() }),
        bus: Arc::clone(&services.signals),
        env: services.env.clone(),
        scope: services.issuer.system("detection"),
        config: follower_config(services),
    }
}

/// How readers behind the insert go about it here.
pub(crate) fn follower_config(services: &Services) -> FollowerConfig {
    let default = FollowerConfig::default();
    FollowerConfig { lanes: if services.embedded { 1 } else { default.lanes }, ..default }
}
