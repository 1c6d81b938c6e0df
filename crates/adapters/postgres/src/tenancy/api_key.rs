//! The API keys of a workspace.

use async_trait::async_trait;
use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use sea_orm::sea_query::Expr;
use sea_orm::{ActiveValue, ColumnTrait, Condition, QueryFilter, QueryOrder, QuerySelect};
use tidegate_kernel::{ApiKeyId, StoreError, UserId};
use tidegate_tenancy::{ApiKey, ApiKeyRepository, Digest, Name};
use uuid::Uuid;

use super::signing_keys::API_KEY;
use crate::entities::api_key as row;
use crate::error::{orm_error, store_error};
use crate::transaction::{PgTx, Tenant};

impl From<row::Model> for ApiKey {
    fn from(row: row::Model) -> Self {
        Self {
            id: ApiKeyId::from_uuid(row.id),
            name: Name::stored(row.name),
            visible: row.visible,
            // A scope that this program does not know grants nothing.
            scopes: row.scopes.iter().filter_map(|scope| scope.parse().ok()).collect(),
            created_by: UserId::from_uuid(row.created_by),
            parent: row.parent_id.map(ApiKeyId::from_uuid),
            created_at: row.created_at,
            expires_at: row.expires_at,
            last_used_at: row.last_used_at,
            revoked_at: row.revoked_at,
        }
    }
}

/// [`ApiKeyRepository`] in one transaction.
pub(crate) struct PgApiKeyRepository<'c>(pub(crate) &'c mut PgTx<Tenant>);

#[async_trait]
impl ApiKeyRepository for PgApiKeyRepository<'_> {
    async fn insert(&mut self, key: &ApiKey, digest: &Digest) -> Result<(), StoreError> {
        let workspace = self.0.workspace().as_uuid();
        let row = row::ActiveModel {
            workspace_id: ActiveValue::Set(workspace),
            id: ActiveValue::Set(key.id.as_uuid()),
            name: ActiveValue::Set(key.name.as_str().to_owned()),
            visible: ActiveValue::Set(key.visible.clone()),
            scopes: ActiveValue::Set(key.scopes.iter().map(|scope| scope.as_str().to_owned()).collect()),
            created_by: ActiveValue::Set(key.created_by.as_uuid()),
            parent_id: ActiveValue::Set(key.parent.map(|key| key.as_uuid())),
            created_at: ActiveValue::Set(key.created_at),
            expires_at: ActiveValue::Set(key.expires_at),
            last_used_at: ActiveValue::Set(key.last_used_at),
            revoked_at: ActiveValue::Set(key.revoked_at),
        };
        self.0.insert(row).await.map_err(orm_error)?;
        sqlx::query("insert into locator (workspace_id, kind, digest, object_id) values ($1, $2, $3, $4)")
            .bind(workspace)
            .bind(API_KEY)
            .bind(digest.as_bytes().as_slice())
            .bind(key.id.as_uuid())
            .execute(self.0.sqlx())
            .await
            .map(drop)
            .map_err(store_error)
    }

    async fn find(&mut self, id: ApiKeyId) -> Result<Option<ApiKey>, StoreError> {
        let query = self.0.select::<row::Entity>().filter(row::Column::Id.eq(id.as_uuid()));
        Ok(query.one(&*self.0).await.map_err(orm_error)?.map(ApiKey::from))
    }

    async fn list(&mut self, before: Option<ApiKeyId>, limit: u32) -> Result<Vec<ApiKey>, StoreError> {
        let mut query = self.0.select::<row::Entity>().filter(row::Column::RevokedAt.is_null());
        if let Some(before) = before {
            query = query.filter(row::Column::Id.lt(before.as_uuid()));
        }
        let query = query.order_by_desc(row::Column::Id).limit(u64::from(limit));
        Ok(query.all(&*self.0).await.map_err(orm_error)?.into_iter().map(ApiKey::from).collect())
    }

    async fn revoke(&mut self, id: ApiKeyId, now: DateTime<Utc>) -> Result<Vec<ApiKeyId>, StoreError> {
        let workspace = self.0.workspace().as_uuid();
        let mut ids: Vec<Uuid> = sqlx::query_scalar(
            "with recursive line as (
                select id from api_key where workspace_id = $1 and id = $2 and revoked_at is null
                union
                select k.id from line join api_key k on k.workspace_id = $1 and k.parent_id = line.id)
             update api_key set revoked_at = $3
             where workspace_id = $1 and id in (select id from line) and revoked_at is null returning id",
        )
        .bind(workspace)
        .bind(id.as_uuid())
        .bind(now)
        .fetch_all(self.0.sqlx())
        .await
        .map_err(store_error)?;
        // The order of creation: ids rise with time, and a key is older than the keys that it has made.
        ids.sort_unstable();
        self.forget(&ids).await?;
        Ok(ids.into_iter().map(ApiKeyId::from_uuid).collect())
    }

    async fn revoke_created_by(&mut self, user: UserId, now: DateTime<Utc>) -> Result<Vec<ApiKeyId>, StoreError> {
        let workspace = self.0.workspace().as_uuid();
        let ids: Vec<Uuid> = sqlx::query_scalar(
            "update api_key set revoked_at = $3 where workspace_id = $1 and created_by = $2 and revoked_at is null
             returning id",
        )
        .bind(workspace)
        .bind(user.as_uuid())
        .bind(now)
        .fetch_all(self.0.sqlx())
        .await
        .map_err(store_error)?;
        self.forget(&ids).await?;
        Ok(ids.into_iter().map(ApiKeyId::from_uuid).collect())
    }

    async fn touch(&mut self, id: ApiKeyId, now: DateTime<Utc>) -> Result<(), StoreError> {
        let hour = now.duration_trunc(TimeDelta::hours(1)).unwrap_or(now);
        let older = Condition::any().add(row::Column::LastUsedAt.is_null()).add(row::Column::LastUsedAt.lt(hour));
        let query = self
            .0
            .update::<row::Entity>()
            .col_expr(row::Column::LastUsedAt, Expr::value(hour))
            .filter(row::Column::Id.eq(id.as_uuid()))
            .filter(older);
        query.exec(&*self.0).await.map(drop).map_err(orm_error)
    }
}

impl PgApiKeyRepository<'_> {
    /// Removes keys from the locator, so that they no longer authenticate.
    async fn forget(&mut self, keys: &[Uuid]) -> Result<(), StoreError> {
        let workspace = self.0.workspace().as_uuid();
        sqlx::query("delete from locator where workspace_id = $1 and kind = $2 and object_id = any ($3)")
            .bind(workspace)
            .bind(API_KEY)
            .bind(keys)
            .execute(self.0.sqlx())
            .await
            .map(drop)
            .map_err(store_error)
    }
}
