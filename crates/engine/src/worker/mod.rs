//! A worker: an actor that owns the state of the runs in memory. It never waits for the store or a handler. It starts
//! their work and receives the results as messages.
//!
//! At most one claim, one commit, one look and one heartbeat are in progress. During a commit, the next commit and the
//! next claim collect work, because a claimed run could not be committed earlier anyway. So batches grow with the load,
//! and without load there is no delay.

mod claims;
mod commits;
mod drive;
mod handle;
mod measures;
mod quarantine;
mod quota;
mod shards;

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;
use tidegate_kernel::{Environment, Quota, Received, SignalStream, StoreError, SystemScope, Topic, WorkspaceId};
use tidegate_workflows::compiled::{CompiledWorkflow, StepIndex};
use tidegate_workflows::run::{CompiledWorkflows, StepError};
use tidegate_workflows::step::StepType;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::config::EngineConfig;
use crate::endings::RunEndings;
use crate::fairness::Ring;
use crate::gates::GateBook;
use crate::handlers::HandlerMap;
use crate::live::LiveRun;
use crate::model::{
    ClaimRequest, Claims, Committed, Holdings, Outlook, RunCommit, RunKey, RunRequest, SetAside, ShardId, Tenure,
    Timer, WorkerId,
};
use crate::panics::catch_store;
use crate::ports::{ContinueTrace, EngineStore, StepHandler, StepTask};
use crate::shards::{Owned, OwnedShards};
use measures::{Measures, Question};

pub use handle::{Engine, EngineHandle, EngineParts};

/// A message to the worker.
enum Message {
    Held(Result<Holdings, StoreError>),
    Looked { until: DateTime<Utc>, result: Result<Outlook, StoreError> },
    Claimed { request: Arc<ClaimRequest>, result: Result<(Claims, Vec<Compiled>), StoreError> },
    Written(Vec<commits::Written>),
    SetAside { runs: Arc<Vec<SetAside>>, result: Result<Committed, StoreError> },
    Ended { request: RunRequest, result: Result<Vec<RunKey>, StoreError> },
    Reserved { workspace: WorkspaceId, facts: Vec<quota::Asked>, result: Result<quota::Reserved, StoreError> },
    AttemptEnded { key: RunKey, tenure: Tenure, step: StepIndex, attempt: u32, outcome: Result<Value, StepError> },
}

/// The compiled workflow of a claimed run; `Ok(None)` if the version does not exist.
type Compiled = Result<Option<Arc<CompiledWorkflow>>, StoreError>;

/// The state of a workspace that had work.
#[derive(Debug, Clone, Copy)]
struct Known {
    shard: ShardId,
    weight: u32,
    /// Ready rows up to this sequence number were claimed since the last rewind.
    bound: i64,
}

/// An attempt that waits in the queue.
struct Queued {
    key: RunKey,
    tenure: Tenure,
    step: StepIndex,
    attempt: u32,
    /// The step type.
    uses: Arc<StepType>,
    handler: Arc<dyn StepHandler>,
    task: StepTask,
}

struct Worker {
    id: WorkerId,
    store: Arc<dyn EngineStore>,
    workflows: Arc<dyn CompiledWorkflows>,
    handlers: HandlerMap,
    bus: Box<dyn SignalStream>,
    listening: bool,
    endings: RunEndings,
    quota: Arc<dyn Quota>,
    shards: OwnedShards,
    /// Shards in which the job runner is busy.
    busy: watch::Receiver<BTreeSet<ShardId>>,
    env: Environment,
    scope: Arc<SystemScope>,
    config: EngineConfig,
    continue_trace: ContinueTrace,
    stop: CancellationToken,
    sender: mpsc::UnboundedSender<Message>,
    inbox: mpsc::UnboundedReceiver<Message>,

