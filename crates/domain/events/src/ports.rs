//! What a store of events must do.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tidegate_kernel::{EventId, PageSize, Position, StoreError, SystemScope, Transaction, WorkspaceId, WorkspaceScope};

use crate::cloud_event::NewEvent;
use crate::model::{Allowance, ConsumerName, Event, EventFilter, Outcome, StoredEvent};

/// The slice of a store that ingest and lists need.
pub trait EventsTx: Transaction {
    /// The workspace's events.
    fn events(&mut self) -> Box<dyn EventRepository + '_>;
}

/// New events for one workspace, to be added together.
#[derive(Debug, Clone)]
pub struct Addition<'a> {
    /// When they were received.
    pub received_at: DateTime<Utc>,
    /// Random bits for the ids.
    pub salt: u64,
    /// What the plan allows.
    pub allowance: Allowance,
    /// The events in the order in which they shall follow one another. No two have one dedupe key.
    pub events: Vec<&'a NewEvent>,
}

/// What came of an [`Addition`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Added {
    /// The workspace's head afterwards, so that it covers what was known already.
    pub head: Position,
    /// What came of each event, in the order of the addition.
    pub outcomes: Vec<Outcome>,
}

/// The events of one workspace.
#[async_trait]
pub trait EventRepository: Send {
    /// Adds those events that the workspace has not had within 32 days, as far as the allowance goes.
    ///
    /// Positions MUST be dense and in the order of commits, whoever else adds at the same time; a duplicate MUST NOT use
    /// up the allowance, and what is used MUST never exceed it. Concurrent additions that overlap MUST NOT deadlock.
    ///
    /// # Errors
    /// [`StoreError`] when nothing was added.
    async fn add(&mut self, addition: &Addition<'_>) -> Result<Added, StoreError>;

    /// The position of the last event, [`Position::START`] where there is none.
    ///
    /// # Errors
    /// [`StoreError`] when it could not be read.
    async fn head(&mut self) -> Result<Position, StoreError>;

    /// Events that match `filter`, newest position first, from the one before `before` on; one more than `size` where
    /// there are as many.
    ///
    /// # Errors
    /// [`StoreError`] when they could not be read.
    async fn list(
        &mut self,
        filter: &EventFilter,
        before: Option<EventId>,
        size: PageSize,
    ) -> Result<Vec<StoredEvent>, StoreError>;

    /// The events with these ids, in order of position; ids that are not the workspace's are left out.
    ///
    /// # Errors
    /// [`StoreError`] when they could not be read.
    async fn find(&mut self, ids: &[EventId]) -> Result<Vec<StoredEvent>, StoreError>;
}

/// Says how many events a workspace may add.
#[async_trait]
pub trait EventQuota: Send + Sync {
    /// What the workspace's plan allows in the period that `now` lies in. MUST NOT hold a connection when it returns.
    ///
    /// # Errors
    /// [`StoreError`] when the plan could not be read.
    async fn allowance(&self, scope: &WorkspaceScope, now: DateTime<Utc>) -> Result<Allowance, StoreError>;
}

/// Reads a workspace's events in their order of commits, behind the insert.
///
/// A position that [`EventFeed::head`] has shown is complete: no event with it or a lower one appears later.
#[async_trait]
pub trait EventFeed: Send {
    /// The position of the last event, [`Position::START`] where there is none.
    ///
    /// # Errors
    /// [`StoreError`] when it could not be read.
    async fn head(&mut self) -> Result<Position, StoreError>;

    /// The facts of up to `limit` events with `after` < position ≤ `up_to`.
    ///
    /// MUST be in order of position and MUST leave out none between the first and the last that it returns, save those
    /// that retention has taken away.
    ///
    /// # Errors
    /// [`StoreError`] when they could not be read.
    async fn read(&mut self, after: Position, up_to: Position, limit: u32) -> Result<Vec<Event>, StoreError>;

    /// The events with `after` < position ≤ `up_to` with payloads and all attributes, of these types where some are named,
    /// from the first on until they have `max_bytes` of payloads and attributes. The range bounds their number, so it has to
    /// be short.
    ///
    /// MUST have one event at least where there is one, and MUST NOT have more bytes than `max_bytes` save for a first event
    /// that has more by itself. An event that is stored but cannot be read any more MUST NOT keep the others back.
    ///
    /// # Errors
    /// [`StoreError`] when they could not be read.
    async fn read_whole(
        &mut self,
        after: Position,
        up_to: Position,
        types: Option<&[String]>,
        max_bytes: usize,
    ) -> Result<WholeEvents, StoreError>;
}

/// What one reading of whole events brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WholeEvents {
    /// The events in order of position.
    pub events: Vec<StoredEvent>,
    /// Those that cannot be read any more.
    pub damaged: Vec<DamagedEvent>,
    /// The last position that the reading covers: where it ended for want of bytes, the one before the next event.
    pub up_to: Position,
}

/// An event whose row does not hold what an event is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DamagedEvent {
    /// Its id.
    pub id: EventId,
    /// Its place in the workspace's order.
    pub position: Position,
}

/// How far each consumer has read; the cursor commits with the consumer's results.
#[async_trait]
pub trait EventConsumers: Send {
    /// How far `consumer` has read, [`Position::START`] where it never did.
    ///
    /// # Errors
    /// [`StoreError`] when it could not be read.
    async fn cursor(&mut self, consumer: ConsumerName) -> Result<Position, StoreError>;

    /// Moves the cursor from `from` to `to`. MUST change nothing and return false where it is not at `from`, and MUST
    /// make a second transaction that tries the same wait for this one.
    ///
    /// # Errors
    /// [`StoreError`] when it could not be written.
    async fn advance(&mut self, consumer: ConsumerName, from: Position, to: Position) -> Result<bool, StoreError>;
}

/// The slice of a store that a reader behind the insert needs; readers that write results add theirs in a slice of their own.
pub trait FeedTx: Transaction {
    /// The workspace's events in order.
    fn feed(&mut self) -> Box<dyn EventFeed + '_>;
    /// How far readers have come.
    fn consumers(&mut self) -> Box<dyn EventConsumers + '_>;
}

/// Finds work for a consumer across workspaces.
#[async_trait]
pub trait EventBacklog: Send + Sync {
    /// Up to `limit` workspaces whose head is beyond the cursor of `consumer`, in no particular order. A call MUST read a bounded
    /// number of heads, and the next one MUST go on where it ended, round and round, so that calls in a row bring every workspace
    /// that is behind, whether or not those before it ever catch up.
    ///
    /// # Errors
    /// [`StoreError`] when they could not be read.
    async fn behind(
        &self,
        scope: &SystemScope,
        consumer: ConsumerName,
        limit: u32,
    ) -> Result<Vec<WorkspaceId>, StoreError>;
}
