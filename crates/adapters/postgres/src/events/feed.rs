//! The event feed in the order of positions, and the position of each consumer.

use async_trait::async_trait;
use sqlx::{Postgres, QueryBuilder};
use tidegate_events::cloud_event::MAX_EVENT_BYTES;
use tidegate_events::pattern::DETECTION;
use tidegate_events::{
    ConsumerName, DamagedEvent, Event, EventBacklog, EventConsumers, EventFeed, StoredEvent, WholeEvents,
};
use tidegate_kernel::{ListTag, Position, StoreError, SystemScope, Transaction, WorkspaceId};
use uuid::Uuid;

use super::list;
use super::row::{FACTS, FactsRow, WHOLE, WholeRow};
use crate::error::store_error;
use crate::rounds::WORKSPACES_PER_LOOK;
use crate::store::PgStore;
use crate::transaction::{PgTx, Tenant};

/// A position, and the size in bytes of those parts of its event that can be large.
const LENGTHS: &str =
    "position, coalesce(octet_length(data), 0)::bigint + coalesce(octet_length(attributes), 0)::bigint";

/// Selects a range of positions. `event_batch` gives the first id of the range, which prunes partitions.
fn range(columns: &'static str, workspace: WorkspaceId, after: Position, up_to: Position) -> QueryBuilder<Postgres> {
    let workspace = workspace.as_uuid();
    let mut query = QueryBuilder::new("select ");
    query.push(columns).push(" from event where workspace_id = ").push_bind(workspace);
    query.push(" and id >= (select first_id from event_batch where workspace_id = ").push_bind(workspace);
    query.push(" and position > ").push_bind(after.0).push(" order by position limit 1)");
    query.push(" and position > ").push_bind(after.0).push(" and position <= ").push_bind(up_to.0);
    query
}

fn of_types(query: &mut QueryBuilder<Postgres>, types: Option<&[String]>) {
    if let Some(types) = types {
        query.push(" and type = any(").push_bind(types).push(")");
    }
    query.push(" order by id");
}

/// The last position of a page of whole events with at most `max_bytes`. It reads the lengths of values, not the
/// values.
async fn until(
    tx: &mut PgTx<Tenant>,
    after: Position,
    up_to: Position,
    types: Option<&[String]>,
    max_bytes: usize,
) -> Result<Position, StoreError> {
    if usize::try_from(up_to.0.saturating_sub(after.0)).is_ok_and(|most| most <= max_bytes / MAX_EVENT_BYTES) {
        return Ok(up_to);
    }
    let mut query = range(LENGTHS, tx.workspace(), after, up_to);
    of_types(&mut query, types);
    let lengths: Vec<(i64, i64)> = query.build_query_as().fetch_all(tx.sqlx()).await.map_err(store_error)?;
    let mut left = i64::try_from(max_bytes).unwrap_or(i64::MAX);
    for (index, (position, bytes)) in lengths.into_iter().enumerate() {
        left = left.saturating_sub(bytes);
        if left < 0 && index > 0 {
            return Ok(Position(position - 1));
        }
    }
    Ok(up_to)
}

/// [`EventFeed`] in one transaction.
pub(crate) struct PgEventFeed<'c>(pub(crate) &'c mut PgTx<Tenant>);

#[async_trait]
impl EventFeed for PgEventFeed<'_> {
    async fn head(&mut self) -> Result<Position, StoreError> {
        list::head(self.0).await
    }

    async fn read(&mut self, after: Position, up_to: Position, limit: u32) -> Result<Vec<Event>, StoreError> {
        let mut query = range(FACTS, self.0.workspace(), after, up_to);
        query.push(" order by id limit ").push_bind(i64::from(limit));
        let rows: Vec<FactsRow> = query.build_query_as().fetch_all(self.0.sqlx()).await.map_err(store_error)?;
        Ok(rows.into_iter().map(Into::into).collect())
    }

    async fn read_whole(
        &mut self,
        after: Position,
        up_to: Position,
        types: Option<&[String]>,
        max_bytes: usize,
    ) -> Result<WholeEvents, StoreError> {
        let up_to = until(self.0, after, up_to, types, max_bytes).await?;
        let mut query = range(WHOLE, self.0.workspace(), after, up_to);
        of_types(&mut query, types);
        let rows: Vec<WholeRow> = query.build_query_as().fetch_all(self.0.sqlx()).await.map_err(store_error)?;
        let mut whole = WholeEvents { events: Vec::with_capacity(rows.len()), damaged: Vec::new(), up_to };
        for row in rows {
            let (id, position) = row.place();
            match StoredEvent::try_from(row) {
                Ok(event) => whole.events.push(event),
                Err(error) => {
                    let cause = std::error::Error::source(&error).map(ToString::to_string);
                    tracing::error!(event = %id, cause, "an event cannot be read any more; readers pass it over");
                    whole.damaged.push(DamagedEvent { id, position });
                }
            }
        }
        Ok(whole)
    }
}

