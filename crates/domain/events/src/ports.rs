//! The store ports of events.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tidegate_kernel::{EventId, PageSize, Position, StoreError, SystemScope, Transaction, WorkspaceId, WorkspaceScope};

use crate::cloud_event::NewEvent;
use crate::model::{Allowance, ConsumerName, Event, EventFilter, Outcome, StoredEvent};

/// The slice of a store for ingest and lists.
pub trait EventsTx: Transaction {
    /// The workspace's events.
    fn events(&mut self) -> Box<dyn EventRepository + '_>;
}

/// New events for one workspace, which are added together.
#[derive(Debug, Clone)]
pub struct Addition<'a> {
    /// The time of receipt.
    pub received_at: DateTime<Utc>,
    /// Random bits for the ids.
    pub salt: u64,
    /// What the plan allows.
    pub allowance: Allowance,
    /// The events, in the order of their future positions. Their dedupe keys are distinct.
    pub events: Vec<&'a NewEvent>,
}

/// The result of an [`Addition`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Added {
    /// How many events of the allowance's period are used now.
    pub used: i64,
    /// The workspace's head afterwards. It also covers events that were already known.
    pub head: Position,
    /// The result for each event, in the order of the addition.
    pub outcomes: Vec<Outcome>,
}

/// The events of one workspace.
#[async_trait]
pub trait EventRepository: Send {
    /// Adds the events that the workspace has not had within 32 days, as far as the allowance permits.
    ///
    /// Positions MUST be without gaps and in commit order, also with concurrent additions. A duplicate MUST NOT use up
    /// the allowance. The allowance MUST never be exceeded. Concurrent additions that overlap MUST NOT deadlock.
    ///
    /// # Errors
    /// [`StoreError`] if nothing was added.
    async fn add(&mut self, addition: &Addition<'_>) -> Result<Added, StoreError>;

    /// Adds events as [`EventRepository::add`] does, without a limit and without counting them as used. They are events of
    /// Tidegate itself.
    ///
    /// # Errors
    /// [`StoreError`] if nothing was added.
    async fn add_uncounted(&mut self, addition: &Addition<'_>) -> Result<(), StoreError>;

    /// The position of the last event, or [`Position::START`] if there is none.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be read.
    async fn head(&mut self) -> Result<Position, StoreError>;

    /// Events that match `filter`, newest position first, before the cursor `before`. Returns up to `size` + 1 events:
    /// the extra one shows that there is another page.
    ///
    /// # Errors
    /// [`StoreError`] if they could not be read.
    async fn list(
        &mut self,
        filter: &EventFilter,
        before: Option<EventId>,
        size: PageSize,
    ) -> Result<Vec<StoredEvent>, StoreError>;

    /// The events with these ids, ordered by position. Ids that the workspace does not have are left out.
    ///
    /// # Errors
    /// [`StoreError`] if they could not be read.
    async fn find(&mut self, ids: &[EventId]) -> Result<Vec<StoredEvent>, StoreError>;
}

/// Tells how many events a workspace may add.
#[async_trait]
pub trait EventQuota: Send + Sync {
    /// The plan's allowance for the period that contains `now`. MUST NOT hold a connection after it returns.
    ///
    /// # Errors
    /// [`StoreError`] if the plan could not be read.
    async fn allowance(&self, scope: &WorkspaceScope, now: DateTime<Utc>) -> Result<Allowance, StoreError>;
}

/// Reads a workspace's events in commit order, for consumers.
///
/// A position that [`EventFeed::head`] has returned is complete: no event at or below it appears later.
#[async_trait]
pub trait EventFeed: Send {
    /// The position of the last event, or [`Position::START`] if there is none.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be read.
    async fn head(&mut self) -> Result<Position, StoreError>;

    /// The attributes of up to `limit` events with `after` < position ≤ `up_to`.
    ///
    /// MUST be ordered by position. MUST NOT leave out an event between the first and the last one returned, except
    /// those that retention has deleted.
    ///
    /// # Errors
    /// [`StoreError`] if they could not be read.
    async fn read(&mut self, after: Position, up_to: Position, limit: u32) -> Result<Vec<Event>, StoreError>;

    /// The events with `after` < position ≤ `up_to`, with payloads and all attributes. If `types` is given, only events
    /// of these types. The result ends before its payloads and attributes exceed `max_bytes`. The range bounds the
    /// number of events, so it has to be short.
    ///
    /// If there is an event, MUST return at least one. MUST NOT return more than `max_bytes`, unless the first event
    /// alone is larger. A stored event that cannot be read any more MUST NOT prevent the others from being returned.
    ///
    /// # Errors
    /// [`StoreError`] if they could not be read.
    async fn read_whole(
        &mut self,
        after: Position,
        up_to: Position,
        types: Option<&[String]>,
        max_bytes: usize,
    ) -> Result<WholeEvents, StoreError>;
}

/// The result of reading whole events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WholeEvents {
    /// The events, ordered by position.
    pub events: Vec<StoredEvent>,
    /// The events that cannot be read any more.
    pub damaged: Vec<DamagedEvent>,
    /// The last position that was read. If `max_bytes` ended the read, it is the position before the next event.
    pub up_to: Position,
}

/// An event whose row cannot be read as an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DamagedEvent {
    /// Its id.
    pub id: EventId,
    /// Its position.
    pub position: Position,
}

/// The cursor of each consumer. A cursor commits together with the consumer's results.
#[async_trait]
pub trait EventConsumers: Send {
    /// The cursor of `consumer`, or [`Position::START`] if it has none yet.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be read.
    async fn cursor(&mut self, consumer: ConsumerName) -> Result<Position, StoreError>;

    /// Moves the cursor from `from` to `to`. MUST change nothing and return false if the cursor is not at `from`. A
    /// second transaction that tries the same MUST wait until the first has ended.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be written.
    /// [`StoreError`] when it could not be written.
    async fn advance(&mut self, consumer: ConsumerName, from: Position, to: Position) -> Result<bool, StoreError>;
}

/// The slice of a store for a consumer of events. Consumers that write results extend it with their own slice.
pub trait FeedTx: Transaction {
    /// The workspace's events, in order.
    fn feed(&mut self) -> Box<dyn EventFeed + '_>;
    /// The cursors of consumers.
    fn consumers(&mut self) -> Box<dyn EventConsumers + '_>;
}

/// Finds work for a consumer in all workspaces.
#[async_trait]
pub trait EventBacklog: Send + Sync {
    /// Returns up to `limit` workspaces whose head is beyond the cursor of `consumer`, in no particular order.
    ///
    /// A call MUST read a bounded number of heads, and the next call MUST continue where it ended, in a circle. So
    /// consecutive calls return every workspace that is behind, even if earlier ones never catch up.
    ///
    /// # Errors
    /// [`StoreError`] if they could not be read.
    /// [`StoreError`] when they could not be read.
    async fn behind(
        &self,
        scope: &SystemScope,
        consumer: ConsumerName,
        limit: u32,
    ) -> Result<Vec<WorkspaceId>, StoreError>;
}
