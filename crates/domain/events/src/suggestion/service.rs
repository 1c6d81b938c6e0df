//! Use cases of suggestions: list and dismiss.

use std::sync::Arc;

use tidegate_kernel::{
    AuditEntry, AuditLog, Forbidden, PageSize, Permission, StoreError, SuggestionId, Transaction, UnitOfWork,
    WorkspaceScope,
};

use super::model::{ListedSuggestions, Suggestion, SuggestionFilter, SuggestionPlace, SuggestionStatus};
use super::ports::SuggestionRepository;

/// The slice of a store for listing and dismissing suggestions.
pub trait SuggestionsTx: Transaction {
    /// The suggestions.
    fn suggestions(&mut self) -> Box<dyn SuggestionRepository + '_>;
    /// The audit log.
    fn audit(&mut self) -> Box<dyn AuditLog + '_>;
}

/// Why suggestions could not be listed.
#[derive(Debug, thiserror::Error)]
pub enum ListSuggestionsError {
    /// The caller lacks `suggestions:read`.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a suggestion could not be dismissed.
#[derive(Debug, thiserror::Error)]
pub enum DismissSuggestionError {
    /// The caller lacks `suggestions:apply`.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    /// This workspace has no such suggestion.
    #[error("there is no such suggestion")]
    NotFound,
    /// It was already made into a workflow; delete the workflow instead.
    #[error("the suggestion has been applied already")]
    Applied,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The suggestions of a workspace.
#[derive(Clone)]
pub struct Suggestions {
    store: Arc<dyn UnitOfWork<dyn SuggestionsTx>>,
}

impl Suggestions {
    /// The service over `store`.
    #[must_use]
    pub fn new(store: Arc<dyn UnitOfWork<dyn SuggestionsTx>>) -> Self {
        Self { store }
    }

    /// A page of suggestions, highest confidence first.
    ///
    /// # Errors
    /// [`ListSuggestionsError`] if the caller lacks `suggestions:read` or the store failed.
    pub async fn list(
        &self,
        scope: &WorkspaceScope,
        filter: &SuggestionFilter,
        after: Option<SuggestionPlace>,
        size: PageSize,
    ) -> Result<ListedSuggestions, ListSuggestionsError> {
        scope.require(Permission::SuggestionsRead)?;
        let mut tx = self.store.begin(scope).await?;
        let listed = tx.suggestions().list(filter, after, size).await?;
        tx.commit().await?;
        Ok(listed)
    }

    /// Dismisses a suggestion permanently. A suggestion that is already dismissed stays dismissed.
    ///
    /// # Errors
    /// [`DismissSuggestionError`] if the caller lacks `suggestions:apply`, or the suggestion does not exist or was
    /// applied.
    pub async fn dismiss(
        &self,
        scope: &WorkspaceScope,
        id: SuggestionId,
    ) -> Result<Suggestion, DismissSuggestionError> {
        scope.require(Permission::SuggestionsApply)?;
        let mut tx = self.store.begin(scope).await?;
        let found = tx.suggestions().find(id).await?.ok_or(DismissSuggestionError::NotFound)?;
        match found.status {
            SuggestionStatus::Dismissed => return Ok(found),
            SuggestionStatus::Applied => return Err(DismissSuggestionError::Applied),
            SuggestionStatus::Open => {}
        }
        if !tx.suggestions().answer(id, SuggestionStatus::Dismissed, None).await? {
            return Err(DismissSuggestionError::NotFound);
        }
        tx.audit().record(AuditEntry::new("suggestion.dismissed", id)).await?;
        tx.commit().await?;
        Ok(Suggestion { status: SuggestionStatus::Dismissed, ..found })
    }
}
