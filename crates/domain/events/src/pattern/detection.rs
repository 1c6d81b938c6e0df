//! Detection: a consumer of events that counts patterns. Its cursor commits together with the counters.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use tidegate_kernel::{StoreError, Transaction, UnitOfWork, WorkspaceScope};

use super::batch::{Batch, Delta, Surroundings};
use super::key::PatternKey;
use super::ports::PatternCounters;
use crate::model::ConsumerName;
use crate::ports::{EventConsumers, EventFeed};
use crate::suggestion::{Catalogue, SuggestionLedger, offers};

/// The consumer name of detection.
pub const DETECTION: ConsumerName = ConsumerName("detection");

/// The slice of a store for detection.
pub trait DetectionTx: Transaction {
    /// The events.
    fn feed(&mut self) -> Box<dyn EventFeed + '_>;
    /// The cursors.
    fn consumers(&mut self) -> Box<dyn EventConsumers + '_>;
    /// The counters.
    fn counters(&mut self) -> Box<dyn PatternCounters + '_>;
    /// The suggestions that are derived from the counters.
    fn suggestions(&mut self) -> Box<dyn SuggestionLedger + '_>;
}

/// The result of one step of detection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// How many events were counted.
    pub events: usize,
    /// Whether more events are unread.
    pub more: bool,
    /// When the first of the counted events was received.
    pub oldest: Option<DateTime<Utc>>,
}

/// Counts ingested events.
#[derive(Clone)]
pub struct Detection {
    store: Arc<dyn UnitOfWork<dyn DetectionTx>>,
    catalogue: Arc<Catalogue>,
    chunk: u32,
}

impl Detection {
    /// Detection over `store`, in transactions of at most `chunk` events.
    #[must_use]
    pub fn new(store: Arc<dyn UnitOfWork<dyn DetectionTx>>, catalogue: Arc<Catalogue>, chunk: u32) -> Self {
        Self { store, catalogue, chunk: chunk.max(1) }
    }

    /// Counts the next events of the workspace, in one transaction with the cursor.
    ///
    /// If another server counted them first, nothing changes, and the result says that there may be more.
    ///
    /// # Errors
    /// [`StoreError`] if nothing was counted.
    pub async fn step(&self, scope: &WorkspaceScope) -> Result<Step, StoreError> {
        let tx = self.begin(scope).await?;
        self.step_in(tx, self.chunk).await
    }

    /// Opens the transaction of a step, for callers that measure when its work begins.
    ///
    /// # Errors
    /// [`StoreError`] if the transaction could not be opened.
    pub async fn begin(&self, scope: &WorkspaceScope) -> Result<Box<dyn DetectionTx>, StoreError> {
        self.store.begin(scope).await
    }

    /// The maximum number of events in one transaction.
    #[must_use]
    pub const fn chunk(&self) -> u32 {
        self.chunk
    }

    /// Like [`Detection::step`], in an open transaction and with at most `limit` events.
    ///
    /// # Errors
    /// [`StoreError`] if nothing was counted.
    pub async fn step_in(&self, mut tx: Box<dyn DetectionTx>, limit: u32) -> Result<Step, StoreError> {
        let limit = limit.clamp(1, self.chunk);
        let from = tx.consumers().cursor(DETECTION).await?;
        let head = tx.feed().head().await?;
        if head <= from {
            return Ok(Step { events: 0, more: false, oldest: None });
        }
        let events = tx.feed().read(from, head, limit).await?;
        // A short read means that no event is left up to the head; retention may have deleted some.
        let full = events.len() >= usize::try_from(limit).unwrap_or(usize::MAX);
        let to = events.last().filter(|_| full).map_or(head, |event| event.position);
        if !tx.consumers().advance(DETECTION, from, to).await? {
            return Ok(Step { events: 0, more: true, oldest: None });
        }
        let batch = Batch::new(&events);
        let (delta, shown) = count(&mut *tx.counters(), &batch).await?;
        offers::refresh(&self.catalogue, &mut *tx.suggestions(), &delta, &shown).await?;
        tx.commit().await?;
        Ok(Step { events: events.len(), more: to < head, oldest: events.first().map(|event| event.received_at) })
    }
}

/// Counts `batch`. Returns its change, and the changed patterns whose support is high enough to be shown.
///
/// # Errors
/// [`StoreError`] if the counters could not be read or written.
pub async fn count(counters: &mut dyn PatternCounters, batch: &Batch) -> Result<(Delta, Vec<PatternKey>), StoreError> {
    let mut gaps = counters.gaps(&batch.runs()).await?;
    let crossed = batch.crossed(&gaps);
    if !crossed.is_empty() {
        gaps.append(&mut counters.gaps(&crossed).await?);
    }
    let members = counters.members(&batch.sessions()).await?;
    let days = counters.counted(&batch.days()).await?;
    let delta = batch.delta(&Surroundings { members, gaps, days });
    let shown = counters.apply(&delta).await?;
    Ok((delta, shown))
}
