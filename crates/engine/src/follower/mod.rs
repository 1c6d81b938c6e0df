//! Follows what is ingested: for each consumer one task that finds workspaces with unread events and lets the consumer
//! read them, a chunk at a time.
//!
//! A signal after each ingest says where to look; a poll with jitter is the floor for signals that were lost or came from a
//! server without a bus. Workspaces take turns, so a long backlog of one costs the others nothing, and no workspace is read by two
//! lanes at once. Between servers nothing is agreed: the consumer's cursor is compared and set, so who comes second
//! changes nothing. It must never hold a transaction itself.

mod measures;
mod slice;
mod turns;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures::StreamExt;
use futures::future::{BoxFuture, OptionFuture};
use futures::stream::FuturesUnordered;
use tidegate_kernel::{
    Environment, Received, RequestId, SignalBus, SignalStream, StoreError, SystemScope, Topic, WorkspaceId,
    WorkspaceScope,
};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use measures::Measures;
use slice::SliceSize;
use turns::Turns;

use crate::panics::catch_store;

/// Somebody who reads behind the insert.
#[async_trait]
pub trait Consumer: Send + Sync {
    /// What it is called in logs and as the origin of what it changes: letters, digits, `-`, `_`.
    fn name(&self) -> &'static str;

    /// Up to `limit` workspaces that have events which it has not read. A workspace that it cannot read now MUST NOT keep
    /// the others out for ever.
    ///
    /// # Errors
    /// [`StoreError`] when they could not be found.
    async fn behind(&self, scope: &SystemScope, limit: u32) -> Result<Vec<WorkspaceId>, StoreError>;

    /// The most events that a step reads.
    fn most(&self) -> u32;

    /// Reads the next events of a workspace, at most `limit`. MUST commit its cursor together with its results, MUST compare
    /// before it sets, and MUST end soon: others wait for their turn.
    ///
    /// # Errors
    /// [`StoreError`] when nothing changed; the events are read again later.
    async fn step(&self, scope: &WorkspaceScope, limit: u32) -> Result<Progress, StoreError>;
}

/// How a step went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// How many events it read.
    pub events: u32,
    /// Whether more are waiting.
    pub more: bool,
    /// For how long it held a connection. To wait for one is no work and does not count.
    pub took: Duration,
    /// When the first event that it read was received; `None` where it read none.
    pub oldest: Option<DateTime<Utc>>,
}

/// How a follower goes about it.
#[derive(Debug, Clone, Copy)]
pub struct FollowerConfig {
    /// Workspaces read at the same time; each needs a connection. 1 where the database is embedded.
    pub lanes: usize,
    /// How often it looks by itself while there is something to do.
    pub poll: Duration,
    /// How often it looks by itself when nothing has happened for a while.
    pub idle_poll: Duration,
    /// How long a workspace rests at least after it has been read to its end, so that many small ingests are read together.
    /// The longer the reading took, the longer the rest: see [`LONGEST_REST`].
    pub rest: Duration,
    /// How long a step may hold its connection, where others need the same one: steps then read as many events as fit in. `None`
    /// lets each read as many as the consumer does at most.
    pub slice: Option<Duration>,
}

impl Default for FollowerConfig {
    fn default() -> Self {
        Self {
            lanes: 2,
            poll: Duration::from_secs(1),
            idle_poll: Duration::from_secs(5),
            rest: Duration::from_millis(50),
            slice: None,
        }
    }
}

/// A workspace rests three times as long as its last step took, up to this. So a machine that is busy reads more events at a
/// time, which costs less for each and leaves more of it to those who wait for an answer; and nobody is behind for longer.
pub const LONGEST_REST: Duration = Duration::from_secs(1);
/// After this long without work the slower poll is enough.
const QUIET: Duration = Duration::from_secs(10);
/// How long a workspace waits after a failed step.
const AFTER_FAILURE: Duration = Duration::from_secs(1);
/// The most workspaces that one look brings.
const LOOK: u32 = 256;

/// What a follower is made of.
pub struct FollowerParts {
    /// Who reads.
    pub consumer: Arc<dyn Consumer>,
    /// Who says that there is something to read.
    pub bus: Arc<dyn SignalBus>,
    /// Time and randomness.
    pub env: Environment,
    /// The proof that this may work across tenants.
    pub scope: SystemScope,
    /// Settings.
    pub config: FollowerConfig,
}

impl std::fmt::Debug for FollowerParts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FollowerParts").field("consumer", &self.consumer.name()).finish_non_exhaustive()
    }
}

/// Follows until `stop` is cancelled, then finishes the chunks that are under way.
pub async fn follow(parts: FollowerParts, stop: CancellationToken) {
    let name = parts.consumer.name();
    let Some(request_id) = RequestId::new(name) else {
        tracing::error!(consumer = name, "the name of a consumer has to be fit for a request id");
        return;
    };
    let mut signals = parts.bus.subscribe(&[Topic::EventsIngested]);
    let size = SliceSize::new(parts.config.slice, parts.consumer.most());
    let (turns, last_work) = (Turns::default(), Instant::now());
    let measures = Measures::of(name);
    let mut follower = Follower { turns, size, last_work, measures, parts: Arc::new(parts), request_id };
    follower.run(signals.as_mut(), &stop).await;
}

