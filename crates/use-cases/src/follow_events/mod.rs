//! Starts workflows for events: a consumer of events whose cursor commits together with the runs that it starts.
//!
//! A step has three phases. It reads events in one transaction; it evaluates filters and checks inputs without a
//! transaction; it starts runs in a second transaction, which checks that the cursor and the triggers have not changed.
//! [`FollowLimits`] bounds each phase. If a limit is reached within an event, the cursor stays before the event, and
//! the next step continues with the remaining workflows. A dedupe key per event keeps a repeated start from creating a
//! second run.

mod batch;
mod document;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use serde_json::json;
use tidegate_events::{ConsumerName, DamagedEvent, FeedTx};
use tidegate_kernel::{AuditEntry, Position, StoreError, UnitOfWork, WorkspaceId, WorkspaceScope};
use tidegate_workflows::trigger::ports::{ListeningTrigger, TriggersTx};
use tidegate_workflows::trigger::{CheckedRun, Occurrence, Triggers};

use batch::{Batch, Standing, Trouble};

/// The consumer name.
pub const TRIGGERS: ConsumerName = ConsumerName("triggers");

/// The maximum number of positions in one step.
pub const TRIGGERS_CHUNK: u32 = 500;

/// The result of one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Followed {
    /// How many events the cursor passed.
    pub events: u32,
    /// Whether more events are unread.
    pub more: bool,
    /// How long the step held a connection. Waiting for one and evaluating filters do not count.
    pub held: Duration,
    /// When the first event with a listening trigger was received.
    pub oldest: Option<DateTime<Utc>>,
}

/// How often a run that the store rejects is tried before it counts as one that cannot be started.
const ATTEMPTS: u32 = 5;

/// The limits of one step. A single item that exceeds a limit is handled alone.
#[derive(Debug, Clone, Copy)]
pub struct FollowLimits {
    /// The maximum number of positions.
    pub positions: u32,
    /// The maximum size of the events that are read, in bytes.
    pub event_bytes: usize,
    /// The maximum time for evaluating filters and inputs, without a connection.
    pub matching: Duration,
    /// The maximum number of runs that one transaction starts.
    pub runs: usize,
    /// The maximum size of their inputs and events, in bytes.
    pub run_bytes: usize,
}

impl Default for FollowLimits {
    fn default() -> Self {
        Self {
            positions: TRIGGERS_CHUNK,
            event_bytes: 4 << 20,
            matching: Duration::from_millis(50),
            runs: 200,
            run_bytes: 4 << 20,
        }
    }
}

/// The slice of a store for following events: the events and the triggers in one transaction.
pub trait EventTriggersTx: TriggersTx + FeedTx {}

/// Starts the runs that events trigger.
#[derive(Clone)]
pub struct FollowEvents {
    store: Arc<dyn UnitOfWork<dyn EventTriggersTx>>,
    triggers: Triggers,
    limits: FollowLimits,
    /// Where the last step ended within an event, or failed. It is lost at a restart; then work is repeated, without
    /// other effects.
    standing: Arc<Mutex<HashMap<WorkspaceId, Standing>>>,
}

impl std::fmt::Debug for FollowEvents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FollowEvents").field("limits", &self.limits).finish_non_exhaustive()
    }
}

/// The events that a step has read.
struct Chunk {
    from: Position,
    /// All events after `from` and up to this position were read.
    to: Position,
    head: Position,
    /// When the first of the events was received.
    oldest: Option<DateTime<Utc>>,
    types: Vec<String>,
    occurrences: Vec<Occurrence>,
    damaged: Vec<DamagedEvent>,
    listening: Vec<ListeningTrigger>,
}

enum Read {
    /// There was no event, or no trigger waits for events.
    Done {
        more: bool,
    },
    Chunk(Chunk),
}

impl FollowEvents {
    /// The consumer over `store`.
    #[must_use]
    pub fn new(store: Arc<dyn UnitOfWork<dyn EventTriggersTx>>, triggers: Triggers) -> Self {
        Self { store, triggers, limits: FollowLimits::default(), standing: Arc::default() }
    }

    /// The same consumer with these limits.
    #[must_use]
    pub fn within(self, limits: FollowLimits) -> Self {
        Self { limits, ..self }
    }

    /// Follows the next events of a workspace, and returns whether more are unread. Runs and cursor commit together. If
    /// two servers follow the same events at once, one of them changes nothing.
    ///
    /// An event that cannot be read any more is skipped and recorded. If the store rejects a run for another reason
    /// than being unavailable, the run is tried alone a few times and then recorded as one that could not be started.
    ///
    /// # Errors
    /// [`StoreError`] if nothing was changed; the events are read again later.
    pub async fn step(&self, scope: &WorkspaceScope) -> Result<bool, StoreError> {
        self.step_up_to(scope, self.limits.positions).await.map(|followed| followed.more)
    }

