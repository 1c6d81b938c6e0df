//! Reading the audit log.

use std::sync::Arc;

use tidegate_kernel::{Page, PageSize, Permission, WorkspaceScope};
use uuid::Uuid;

use crate::error::AuditError;
use crate::model::{AuditFilter, AuditRecord};
use crate::ports::Tenancy;

/// The audit log of workspaces.
pub struct AuditTrail {
    tenancy: Arc<Tenancy>,
}

impl AuditTrail {
    /// The log in this store.
    #[must_use]
    pub fn new(tenancy: Arc<Tenancy>) -> Self {
        Self { tenancy }
    }

    /// Entries that match `filter`, newest first.
    ///
    /// # Errors
    /// [`AuditError`] if the caller lacks the permission or the store failed.
    pub async fn list(
        &self,
        scope: &WorkspaceScope,
        filter: &AuditFilter,
        before: Option<Uuid>,
        size: PageSize,
    ) -> Result<Page<AuditRecord, Uuid>, AuditError> {
        scope.require(Permission::AuditRead)?;
        let mut tx = self.tenancy.begin(scope).await?;
        let rows = tx.audit_trail().list(filter, before, size.get() + 1).await?;
        tx.commit().await?;
        Ok(Page::from_overfetch(rows, size, |record| record.id))
    }
}