    tenures: HashMap<ShardId, Tenure>,
    /// Tenures that were forgotten since the last heartbeat began.
    forgotten: HashSet<Tenure>,
    /// Shards that are about to be given up: no run is claimed in them.
    leaving: HashSet<ShardId>,
    runs: HashMap<RunKey, LiveRun>,
    gates: GateBook,
    known: HashMap<WorkspaceId, Known>,
    ring: Ring<WorkspaceId>,
    /// Workspaces that got work during the claim in progress.
    nudged: HashSet<WorkspaceId>,
    /// Runs to claim by name.
    named: BTreeSet<(ShardId, RunKey)>,
    requests: HashMap<RunKey, Vec<RunRequest>>,
    /// Requests whose quarantined runs are being ended.
    ending: HashSet<uuid::Uuid>,
    timers: BTreeSet<Timer>,
    /// Timers that are due before this time are in `timers`.
    timers_read: Option<DateTime<Utc>>,
    /// Facts that wait until the quota has answered.
    reserving: HashMap<WorkspaceId, quota::Reserving>,
    /// The latest time at which a held step of a workspace tries again.
    held_until: HashMap<WorkspaceId, DateTime<Utc>>,
    dirty: VecDeque<RunKey>,
    /// Commits that end runs whose workflow version does not exist.
    unreadable: Vec<RunCommit>,
    /// Runs to quarantine.
    set_aside: Vec<SetAside>,
    queue: HashMap<WorkspaceId, VecDeque<Queued>>,
    queue_ring: Ring<WorkspaceId>,
    executing: usize,
    measures: Measures,

    claiming: bool,
    committing: bool,
    setting_aside: bool,
    looking: bool,
    holding: bool,
    look_wanted: bool,
    /// Whether shards were acquired during the look in progress.
    reread_wanted: bool,
    next_look: Instant,
    next_hold: Instant,
    next_reread: Instant,
    next_rewind: Instant,
    /// When a run was last claimed or committed.
    last_work: Instant,
    drain_until: Option<Instant>,
}

/// After this time without work, the slower poll is used.
const QUIET: Duration = Duration::from_secs(10);

impl Worker {
    fn new(parts: EngineParts, stop: CancellationToken) -> Self {
        let (sender, inbox) = mpsc::unbounded_channel();
        let now = Instant::now();
        Self {
            id: WorkerId(parts.env.uuid_v7()),
            store: parts.store,
            workflows: parts.workflows,
            handlers: parts.handlers,
            bus: parts.bus.subscribe(&[Topic::WorkReady]),
            listening: true,
            endings: parts.endings,
            quota: parts.quota,
            busy: parts.shards.busy(),
            shards: parts.shards,
            env: parts.env,
            scope: Arc::new(parts.scope),
            config: parts.config,
            continue_trace: parts.continue_trace,
            stop,
            sender,
            inbox,
            tenures: HashMap::new(),
            forgotten: HashSet::new(),
            leaving: HashSet::new(),
            runs: HashMap::new(),
            gates: GateBook::default(),
            known: HashMap::new(),
            ring: Ring::default(),
            nudged: HashSet::new(),
            named: BTreeSet::new(),
            requests: HashMap::new(),
            ending: HashSet::new(),
            timers: BTreeSet::new(),
            timers_read: None,
            reserving: HashMap::new(),
            held_until: HashMap::new(),
            dirty: VecDeque::new(),
            unreadable: Vec::new(),
            set_aside: Vec::new(),
            queue: HashMap::new(),
            queue_ring: Ring::default(),
            executing: 0,
            measures: Measures::new(),
            claiming: false,
            committing: false,
            setting_aside: false,
            looking: false,
            holding: false,
            look_wanted: false,
            reread_wanted: false,
            next_look: now,
            next_hold: now,
            next_reread: now,
            next_rewind: now,
            last_work: now,
            drain_until: None,
        }
    }

    async fn run(mut self) {
        loop {
            self.start_what_can_be();
            self.measures.in_hand(self.tenures.len(), self.runs.len(), self.executing);
            if self.is_done() {
                break;
            }
            let wake = self.next_wake();
            let stopping = self.drain_until.is_some();
            tokio::select! {
                message = self.inbox.recv() => {
                    if let Some(message) = message {
                        self.hear(message);
                    }
                    while let Ok(message) = self.inbox.try_recv() {
                        self.hear(message);
                    }
                }
                signal = self.bus.next(), if self.listening => self.nudge(signal),
                () = sleep_until(wake) => {}
                // Cannot fail: the sender is part of `self.shards`.
                Ok(()) = self.busy.changed(), if stopping => {}
                () = self.stop.cancelled(), if !stopping => {
                    self.drain_until = Some(Instant::now() + self.config.drain);
                }
            }
        }
        self.leave().await;
    }

    /// Aborts the running attempts.
    fn abort_attempts(&mut self) {
        self.runs.values_mut().for_each(LiveRun::abort);
    }

