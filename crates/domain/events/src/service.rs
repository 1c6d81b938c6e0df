//! The use cases of events: ingest and list.

use std::sync::Arc;

use tidegate_kernel::{
    Environment, EventId, Meter, Page, PageSize, Permission, Position, Signal, SignalBus, StoreError, Topic,
    UnitOfWork, WorkspaceScope,
};

use crate::cloud_event::{NewEvent, Rejection, RejectionCode};
use crate::error::{IngestError, ListEventsError, ReadEventError};
use crate::model::{Allowance, EventFilter, Outcome, StoredEvent};
use crate::ports::{Addition, EventQuota, EventsTx};
use crate::queue::IngestQueue;

/// The maximum length of a chain of emitted events. Longer chains are rejected, which ends loops between workflows.
pub const MAX_CHAIN: u32 = 10;

/// Events of workspaces.
#[derive(Clone)]
pub struct Events {
    store: Arc<dyn UnitOfWork<dyn EventsTx>>,
    queue: Arc<IngestQueue>,
    env: Environment,
    signals: Option<Arc<dyn SignalBus>>,
}

/// The result of an ingest request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IngestReport {
    /// How many were added.
    pub accepted: usize,
    /// How many the workspace already had within 32 days, or occur twice in the request.
    pub duplicates: usize,
    /// The rejected events, by their index in the request, and the reasons.
    pub rejected: Vec<(usize, Rejection)>,
    /// The workspace's head afterwards. A consumer that has reached it has seen every accepted and every duplicate
    /// event.
    pub position: Position,
}

impl IngestReport {
    /// Whether the plan's limit rejected all valid events.
    #[must_use]
    pub fn is_over_quota(&self) -> bool {
        let over = |(_, rejection): &(usize, Rejection)| rejection.code == RejectionCode::QuotaExceeded;
        self.accepted == 0 && self.duplicates == 0 && self.rejected.iter().any(over)
    }
}

impl Events {
    /// A service over this store. `quota` returns what plans allow.
    #[must_use]
    pub fn new(store: Arc<dyn UnitOfWork<dyn EventsTx>>, quota: Arc<dyn EventQuota>, env: Environment) -> Self {
        let queue = Arc::new(IngestQueue::new(Arc::clone(&store), quota, env.clone()));
        Self { store, queue, env, signals: None }
    }

    /// The same service, with signals to consumers about new events.
    #[must_use]
    pub fn announcing(self, signals: Arc<dyn SignalBus>) -> Self {
        Self { signals: Some(signals), ..self }
    }

    /// The same service, with at most `most` events in one transaction: for a store with a single connection.
    #[must_use]
    pub fn in_transactions_of(self, most: usize) -> Self {
        Self { queue: Arc::new(self.queue.in_transactions_of(most)), ..self }
    }

    /// Ingests the events of a request, each with its own result.
    ///
    /// # Errors
    /// [`IngestError`] if the caller lacks the permission or the store failed.
    pub async fn ingest(
        &self,
        scope: &WorkspaceScope,
        items: Vec<Result<NewEvent, Rejection>>,
    ) -> Result<IngestReport, IngestError> {
        scope.require(Permission::EventsWrite)?;
        let mut report = IngestReport::default();
        let (mut indexes, mut events) = (Vec::with_capacity(items.len()), Vec::with_capacity(items.len()));
        for (index, item) in items.into_iter().enumerate() {
            match item.and_then(within_chain) {
                Ok(event) => {
                    indexes.push(index);
                    events.push(event);
                }
                Err(rejection) => report.rejected.push((index, rejection)),
            }
        }
        if events.is_empty() {
            report.position = self.store.begin(scope).await?.events().head().await?;
            return Ok(report);
        }
        let (head, outcomes) = self.queue.add(scope, events).await?;
        report.position = head;
        for (index, outcome) in indexes.into_iter().zip(outcomes) {
            match outcome {
                Outcome::Added(_) => report.accepted += 1,
                Outcome::Known => report.duplicates += 1,
                Outcome::OverLimit => {
                    let detail = "the plan allows no more events in this period";
                    report.rejected.push((index, Rejection::new(RejectionCode::QuotaExceeded, "", detail)));
                }
            }
        }
        if report.accepted > 0 {
            self.announce(scope);
        }
        report.rejected.sort_by_key(|(index, _)| *index);
        Ok(report)
    }

    /// Adds an event of Tidegate itself, such as an alert, as part of a larger transaction. It does not count against the
    /// plan. The caller commits and calls [`Events::announce`].
    ///
    /// # Errors
    /// [`StoreError`] if it was not added.
    pub async fn record_in(&self, tx: &mut dyn EventsTx, event: &NewEvent) -> Result<(), StoreError> {
        let received_at = self.env.now();
        let allowance = Allowance { period_start: Meter::Events.period(received_at).start, limit: None };
        let salt = u64::from_be_bytes(self.env.random());
        tx.events().add_uncounted(&Addition { received_at, salt, allowance, events: vec![event] }).await.map(drop)
    }

    /// Tells the consumers of events that the workspace has new ones. Call it after the commit.
    pub fn announce(&self, scope: &WorkspaceScope) {
        if let Some(signals) = &self.signals {
            signals.publish(Signal::new(Topic::EventsIngested, &scope.workspace()));
        }
    }

    /// Events that match `filter`, newest position first, before the cursor `before`.
    ///
    /// # Errors
    /// [`ListEventsError`] if the caller lacks the permission or the store failed.
    pub async fn list(
        &self,
        scope: &WorkspaceScope,
        filter: &EventFilter,
        before: Option<EventId>,
        size: PageSize,
    ) -> Result<Page<StoredEvent, EventId>, ListEventsError> {
        scope.require(Permission::EventsRead)?;
        let rows = self.store.begin(scope).await?.events().list(filter, before, size).await?;
        Ok(Page::from_overfetch(rows, size, |last| last.event.id))
    }

    /// An event by Tidegate's id.
    ///
    /// # Errors
    /// [`ReadEventError`] if the caller lacks the permission, the workspace has no such event, or the store failed.
    pub async fn get(&self, scope: &WorkspaceScope, id: EventId) -> Result<StoredEvent, ReadEventError> {
        scope.require(Permission::EventsRead)?;
        let found = self.store.begin(scope).await?.events().find(&[id]).await?;
        found.into_iter().next().ok_or(ReadEventError::NotFound)
    }

    /// The workspace's head.
    ///
    /// # Errors
    /// [`ListEventsError`] if the caller lacks the permission or the store failed.
    pub async fn head(&self, scope: &WorkspaceScope) -> Result<Position, ListEventsError> {
        scope.require(Permission::EventsRead)?;
        let head: Result<_, StoreError> = self.store.begin(scope).await?.events().head().await;
        Ok(head?)
    }
}

fn within_chain(event: NewEvent) -> Result<NewEvent, Rejection> {
    if event.depth() <= MAX_CHAIN {
        return Ok(event);
    }
    let detail = format!("{MAX_CHAIN} emitted events have led to this one; workflows may trigger each other no longer");
    Err(Rejection::new(RejectionCode::ChainTooDeep, "", detail))
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Events").finish_non_exhaustive()
    }
}
