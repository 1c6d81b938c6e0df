//! Obligations of stores of events.

mod adding;
mod reading;

use tidegate_events::cloud_event::NewEvent;
use tidegate_events::{Added, Addition, EventBacklog, EventFilter, EventsTx, FeedTx, Outcome, StoredEvent};
use tidegate_kernel::{EventId, PageSize, Position, StoreError, UnitOfWork, WorkspaceScope};

use super::stage::subject;

pub use adding::*;
pub use reading::*;

subject! {
    about {
        /// Adds and lists events.
        events: dyn UnitOfWork<dyn EventsTx> = store,
        /// Reads the event feed.
        feed: dyn UnitOfWork<dyn FeedTx> = store,
        /// Finds workspaces whose consumer is behind.
        backlog: dyn EventBacklog = store,
    }
}

impl Subject {
    async fn commit(&self, scope: &WorkspaceScope, addition: &Addition<'_>) -> Result<Added, StoreError> {
        let mut tx = self.events.begin(scope).await?;
        let added = tx.events().add(addition).await?;
        tx.commit().await?;
        Ok(added)
    }

    async fn add(&self, scope: &WorkspaceScope, events: &[NewEvent]) -> Added {
        self.commit(scope, &self.addition(events, None)).await.expect("events are added")
    }

    async fn head(&self, scope: &WorkspaceScope) -> Position {
        let mut tx = self.events.begin(scope).await.expect("a transaction begins");
        tx.events().head().await.expect("the head is read")
    }

    async fn list(&self, filter: &EventFilter) -> Vec<StoredEvent> {
        let mut tx = self.events.begin(&self.scope()).await.expect("a transaction begins");
        tx.events().list(filter, None, PageSize::default()).await.expect("events are listed")
    }

    async fn everything(&self, scope: &WorkspaceScope) -> Vec<StoredEvent> {
        let mut tx = self.feed.begin(scope).await.expect("a transaction begins");
        let whole = tx.feed().read_whole(Position::START, Position(i64::MAX), None, usize::MAX).await;
        whole.expect("events are read").events
    }
}

/// An event with this `id` and only the required attributes.
fn plain(id: impl Into<String>) -> NewEvent {
    let mut event = NewEvent::emitted("/contract".into(), id.into(), "thing.happened".into(), 0);
    event.extensions.clear();
    event
}

pub(super) fn plains(ids: impl IntoIterator<Item = i64>) -> Vec<NewEvent> {
    ids.into_iter().map(|id| plain(id.to_string())).collect()
}

fn sender_ids(events: &[StoredEvent]) -> Vec<&str> {
    events.iter().map(|event| event.sender_id.as_str()).collect()
}

fn ids(events: &[StoredEvent]) -> Vec<EventId> {
    events.iter().map(|event| event.event.id).collect()
}

fn added(positions: impl IntoIterator<Item = i64>) -> Vec<Outcome> {
    positions.into_iter().map(|position| Outcome::Added(Position(position))).collect()
}
