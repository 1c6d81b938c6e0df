//! Tests of the follower, with a consumer and a bus that the test controls.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use tidegate_kernel::{Clock, Entropy, ScopeIssuer, Signal};
use tokio::sync::{Notify, mpsc};
use uuid::Uuid;

use super::*;

struct Still;

impl Clock for Still {
    fn now(&self) -> chrono::DateTime<chrono::Utc> {
        chrono::DateTime::UNIX_EPOCH
    }
}

impl Entropy for Still {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(0);
    }
}

struct Bus(Mutex<Option<mpsc::UnboundedReceiver<Received>>>);

impl SignalBus for Bus {
    fn publish(&self, _: Signal) {}

    fn subscribe(&self, _: &[Topic]) -> Box<dyn SignalStream> {
        let stream = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        Box::new(Stream(stream.expect("one listener")))
    }
}

struct Stream(mpsc::UnboundedReceiver<Received>);

#[async_trait]
impl SignalStream for Stream {
    async fn next(&mut self) -> Option<Received> {
        self.0.recv().await
    }
}

/// The remaining steps of each workspace.
#[derive(Default)]
struct Backlog {
    left: Mutex<HashMap<WorkspaceId, usize>>,
    order: Mutex<Vec<WorkspaceId>>,
    /// The limit of each step. Each event takes two milliseconds.
    limits: Mutex<Vec<u32>>,
    failures: Mutex<usize>,
    /// The workspace whose events make a step panic.
    defective: Option<WorkspaceId>,
    /// The single connection of an embedded database.
    connection: tokio::sync::Mutex<()>,
    looks: Mutex<usize>,
    read: Notify,
}

impl Backlog {
    fn add(&self, workspace: WorkspaceId, chunks: usize) {
        *self.left.lock().unwrap().entry(workspace).or_default() += chunks;
    }

    async fn is_read(&self) {
        loop {
            let read = self.read.notified();
            if self.left.lock().unwrap().values().all(|left| *left == 0) {
                return;
            }
            read.await;
        }
    }
}

#[async_trait]
impl Consumer for Backlog {
    fn name(&self) -> &'static str {
        "test"
    }

    async fn behind(&self, _: &SystemScope, limit: u32) -> Result<Vec<WorkspaceId>, StoreError> {
        *self.looks.lock().unwrap() += 1;
        let _connection = self.connection.lock().await;
        let left = self.left.lock().unwrap();
        let behind = left.iter().filter(|(_, left)| **left > 0).map(|(workspace, _)| *workspace);
        Ok(behind.take(usize::try_from(limit).unwrap()).collect())
    }

    fn most(&self) -> u32 {
        64
    }

    async fn step(&self, scope: &WorkspaceScope, limit: u32) -> Result<Progress, StoreError> {
        assert_ne!(self.defective, Some(scope.workspace()), "a defect of the consumer");
        let _connection = self.connection.lock().await;
        self.limits.lock().unwrap().push(limit);
        tokio::time::sleep(Duration::from_millis(2)).await;
        let mut failures = self.failures.lock().unwrap();
        if *failures > 0 {
            *failures -= 1;
            return Err(StoreError::Unavailable("for a test".into()));
        }
        self.order.lock().unwrap().push(scope.workspace());
        let mut left = self.left.lock().unwrap();
        let left = left.entry(scope.workspace()).or_default();
        *left = left.saturating_sub(1);
        self.read.notify_one();
        let took = Duration::from_millis(2 * u64::from(limit));
        Ok(Progress { events: limit, more: *left > 0, took, oldest: None })
    }
}

struct Setting {
    backlog: Arc<Backlog>,
    signals: mpsc::UnboundedSender<Received>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

fn set_up(backlog: Backlog, poll: Duration) -> Setting {
    set_up_with(backlog, FollowerConfig { lanes: 1, poll, idle_poll: poll, rest: Duration::ZERO, slice: None })
}

#[expect(clippy::disallowed_methods, reason = "a test stands in for the access layer")]
fn set_up_with(backlog: Backlog, config: FollowerConfig) -> Setting {
    let (signals, stream) = mpsc::unbounded_channel();
    let (backlog, stop) = (Arc::new(backlog), CancellationToken::new());
    let parts = FollowerParts {
        consumer: Arc::clone(&backlog) as _,
        bus: Arc::new(Bus(Mutex::new(Some(stream)))),
        env: Environment::new(Arc::new(Still), Arc::new(Still)),
        scope: ScopeIssuer::root().system("a test"),
        config,
    };
    let task = start(parts, stop.clone());
    Setting { backlog, signals, stop, task }
}

fn workspace(n: u128) -> WorkspaceId {
    WorkspaceId::from_uuid(Uuid::from_u128(n))
}

const NEVER: Duration = Duration::from_secs(100_000);

#[tokio::test(start_paused = true)]
async fn a_workspace_whose_events_meet_a_panic_holds_nobody_up() {
    let backlog = Backlog { defective: Some(workspace(1)), ..Backlog::default() };
    backlog.add(workspace(1), 1);
    backlog.add(workspace(2), 3);
    let setting = set_up(backlog, NEVER);
    let others = async {
        while setting.backlog.order.lock().unwrap().len() < 3 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), others).await.expect("the other one is read to its end");
    assert_eq!(*setting.backlog.order.lock().unwrap(), [workspace(2); 3]);
    setting.stop.cancel();
    setting.task.await.unwrap();
}

