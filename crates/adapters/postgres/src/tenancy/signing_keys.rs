//! The keys that sign access tokens, and the locator, which finds the workspace of an API key or a slug.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tidegate_kernel::{ApiKeyId, StoreError, WorkspaceId};
use tidegate_tenancy::{Digest, Located, Locator, SigningKey, SigningKeyRepository, Slug};
use uuid::Uuid;

use crate::error::store_error;
use crate::transaction::{Directory, PgTx};

#[derive(sqlx::FromRow)]
struct SigningKeyRow {
    kid: String,
    salt: Vec<u8>,
    public_key: Vec<u8>,
    created_at: DateTime<Utc>,
}

impl TryFrom<SigningKeyRow> for SigningKey {
    type Error = StoreError;
    fn try_from(row: SigningKeyRow) -> Result<Self, StoreError> {
        let bytes = |bytes: Vec<u8>| {
            bytes.try_into().map_err(|_| StoreError::Internal("a signing key does not have 32 bytes".into()))
        };
        Ok(Self {
            kid: row.kid,
            salt: bytes(row.salt)?,
            public_key: bytes(row.public_key)?,
            created_at: row.created_at,
        })
    }
}

/// [`SigningKeyRepository`] in one transaction.
pub(crate) struct PgSigningKeyRepository<'c>(pub(crate) &'c mut PgTx<Directory>);

#[async_trait]
impl SigningKeyRepository for PgSigningKeyRepository<'_> {
    async fn list(&mut self) -> Result<Vec<SigningKey>, StoreError> {
        let rows: Vec<SigningKeyRow> =
            sqlx::query_as("select kid, salt, public_key, created_at from signing_key order by created_at desc, kid")
                .fetch_all(self.0.sqlx())
                .await
                .map_err(store_error)?;
        rows.into_iter().map(SigningKey::try_from).collect()
    }

    async fn insert(&mut self, key: &SigningKey) -> Result<(), StoreError> {
        sqlx::query("insert into signing_key (kid, salt, public_key, created_at) values ($1, $2, $3, $4)")
            .bind(&key.kid)
            .bind(key.salt.as_slice())
            .bind(key.public_key.as_slice())
            .bind(key.created_at)
            .execute(self.0.sqlx())
            .await
            .map(drop)
            .map_err(store_error)
    }

    async fn lock(&mut self) -> Result<(), StoreError> {
        sqlx::query("select pg_advisory_xact_lock(hashtext('tidegate signing_key'))")
            .execute(self.0.sqlx())
            .await
            .map(drop)
            .map_err(store_error)
    }

    async fn prune(&mut self, before: DateTime<Utc>) -> Result<(), StoreError> {
        sqlx::query("delete from signing_key where created_at < $1")
            .bind(before)
            .execute(self.0.sqlx())
            .await
            .map(drop)
            .map_err(store_error)
    }

    async fn retire_all(&mut self) -> Result<Vec<String>, StoreError> {
        sqlx::query_scalar("delete from signing_key returning kid").fetch_all(self.0.sqlx()).await.map_err(store_error)
    }
}

/// The kinds of entries in the locator.
pub(super) const API_KEY: &str = "api_key";
pub(super) const SLUG: &str = "slug";

/// [`Locator`] in one transaction.
pub(crate) struct PgLocator<'c>(pub(crate) &'c mut PgTx<Directory>);

#[async_trait]
impl Locator for PgLocator<'_> {
    async fn api_key(&mut self, digest: &Digest) -> Result<Option<Located>, StoreError> {
        let row: Option<(Uuid, Uuid)> =
            sqlx::query_as("select workspace_id, object_id from locator where kind = $1 and digest = $2")
                .bind(API_KEY)
                .bind(digest.as_bytes().as_slice())
                .fetch_optional(self.0.sqlx())
                .await
                .map_err(store_error)?;
        Ok(row.map(|(workspace, key)| Located {
            workspace: WorkspaceId::from_uuid(workspace),
            key: ApiKeyId::from_uuid(key),
        }))
    }

    async fn slug(&mut self, slug: &Slug) -> Result<Option<WorkspaceId>, StoreError> {
        let row: Option<Uuid> = sqlx::query_scalar("select workspace_id from locator where kind = $1 and digest = $2")
            .bind(SLUG)
            .bind(Digest::of(slug.as_str()).as_bytes().as_slice())
            .fetch_optional(self.0.sqlx())
            .await
            .map_err(store_error)?;
        Ok(row.map(WorkspaceId::from_uuid))
    }
}
