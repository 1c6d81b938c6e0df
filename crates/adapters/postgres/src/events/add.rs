//! Adding events: one call of `ingest_events` takes arrays and returns the outcome of each event.

use async_trait::async_trait;
use sqlx::FromRow;
use tidegate_events::{Added, Addition, Allowance, EventFilter, EventRepository, Outcome, Payload, StoredEvent};
use tidegate_kernel::{EventId, Limit, Meter, PageSize, Position, StoreError};

use super::list;
use crate::error::store_error;
use crate::quota::raise;
use crate::transaction::{PgTx, Tenant};

#[derive(Debug, FromRow)]
struct AddedRow {
    head_position: i64,
    period_used: i64,
    outcome: Vec<i64>,
}

/// [`EventRepository`] in one transaction.
pub(crate) struct PgEventRepository<'c>(pub(crate) &'c mut PgTx<Tenant>);

#[async_trait]
impl EventRepository for PgEventRepository<'_> {
    async fn add(&mut self, addition: &Addition<'_>) -> Result<Added, StoreError> {
        let workspace = self.0.workspace().as_uuid();
        let events = &addition.events;
        macro_rules! column {
            ($event:ident => $value:expr) => {
                events.iter().map(|$event| $value).collect::<Vec<_>>()
            };
        }
        let attributes = column!(event => (!event.extensions.is_empty())
            .then(|| serde_json::to_string(&event.extensions).unwrap_or_default()));
        let row: AddedRow = sqlx::query_as(
            "select head_position, period_used, outcome from ingest_events($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, \
             $15, $16, $17, $18, $19, $20, $21)",
        )
        .bind(workspace)
        .bind(addition.received_at.timestamp_millis())
        .bind(addition.salt.cast_signed())
        .bind(addition.allowance.period_start)
        .bind(addition.allowance.limit)
        .bind(column!(event => event.dedupe_key().as_uuid()))
        .bind(column!(event => event.event_type.as_str()))
        .bind(column!(event => event.source.as_str()))
        .bind(column!(event => event.sender_id.as_str()))
        .bind(column!(event => event.subject.as_deref()))
        .bind(column!(event => event.time.as_ref().map_or(addition.received_at, |time| time.at)))
        .bind(column!(event => event.time.as_ref().map(|time| time.text.as_str())))
        .bind(column!(event => event.actor.as_deref()))
        .bind(column!(event => event.tool.as_deref()))
        .bind(column!(event => event.session.as_deref()))
        .bind(column!(event => event.extension.as_deref()))
        .bind(column!(event => event.data_content_type.as_deref()))
        .bind(column!(event => event.data_schema.as_deref()))
        .bind(attributes)
        .bind(column!(event => match event.payload {
            Payload::Absent => None,
            Payload::Json(_) => Some("json"),
            Payload::Text(_) => Some("text"),
            Payload::Binary(_) => Some("binary"),
        }))
        .bind(column!(event => match &event.payload {
            Payload::Absent => None,
            Payload::Json(text) | Payload::Text(text) => Some(text.as_bytes()),
            Payload::Binary(bytes) => Some(bytes.as_ref()),
        }))
        .fetch_one(self.0.sqlx())
        .await
        .map_err(store_error)?;
        let limit = addition.allowance.limit.map_or(Limit::Unlimited, Limit::AtMost);
        raise(self.0, Meter::Events, addition.allowance.period_start, row.period_used, limit).await?;
        let outcomes = row.outcome.into_iter().map(|place| match place {
            0 => Outcome::Known,
            place if place > 0 => Outcome::Added(Position(place)),
            _ => Outcome::OverLimit,
        });
        Ok(Added { used: row.period_used, head: Position(row.head_position), outcomes: outcomes.collect() })
    }

    async fn add_uncounted(&mut self, addition: &Addition<'_>) -> Result<(), StoreError> {
        let (workspace, events) = (self.0.workspace().as_uuid(), addition.events.clone());
        let allowance = Allowance { limit: None, ..addition.allowance };
        let added = self.add(&Addition { allowance, events, ..*addition }).await?;
        let count = added.outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Added(_))).count();
        // The head is locked since they were added.
        sqlx::query("update workspace_head set used = used - $2, day_used = day_used - $2 where workspace_id = $1")
            .bind(workspace)
            .bind(i64::try_from(count).unwrap_or(i64::MAX))
            .execute(self.0.sqlx())
            .await
            .map(drop)
            .map_err(store_error)
    }

    async fn head(&mut self) -> Result<Position, StoreError> {
        list::head(self.0).await
    }

    async fn list(
        &mut self,
        filter: &EventFilter,
        before: Option<EventId>,
        size: PageSize,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        list::list(self.0, filter, before, size).await
    }

    async fn find(&mut self, ids: &[EventId]) -> Result<Vec<StoredEvent>, StoreError> {
        list::find(self.0, ids).await
    }
}
