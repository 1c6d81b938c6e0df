//! The audit log as a port: every change by a person or a key is recorded in the transaction that makes it.

use async_trait::async_trait;
use serde_json::Value;

use crate::error::StoreError;

/// One audited change. The scope of the transaction supplies the actor, the workspace and the request id.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditEntry {
    /// `resource.verb`, such as `workflow.published`.
    pub action: &'static str,
    /// The public id of the changed resource.
    pub resource: String,
    /// What was changed, as far as it is safe to keep. MUST NOT contain a secret, a hash or a whole document.
    pub details: Value,
}

impl AuditEntry {
    /// An entry without details.
    #[expect(clippy::needless_pass_by_value, reason = "ids are small and copied; call sites read better")]
    pub fn new(action: &'static str, resource: impl ToString) -> Self {
        Self { action, resource: resource.to_string(), details: Value::Null }
    }

    /// The same entry with details.
    #[must_use]
    pub fn with(mut self, details: Value) -> Self {
        self.details = details;
        self
    }
}

/// The audit log of the open transaction.
#[async_trait]
pub trait AuditLog: Send {
    /// Records `entry`. MUST commit or roll back together with the rest of the transaction.
    ///
    /// # Errors
    /// [`StoreError`] if the entry could not be written. The use case then fails as a whole.
    async fn record(&mut self, entry: AuditEntry) -> Result<(), StoreError>;
}
