//! Waiting for the end of a run: `?wait=`.

use std::time::Duration;

use tidegate_kernel::WorkspaceScope;
use tidegate_workflows::definition::parse_duration;
use tidegate_workflows::run::{ReadError, Run};
use tokio::time::Instant;

use crate::Services;
use crate::http::support::problem::Problem;
use crate::http::support::query::invalid;

/// The longest `?wait=`.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// The polling interval for a run that another process may drive.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

pub(super) fn wait(text: &str) -> Result<Duration, Problem> {
    let wait = parse_duration(text).filter(|wait| *wait <= MAX_WAIT);
    wait.ok_or_else(|| invalid("wait", "`wait` is a duration of at most 60s, such as `10s`."))
}

/// The run when it has ended, or its state when the wait is over.
///
/// The run was started, so the response says so in any case: if the run can no longer be read, it is the run as it was
/// last read.
pub(super) async fn ended_within(services: &Services, scope: &WorkspaceScope, run: Run, wait: Duration) -> Run {
    let deadline = Instant::now() + wait;
    let id = run.id;
    let mut latest = run;
    loop {
        // Subscribes before reading, so that an end in between is not missed.
        let ended = services.workflows.run_endings.ended(id);
        match services.workflows.runs.peek(scope, id).await {
            Ok(run) => latest = run,
            Err(error) => {
                // A caller who may start runs but not read them gets the run as it was started.
                if let ReadError::Store(error) = error {
                    tracing::warn!(%error, run_id = %id, "a run that somebody waits for could not be read");
                }
                services.workflows.run_endings.forget(id);
                return latest;
            }
        }
        let now = Instant::now();
        if latest.status.is_terminal() || now >= deadline || services.platform.stopping.is_cancelled() {
            services.workflows.run_endings.forget(id);
            return latest;
        }
        // Whether the run has ended or the time is over, the run is read again.
        let _ = tokio::time::timeout_at(deadline.min(now + LOOK_AGAIN), ended).await;
    }
}
