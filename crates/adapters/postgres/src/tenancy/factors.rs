//! Second factors, recovery codes, and log-ins that wait for them.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tidegate_kernel::{FactorId, StoreError, UserId};
use tidegate_tenancy::{Challenge, Digest, Factor, FactorRepository, Name};
use uuid::Uuid;

use crate::engine::unreadable;
use crate::error::store_error;
use crate::transaction::{Directory, PgTx};

#[derive(sqlx::FromRow)]
struct FactorRow {
    id: Uuid,
    user_id: Uuid,
    kind: String,
    name: String,
    secret: Vec<u8>,
    created_at: DateTime<Utc>,
    confirmed_at: Option<DateTime<Utc>>,
    last_used_at: Option<DateTime<Utc>>,
}

impl TryFrom<FactorRow> for Factor {
    type Error = StoreError;
    fn try_from(row: FactorRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: FactorId::from_uuid(row.id),
            user: UserId::from_uuid(row.user_id),
            kind: row.kind.parse().map_err(unreadable)?,
            name: Name::stored(row.name),
            secret: row.secret,
            created_at: row.created_at,
            confirmed_at: row.confirmed_at,
            last_used_at: row.last_used_at,
        })
    }
}

/// [`FactorRepository`] in one transaction.
pub(crate) struct PgFactorRepository<'c>(pub(crate) &'c mut PgTx<Directory>);

