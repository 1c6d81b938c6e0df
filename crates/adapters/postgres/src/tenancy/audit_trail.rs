//! The audit log, to read.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tidegate_kernel::{Actor, ApiKeyId, StoreError, UserId};
use tidegate_tenancy::{AuditFilter, AuditRecord, AuditTrailRepository};
use uuid::Uuid;

use crate::audit::actor_columns;
use crate::error::store_error;
use crate::transaction::{PgTx, Tenant};

#[derive(sqlx::FromRow)]
struct AuditRow {
    id: Uuid,
    at: DateTime<Utc>,
    actor_kind: String,
    actor_id: Option<Uuid>,
    action: String,
    resource: String,
    details: String,
    request_id: String,
}

impl TryFrom<AuditRow> for AuditRecord {
    type Error = StoreError;
    fn try_from(row: AuditRow) -> Result<Self, StoreError> {
        let actor = match (row.actor_kind.as_str(), row.actor_id) {
            ("person", Some(id)) => Actor::Person(UserId::from_uuid(id)),
            ("api_key", Some(id)) => Actor::ApiKey(ApiKeyId::from_uuid(id)),
            ("system", None) => Actor::System,
            (kind, _) => return Err(StoreError::Internal(format!("an audit entry's actor is a {kind:?}").into())),
        };
        Ok(Self {
            id: row.id,
            at: row.at,
            actor,
            action: row.action,
            resource: row.resource,
            details: serde_json::from_str(&row.details).map_err(|error| StoreError::Internal(Box::new(error)))?,
            request_id: row.request_id,
        })
    }
}

#[async_trait]
impl AuditTrailRepository for PgTx<Tenant> {
    async fn list(
        &mut self,
        filter: &AuditFilter,
        before: Option<Uuid>,
        limit: u32,
    ) -> Result<Vec<AuditRecord>, StoreError> {
        let workspace = self.workspace().as_uuid();
        let (kinds, ids): (Vec<&str>, Vec<Option<Uuid>>) = filter.actors.iter().copied().map(actor_columns).unzip();
        let rows: Vec<AuditRow> = sqlx::query_as(
            "select id, at, actor_kind, actor_id, action, resource, details::text as details, request_id
             from audit_entry
             where workspace_id = $1
                and ($2::uuid is null or id < $2)
                and (cardinality($3::text[]) = 0 or action = any ($3))
                and (cardinality($4::text[]) = 0 or resource = any ($4))
                and (cardinality($5::text[]) = 0 or exists (
                    select from unnest($5, $6::uuid[]) wanted (kind, id)
                    where wanted.kind = actor_kind and wanted.id is not distinct from actor_id))
                and ($7::timestamptz is null or at >= $7)
                and ($8::timestamptz is null or at < $8)
             order by id desc limit $9",
        )
        .bind(workspace)
        .bind(before)
        .bind(&filter.actions)
        .bind(&filter.resources)
        .bind(kinds)
        .bind(ids)
        .bind(filter.from)
        .bind(filter.to)
        .bind(i64::from(limit))
        .fetch_all(self.sqlx())
        .await
        .map_err(store_error)?;
        rows.into_iter().map(AuditRecord::try_from).collect()
    }
}
