//! Keeps time: looks which triggers are due and fires them.
//!
//! Between servers nothing is agreed. A trigger moves on in the transaction that starts its run, and only from the time that
//! it waited for, so of several servers that see it due one starts the run. A server that was away makes up for what it
//! missed with one run.

use std::time::Duration;

use tidegate_kernel::{Environment, RequestId, StoreError, SystemScope, WorkspaceId};
use tidegate_workflows::trigger::Triggers;
use tidegate_workflows::trigger::ports::TimeTrigger;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::panics::catch_store;

/// How many due triggers one look brings.
const LOOK: u32 = 256;
/// The shortest time between two looks where everything that was due has been fired.
const MOMENT: Duration = Duration::from_millis(10);

/// What keeps time.
pub struct SchedulerParts {
    /// Fires triggers.
    pub triggers: Triggers,
    /// Time and randomness.
    pub env: Environment,
    /// The proof that this may work across tenants.
    pub scope: SystemScope,
    /// How often it looks at least; what it saw ahead it fires in time, and what was placed since then so late at most.
    pub poll: Duration,
}

impl std::fmt::Debug for SchedulerParts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SchedulerParts").field("poll", &self.poll).finish_non_exhaustive()
    }
}

/// Fires what is due until `stop` is cancelled.
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

/// Fires what is due now and says how long to wait for the next look: no longer than until what it sees to be due next.
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
    // Where nothing could be fired, looking again at once would find the same.
    if full && fired > 0 {
        return Duration::ZERO;
    }
    let next = ahead.iter().map(|(_, trigger)| trigger.due).min();
    let next = next.and_then(|due| (due - parts.env.now()).to_std().ok());
    // Never less than a moment: a clock that stands still must not make this spin.
    next.map_or(pause, |next| next.clamp(MOMENT, pause))
}

fn outcome(workspace: WorkspaceId, trigger: &TimeTrigger, result: Result<bool, StoreError>) -> bool {
    result.unwrap_or_else(|error| {
        tracing::warn!(%workspace, workflow = %trigger.workflow, %error, "a trigger could not be fired; it is tried again");
        false
    })
}

/// The time until the next look, three quarters to five quarters of the poll, so that servers do not look in step.
fn pause(parts: &SchedulerParts) -> Duration {
    let [jitter] = parts.env.random::<1>();
    parts.poll.mul_f64(0.75 + f64::from(jitter) / 512.0)
}
