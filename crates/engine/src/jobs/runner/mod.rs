//! The job runner: an actor that owns the state of the jobs in memory, like the engine's worker does for runs.
//!
//! At most one claim, one look and one batch of results are in progress. Meanwhile the next one collects work, so
//! batches grow with the load, and without load there is no delay. It holds no transaction open while a job runs.

mod lanes;
mod measures;
mod work;
mod written;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tidegate_kernel::{Environment, Received, SignalBus, SignalStream, StoreError, SystemScope, Topic};
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use self::lanes::KindQueue;
use super::kinds::JobKinds;
use super::model::{ClaimedJob, EndedJob, JobClaim, JobCount, JobKey, JobOutcome, JobOutlook, Lane};
use super::ports::JobStore;
use crate::model::{ShardId, Tenure, WorkerId};
use crate::panics::catch_store;
use crate::ports::ContinueTrace;
use crate::shards::{Owned, OwnedShards};

/// Settings of a job runner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobRunnerConfig {
    /// The interval of the poll for jobs that no signal announced.
    pub poll: Duration,
    /// The interval of the poll after a while without work.
    pub idle_poll: Duration,
    /// The maximum number of jobs in one claim, or in one batch of results.
    pub batch: usize,
    /// How often waiting jobs are counted for the metrics; a quarter as often when it has had none for a while.
    pub count: Duration,
    /// The shutdown timeout: how long attempts may continue after the runner is told to stop.
    pub drain: Duration,
}

impl Default for JobRunnerConfig {
    fn default() -> Self {
        Self {
            poll: Duration::from_secs(1),
            idle_poll: Duration::from_secs(10),
            batch: 500,
            count: Duration::from_secs(15),
            drain: Duration::from_secs(10),
        }
    }
}

/// The dependencies of a job runner.
pub struct JobRunnerParts {
    /// The store of jobs.
    pub store: Arc<dyn JobStore>,
    /// The kinds that it executes. Jobs of other kinds wait for a process that knows them.
    pub kinds: JobKinds,
    /// The shards in which it works.
    pub shards: OwnedShards,
    /// The bus that signals ready jobs.
    pub bus: Arc<dyn SignalBus>,
    /// Joins the span of a job to the trace in which the job was enqueued.
    pub continue_trace: ContinueTrace,
    /// Time and randomness.
    pub env: Environment,
    /// The proof that this may work across tenants.
    pub scope: SystemScope,
    /// Settings.
    pub config: JobRunnerConfig,
}

impl std::fmt::Debug for JobRunnerParts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JobRunnerParts")
            .field("kinds", &self.kinds)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

/// Executes jobs until `stop` is cancelled, then claims no more and lets the running attempts end. If the future is
/// dropped earlier, it stops as in a crash: running attempts are repeated.
pub async fn run_jobs(parts: JobRunnerParts, stop: CancellationToken) {
    Runner::new(parts, stop).run().await;
}

/// After this time without work, the slower poll is used.
const QUIET: Duration = Duration::from_secs(10);

/// The delay before the next call after the store has failed.
const PAUSE: Duration = Duration::from_secs(1);

/// The longest time between two checks for due recurring jobs.
const RECUR: Duration = Duration::from_secs(60);

/// A message to the runner.
enum Message {
    Looked(Result<JobOutlook, StoreError>),
    Claimed { claim: JobClaim, result: Result<Vec<ClaimedJob>, StoreError> },
    Recovered(Result<(), StoreError>),
    Ended { key: JobKey, tenure: Tenure, outcome: JobOutcome },
    Written { ended: Arc<Vec<EndedJob>>, result: Result<Vec<JobKey>, StoreError> },
    Recurred(Result<Option<DateTime<Utc>>, StoreError>),
    Counted(Result<Vec<JobCount>, StoreError>),
}

/// A job with a running attempt, or with a result that is not stored yet.
struct InHand {
    tenure: Tenure,
    kind: &'static str,
    /// `None` once the attempt has ended.
    attempt: Option<AbortHandle>,
    begun: Instant,
}

struct Runner {
    store: Arc<dyn JobStore>,
    queues: BTreeMap<&'static str, KindQueue>,
    owned: watch::Receiver<Owned>,
    shards: OwnedShards,
    bus: Box<dyn SignalStream>,
    listening: bool,
    continue_trace: ContinueTrace,
    env: Environment,
    scope: Arc<SystemScope>,
    config: JobRunnerConfig,
    stop: CancellationToken,
    sender: mpsc::UnboundedSender<Message>,
    inbox: mpsc::UnboundedReceiver<Message>,

