//! Wires triggers: a follower of the event feed, and a scheduler.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tidegate_engine::follower::{Consumer, FollowerParts, Progress};
use tidegate_engine::scheduler::SchedulerParts;
use tidegate_events::EventBacklog;
use tidegate_kernel::{ScopeIssuer, StoreError, SystemScope, Urgency, WorkspaceId, WorkspaceScope};
use tidegate_use_cases::{FollowEvents, Followed, TRIGGERS, TRIGGERS_CHUNK};
use tidegate_workflows::run::Runs;
use tidegate_workflows::trigger::Triggers;

use crate::platform::Platform;

/// How often the scheduler looks for schedules that will be due. Schedules have a resolution of minutes.
const LOOK: Duration = Duration::from_secs(5);

struct Following {
    events: FollowEvents,
    backlog: Arc<dyn EventBacklog>,
}

#[async_trait]
impl Consumer for Following {
    fn name(&self) -> &'static str {
        TRIGGERS.0
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

fn triggers(runs: &Runs, platform: &Platform) -> Triggers {
    let Platform { store, env, .. } = platform;
    Triggers::new(store.clone(), store.clone(), runs.clone(), env.clone())
}

/// The parts of the follower that starts runs for events.
pub(super) fn following(runs: &Runs, platform: &Platform, issuer: &ScopeIssuer) -> FollowerParts {
    let Platform { store, signals, env, .. } = platform;
    let events = FollowEvents::new(store.clone(), triggers(runs, platform));
    FollowerParts {
        consumer: Arc::new(Following { events, backlog: store.clone() }),
        bus: Arc::clone(signals),
        env: env.clone(),
        scope: issuer.system("triggers for events").with_urgency(Urgency::Background),
        config: platform.follower_config(),
    }
}

/// The parts of the scheduler that starts runs at their times.
pub(super) fn scheduling(runs: &Runs, platform: &Platform, issuer: &ScopeIssuer) -> SchedulerParts {
    SchedulerParts {
        triggers: triggers(runs, platform),
        env: platform.env.clone(),
        scope: issuer.system("triggers for times").with_urgency(Urgency::Engine),
        poll: LOOK,
    }
}