/// [`EventConsumers`] in one transaction.
pub(crate) struct PgEventConsumers<'c>(pub(crate) &'c mut PgTx<Tenant>);

#[async_trait]
impl EventConsumers for PgEventConsumers<'_> {
    async fn cursor(&mut self, consumer: ConsumerName) -> Result<Position, StoreError> {
        let workspace = self.0.workspace().as_uuid();
        let position: Option<i64> =
            sqlx::query_scalar("select position from event_consumer where workspace_id = $1 and consumer = $2")
                .bind(workspace)
                .bind(consumer.0)
                .fetch_optional(self.0.sqlx())
                .await
                .map_err(store_error)?;
        Ok(position.map_or(Position::START, Position))
    }

    async fn advance(&mut self, consumer: ConsumerName, from: Position, to: Position) -> Result<bool, StoreError> {
        if consumer == DETECTION {
            // Its counters, suggestions and position commit together.
            self.0.changes_lists(ListTag::DETECTED);
        }
        let workspace = self.0.workspace().as_uuid();
        let statement = if from == Position::START {
            "insert into event_consumer (workspace_id, consumer, position) values ($1, $2, $4)
             on conflict (workspace_id, consumer) do update set position = excluded.position
             where event_consumer.position = $3"
        } else {
            "update event_consumer set position = $4 where workspace_id = $1 and consumer = $2 and position = $3"
        };
        let query = sqlx::query(statement).bind(workspace).bind(consumer.0).bind(from.0).bind(to.0);
        let done = query.execute(self.0.sqlx()).await.map_err(store_error)?;
        Ok(done.rows_affected() == 1)
    }
}

/// Looks at the next workspace heads, in the order of their ids. Returns the workspaces whose consumer is behind, and
/// the last workspace it looked at if there are more. It reads a bounded number of heads, whatever the statistics say.
const BEHIND: &str = "
    with heads as materialized (
        select workspace_id, position from workspace_head
        where workspace_id > $2 and workspace_id <= $3 order by workspace_id limit $4)
    select
        array(select h.workspace_id from heads h
              where h.position > coalesce((
                  select c.position from event_consumer c
                  where c.workspace_id = h.workspace_id and c.consumer = $1), 0)
              order by h.workspace_id limit $5),
        (select h.workspace_id from heads h order by h.workspace_id offset $4 - 1 limit 1)";

#[async_trait]
impl EventBacklog for PgStore {
    async fn behind(
        &self,
        scope: &SystemScope,
        consumer: ConsumerName,
        limit: u32,
    ) -> Result<Vec<WorkspaceId>, StoreError> {
        let mut tx = self.begin_machinery(scope).await?;
        let kind = consumer.0;
        let start = self.rounds.after(kind);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut ids = Vec::new();
        // The first pass goes to the end; the second goes from the beginning to where this look began.
        for (after, up_to) in [(start, Uuid::max()), (Uuid::nil(), start)] {
            let (found, last): (Vec<Uuid>, Option<Uuid>) = sqlx::query_as(BEHIND)
                .bind(kind)
                .bind(after)
                .bind(up_to)
                .bind(WORKSPACES_PER_LOOK)
                .bind(i64::try_from(limit - ids.len()).unwrap_or(i64::MAX))
                .fetch_one(tx.sqlx())
                .await
                .map_err(store_error)?;
            ids.extend(found);
            let full = ids.len() >= limit;
            self.rounds.seen(kind, if full { ids.last().copied() } else { last });
            if full || last.is_some() || start.is_nil() {
                break;
            }
        }
        tx.commit().await?;
        Ok(ids.into_iter().map(WorkspaceId::from_uuid).collect())
    }
}