    worker: Option<WorkerId>,
    tenures: HashMap<ShardId, Tenure>,
    leaving: BTreeSet<ShardId>,
    in_hand: HashMap<JobKey, InHand>,
    /// Results that are not stored yet. Each inner batch is written separately.
    ended: VecDeque<Vec<EndedJob>>,
    /// Kinds of ready jobs that this process does not know.
    unknown: BTreeSet<String>,
    /// Counts results that could not be stored.
    unwritten: metrics::Counter,
    /// Counts the waiting jobs of unknown kinds in this process's shards.
    unknown_waiting: metrics::Gauge,

    looking: bool,
    look_wanted: bool,
    claiming: bool,
    /// Whether jobs may be leased that are not in memory.
    recover_wanted: bool,
    writing: bool,
    recurring: bool,
    counting: bool,
    next_look: Instant,
    next_claim: Instant,
    next_write: Instant,
    next_recur: Instant,
    next_count: Instant,
    last_work: Instant,
    drain_until: Option<Instant>,
}

impl Runner {
    fn new(parts: JobRunnerParts, stop: CancellationToken) -> Self {
        let (sender, inbox) = mpsc::unbounded_channel();
        let now = Instant::now();
        let queues = parts.kinds.kinds.into_iter().map(|(name, kind)| (name, KindQueue::new(name, kind))).collect();
        Self {
            store: parts.store,
            queues,
            owned: parts.shards.owned(),
            shards: parts.shards,
            bus: parts.bus.subscribe(&[Topic::JobReady]),
            listening: true,
            continue_trace: parts.continue_trace,
            env: parts.env,
            scope: Arc::new(parts.scope),
            config: parts.config,
            stop,
            sender,
            inbox,
            worker: None,
            tenures: HashMap::new(),
            leaving: BTreeSet::new(),
            in_hand: HashMap::new(),
            ended: VecDeque::new(),
            unknown: BTreeSet::new(),
            unwritten: metrics::counter!("job_ends_unwritten_total"),
            unknown_waiting: metrics::gauge!("jobs_of_unknown_kinds"),
            looking: false,
            look_wanted: false,
            claiming: false,
            recover_wanted: false,
            writing: false,
            recurring: false,
            counting: false,
            next_look: now,
            next_claim: now,
            next_write: now,
            next_recur: now,
            next_count: now,
            last_work: now,
            drain_until: None,
        }
    }

    async fn run(mut self) {
        self.owned.mark_changed();
        loop {
            self.start_what_can_be();
            if self.is_done() {
                return;
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
                // Cannot fail: the sender is part of `self.shards`.
                Ok(()) = self.owned.changed() => self.follow_owner(),
                signal = self.bus.next(), if self.listening => self.nudge(signal),
                () = sleep_until(wake) => {}
                () = self.stop.cancelled(), if !stopping => {
                    self.drain_until = Some(Instant::now() + self.config.drain);
                }
            }
        }
    }

    fn hear(&mut self, message: Message) {
        match message {
            Message::Looked(result) => self.looked(result),
            Message::Claimed { claim, result } => self.claimed(&claim, result),
            Message::Recovered(result) => self.recovered(result),
            Message::Ended { key, tenure, outcome } => self.attempt_ended(key, tenure, outcome),
            Message::Written { ended, result } => self.written(&ended, result),
            Message::Recurred(result) => self.recurred(result),
            Message::Counted(result) => self.count_heard(result),
        }
    }

