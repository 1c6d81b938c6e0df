//! Supervises background tasks: a task that panics or ends too early is logged, counted and restarted.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The backoff before a failed task is restarted: after its first failure, and at most. It doubles with each failure.
const BACKOFF: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(30)];
/// A task that has run this long since its last failure counts as up.
const STEADY: Duration = Duration::from_secs(10);

/// The background tasks of a server.
#[derive(Clone)]
pub struct Supervisor {
    states: Arc<Mutex<BTreeMap<&'static str, TaskState>>>,
    /// Tasks that stop taking work when the server stops.
    work: Span,
    /// Tasks that other tasks need until those have ended.
    support: Span,
}

/// A group of tasks that end at the same time.
#[derive(Clone)]
struct Span {
    tasks: TaskTracker,
    over: CancellationToken,
}

impl Span {
    fn until(over: CancellationToken) -> Self {
        Self { tasks: TaskTracker::new(), over }
    }

    async fn ended(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// The state of a background task, for health checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackgroundTask {
    /// Its name.
    pub name: &'static str,
    /// What does not work while it is down.
    pub effect: &'static str,
    /// Whether it runs and has not failed recently.
    pub up: bool,
}

struct TaskState {
    effect: &'static str,
    running: bool,
    failed_at: Option<Instant>,
}

impl Supervisor {
    /// A supervisor for a server that begins to stop when `stopping` is cancelled.
    pub(crate) fn new(stopping: CancellationToken) -> Self {
        let (work, support) = (Span::until(stopping), Span::until(CancellationToken::new()));
        Self { states: Arc::default(), work, support }
    }

    /// Supervises a task that MUST end by itself soon after the server begins to stop. `start` begins it; `effect` says
    /// what does not work, or works less well, while it is down.
    pub fn spawn<T: Future<Output = ()> + Send>(
        &self,
        name: &'static str,
        effect: &'static str,
        start: impl Fn() -> T + Send + Sync + 'static,
    ) {
        self.keep_in(&self.work, name, effect, start);
    }

    /// Supervises a task that requests and other tasks need. It is dropped when the last of them has ended.
    pub(crate) fn spawn_support<T: Future<Output = ()> + Send>(
        &self,
        name: &'static str,
        effect: &'static str,
        start: impl Fn() -> T + Send + Sync + 'static,
    ) {
        let (start, over) = (Arc::new(start), self.support.over.clone());
        self.keep_in(&self.support, name, effect, move || {
            let (start, over) = (Arc::clone(&start), over.clone());
            async move { over.run_until_cancelled(start()).await.unwrap_or_default() }
        });
    }

    fn keep_in<T: Future<Output = ()> + Send>(
        &self,
        span: &Span,
        name: &'static str,
        effect: &'static str,
        start: impl Fn() -> T + Send + Sync + 'static,
    ) {
        self.states().insert(name, TaskState { effect, running: true, failed_at: None });
        let (supervisor, over) = (self.clone(), span.over.clone());
        span.tasks.spawn(async move { supervisor.keep(&over, name, start).await });
    }

    /// The state of every task, in the order of names.
    pub(crate) fn status(&self) -> Vec<BackgroundTask> {
        let steady = |failed_at: &Instant| failed_at.elapsed() >= STEADY;
        let task = |(name, state): (&&'static str, &TaskState)| BackgroundTask {
            name,
            effect: state.effect,
            up: state.running && state.failed_at.as_ref().is_none_or(steady),
        };
        self.states().iter().map(task).collect()
    }

    /// Waits until the tasks that take work have ended, after the server has begun to stop.
    pub(crate) async fn wait(&self) {
        self.work.ended().await;
    }

    /// Ends the support tasks.
    pub(crate) async fn close(&self) {
        self.support.over.cancel();
        self.support.ended().await;
    }

    async fn keep<T: Future<Output = ()> + Send>(
        &self,
        over: &CancellationToken,
        name: &'static str,
        start: impl Fn() -> T + Send + Sync,
    ) {
        let mut wait = BACKOFF[0];
        loop {
            let began = Instant::now();
            let ended = AssertUnwindSafe(async { start().await }).catch_unwind().await;
            if over.is_cancelled() {
                if ended.is_err() {
                    tracing::error!(task = name, "a background task panicked while the server stops");
                }
                return;
            }
            if began.elapsed() >= STEADY {
                wait = BACKOFF[0];
            }
            let reason = if ended.is_err() { "it panicked" } else { "it ended" };
            tracing::error!(task = name, reason, again_in = ?wait, "a background task is down; it is started again");
            metrics::counter!("background_task_failures_total", "task" => name).increment(1);
            self.set(name, false);
            if over.run_until_cancelled(sleep(wait)).await.is_none() {
                return;
            }
            self.set(name, true);
            wait = (wait * 2).min(BACKOFF[1]);
        }
    }

    fn set(&self, name: &'static str, running: bool) {
        if let Some(state) = self.states().get_mut(name) {
            state.running = running;
            if !running {
                state.failed_at = Some(Instant::now());
            }
        }
    }

    fn states(&self) -> MutexGuard<'_, BTreeMap<&'static str, TaskState>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    fn supervisor() -> Supervisor {
        Supervisor::new(CancellationToken::new())
    }

    fn up(supervisor: &Supervisor) -> bool {
        supervisor.status()[0].up
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_fails_is_started_again_with_longer_and_longer_waits() {
        let supervisor = supervisor();
        let starts = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&starts);
        supervisor.spawn("flaky", "nothing", move || {
            let n = counted.fetch_add(1, Ordering::Relaxed);
            async move { assert!(n.is_multiple_of(2), "a defect") }
        });
        // The task is started at 0, 100, 300, 700 and 1,500 ms.
        let began = Instant::now();
        for (at, expected) in [(50, 1), (200, 2), (500, 3), (1_000, 4), (2_000, 5)] {
            tokio::time::sleep_until(began + Duration::from_millis(at)).await;
            assert_eq!(starts.load(Ordering::Relaxed), expected, "after {at} ms");
            assert!(!up(&supervisor));
        }
        supervisor.work.over.cancel();
        supervisor.wait().await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_counts_as_up_once_it_has_run_for_a_while() {
        let supervisor = supervisor();
        let (starts, stopping) = (AtomicU32::new(0), supervisor.work.over.clone());
        supervisor.spawn("once", "nothing", move || {
            let (n, stopping) = (starts.fetch_add(1, Ordering::Relaxed), stopping.clone());
            async move {
                if n > 0 {
                    stopping.cancelled().await;
                }
            }
        });
        assert!(up(&supervisor));
        sleep(Duration::from_secs(1)).await;
        assert!(!up(&supervisor), "it has just failed");
        sleep(STEADY).await;
        assert!(up(&supervisor));
        supervisor.work.over.cancel();
        supervisor.wait().await;
    }
}