#[tokio::test]
async fn it_finds_what_is_behind_at_the_start_and_lets_workspaces_take_turns() {
    let backlog = Backlog::default();
    backlog.add(workspace(1), 3);
    backlog.add(workspace(2), 1);
    let setting = set_up(backlog, NEVER);
    setting.backlog.is_read().await;
    setting.stop.cancel();
    setting.task.await.unwrap();
    let order = setting.backlog.order.lock().unwrap().clone();
    assert_eq!(order.len(), 4);
    let second = order.iter().position(|read| *read == workspace(2));
    assert!(second < Some(2), "the short backlog does not wait for the long one: {order:?}");
}

#[tokio::test]
async fn a_signal_says_where_to_look() {
    let setting = set_up(Backlog::default(), NEVER);
    // The first look is over once a signal for a workspace without events was handled.
    setting.signals.send(Received::Signal(Signal::new(Topic::EventsIngested, &workspace(9)))).unwrap();
    setting.backlog.read.notified().await;
    setting.backlog.add(workspace(1), 2);
    setting.signals.send(Received::Signal(Signal::new(Topic::EventsIngested, &workspace(1)))).unwrap();
    setting.backlog.is_read().await;
    setting.backlog.add(workspace(2), 1);
    setting.signals.send(Received::Missed).unwrap();
    setting.backlog.is_read().await;
}

#[tokio::test]
async fn the_poll_finds_what_no_signal_told_and_what_failed_is_tried_again() {
    let backlog = Backlog::default();
    *backlog.failures.lock().unwrap() = 1;
    let setting = set_up(backlog, Duration::from_millis(5));
    setting.backlog.add(workspace(1), 2);
    setting.backlog.is_read().await;
    assert_eq!(*setting.backlog.failures.lock().unwrap(), 0);
}

#[tokio::test]
async fn looking_does_not_stop_a_lane_that_holds_the_only_connection() {
    let backlog = Backlog::default();
    backlog.add(workspace(1), 20);
    let setting = set_up(backlog, Duration::from_micros(100));
    tokio::time::timeout(Duration::from_secs(60), setting.backlog.is_read())
        .await
        .expect("it does not wait for itself");
    assert!(*setting.backlog.looks.lock().unwrap() > 1, "it looked while it read");
}

#[tokio::test(start_paused = true)]
async fn steps_read_as_much_as_fits_into_their_time() {
    for (slice, expected) in [(None, 64), (Some(Duration::from_millis(80)), 40)] {
        let backlog = Backlog::default();
        backlog.add(workspace(1), 40);
        let config = FollowerConfig { lanes: 1, poll: NEVER, idle_poll: NEVER, rest: Duration::ZERO, slice };
        let setting = set_up_with(backlog, config);
        setting.backlog.is_read().await;
        let limits = setting.backlog.limits.lock().unwrap().clone();
        assert_eq!(limits.last(), Some(&expected), "{limits:?}");
    }
}

/// The clock of this test advances only when every task sleeps, so the test hangs if the follower does not sleep.
#[tokio::test(start_paused = true)]
async fn it_sleeps_while_every_lane_is_taken() {
    let setting = set_up(Backlog::default(), NEVER);
    let backlog = &setting.backlog;
    let signal = |n| setting.signals.send(Received::Signal(Signal::new(Topic::EventsIngested, &workspace(n)))).unwrap();
    backlog.add(workspace(2), 1);
    signal(2);
    backlog.is_read().await;
    let connection = backlog.connection.lock().await;
    // The only lane waits for the connection, and the pause of the other workspace ends meanwhile.
    backlog.add(workspace(1), 1);
    backlog.add(workspace(2), 1);
    signal(1);
    signal(2);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(backlog.order.lock().unwrap().len(), 1);
    drop(connection);
    backlog.is_read().await;
}
