//! The store ports of patterns.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use tidegate_kernel::{PageSize, StoreError};

use super::batch::{DayKey, Delta, Gap, Link, Member};
use super::key::{PatternKey, Term};
use super::model::{ListedPatterns, PatternFilter, PatternPlace};

/// The counters of one workspace, for detection.
///
/// Reads concern only data next to new events, so the cost of each MUST depend on its argument and not on the history.
#[async_trait]
pub trait PatternCounters: Send {
    /// The members of `sessions`: of each session at most [`super::MAX_SESSION_SUBJECTS`] + 1. The extra one shows that
    /// the session is oversized.
    ///
    /// # Errors
    /// [`StoreError`] if they could not be read.
    async fn members(&mut self, sessions: &BTreeSet<Term>) -> Result<Vec<Member>, StoreError>;

    /// The stored links right before and right after each of `links`, of the same actor, in the order of
    /// [`super::batch::Place`]. MUST return a gap for every one of `links`.
    ///
    /// # Errors
    /// [`StoreError`] if they could not be read.
    async fn gaps(&mut self, links: &[Link]) -> Result<BTreeMap<Link, Gap>, StoreError>;

    /// Those of `days` that were counted before.
    ///
    /// # Errors
    /// [`StoreError`] if they could not be read.
    async fn counted(&mut self, days: &BTreeSet<DayKey>) -> Result<BTreeSet<DayKey>, StoreError>;

    /// Applies `delta`, and returns those of its patterns that now have a support of at least [`super::MIN_SUPPORT`].
    /// MUST add to counters and MUST NOT overwrite them. A member MUST keep the earlier of both events.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be written.
    async fn apply(&mut self, delta: &Delta) -> Result<Vec<PatternKey>, StoreError>;
}

/// Reads patterns.
#[async_trait]
pub trait PatternRepository: Send {
    /// Returns a page of patterns with a support of at least [`super::MIN_SUPPORT`], strongest first, after `after`.
    ///
    /// The rows, their evidence and the watermark MUST come from one snapshot. The evidence is the latest events of the
    /// pattern: for a frequency the last event of each of the last 5 days, for the other kinds both events of the last
    /// 3 occurrences. First and last seen are the times of the first and the last event; for a co-occurrence, of the
    /// antecedent's first event in the first and in the last session.
    ///
    /// # Errors
    /// [`StoreError`] if they could not be read.
    async fn list(
        &mut self,
        filter: &PatternFilter,
        after: Option<PatternPlace>,
        size: PageSize,
    ) -> Result<ListedPatterns, StoreError>;
}