#[async_trait]
impl FactorRepository for PgFactorRepository<'_> {
    async fn insert(&mut self, factor: &Factor) -> Result<(), StoreError> {
        sqlx::query(
            "with abandoned as (delete from factor where user_id = $2 and confirmed_at is null)
             insert into factor (id, user_id, kind, name, secret, created_at, confirmed_at, last_used_at)
             values ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(factor.id.as_uuid())
        .bind(factor.user.as_uuid())
        .bind(factor.kind.as_str())
        .bind(factor.name.as_str())
        .bind(&factor.secret)
        .bind(factor.created_at)
        .bind(factor.confirmed_at)
        .bind(factor.last_used_at)
        .execute(self.0.sqlx())
        .await
        .map(drop)
        .map_err(store_error)
    }

    async fn list(&mut self, user: UserId) -> Result<Vec<Factor>, StoreError> {
        let rows: Vec<FactorRow> = sqlx::query_as(
            "select id, user_id, kind, name, secret, created_at, confirmed_at, last_used_at
             from factor where user_id = $1 order by id",
        )
        .bind(user.as_uuid())
        .fetch_all(self.0.sqlx())
        .await
        .map_err(store_error)?;
        rows.into_iter().map(Factor::try_from).collect()
    }

    async fn confirm(&mut self, user: UserId, id: FactorId, now: DateTime<Utc>) -> Result<bool, StoreError> {
        let query =
            sqlx::query("update factor set confirmed_at = $3 where id = $2 and user_id = $1 and confirmed_at is null")
                .bind(user.as_uuid())
                .bind(id.as_uuid())
                .bind(now);
        Ok(query.execute(self.0.sqlx()).await.map_err(store_error)?.rows_affected() == 1)
    }

    async fn use_step(&mut self, id: FactorId, step: i64, now: DateTime<Utc>) -> Result<bool, StoreError> {
        let query = sqlx::query(
            "update factor set last_step = $2, last_used_at = $3 where id = $1 and coalesce(last_step, -1) < $2",
        )
        .bind(id.as_uuid())
        .bind(step)
        .bind(now);
        Ok(query.execute(self.0.sqlx()).await.map_err(store_error)?.rows_affected() == 1)
    }

    async fn remove(&mut self, user: UserId, id: FactorId) -> Result<bool, StoreError> {
        let query =
            sqlx::query("delete from factor where id = $2 and user_id = $1").bind(user.as_uuid()).bind(id.as_uuid());
        Ok(query.execute(self.0.sqlx()).await.map_err(store_error)?.rows_affected() == 1)
    }

    async fn set_recovery_codes(&mut self, user: UserId, codes: &[Digest]) -> Result<(), StoreError> {
        let codes: Vec<&[u8]> = codes.iter().map(|code| code.as_bytes().as_slice()).collect();
        sqlx::query("delete from recovery_code where user_id = $1")
            .bind(user.as_uuid())
            .execute(self.0.sqlx())
            .await
            .map_err(store_error)?;
        sqlx::query("insert into recovery_code (user_id, digest) select $1, unnest($2::bytea[])")
            .bind(user.as_uuid())
            .bind(codes)
            .execute(self.0.sqlx())
            .await
            .map(drop)
            .map_err(store_error)
    }

    async fn recovery_codes(&mut self, user: UserId) -> Result<i64, StoreError> {
        sqlx::query_scalar("select count(*) from recovery_code where user_id = $1")
            .bind(user.as_uuid())
            .fetch_one(self.0.sqlx())
            .await
            .map_err(store_error)
    }

    async fn use_recovery_code(&mut self, user: UserId, code: &Digest) -> Result<bool, StoreError> {
        let query = sqlx::query("delete from recovery_code where user_id = $1 and digest = $2")
            .bind(user.as_uuid())
            .bind(code.as_bytes().as_slice());
        Ok(query.execute(self.0.sqlx()).await.map_err(store_error)?.rows_affected() == 1)
    }

    async fn add_challenge(&mut self, challenge: &Challenge, token: &Digest) -> Result<(), StoreError> {
        let now = self.0.env.now();
        sqlx::query(
            "with expired as (delete from login_challenge where expires_at < $6)
             insert into login_challenge (digest, user_id, remember, attempts, expires_at)
             values ($1, $2, $3, $4, $5)",
        )
        .bind(token.as_bytes().as_slice())
        .bind(challenge.user.as_uuid())
        .bind(challenge.remember)
        .bind(challenge.attempts)
        .bind(challenge.expires_at)
        .bind(now)
        .execute(self.0.sqlx())
        .await
        .map(drop)
        .map_err(store_error)
    }

    async fn challenged(&mut self, token: &Digest) -> Result<Option<UserId>, StoreError> {
        let user: Option<Uuid> = sqlx::query_scalar("select user_id from login_challenge where digest = $1")
            .bind(token.as_bytes().as_slice())
            .fetch_optional(self.0.sqlx())
            .await
            .map_err(store_error)?;
        Ok(user.map(UserId::from_uuid))
    }

    async fn lock_challenge(&mut self, token: &Digest) -> Result<Option<Challenge>, StoreError> {
        let row: Option<(Uuid, bool, i32, DateTime<Utc>)> = sqlx::query_as(
            "select user_id, remember, attempts, expires_at from login_challenge where digest = $1 for update",
        )
        .bind(token.as_bytes().as_slice())
        .fetch_optional(self.0.sqlx())
        .await
        .map_err(store_error)?;
        Ok(row.map(|(user, remember, attempts, expires_at)| Challenge {
            user: UserId::from_uuid(user),
            remember,
            attempts,
            expires_at,
        }))
    }

    async fn count_attempt(&mut self, token: &Digest) -> Result<(), StoreError> {
        sqlx::query("update login_challenge set attempts = attempts + 1 where digest = $1")
            .bind(token.as_bytes().as_slice())
            .execute(self.0.sqlx())
            .await
            .map(drop)
            .map_err(store_error)
    }

    async fn remove_challenge(&mut self, token: &Digest) -> Result<(), StoreError> {
        sqlx::query("delete from login_challenge where digest = $1")
            .bind(token.as_bytes().as_slice())
            .execute(self.0.sqlx())
            .await
            .map(drop)
            .map_err(store_error)
    }

    async fn remove_challenges(&mut self, user: UserId) -> Result<(), StoreError> {
        sqlx::query("delete from login_challenge where user_id = $1")
            .bind(user.as_uuid())
            .execute(self.0.sqlx())
            .await
            .map(drop)
            .map_err(store_error)
    }
}
