//! Event followers. For each consumer, one task finds workspaces with unread events and lets the consumer read them,
//! one batch per step.
//!
//! A signal after each ingest says which workspace has events. A poll with jitter finds events whose signal was lost or
//! came from a server without a bus. Workspaces take turns, so the long backlog of one does not delay the others, and
//! at most one lane reads a workspace at a time. Servers do not coordinate: a step compares and sets the consumer's
//! cursor, so the second of two concurrent steps changes nothing. A follower must never hold a transaction itself.

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

/// A consumer of ingested events.
#[async_trait]
pub trait Consumer: Send + Sync {
    /// The name, used in logs and as the origin of its changes: letters, digits, `-`, `_`.
    fn name(&self) -> &'static str;

    /// Returns up to `limit` workspaces with events that this consumer has not read. A workspace that it cannot read
    /// now MUST NOT keep other workspaces out of the result for ever.
    ///
    /// # Errors
    /// [`StoreError`] if the workspaces could not be queried.
    async fn behind(&self, scope: &SystemScope, limit: u32) -> Result<Vec<WorkspaceId>, StoreError>;

    /// The maximum number of events that one step reads.
    fn most(&self) -> u32;

    /// Reads the next events of a workspace, at most `limit`. MUST commit its cursor together with its results. MUST
    /// compare the cursor before setting it. MUST end soon, because other workspaces wait for their turn.
    ///
    /// # Errors
    /// [`StoreError`] if nothing changed; the events are read again later.
    async fn step(&self, scope: &WorkspaceScope, limit: u32) -> Result<Progress, StoreError>;
}

/// The result of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// How many events the step read.
    pub events: u32,
    /// Whether the workspace has more unread events.
    pub more: bool,
    /// How long the step held a connection. The time spent waiting for a connection does not count.
    pub took: Duration,
    /// When the first event of the step was received; `None` if it read none.
    pub oldest: Option<DateTime<Utc>>,
}

/// Settings of a follower.
#[derive(Debug, Clone, Copy)]
pub struct FollowerConfig {
    /// How many workspaces are read at the same time. Each needs a connection; use 1 with an embedded database.
    pub lanes: usize,
    /// The poll interval while there is work.
    pub poll: Duration,
    /// The poll interval after a while without work.
    pub idle_poll: Duration,
    /// The shortest pause of a workspace after all its events were read, so that many small ingests are read together.
    /// After a longer step the pause is longer: see [`LONGEST_REST`].
    pub rest: Duration,
    /// How long a step may hold its connection if others need the same one. The number of events per step then adapts
    /// to it. With `None`, each step reads up to the consumer's maximum.
    pub slice: Option<Duration>,
}

impl Default for FollowerConfig {
    fn default() -> Self {
        Self {
            lanes: 2,
            poll: Duration::from_secs(1),
            idle_poll: Duration::from_secs(6),
            rest: Duration::from_millis(50),
            slice: None,
        }
    }
}

/// A workspace pauses three times as long as its last step took, up to this bound. So a busy machine reads more events
/// per step, which costs less per event and leaves more capacity to requests, and no consumer falls behind for longer.
pub const LONGEST_REST: Duration = Duration::from_secs(1);
/// After this time without work, the slower poll is used.
const QUIET: Duration = Duration::from_secs(10);
/// The pause of a workspace after a failed step.
const AFTER_FAILURE: Duration = Duration::from_secs(1);
/// The maximum number of workspaces in one look.
const LOOK: u32 = 256;

/// The dependencies of a follower.
pub struct FollowerParts {
    /// The consumer that reads.
    pub consumer: Arc<dyn Consumer>,
    /// The bus that signals new events.
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

/// Follows until `stop` is cancelled, then finishes the steps in progress.
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

/// Starts [`follow`] in a separate task.
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
        // The look runs beside the lanes, never instead of one: if there is a single connection, a lane may hold it.
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
            // If every lane is busy, a workspace whose pause has ended waits for a lane, so no timer is needed for it.
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

    /// The time until the next look: the poll interval with jitter, 0.75 to 1.25 of it, so that servers do not poll in
    /// step.
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

/// The result of a step, with its workspace.
struct Stepped {
    workspace: WorkspaceId,
    result: Result<Progress, StoreError>,
}

async fn step(consumer: Arc<dyn Consumer>, scope: WorkspaceScope, workspace: WorkspaceId, limit: u32) -> Stepped {
    // A panic is a failed step of this workspace; the other workspaces continue.
    let result = catch_store(consumer.step(&scope, limit)).await;
    Stepped { workspace, result }
}

#[cfg(test)]
mod tests;
