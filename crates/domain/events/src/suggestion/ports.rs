//! Where suggestions are kept.

use std::collections::BTreeSet;

use async_trait::async_trait;
use tidegate_kernel::{EventId, PageSize, StoreError, SuggestionId, WorkflowId, WorkspaceId};

use super::model::{
    Candidate, ListedSuggestions, Offer, Suggestion, SuggestionFilter, SuggestionPlace, SuggestionStatus,
};
use crate::pattern::{PatternKey, Term};

/// Suggestions as detection makes them.
#[async_trait]
pub trait SuggestionLedger: Send {
    /// The workspace of the transaction; ids of suggestions follow from it.
    fn workspace(&self) -> WorkspaceId;

    /// The numbers, as they are now in this transaction, of `patterns` and of every pattern behind an open suggestion whose
    /// [`Candidate::basis`] is one of `subjects`.
    ///
    /// # Errors
    /// [`StoreError`] when they could not be read.
    async fn candidates(
        &mut self,
        patterns: &[PatternKey],
        subjects: &BTreeSet<Term>,
    ) -> Result<Vec<Candidate>, StoreError>;

    /// Inserts the good ones of `offers` that are new, and gives those that are stored and open their new numbers. MUST
    /// leave applied and dismissed ones as they are.
    ///
    /// # Errors
    /// [`StoreError`] when they could not be written.
    async fn offer(&mut self, offers: &[Offer]) -> Result<(), StoreError>;
}

/// Suggestions as they are read and answered.
#[async_trait]
pub trait SuggestionRepository: Send {
    /// A page of suggestions, most confident first, after `after`. Rows, evidence and watermark MUST come from one snapshot.
    ///
    /// # Errors
    /// [`StoreError`] when they could not be read.
    async fn list(
        &mut self,
        filter: &SuggestionFilter,
        after: Option<SuggestionPlace>,
        size: PageSize,
    ) -> Result<ListedSuggestions, StoreError>;

    /// The suggestion with this id. MUST keep others from answering it until the transaction ends.
    ///
    /// # Errors
    /// [`StoreError`] when it could not be read.
    async fn find(&mut self, id: SuggestionId) -> Result<Option<Suggestion>, StoreError>;

    /// Answers an open suggestion. MUST change nothing and return false where it is not open.
    ///
    /// # Errors
    /// [`StoreError`] when it could not be written.
    async fn answer(
        &mut self,
        id: SuggestionId,
        status: SuggestionStatus,
        workflow: Option<WorkflowId>,
    ) -> Result<bool, StoreError>;

    /// The distinct types of those of `events` that are about `subject`, at most 5, in the order of the alphabet: what a
    /// workflow has to listen to.
    ///
    /// # Errors
    /// [`StoreError`] when they could not be read.
    async fn event_types(&mut self, events: &[EventId], subject: &str) -> Result<Vec<String>, StoreError>;
}
