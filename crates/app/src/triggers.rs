//! Triggers beside the server: what follows events, and what keeps time.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tidegate_engine::follower::{Consumer, FollowerParts, Progress};
use tidegate_engine::scheduler::SchedulerParts;
use tidegate_events::EventBacklog;
use tidegate_kernel::{StoreError, SystemScope, Urgency, WorkspaceId, WorkspaceScope};
use tidegate_use_cases::{FollowEvents, Followed, TRIGGERS, TRIGGERS_CHUNK};
use tidegate_workflows::trigger::Triggers;

use crate::Services;
use crate::detection::follower_config;

/// How often it is looked which schedules will be due; schedules have minutes.
const LOOK: Duration = Duration::from_secs(5);

struct Following {
    events: FollowEvents,
    backlog: Arc<dyn EventBacklog>,
}

#[async_trait]
impl Consumer for Following {
    fn name(&self) -> &'static str {
        "triggers"
    }

    async fn behind(&self, scope: &SystemScope, limit: u32) -> Result<Vec<WorkspaceId>, StoreError> {
        self.backlog.behind(scope, TRIGGERS, limit).await
    }

    fn most(&self) -> u32 {
        TRIGGERS_CHUNK
    }

    async fn step(&self, scope: &WorkspaceScope, limit: u32) -> Result<Progress, StoreError> {
        let Followed { events, more, held, oldest } = self.events.step_up_to(scope, limit).await?;
        Ok(Progress { events, more, took: held, oldest })
    }
}

fn triggers(services: &Services) -> Triggers {
    Triggers::new(services.store.clone(), services.store.clone(), services.runs.clone(), services.env.clone())
}

/// What starts runs for events.
pub(crate) fn following(services: &Services) -> FollowerParts {
    let events = FollowEvents::new(services.store.clone(), triggers(services));
    FollowerParts {
        consumer: Arc::new(Following { events, backlog: services.store.clone() }),
        bus: Arc::clone(&services.signals),
        env: services.env.clone(),
        scope: services.issuer.system("triggers for events").with_urgency(Urgency::Background),
        config: follower_config(services),
    }
}

/// What starts runs when their time has come.
pub(crate) fn scheduling(services: &Services) -> SchedulerParts {
    SchedulerParts {
        triggers: triggers(services),
        env: services.env.clone(),
        scope: services.issuer.system("triggers for times").with_urgency(Urgency::Engine),
        poll: LOOK,
    }
}