/// Follows in a task of its own.
#[must_use]
pub fn start(parts: FollowerParts, stop: CancellationToken) -> JoinHandle<()> {
    tokio::spawn(follow(parts, stop))
}

struct Follower {
    parts: Arc<FollowerParts>,
    request_id: RequestId,
    turns: Turns,
    size: SliceSize,
    last_work: Instant,
    measures: Measures,
}

impl Follower {
    async fn run(&mut self, signals: &mut dyn SignalStream, stop: &CancellationToken) {
        let mut lanes = FuturesUnordered::new();
        let mut listening = true;
        let mut next_look = Instant::now();
        // Looked for beside the lanes and never in their place: where there is one connection, a lane holds it.
        let mut looking: Option<BoxFuture<'static, Result<Vec<WorkspaceId>, StoreError>>> = None;
        loop {
            let most = self.parts.config.lanes.max(1);
            while lanes.len() < most
                && let Some(workspace) = self.turns.next(Instant::now())
            {
                lanes.push(step(Arc::clone(&self.parts.consumer), self.enter(workspace), workspace, self.size.get()));
            }
            if looking.is_none() && Instant::now() >= next_look {
                looking = Some(Box::pin(look(Arc::clone(&self.parts))));
            }
            let look_at = looking.is_none().then_some(next_look);
            // Whoever has rested while every lane is taken waits for a lane, and no clock can help it.
            let rested_at = self.turns.next_rested().filter(|_| lanes.len() < most);
            let wake = [rested_at, look_at].into_iter().flatten().min();
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(stepped) = lanes.next(), if !lanes.is_empty() => self.stepped(stepped),
                signal = signals.next(), if listening => match signal {
                    Some(Received::Signal(signal)) => match signal.payload.as_str().parse() {
                        Ok(workspace) => self.turns.wants(workspace),
                        Err(_) => next_look = Instant::now(),
                    },
                    Some(Received::Missed) => next_look = Instant::now(),
                    None => listening = false,
                },
                Some(found) = OptionFuture::from(looking.as_mut()), if looking.is_some() => {
                    looking = None;
                    self.looked(found);
                    next_look = Instant::now() + self.pause();
                }
                Some(()) = OptionFuture::from(wake.map(sleep_until)), if wake.is_some() => {}
            }
        }
        while let Some(stepped) = lanes.next().await {
            self.stepped(stepped);
        }
    }

    fn enter(&self, workspace: WorkspaceId) -> WorkspaceScope {
        self.parts.scope.enter(workspace, self.request_id.clone())
    }

    fn stepped(&mut self, Stepped { workspace, result }: Stepped) {
        let now = Instant::now();
        self.last_work = now;
        if let Ok(Progress { events, took, .. }) = result {
            self.size.learn(events, took);
        }
        self.measures.stepped(&result, self.parts.env.now());
        match result {
            Ok(Progress { more: true, .. }) => self.turns.again(workspace),
            Ok(Progress { took, .. }) => {
                let rest = (took * 3).clamp(self.parts.config.rest, LONGEST_REST.max(self.parts.config.rest));
                self.turns.rests(workspace, now + rest);
            }
            Err(error) => {
                let consumer = self.parts.consumer.name();
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::warn!(consumer, %workspace, %error, cause, "reading events failed; it is tried again");
                self.turns.wants(workspace);
                self.turns.rests(workspace, now + AFTER_FAILURE);
            }
        }
    }

    fn looked(&mut self, found: Result<Vec<WorkspaceId>, StoreError>) {
        match found {
            Ok(workspaces) => workspaces.into_iter().for_each(|workspace| self.turns.wants(workspace)),
            Err(error) => {
                tracing::warn!(consumer = self.parts.consumer.name(), %error, "cannot look for unread events");
            }
        }
    }

    /// The time until the next look, three quarters to five quarters of the poll, so that servers do not look in step.
    fn pause(&self) -> Duration {
        let quiet = self.last_work.elapsed() > QUIET;
        let poll = if quiet { self.parts.config.idle_poll } else { self.parts.config.poll };
        let [jitter] = self.parts.env.random::<1>();
        poll.mul_f64(0.75 + f64::from(jitter) / 512.0)
    }
}

async fn look(parts: Arc<FollowerParts>) -> Result<Vec<WorkspaceId>, StoreError> {
    parts.consumer.behind(&parts.scope, LOOK).await
}

/// How a step went.
struct Stepped {
    workspace: WorkspaceId,
    result: Result<Progress, StoreError>,
}

async fn step(consumer: Arc<dyn Consumer>, scope: WorkspaceScope, workspace: WorkspaceId, limit: u32) -> Stepped {
    // A defect that one workspace's events meet is a failed step of that workspace, and the others are read on.
    let result = catch_store(consumer.step(&scope, limit)).await;
    Stepped { workspace, result }
}

#[cfg(test)]
mod tests;
