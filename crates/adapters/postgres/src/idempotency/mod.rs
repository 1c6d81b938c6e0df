//! Keys of requests and their answers: per actor in a workspace, and per person where there is none.
//!
//! Both tables have the same columns behind their owner's, so each statement stands here twice, for the two owners.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tidegate_kernel::{
    Actor, Claim, Fingerprint, IdempotencyKey, IdempotencyRepository, IdempotencyTx, KeptAnswer, PersonScope,
    StoreError, Terms, UnitOfWork, WorkspaceScope,
};
use uuid::Uuid;

use crate::audit::actor_columns;
use crate::error::store_error;
use crate::store::PgStore;
use crate::transaction::{Person, PgTx, Tenant};

#[async_trait]
impl UnitOfWork<dyn IdempotencyTx> for PgStore {
    async fn begin(&self, scope: &WorkspaceScope) -> Result<Box<dyn IdempotencyTx>, StoreError> {
        Ok(self.begin_tenant(scope).await?)
    }
}

#[async_trait]
impl UnitOfWork<dyn IdempotencyTx, PersonScope> for PgStore {
    async fn begin(&self, scope: &PersonScope) -> Result<Box<dyn IdempotencyTx>, StoreError> {
        Ok(self.begin_person(scope).await?)
    }
}

impl IdempotencyTx for PgTx<Tenant> {
    fn idempotency(&mut self) -> &mut dyn IdempotencyRepository {
        self
    }
}

impl IdempotencyTx for PgTx<Person> {
    fn idempotency(&mut self) -> &mut dyn IdempotencyRepository {
        self
    }
}

#[derive(sqlx::FromRow)]
struct KeyRow {
    fingerprint: Vec<u8>,
    claimed_until: DateTime<Utc>,
    status: Option<i32>,
    headers: Option<String>,
    body: Option<Vec<u8>>,
}

impl KeyRow {
    /// What the row means to somebody who claims it; `None` where its claim has run out and can be taken over.
    fn claim(self, fingerprint: &Fingerprint, now: DateTime<Utc>) -> Result<Option<Claim>, StoreError> {
        if self.fingerprint != fingerprint.0 {
            return Ok(Some(Claim::OtherRequest));
        }
        let (Some(status), Some(headers), Some(body)) = (self.status, self.headers, self.body) else {
            return Ok((self.claimed_until > now).then_some(Claim::InFlight));
        };
        let broken = |error: &dyn std::fmt::Display| StoreError::Internal(error.to_string().into());
        let status = u16::try_from(status).map_err(|error| broken(&error))?;
        let headers = serde_json::from_str(&headers).map_err(|error| broken(&error))?;
        Ok(Some(Claim::Done(KeptAnswer { status, headers, body })))
    }
}

fn headers(answer: &KeptAnswer) -> String {
    serde_json::to_string(&answer.headers).unwrap_or_else(|_| "[]".to_owned())
}

impl PgTx<Tenant> {
    /// The actor's id; Tidegate itself names no requests.
    fn actor(&self) -> Result<Uuid, StoreError> {
        match self.grasp.actor {
            Actor::System => Err(StoreError::Internal("Tidegate itself names no requests".into())),
            actor => Ok(actor_columns(actor).1.unwrap_or_default()),
        }
    }
}

#[async_trait]
impl IdempotencyRepository for PgTx<Tenant> {
    async fn claim(
        &mut self,
        key: &IdempotencyKey,
        fingerprint: &Fingerprint,
        terms: Terms,
    ) -> Result<Claim, StoreError> {
        let (workspace, actor) = (self.workspace().as_uuid(), self.actor()?);
        sqlx::query("delete from idempotency_key where workspace_id = $1 and kept_until <= $2")
            .bind(workspace)
            .bind(terms.now)
            .execute(self.sqlx())
            .await
            .map_err(store_error)?;
        let inserted = sqlx::query(
            "insert into idempotency_key (workspace_id, actor_id, digest, fingerprint, claimed_until, kept_until)
             values ($1, $2, $3, $4, $5, $6) on conflict (workspace_id, actor_id, digest) do nothing",
        )
        .bind(workspace)
        .bind(actor)
        .bind(key.0.as_slice())
        .bind(fingerprint.0.as_slice())
        .bind(terms.claimed_until)
        .bind(terms.kept_until)
        .execute(self.sqlx())
        .await
        .map_err(store_error)?;
        if inserted.rows_affected() == 1 {
            return Ok(Claim::Ours(terms.claimed_until));
        }
        let row: KeyRow = sqlx::query_as(
            "select fingerprint, claimed_until, status, headers, body from idempotency_key
             where workspace_id = $1 and actor_id = $2 and digest = $3 for update",
        )
        .bind(workspace)
        .bind(actor)
        .bind(key.0.as_slice())
        .fetch_one(self.sqlx())
        .await
        .map_err(store_error)?;
        if let Some(claim) = row.claim(fingerprint, terms.now)? {
            return Ok(claim);
        }
        sqlx::query(
            "update idempotency_key set claimed_until = $4, kept_until = $5
             where workspace_id = $1 and actor_id = $2 and digest = $3",
        )
        .bind(workspace)
        .bind(actor)
        .bind(key.0.as_slice())
        .bind(terms.claimed_until)
        .bind(terms.kept_until)
        .execute(self.sqlx())
        .await
        .map_err(store_error)?;
        Ok(Claim::Ours(terms.claimed_until))
    }

