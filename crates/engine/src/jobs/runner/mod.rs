//! Does jobs: an actor that alone knows what is in hand, as the engine's worker is for runs.
//!
//! One claim, one look and one batch of ends are on their way at most. While one is, the next gathers; so they grow with the load
//! and are immediate without. It holds no transaction while a job is being done.

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

/// Settings of a runner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobRunnerConfig {
    /// How often it looks for jobs that nobody told it of.
    pub poll: Duration,
    /// How often it does when it has had none for a while.
    pub idle_poll: Duration,
    /// The most jobs in one claim, or in one batch of ends.
    pub batch: usize,
    /// How often waiting jobs are counted for the metrics; a quarter as often when it has had none for a while.
    pub count: Duration,
    /// How long attempts may go on after it was told to stop.
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

/// What a runner is made of.
pub struct JobRunnerParts {
    /// Where jobs are kept.
    pub store: Arc<dyn JobStore>,
    /// The kinds that it does. Jobs of others wait for a process that knows them.
    pub kinds: JobKinds,
    /// The shards in which it works.
    pub shards: OwnedShards,
    /// Who says that there are jobs.
    pub bus: Arc<dyn SignalBus>,
    /// Makes the span of a job a part of the trace in which it was enqueued.
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

/// Does jobs until `stop` is cancelled, then takes nothing more and lets what is in hand end. Dropped earlier, it ends as a crash
/// would: what was in hand is done again.
pub async fn run_jobs(parts: JobRunnerParts, stop: CancellationToken) {
    Runner::new(parts, stop).run().await;
}

/// After this long without work the slower poll is enough.
const QUIET: Duration = Duration::from_secs(10);

/// How long to wait before the store is asked again after it failed.
const PAUSE: Duration = Duration::from_secs(1);

/// How often recurring jobs are looked at, at least.
const RECUR: Duration = Duration::from_secs(60);

/// What the runner hears.
enum Message {
    Looked(Result<JobOutlook, StoreError>),
    Claimed { claim: JobClaim, result: Result<Vec<ClaimedJob>, StoreError> },
    Recovered(Result<(), StoreError>),
    Ended { key: JobKey, tenure: Tenure, outcome: JobOutcome },
    Written { ended: Arc<Vec<EndedJob>>, result: Result<Vec<JobKey>, StoreError> },
    Recurred(Result<Option<DateTime<Utc>>, StoreError>),
    Counted(Result<Vec<JobCount>, StoreError>),
}

/// A job that is being done, or whose end is not written yet.
struct InHand {
    tenure: Tenure,
    kind: &'static str,
    /// None once the attempt has ended.
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
    /// Ends that are not written, in batches that are written each by itself.
    ended: VecDeque<Vec<EndedJob>>,
    /// Kinds that were seen waiting and that nobody here does.
    unknown: BTreeSet<String>,
    /// Counts ends that could not be written.
    unwritten: metrics::Counter,
    /// Counts what waits here of kinds that nobody here does.
    unknown_waiting: metrics::Gauge,

    looking: bool,
    look_wanted: bool,
    claiming: bool,
    /// Something may be leased that is not in hand.
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
                // The sender lives as long as `shards` does.
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

    /// Asks the store in a task of its own. Whatever becomes of the task, the runner hears of it.
    fn ask<T: Send + 'static>(
        &self,
        question: impl Future<Output = Result<T, StoreError>> + Send + 'static,
        message: impl FnOnce(Result<T, StoreError>) -> Message + Send + 'static,
    ) {
        let sender = self.sender.clone();
        tokio::spawn(async move {
            // Nobody hears it where the runner has ended meanwhile.
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

    /// Says in which shards something is in hand, or may be in a moment.
    fn tell_busy(&self) {
        let mut busy: BTreeSet<ShardId> = self.in_hand.values().map(|job| job.tenure.shard).collect();
        if self.claiming {
            busy.extend(self.tenures.keys());
        }
        self.shards.set_busy(busy);
    }

    /// Whether a runner that is stopping has nothing more to wait for.
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

    /// The worker owns other shards than before.
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
        // A runner of this process that has failed may have left something.
        self.recover_wanted |= gained;
        (self.worker, self.tenures, self.leaving) = (owned.worker, tenures, owned.leaving);
    }

    /// Drops all that is known of a shard: another owner does again what was in hand.
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
            // The bus has ended; the poll finds what it would have told of.
            None => self.listening = false,
        }
    }

    fn owns(&self, shard: ShardId) -> bool {
        self.tenures.contains_key(&shard) && !self.leaving.contains(&shard)
    }

    /// The tenures in which jobs may begin.
    fn open_tenures(&self) -> Vec<Tenure> {
        self.tenures.values().filter(|tenure| !self.leaving.contains(&tenure.shard)).copied().collect()
    }

    /// A share of `period` between nine tenths and eleven tenths, so that processes do not ask in step.
    fn jittered(&self, period: Duration) -> Duration {
        let [byte] = self.env.random::<1>();
        period.mul_f64(0.9 + 0.2 * f64::from(byte) / 255.0)
    }
}

impl Drop for Runner {
    /// Whoever takes the shards over does what was in hand again.
    fn drop(&mut self) {
        for job in self.in_hand.values() {
            if let Some(attempt) = &job.attempt {
                attempt.abort();
            }
        }
        self.shards.set_busy(BTreeSet::new());
    }
}
