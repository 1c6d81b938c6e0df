//! Use cases of billing details: whom the invoices of a workspace are for.

use std::sync::Arc;

use chrono::SubsecRound;
use tidegate_kernel::{AuditEntry, Environment, Forbidden, Permission, StoreError, UnitOfWork, WorkspaceScope};

use super::{CustomerDetails, Party};
use crate::ports::BillingTx;

/// Why billing details cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum BillingDetailsError {
    /// The caller lacks the permission.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    /// The caller has seen another revision.
    #[error("the billing details are at revision {0} now")]
    Stale(i32),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The billing details of workspaces.
#[derive(Clone)]
pub struct BillingDetails {
    store: Arc<dyn UnitOfWork<dyn BillingTx>>,
    env: Environment,
}

impl std::fmt::Debug for BillingDetails {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BillingDetails").finish_non_exhaustive()
    }
}

impl BillingDetails {
    /// The use cases over a store.
    #[must_use]
    pub fn new(store: Arc<dyn UnitOfWork<dyn BillingTx>>, env: Environment) -> Self {
        Self { store, env }
    }

    /// Whom the next invoice is for: the name of the workspace if it gave no details.
    ///
    /// # Errors
    /// [`BillingDetailsError`] without `billing:read`, or if they could not be read.
    pub async fn get(&self, scope: &WorkspaceScope) -> Result<CustomerDetails, BillingDetailsError> {
        scope.require(Permission::BillingRead)?;
        Ok(self.store.begin(scope).await?.customer().details().await?)
    }

    /// Replaces the details. Invoices that were issued keep theirs. `expected` are the revisions that the caller has seen;
    /// `None` is any.
    ///
    /// # Errors
    /// [`BillingDetailsError`] without `billing:write`, or if the details are at another revision.
    pub async fn replace(
        &self,
        scope: &WorkspaceScope,
        party: Party,
        expected: Option<&[i32]>,
    ) -> Result<CustomerDetails, BillingDetailsError> {
        scope.require(Permission::BillingWrite)?;
        let now = self.env.now().trunc_subsecs(6);
        let mut tx = self.store.begin(scope).await?;
        let revision = tx.customer().details().await?.revision;
        if expected.is_some_and(|expected| !expected.contains(&revision)) {
            return Err(BillingDetailsError::Stale(revision));
        }
        if !tx.customer().replace_details(&party, revision, now).await? {
            return Err(BillingDetailsError::Stale(tx.customer().details().await?.revision));
        }
        // The entry names nobody: the audit log is kept longer than what people ask to have removed.
        tx.audit().record(AuditEntry::new("billing_details.changed", scope.workspace())).await?;
        tx.commit().await?;
        Ok(CustomerDetails { party, revision: revision + 1 })
    }
}