    async fn finish(
        &mut self,
        key: &IdempotencyKey,
        claimed_until: DateTime<Utc>,
        answer: &KeptAnswer,
    ) -> Result<(), StoreError> {
        let (workspace, actor) = (self.workspace().as_uuid(), self.actor()?);
        sqlx::query(
            "update idempotency_key set status = $5, headers = $6, body = $7
             where workspace_id = $1 and actor_id = $2 and digest = $3 and claimed_until = $4 and status is null",
        )
        .bind(workspace)
        .bind(actor)
        .bind(key.0.as_slice())
        .bind(claimed_until)
        .bind(i32::from(answer.status))
        .bind(headers(answer))
        .bind(answer.body.as_slice())
        .execute(self.sqlx())
        .await
        .map(drop)
        .map_err(store_error)
    }

    async fn release(&mut self, key: &IdempotencyKey, claimed_until: DateTime<Utc>) -> Result<(), StoreError> {
        let (workspace, actor) = (self.workspace().as_uuid(), self.actor()?);
        sqlx::query(
            "delete from idempotency_key
             where workspace_id = $1 and actor_id = $2 and digest = $3 and claimed_until = $4 and status is null",
        )
        .bind(workspace)
        .bind(actor)
        .bind(key.0.as_slice())
        .bind(claimed_until)
        .execute(self.sqlx())
        .await
        .map(drop)
        .map_err(store_error)
    }
}

#[async_trait]
impl IdempotencyRepository for PgTx<Person> {
    async fn claim(
        &mut self,
        key: &IdempotencyKey,
        fingerprint: &Fingerprint,
        terms: Terms,
    ) -> Result<Claim, StoreError> {
        let user = self.user().as_uuid();
        sqlx::query("delete from person_idempotency_key where user_id = $1 and kept_until <= $2")
            .bind(user)
            .bind(terms.now)
            .execute(self.sqlx())
            .await
            .map_err(store_error)?;
        let inserted = sqlx::query(
            "insert into person_idempotency_key (user_id, digest, fingerprint, claimed_until, kept_until)
             values ($1, $2, $3, $4, $5) on conflict (user_id, digest) do nothing",
        )
        .bind(user)
        .bind(key.0.as_slice())
        .bind(fingerprint.0.as_slice())
        .bind(terms.claimed_until)
        .bind(terms.kept_until)
        .execute(self.sqlx())
        .await
        .map_err(store_error)?;
        if inserted.rows_affected() == 1 {
            return Ok(Claim::Ours(terms.claimed_until));
        }
        let row: KeyRow = sqlx::query_as(
            "select fingerprint, claimed_until, status, headers, body from person_idempotency_key
             where user_id = $1 and digest = $2 for update",
        )
        .bind(user)
        .bind(key.0.as_slice())
        .fetch_one(self.sqlx())
        .await
        .map_err(store_error)?;
        if let Some(claim) = row.claim(fingerprint, terms.now)? {
            return Ok(claim);
        }
        sqlx::query(
            "update person_idempotency_key set claimed_until = $3, kept_until = $4 where user_id = $1 and digest = $2",
        )
        .bind(user)
        .bind(key.0.as_slice())
        .bind(terms.claimed_until)
        .bind(terms.kept_until)
        .execute(self.sqlx())
        .await
        .map_err(store_error)?;
        Ok(Claim::Ours(terms.claimed_until))
    }

    async fn finish(
        &mut self,
        key: &IdempotencyKey,
        claimed_until: DateTime<Utc>,
        answer: &KeptAnswer,
    ) -> Result<(), StoreError> {
        let user = self.user().as_uuid();
        sqlx::query(
            "update person_idempotency_key set status = $4, headers = $5, body = $6
             where user_id = $1 and digest = $2 and claimed_until = $3 and status is null",
        )
        .bind(user)
        .bind(key.0.as_slice())
        .bind(claimed_until)
        .bind(i32::from(answer.status))
        .bind(headers(answer))
        .bind(answer.body.as_slice())
        .execute(self.sqlx())
        .await
        .map(drop)
        .map_err(store_error)
    }

    async fn release(&mut self, key: &IdempotencyKey, claimed_until: DateTime<Utc>) -> Result<(), StoreError> {
        let user = self.user().as_uuid();
        sqlx::query(
            "delete from person_idempotency_key
             where user_id = $1 and digest = $2 and claimed_until = $3 and status is null",
        )
        .bind(user)
        .bind(key.0.as_slice())
        .bind(claimed_until)
        .execute(self.sqlx())
        .await
        .map(drop)
        .map_err(store_error)
    }
}
