//! The use case of listing patterns.

use std::sync::Arc;

use tidegate_kernel::{Forbidden, PageSize, Permission, StoreError, Transaction, UnitOfWork, WorkspaceScope};

use super::model::{ListedPatterns, PatternFilter, PatternPlace};
use super::ports::PatternRepository;

/// The slice of a store for listing patterns.
pub trait PatternsTx: Transaction {
    /// Patterns as they are read.
    fn patterns(&mut self) -> Box<dyn PatternRepository + '_>;
}

/// Why patterns could not be listed.
#[derive(Debug, thiserror::Error)]
pub enum ListPatternsError {
    /// The caller lacks `patterns:read`.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The patterns of a workspace.
#[derive(Clone)]
pub struct Patterns {
    store: Arc<dyn UnitOfWork<dyn PatternsTx>>,
}

impl Patterns {
    /// The service over `store`.
    #[must_use]
    pub fn new(store: Arc<dyn UnitOfWork<dyn PatternsTx>>) -> Self {
        Self { store }
    }

    /// A page of patterns, strongest first.
    ///
    /// # Errors
    /// [`ListPatternsError`] if the caller lacks `patterns:read` or the store failed.
    pub async fn list(
        &self,
        scope: &WorkspaceScope,
        filter: &PatternFilter,
        after: Option<PatternPlace>,
        size: PageSize,
    ) -> Result<ListedPatterns, ListPatternsError> {
        scope.require(Permission::PatternsRead)?;
        let mut tx = self.store.begin(scope).await?;
        let listed = tx.patterns().list(filter, after, size).await?;
        tx.commit().await?;
        Ok(listed)
    }
}
