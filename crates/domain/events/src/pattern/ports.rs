//! Where counters are kept and how patterns are read.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use tidegate_kernel::{PageSize, StoreError};

use super::batch::{DayKey, Delta, Gap, Link, Member};
use super::key::{PatternKey, Term};
use super::model::{ListedPatterns, PatternFilter, PatternPlace};

/// The counters of one workspace, as detection sees them.
///
/// Reads are only ever of what lies right beside new events, so each MUST cost what its argument costs, whatever the
/// history holds.
#[async_trait]
pub trait PatternCounters: Send {
    /// The members of `sessions`: of each at most [`super::MAX_SESSION_SUBJECTS`] and one, which says that it is oversized.
    ///
    /// # Errors
    /// [`StoreError`] when they could not be read.
    async fn members(&mut self, sessions: &BTreeSet<Term>) -> Result<Vec<Member>, StoreError>;

    /// The stored link right before and the one right after each of `links`, of the same actor, in the order of
    /// [`super::batch::Place`]. MUST answer for every one of `links`.
    ///
    /// # Errors
    /// [`StoreError`] when they could not be read.
    async fn gaps(&mut self, links: &[Link]) -> Result<BTreeMap<Link, Gap>, StoreError>;

    /// Those of `days` that have been counted before.
    ///
    /// # Errors
    /// [`StoreError`] when they could not be read.
    async fn counted(&mut self, days: &BTreeSet<DayKey>) -> Result<BTreeSet<DayKey>, StoreError>;

    /// Adds `delta`, and returns those of its patterns that now have a support of at least [`super::MIN_SUPPORT`]. Counters
    /// MUST be added to, never overwritten, and a member MUST keep the earlier of both events.
    ///
    /// # Errors
    /// [`StoreError`] when it could not be written.
    async fn apply(&mut self, delta: &Delta) -> Result<Vec<PatternKey>, StoreError>;
}

/// Patterns as they are read.
#[async_trait]
pub trait PatternRepository: Send {
    /// A page of patterns with a support of at least [`super::MIN_SUPPORT`], strongest first, after `after`.
    ///
    /// The rows, their evidence and the watermark MUST come from one snapshot. Evidence is the latest events that show the
    /// pattern: for a frequency the last of each of the last 5 days; for the others both events of the last 3 times. First and
    /// last seen are the times of the first and the last event; for a co-occurrence of the antecedent's first event in the
    /// first and in the last session.
    ///
    /// # Errors
    /// [`StoreError`] when they could not be read.
    async fn list(
        &mut self,
        filter: &PatternFilter,
        after: Option<PatternPlace>,
        size: PageSize,
    ) -> Result<ListedPatterns, StoreError>;
}
