//! Events start workflows: a reader behind the insert whose cursor commits with the runs that it starts.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use tidegate_events::cloud_event::DEPTH_ATTRIBUTE;
use tidegate_events::{ConsumerName, EventConsumers, EventFeed, Payload, StoredEvent};
use tidegate_kernel::{Position, StoreError, UnitOfWork, WorkspaceScope};
use tidegate_workflows::trigger::ports::TriggersTx;
use tidegate_workflows::trigger::{Occurrence, Triggers};

/// Under which name it reads.
pub const TRIGGERS: ConsumerName = ConsumerName("triggers");

/// How many events one transaction follows at most.
pub const TRIGGERS_CHUNK: u32 = 500;

/// How far one step of following came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Followed {
    /// How many events it passed.
    pub events: u32,
    /// Whether more are waiting.
    pub more: bool,
}

/// What following events needs of a store: the events and the triggers in one transaction.
pub trait EventTriggersTx: TriggersTx {
    /// The workspace's events in order.
    fn feed(&mut self) -> &mut dyn EventFeed;
    /// How far readers have come.
    fn consumers(&mut self) -> &mut dyn EventConsumers;
    /// The same transaction as triggers see it.
    fn as_triggers(&mut self) -> &mut dyn TriggersTx;
}

/// Starts the runs that events set off.
#[derive(Clone)]
pub struct FollowEvents {
    store: Arc<dyn UnitOfWork<dyn EventTriggersTx>>,
    triggers: Triggers,
}

impl std::fmt::Debug for FollowEvents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FollowEvents").finish_non_exhaustive()
    }
}

impl FollowEvents {
    /// The reader over `store`.
    #[must_use]
    pub fn new(store: Arc<dyn UnitOfWork<dyn EventTriggersTx>>, triggers: Triggers) -> Self {
        Self { store, triggers }
    }

    /// Follows the next events of a workspace and says whether more are waiting. Runs and cursor commit together; of two
    /// who read the same events at once one changes nothing.
    ///
    /// # Errors
    /// [`StoreError`] when nothing was changed; the events are read again later.
    pub async fn step(&self, scope: &WorkspaceScope) -> Result<bool, StoreError> {
        let tx = self.begin(scope).await?;
        self.step_in(scope, tx, TRIGGERS_CHUNK).await.map(|followed| followed.more)
    }

    /// The transaction of a step, for whoever has to know when its work begins.
    ///
    /// # Errors
    /// [`StoreError`] when it could not be opened.
    pub async fn begin(&self, scope: &WorkspaceScope) -> Result<Box<dyn EventTriggersTx>, StoreError> {
        self.store.begin(scope).await
    }

    /// As [`FollowEvents::step`], in a transaction that is open, with at most `limit` events.
    ///
    /// # Errors
    /// [`StoreError`] when nothing was changed.
    pub async fn step_in(
        &self,
        scope: &WorkspaceScope,
        mut tx: Box<dyn EventTriggersTx>,
        limit: u32,
    ) -> Result<Followed, StoreError> {
        let from = tx.consumers().cursor(TRIGGERS).await?;
        let head = tx.feed().head().await?;
        if head <= from {
            return Ok(Followed { events: 0, more: false });
        }
        let awaited = self.triggers.awaited_in(tx.as_triggers()).await?;
        // Positions have no gaps but those of retention, which are passed over; where nobody waits, so is everything.
        let to = if awaited.is_empty() {
            head
        } else {
            head.min(Position(from.0 + i64::from(limit.clamp(1, TRIGGERS_CHUNK))))
        };
        // Who comes second waits here, before anything is started.
        if !tx.consumers().advance(TRIGGERS, from, to).await? {
            return Ok(Followed { events: 0, more: true });
        }
        let mut started = 0;
        if !awaited.is_empty() {
            let events = tx.feed().read_whole(from, to, Some(&awaited)).await?;
            let occurrences: Vec<Occurrence> = events.into_iter().map(occurrence).collect();
            started = self.triggers.follow_in(tx.as_triggers(), &occurrences).await?;
        }
        tx.commit().await?;
        if started > 0 {
            self.triggers.wake(scope);
        }
        // Events that nobody waits for are passed without being read.
        let events = if awaited.is_empty() { 0 } else { u32::try_from(to.0 - from.0).unwrap_or(u32::MAX) };
        Ok(Followed { events, more: to < head })
    }
}

fn occurrence(stored: StoredEvent) -> Occurrence {
    let depth = stored.extensions.get(DEPTH_ATTRIBUTE).and_then(Value::as_u64).unwrap_or(0);
    Occurrence {
        id: stored.event.id,
        position: stored.event.position,
        depth: u8::try_from(depth).unwrap_or(u8::MAX),
        document: document(stored),
    }
}

/// The event as a CloudEvent in JSON format. `subject` and `data` are null where the sender gave none, so that a filter can
/// ask for them.
fn document(stored: StoredEvent) -> Value {
    let event = stored.event;
    let mut document = Map::new();
    document.insert("specversion".to_owned(), json!("1.0"));
    document.insert("id".to_owned(), json!(stored.sender_id));
    document.insert("source".to_owned(), json!(event.source));
    document.insert("type".to_owned(), json!(event.event_type));
    document.insert("subject".to_owned(), json!(event.subject));
    document.insert("time".to_owned(), json!(event.time.text));
    for (name, value) in [("datacontenttype", stored.data_content_type), ("dataschema", stored.data_schema)] {
        if let Some(value) = value {
            document.insert(name.to_owned(), Value::from(value));
        }
    }
    document.extend(stored.extensions);
    let data = match stored.payload {
        Payload::Absent => Value::Null,
        Payload::Json(text) => serde_json::from_str(&text).unwrap_or_default(),
        Payload::Text(text) => Value::from(text.into_string()),
        Payload::Binary(bytes) => {
            document.insert("data_base64".to_owned(), Value::from(STANDARD.encode(bytes)));
            Value::Null
        }
    };
    document.insert("data".to_owned(), data);
    Value::Object(document)
}
