//! Reading the audit log.

use async_trait::async_trait;
use chrono::{DateTime, Duration, Utc};
use sqlx::{Postgres, QueryBuilder};
use tidegate_kernel::{Actor, ApiKeyId, StoreError, UserId};
use tidegate_tenancy::{AuditFilter, AuditRecord, AuditTrailRepository};
use uuid::Uuid;

use crate::audit::actor_columns;
use crate::error::store_error;
use crate::ids::first_id;
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

/// [`AuditTrailRepository`] in one transaction.
pub(crate) struct PgAuditTrailRepository<'c>(pub(crate) &'c mut PgTx<Tenant>);

#[async_trait]
impl AuditTrailRepository for PgAuditTrailRepository<'_> {
    async fn list(
        &mut self,
        filter: &AuditFilter,
        before: Option<Uuid>,
        limit: u32,
    ) -> Result<Vec<AuditRecord>, StoreError> {
        let mut query = statement(self.0.workspace().as_uuid(), filter, before, limit);
        let rows: Vec<AuditRow> = query.build_query_as().fetch_all(self.0.sqlx()).await.map_err(store_error)?;
        rows.into_iter().map(AuditRecord::try_from).collect()
    }
}

/// The most by which the time in an entry's id differs from its time: both are read from the clock, one after the
/// other.
const SLACK: Duration = Duration::minutes(1);

/// The statement for a filter. Each value of the narrowest filter is one range of an index in the order of the page,
/// which the row comparisons bound on both sides. The other filters are checked entry by entry.
fn statement(workspace: Uuid, filter: &AuditFilter, before: Option<Uuid>, limit: u32) -> QueryBuilder<Postgres> {
    let to = filter.to.map_or(Uuid::max(), |to| first_id(to + SLACK));
    let before = before.map_or(to, |before| before.min(to));
    let from = filter.from.map_or(Uuid::nil(), |from| first_id(from - SLACK));
    let mut query = QueryBuilder::new("select a.id, a.at, a.actor_kind, a.actor_id, a.action, a.resource, ");
    query.push("a.details::text as details, a.request_id from ");
    let column = if !filter.resources.is_empty() {
        query.push("(select distinct unnest(").push_bind(&filter.resources).push("::text[]) as value) w cross join ");
        Some("resource")
    } else if !filter.actors.is_empty() {
        let keys: Vec<Uuid> = filter.actors.iter().map(|actor| actor_columns(*actor).1.unwrap_or_default()).collect();
        query.push("(select distinct unnest(").push_bind(keys).push("::uuid[]) as value) w cross join ");
        Some("actor_key")
    } else if !filter.actions.is_empty() {
        query.push("(select distinct unnest(").push_bind(&filter.actions).push("::text[]) as value) w cross join ");
        Some("action")
    } else {
        None
    };
    query.push("lateral (select * from audit_entry where workspace_id = ").push_bind(workspace);
    let key = column.map_or("id".to_owned(), |column| format!("({column}, id)"));
    for (operator, bound) in [(" < ", before), (" >= ", from)] {
        query.push(" and ").push(&key).push(operator);
        if column.is_some() {
            query.push("(w.value, ").push_bind(bound).push(")");
        } else {
            query.push_bind(bound);
        }
    }
    if !filter.actions.is_empty() && column != Some("action") {
        query.push(" and action = any (").push_bind(&filter.actions).push(")");
    }
    if !filter.actors.is_empty() {
        let (kinds, ids): (Vec<&str>, Vec<Option<Uuid>>) = filter.actors.iter().copied().map(actor_columns).unzip();
        query.push(" and exists (select from unnest(").push_bind(kinds).push("::text[], ").push_bind(ids);
        query.push(
            "::uuid[]) wanted (kind, id) where wanted.kind = actor_kind and wanted.id is not distinct from actor_id)",
        );
    }
    if let Some(from) = filter.from {
        query.push(" and at >= ").push_bind(from);
    }
    if let Some(to) = filter.to {
        query.push(" and at < ").push_bind(to);
    }
    query.push(" order by ");
    if let Some(column) = column {
        query.push(column).push(" desc, ");
    }
    query.push("id desc limit ").push_bind(i64::from(limit)).push(") a order by a.id desc limit ");
    query.push_bind(i64::from(limit));
    query
}
