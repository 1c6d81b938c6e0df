//! Reading behind the insert, and how far each reader has come.

use async_trait::async_trait;
use sqlx::{Postgres, QueryBuilder};
use tidegate_events::{ConsumerName, Event, EventBacklog, EventConsumers, EventFeed, StoredEvent};
use tidegate_kernel::{Position, StoreError, SystemScope, WorkspaceId};
use uuid::Uuid;

use super::list;
use super::row::{FACTS, FactsRow, WHOLE, WholeRow};
use crate::error::store_error;
use crate::store::PgStore;
use crate::transaction::{PgTx, Tenant};

/// The rows of a range of positions. `event_batch` says from which id on to look, and that prunes partitions.
fn range(columns: &'static str, workspace: WorkspaceId, after: Position, up_to: Position) -> QueryBuilder<Postgres> {
    let workspace = workspace.as_uuid();
    let mut query = QueryBuilder::new("select ");
    query.push(columns).push(" from event where workspace_id = ").push_bind(workspace);
    query.push(" and id >= (select first_id from event_batch where workspace_id = ").push_bind(workspace);
    query.push(" and position > ").push_bind(after.0).push(" order by position limit 1)");
    query.push(" and position > ").push_bind(after.0).push(" and position <= ").push_bind(up_to.0);
    query
}

#[async_trait]
impl EventFeed for PgTx<Tenant> {
    async fn head(&mut self) -> Result<Position, StoreError> {
        list::head(self).await
    }

    async fn read(&mut self, after: Position, up_to: Position, limit: u32) -> Result<Vec<Event>, StoreError> {
        let mut query = range(FACTS, self.workspace(), after, up_to);
        query.push(" order by id limit ").push_bind(i64::from(limit));
        let rows: Vec<FactsRow> = query.build_query_as().fetch_all(self.sqlx()).await.map_err(store_error)?;
        Ok(rows.into_iter().map(Into::into).collect())
    }

    async fn read_whole(
        &mut self,
        after: Position,
        up_to: Position,
        types: Option<&[String]>,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        let mut query = range(WHOLE, self.workspace(), after, up_to);
        if let Some(types) = types {
            query.push(" and type = any(").push_bind(types).push(")");
        }
        query.push(" order by id");
        let rows: Vec<WholeRow> = query.build_query_as().fetch_all(self.sqlx()).await.map_err(store_error)?;
        rows.into_iter().map(TryInto::try_into).collect()
    }
}

#[async_trait]
impl EventConsumers for PgTx<Tenant> {
    async fn cursor(&mut self, consumer: ConsumerName) -> Result<Position, StoreError> {
        let workspace = self.workspace().as_uuid();
        let position: Option<i64> =
            sqlx::query_scalar("select position from event_consumer where workspace_id = $1 and consumer = $2")
                .bind(workspace)
                .bind(consumer.0)
                .fetch_optional(self.sqlx())
                .await
                .map_err(store_error)?;
        Ok(position.map_or(Position::START, Position))
    }

    async fn advance(&mut self, consumer: ConsumerName, from: Position, to: Position) -> Result<bool, StoreError> {
        let workspace = self.workspace().as_uuid();
        let statement = if from == Position::START {
            "insert into event_consumer (workspace_id, consumer, position) values ($1, $2, $4)
             on conflict (workspace_id, consumer) do update set position = excluded.position
             where event_consumer.position = $3"
        } else {
            "update event_consumer set position = $4 where workspace_id = $1 and consumer = $2 and position = $3"
        };
        let query = sqlx::query(statement).bind(workspace).bind(consumer.0).bind(from.0).bind(to.0);
        let done = query.execute(self.sqlx()).await.map_err(store_error)?;
        Ok(done.rows_affected() == 1)
    }
}

#[async_trait]
impl EventBacklog for PgStore {
    async fn behind(
        &self,
        scope: &SystemScope,
        consumer: ConsumerName,
        limit: u32,
    ) -> Result<Vec<WorkspaceId>, StoreError> {
        let mut tx = self.begin_machinery(scope).await?;
        let ids: Vec<Uuid> = sqlx::query_scalar(
            "select h.workspace_id from workspace_head h
             left join event_consumer c on c.workspace_id = h.workspace_id and c.consumer = $1
             where h.position > coalesce(c.position, 0) limit $2",
        )
        .bind(consumer.0)
        .bind(i64::from(limit))
        .fetch_all(tx.sqlx())
        .await
        .map_err(store_error)?;
        Ok(ids.into_iter().map(WorkspaceId::from_uuid).collect())
    }
}