    /// Like [`FollowEvents::step`], with at most `positions` positions.
    ///
    /// # Errors
    /// [`StoreError`] if nothing was changed.
    pub async fn step_up_to(&self, scope: &WorkspaceScope, positions: u32) -> Result<Followed, StoreError> {
        let tx = self.store.begin(scope).await?;
        let began = Instant::now();
        let read = self.read(tx, positions.clamp(1, self.limits.positions)).await?;
        let held = began.elapsed();
        let chunk = match read {
            // Events without a waiting trigger are skipped without being read.
            Read::Done { more } => return Ok(Followed { events: 0, more, held, oldest: None }),
            Read::Chunk(chunk) => chunk,
        };
        let listeners = self.triggers.listeners(scope, &chunk.listening).await?;
        let standing = self.standing(scope).unwrap_or_default();
        let mut batch = Batch::of(&chunk, &listeners, &standing, &self.limits);
        if let Some(trouble) = &standing.trouble {
            batch.isolate(trouble, &listeners, ATTEMPTS);
        }
        let events = u32::try_from(batch.to.0 - chunk.from.0).unwrap_or(u32::MAX);
        let due = self.triggers.check_due(scope, std::mem::take(&mut batch.due)).await?;
        let tx = self.store.begin(scope).await?;
        let began = Instant::now();
        let more = self.write(scope, tx, &chunk, &batch, due, standing.trouble).await?;
        Ok(Followed { events, more, held: held + began.elapsed(), oldest: chunk.oldest })
    }

    async fn read(&self, mut tx: Box<dyn EventTriggersTx>, positions: u32) -> Result<Read, StoreError> {
        let from = tx.consumers().cursor(TRIGGERS).await?;
        let head = tx.feed().head().await?;
        if head <= from {
            return Ok(Read::Done { more: false });
        }
        let awaited = self.triggers.awaited_in(&mut *tx).await?;
        if awaited.is_empty() {
            // No trigger waits for events, so all of them are skipped.
            let moved = tx.consumers().advance(TRIGGERS, from, head).await?;
            if moved {
                tx.commit().await?;
            }
            return Ok(Read::Done { more: !moved });
        }
        // Positions have gaps only where retention deleted events.
        let to = head.min(Position(from.0 + i64::from(positions)));
        let read = tx.feed().read_whole(from, to, Some(&awaited), self.limits.event_bytes).await?;
        let mut types: Vec<String> = read.events.iter().map(|stored| stored.event.event_type.clone()).collect();
        types.sort_unstable();
        types.dedup();
        let listening = self.triggers.listening_in(&mut *tx, &types).await?;
        let oldest = read.events.first().map(|stored| stored.event.received_at);
        let occurrences = read.events.into_iter().map(document::occurrence).collect();
        let (to, damaged) = (read.up_to, read.damaged);
        Ok(Read::Chunk(Chunk { from, to, head, oldest, types, occurrences, damaged, listening }))
    }

    async fn write(
        &self,
        scope: &WorkspaceScope,
        mut tx: Box<dyn EventTriggersTx>,
        chunk: &Chunk,
        batch: &Batch,
        due: Vec<CheckedRun>,
        trouble: Option<Trouble>,
    ) -> Result<bool, StoreError> {
        // The second of two concurrent steps waits here, before it starts anything.
        if !tx.consumers().advance(TRIGGERS, chunk.from, batch.to).await? {
            self.stand(scope, Standing::default());
            return Ok(true);
        }
        let in_place: HashSet<(_, i16, i32)> = if due.is_empty() {
            HashSet::new()
        } else {
            let listening = self.triggers.listening_in(&mut *tx, &chunk.types).await?;
            listening.iter().map(|trigger| (trigger.workflow, trigger.ordinal, trigger.version)).collect()
        };
        let passed = trouble
            .as_ref()
            .is_some_and(|trouble| due.iter().any(|due| trouble.is_at((due.position, due.trigger.workflow))));
        let mut started = 0;
        for due in due {
            // The trigger was replaced meanwhile. A new trigger listens only to events after its publication.
            if !in_place.contains(&(due.trigger.workflow, due.trigger.ordinal, due.trigger.version)) {
                continue;
            }
            let place = (due.position, due.trigger.workflow);
            match self.triggers.start_due_in(&mut *tx, due).await {
                Ok(Some(created)) => started += usize::from(created),
                // Another version was published after the input was checked.
                Ok(None) => return Ok(true),
                Err(error) => {
                    if !matches!(error, StoreError::Unavailable(_)) {
                        self.failed(scope, place);
                    }
                    return Err(error);
                }
            }
        }
        for damaged in chunk.damaged.iter().filter(|damaged| damaged.position <= batch.to) {
            let entry = AuditEntry::new("event.unreadable", damaged.id).with(json!({"position": damaged.position}));
            tx.audit().record(entry).await?;
        }
        tx.commit().await?;
        if started > 0 {
            self.triggers.wake(scope);
        }
        let more = batch.to < chunk.head;
        self.stand(scope, Standing { within: batch.within, trouble: trouble.filter(|_| !passed) });
        Ok(more)
    }

    fn standing(&self, scope: &WorkspaceScope) -> Option<Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner).get(&scope.workspace()).cloned()
    }

    /// Stores the progress of a workspace, or removes it if there is none.
    fn stand(&self, scope: &WorkspaceScope, standing: Standing) {
        let mut all = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        if standing == Standing::default() {
            all.remove(&scope.workspace());
        } else {
            all.insert(scope.workspace(), standing);
        }
    }

    fn failed(&self, scope: &WorkspaceScope, (position, workflow): batch::Place) {
        let mut all = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        let standing = all.entry(scope.workspace()).or_default();
        let before =
            standing.trouble.take().filter(|trouble| (trouble.position, trouble.workflow) == (position, workflow));
        let failures = before.map_or(0, |trouble| trouble.failures) + 1;
        standing.trouble = Some(Trouble { position, workflow, failures });
    }
}
