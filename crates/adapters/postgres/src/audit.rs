//! The audit log on PostgreSQL. Every slice that changes something writes to it.

use async_trait::async_trait;
use tidegate_kernel::{Actor, AuditEntry, AuditLog, ListTag, StoreError};
use uuid::Uuid;

use crate::error::store_error;
use crate::transaction::{PgTx, Tenant};

/// The columns in which an actor is stored: its kind, and its id if it has one.
pub(crate) fn actor_columns(actor: Actor) -> (&'static str, Option<Uuid>) {
    match actor {
        Actor::Person(user) => ("person", Some(user.as_uuid())),
        Actor::ApiKey(key) => ("api_key", Some(key.as_uuid())),
        Actor::System => ("system", None),
    }
}

/// [`AuditLog`] in one transaction.
pub(crate) struct PgAuditLog<'c>(pub(crate) &'c mut PgTx<Tenant>);

#[async_trait]
impl AuditLog for PgAuditLog<'_> {
    async fn record(&mut self, entry: AuditEntry) -> Result<(), StoreError> {
        // Every change by a person or a key is recorded here, so this invalidates the lists that show it.
        self.0.changes_lists(ListTag::changed_by(entry.action));
        let (actor_kind, actor_id) = actor_columns(self.0.context.actor);
        let query = sqlx::query(
            "insert into audit_entry (workspace_id, id, at, actor_kind, actor_id, action, resource, details, request_id)
             values ($1, $2, $3, $4, $5, $6, $7, $8::json, $9)",
        )
        .bind(self.0.workspace().as_uuid())
        .bind(self.0.env.uuid_v7())
        .bind(self.0.env.now())
        .bind(actor_kind)
        .bind(actor_id)
        .bind(entry.action)
        .bind(entry.resource)
        .bind(entry.details.to_string())
        .bind(self.0.context.request_id.as_str().to_owned());
        query.execute(self.0.sqlx()).await.map(drop).map_err(store_error)
    }
}
