//! The scheduler: looks for due triggers and fires them.
//!
//! Servers do not coordinate. The transaction that starts a trigger's run also advances the trigger, and only from the
//! time for which it was due, so only one of several servers starts the run. After an outage, one run makes up for all
//! missed times.

use std::time::Duration;

use tidegate_kernel::{Environment, RequestId, StoreError, SystemScope, WorkspaceId};
use tidegate_workflows::trigger::Triggers;
use tidegate_workflows::trigger::ports::TimeTrigger;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::panics::catch_store;

/// The maximum number of due triggers in one look.
const LOOK: u32 = 256;
/// The shortest time between two looks after everything due was fired.
const MOMENT: Duration = Duration::from_millis(10);

/// The dependencies of the scheduler.
pub struct SchedulerParts {
    /// Fires triggers.
    pub triggers: Triggers,
    /// Time and randomness.
    pub env: Environment,
    /// The proof that this may work across tenants.
    pub scope: SystemScope,
    /// The interval of the poll. A trigger that a look saw in advance fires in time; a trigger created since then fires
    /// late by at most this interval (with its jitter).
    pub poll: Duration,
}

impl std::fmt::Debug for SchedulerParts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SchedulerParts").field("poll", &self.poll).finish_non_exhaustive()
    }
}

/// Fires due triggers until `stop` is cancelled.
pub async fn keep_time(parts: SchedulerParts, stop: CancellationToken) {
    let Some(request_id) = RequestId::new("schedule") else { return };
    let mut next_look = Instant::now();
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = sleep_until(next_look) => next_look = Instant::now() + look(&parts, &request_id, &stop).await,
        }
    }
}

/// Fires the triggers that are due now. Returns how long to wait before the next look: at most until the next known due
/// time.
async fn look(parts: &SchedulerParts, request_id: &RequestId, stop: &CancellationToken) -> Duration {
    let (now, pause) = (parts.env.now(), pause(parts));
    let seen = match parts.triggers.due(&parts.scope, now + pause, LOOK).await {
        Ok(seen) => seen,
        Err(error) => {
            tracing::warn!(%error, "cannot look for triggers that are due; it is tried again");
            return pause;
        }
    };
    let full = seen.len() >= LOOK as usize;
    let (due, ahead): (Vec<_>, Vec<_>) = seen.into_iter().partition(|(_, trigger)| trigger.due <= now);
    let mut fired = 0;
    for (workspace, trigger) in due {
        if stop.is_cancelled() {
            return pause;
        }
        let scope = parts.scope.enter(workspace, request_id.clone());
        fired += usize::from(outcome(workspace, &trigger, catch_store(parts.triggers.fire(&scope, &trigger)).await));
    }
    // If nothing could be fired, another look at once would find the same triggers.
    if full && fired > 0 {
        return Duration::ZERO;
    }
    let next = ahead.iter().map(|(_, trigger)| trigger.due).min();
    let next = next.and_then(|due| (due - parts.env.now()).to_std().ok());
    // At least [`MOMENT`], so that a clock that does not advance cannot cause a busy loop.
    next.map_or(pause, |next| next.clamp(MOMENT, pause))
}

fn outcome(workspace: WorkspaceId, trigger: &TimeTrigger, result: Result<bool, StoreError>) -> bool {
    result.unwrap_or_else(|error| {
        tracing::warn!(%workspace, workflow = %trigger.workflow, %error, "a trigger could not be fired; it is tried again");
        false
    })
}

/// The time until the next look: the poll interval with jitter, 0.75 to 1.25 of it, so that servers do not poll in
/// step.
fn pause(parts: &SchedulerParts) -> Duration {
    let [jitter] = parts.env.random::<1>();
    parts.poll.mul_f64(0.75 + f64::from(jitter) / 512.0)
}
