//! What a store of events must do.

use async_trait::async_trait;
use tidegate_kernel::{Position, StoreError, SystemScope, WorkspaceId};

use crate::model::{ConsumerName, Event, StoredEvent};

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

    /// The same with payloads and all attributes.
    ///
    /// # Errors
    /// [`StoreError`] when they could not be read.
    async fn read_whole(
        &mut self,
        after: Position,
        up_to: Position,
        limit: u32,
    ) -> Result<Vec<StoredEvent>, StoreError>;
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

/// Finds work for a consumer across workspaces.
#[async_trait]
pub trait EventBacklog: Send + Sync {
    /// Up to `limit` workspaces whose head is beyond the cursor of `consumer`, in no particular order.
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
