//! The store ports of suggestions.

use std::collections::BTreeSet;

use async_trait::async_trait;
use tidegate_kernel::{EventId, PageSize, StoreError, SuggestionId, WorkflowId, WorkspaceId};

use super::model::{
    Candidate, ListedSuggestions, Offer, Suggestion, SuggestionFilter, SuggestionPlace, SuggestionStatus,
};
use crate::pattern::{PatternKey, Term};

/// Suggestions, for detection.
#[async_trait]
pub trait SuggestionLedger: Send {
    /// The workspace of the transaction. The ids of suggestions are derived from it.
    fn workspace(&self) -> WorkspaceId;

    /// The current counts, in this transaction, of `patterns` and of every pattern behind an open suggestion whose
    /// [`Candidate::basis`] is one of `subjects`.
    ///
    /// # Errors
    /// [`StoreError`] if they could not be read.
    async fn candidates(
        &mut self,
        patterns: &[PatternKey],
        subjects: &BTreeSet<Term>,
    ) -> Result<Vec<Candidate>, StoreError>;

    /// Inserts the good ones of `offers` that are new, and updates the counts of those that are stored and open. MUST
    /// NOT change applied and dismissed ones.
    ///
    /// # Errors
    /// [`StoreError`] if they could not be written.
    async fn offer(&mut self, offers: &[Offer]) -> Result<(), StoreError>;
}

/// Suggestions, for people who read and decide on them.
#[async_trait]
pub trait SuggestionRepository: Send {
    /// A page of suggestions, highest confidence first, after `after`. Rows, evidence and watermark MUST come from one
    /// snapshot.
    ///
    /// # Errors
    /// [`StoreError`] if they could not be read.
    async fn list(
        &mut self,
        filter: &SuggestionFilter,
        after: Option<SuggestionPlace>,
        size: PageSize,
    ) -> Result<ListedSuggestions, StoreError>;

    /// The suggestion with this id. MUST lock it, so that no other transaction can answer it until this one ends.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be read.
    async fn find(&mut self, id: SuggestionId) -> Result<Option<Suggestion>, StoreError>;

    /// Sets the status of an open suggestion. MUST change nothing and return false if it is not open.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be written.
    async fn answer(
        &mut self,
        id: SuggestionId,
        status: SuggestionStatus,
        workflow: Option<WorkflowId>,
    ) -> Result<bool, StoreError>;

    /// The distinct types of those of `events` whose subject is `subject`, at most 5, in alphabetical order: the event
    /// types that trigger the workflow.
    ///
    /// # Errors
    /// [`StoreError`] if they could not be read.
    async fn event_types(&mut self, events: &[EventId], subject: &str) -> Result<Vec<String>, StoreError>;
}