    fn hear(&mut self, message: Message) {
        match message {
            Message::Held(result) => self.held(result),
            Message::Looked { until, result } => self.looked(until, result),
            Message::Claimed { request, result } => self.claimed(&request, result),
            Message::Written(parts) => self.written(parts),
            Message::SetAside { runs, result } => self.was_set_aside(&runs, result),
            Message::Ended { request, result } => self.ended(&request, result),
            Message::Reserved { workspace, facts, result } => self.reserved(workspace, facts, result),
            Message::AttemptEnded { key, tenure, step, attempt, outcome } => {
                self.attempt_ended(key, tenure, step, attempt, outcome);
            }
        }
    }

    /// Sends a query to the store in a separate task. The worker receives the answer even if the query panics.
    fn ask<T: Send + 'static>(
        &self,
        what: Question,
        question: impl Future<Output = Result<T, StoreError>> + Send + 'static,
        message: impl FnOnce(Result<T, StoreError>) -> Message + Send + 'static,
    ) {
        let (sender, seconds) = (self.sender.clone(), self.measures.seconds(what));
        tokio::spawn(async move {
            let asked = Instant::now();
            let answer = catch_store(question).await;
            seconds.record(asked.elapsed().as_secs_f64());
            // Sending fails only if the worker has ended.
            let _ = sender.send(message(answer));
        });
    }

    fn start_what_can_be(&mut self) {
        let now = Instant::now();
        self.fire_timers();
        self.start_attempts();
        if self.drain_until.is_none() {
            // Before the next commit, because a claim does not start during a commit.
            self.start_claim();
        }
        self.start_commit();
        self.start_set_aside();
        if self.drain_until.is_none() {
            self.start_look(now);
        }
        self.start_hold(now);
        self.publish_shards();
    }

    /// Publishes the owned shards to the job runner.
    fn publish_shards(&self) {
        let mut tenures: Vec<Tenure> = self.tenures.values().copied().collect();
        tenures.sort_unstable();
        let leaving = self.leaving.iter().copied().collect();
        self.shards.publish(Owned { worker: Some(self.id), tenures, leaving });
    }

    /// Whether a stopping worker has nothing left to wait for, or its shutdown timeout is over.
    fn is_done(&self) -> bool {
        let Some(until) = self.drain_until else { return false };
        let idle = self.executing == 0
            && self.reserving.is_empty()
            && self.dirty.is_empty()
            && self.unreadable.is_empty()
            && self.set_aside.is_empty()
            && !self.setting_aside
            && !self.committing
            && !self.claiming
            && !self.holding
            && self.busy.borrow().is_empty();
        idle || Instant::now() >= until
    }

    fn next_wake(&self) -> Instant {
        let now = Instant::now();
        let mut wake = if self.holding { now + self.config.heartbeat } else { self.next_hold };
        if let Some(until) = self.drain_until {
            return wake.min(until);
        }
        if !self.tenures.is_empty() && !self.looking {
            wake = wake.min(self.next_look);
        }
        if let Some(timer) = self.timers.first() {
            let millis = (timer.due - self.env.now()).num_milliseconds().max(0);
            wake = wake.min(now + Duration::from_millis(u64::try_from(millis).unwrap_or(0) + 1));
        }
        wake
    }

    fn nudge(&mut self, signal: Option<Received>) {
        match signal {
            Some(Received::Signal(signal)) => match signal.payload.as_str().parse::<WorkspaceId>() {
                Ok(workspace) => self.has_work(workspace),
                Err(_) => self.look_wanted = true,
            },
            Some(Received::Missed) => self.look_wanted = true,
            // The bus has ended. From now on the poll alone finds work.
            None => self.listening = false,
        }
    }

    /// Handles the signal that a workspace has ready runs.
    fn has_work(&mut self, workspace: WorkspaceId) {
        match self.known.get(&workspace) {
            Some(known) if self.tenures.contains_key(&known.shard) => {
                self.ring.insert(workspace, known.weight);
                if self.claiming {
                    self.nudged.insert(workspace);
                }
            }
            Some(_) => {}
            None => self.look_wanted = true,
        }
    }

    /// The interval until the next look.
    fn poll(&self) -> Duration {
        let quiet = self.runs.is_empty() && self.last_work.elapsed() > QUIET;
        if quiet { self.config.idle_poll } else { self.config.poll }
    }

    /// `period` with jitter: 0.9 to 1.1 of it, so that workers do not query in step.
    fn jittered(&self, period: Duration) -> Duration {
        let [byte] = self.env.random::<1>();
        period.mul_f64(0.9 + 0.2 * f64::from(byte) / 255.0)
    }
}

impl Drop for Worker {
    /// The next owner of the shards repeats the aborted attempts.
    fn drop(&mut self) {
        self.abort_attempts();
        self.shards.publish(Owned::default());
    }
}