    /// Sends a query to the store in a separate task. The runner receives the answer even if the query panics.
    fn ask<T: Send + 'static>(
        &self,
        question: impl Future<Output = Result<T, StoreError>> + Send + 'static,
        message: impl FnOnce(Result<T, StoreError>) -> Message + Send + 'static,
    ) {
        let sender = self.sender.clone();
        tokio::spawn(async move {
            // Sending fails only if the runner has ended.
            let _ = sender.send(message(catch_store(question).await));
        });
    }

    fn start_what_can_be(&mut self) {
        let now = Instant::now();
        if self.drain_until.is_none() {
            self.start_claim();
        }
        self.start_write(now);
        if self.drain_until.is_none() {
            self.start_look(now);
            self.start_recur(now);
            self.start_count(now);
        }
        self.tell_busy();
    }

    /// Publishes the shards in which jobs are in memory, or may be after the claim in progress.
    fn tell_busy(&self) {
        let mut busy: BTreeSet<ShardId> = self.in_hand.values().map(|job| job.tenure.shard).collect();
        if self.claiming {
            busy.extend(self.tenures.keys());
        }
        self.shards.set_busy(busy);
    }

    /// Whether a stopping runner has nothing left to wait for, or its shutdown timeout is over.
    fn is_done(&self) -> bool {
        let Some(until) = self.drain_until else { return false };
        (self.in_hand.is_empty() && !self.claiming && !self.writing) || Instant::now() >= until
    }

    /// Whether there has been nothing to do for a while.
    fn is_quiet(&self) -> bool {
        self.in_hand.is_empty() && self.last_work.elapsed() > QUIET
    }

    fn next_wake(&self) -> Instant {
        let mut wake = Instant::now() + self.config.idle_poll;
        if !self.writing && !self.ended.is_empty() {
            wake = wake.min(self.next_write);
        }
        if !self.claiming && self.next_claim > Instant::now() {
            wake = wake.min(self.next_claim);
        }
        if let Some(until) = self.drain_until {
            return wake.min(until);
        }
        for (busy, next) in
            [(self.looking, self.next_look), (self.recurring, self.next_recur), (self.counting, self.next_count)]
        {
            if !busy && !self.tenures.is_empty() {
                wake = wake.min(next);
            }
        }
        wake
    }

    /// The worker's owned shards have changed.
    fn follow_owner(&mut self) {
        let owned = self.owned.borrow_and_update().clone();
        let tenures: HashMap<ShardId, Tenure> =
            owned.tenures.into_iter().map(|tenure| (tenure.shard, tenure)).collect();
        let changed = owned.worker != self.worker;
        let lost: Vec<ShardId> = self
            .tenures
            .values()
            .filter(|old| changed || tenures.get(&old.shard) != Some(old))
            .map(|t| t.shard)
            .collect();
        for shard in lost {
            self.forget(shard);
        }
        let gained = tenures.keys().any(|shard| !self.tenures.contains_key(shard));
        self.look_wanted |= gained;
        // A runner of this process that failed may have left leased jobs behind.
        self.recover_wanted |= gained;
        (self.worker, self.tenures, self.leaving) = (owned.worker, tenures, owned.leaving);
    }

    /// Drops all state of a shard. Its next owner repeats the running attempts.
    fn forget(&mut self, shard: ShardId) {
        self.tenures.remove(&shard);
        for (key, job) in self.in_hand.extract_if(|_, job| job.tenure.shard == shard) {
            if let Some(attempt) = job.attempt {
                attempt.abort();
                if let Some(queue) = self.queues.get_mut(job.kind) {
                    queue.ended(key.workspace);
                }
            }
        }
        for queue in self.queues.values_mut() {
            queue.forget(shard);
        }
    }

    fn nudge(&mut self, signal: Option<Received>) {
        match signal {
            Some(Received::Signal(signal)) => match signal.payload.as_str().parse::<Lane>() {
                Ok(lane) if self.owns(lane.shard) => {
                    if let Some(queue) = self.queues.get_mut(lane.kind.as_str()) {
                        queue.has_work(&lane, None, self.claiming);
                    }
                }
                Ok(_) => {}
                Err(_) => self.look_wanted = true,
            },
            Some(Received::Missed) => self.look_wanted = true,
            // The bus has ended. From now on the poll alone finds jobs.
            None => self.listening = false,
        }
    }

    fn owns(&self, shard: ShardId) -> bool {
        self.tenures.contains_key(&shard) && !self.leaving.contains(&shard)
    }

    /// The tenures of shards in which jobs may begin.
    fn open_tenures(&self) -> Vec<Tenure> {
        self.tenures.values().filter(|tenure| !self.leaving.contains(&tenure.shard)).copied().collect()
    }

    /// `period` with jitter: 0.9 to 1.1 of it, so that processes do not query in step.
    fn jittered(&self, period: Duration) -> Duration {
        let [byte] = self.env.random::<1>();
        period.mul_f64(0.9 + 0.2 * f64::from(byte) / 255.0)
    }
}

impl Drop for Runner {
    /// The next owner of the shards repeats the aborted attempts.
    fn drop(&mut self) {
        for job in self.in_hand.values() {
            if let Some(attempt) = &job.attempt {
                attempt.abort();
            }
        }
        self.shards.set_busy(BTreeSet::new());
    }
}
