//! Detection: reads behind the insert and counts, with a cursor that commits with what it counted.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use tidegate_kernel::{StoreError, Transaction, UnitOfWork, WorkspaceScope};

use super::batch::{Batch, Delta, Surroundings};
use super::key::PatternKey;
use super::ports::PatternCounters;
use crate::model::ConsumerName;
use crate::ports::{EventConsumers, EventFeed};
use crate::suggestion::{Catalogue, SuggestionLedger, offers};

/// The name of detection's cursor.
pub const DETECTION: ConsumerName = ConsumerName("detection");

/// What detection needs of a store, in one transaction.
pub trait DetectionTx: Transaction {
    /// The events.
    fn feed(&mut self) -> Box<dyn EventFeed + '_>;
    /// The cursor.
    fn consumers(&mut self) -> Box<dyn EventConsumers + '_>;
    /// The counters.
    fn counters(&mut self) -> Box<dyn PatternCounters + '_>;
    /// The suggestions that follow from them.
    fn suggestions(&mut self) -> Box<dyn SuggestionLedger + '_>;
}

/// How far one step of detection got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// How many events were counted.
    pub events: usize,
    /// Whether more are waiting.
    pub more: bool,
    /// When the first of them was received.
    pub oldest: Option<DateTime<Utc>>,
}

/// Counts what was ingested.
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

    /// Counts the next chunk of the workspace's events, in one transaction with the cursor.
    ///
    /// Where somebody else counted it first, nothing changes and the answer is that there may be more.
    ///
    /// # Errors
    /// [`StoreError`] when nothing was counted.
    pub async fn step(&self, scope: &WorkspaceScope) -> Result<Step, StoreError> {
        let tx = self.begin(scope).await?;
        self.step_in(tx, self.chunk).await
    }

    /// The transaction of a step, for whoever has to know when its work begins.
    ///
    /// # Errors
    /// [`StoreError`] when it could not be opened.
    pub async fn begin(&self, scope: &WorkspaceScope) -> Result<Box<dyn DetectionTx>, StoreError> {
        self.store.begin(scope).await
    }

    /// The most events that are counted in one transaction.
    #[must_use]
    pub const fn chunk(&self) -> u32 {
        self.chunk
    }

    /// As [`Detection::step`], in a transaction that is open, with at most `limit` events.
    ///
    /// # Errors
    /// [`StoreError`] when nothing was counted.
    pub async fn step_in(&self, mut tx: Box<dyn DetectionTx>, limit: u32) -> Result<Step, StoreError> {
        let limit = limit.clamp(1, self.chunk);
        let from = tx.consumers().cursor(DETECTION).await?;
        let head = tx.feed().head().await?;
        if head <= from {
            return Ok(Step { events: 0, more: false, oldest: None });
        }
        let events = tx.feed().read(from, head, limit).await?;
        // A short read means that nothing is left up to the head: retention may have taken the rest.
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

/// Counts `batch`, and says what it changed and which of the changed patterns happened often enough to be shown.
///
/// # Errors
/// [`StoreError`] when the counters could not be read or written.
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
