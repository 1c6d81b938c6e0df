//! Idempotency keys and stored responses: per actor in a workspace, and per person outside of workspaces.
//!
//! Both tables have the same columns behind the columns of their owner. The logic is shared; each table has its own
//! statements.

mod statements;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use sqlx::{FromRow, Postgres};
use tidegate_kernel::{Actor, StoreError};
use tidegate_use_cases::{Claim, Fingerprint, IdempotencyKey, IdempotencyRepository, KeptAnswer, Terms};
use uuid::Uuid;

use self::statements::{OF_ACTOR, OF_PERSON, Statements};
use crate::audit::actor_columns;
use crate::error::store_error;
use crate::transaction::{Person, PgTx, Tenant};

#[derive(FromRow)]
struct KeyRow {
    fingerprint: Vec<u8>,
    claimed_until: DateTime<Utc>,
    status: Option<i32>,
    headers: Option<String>,
    body: Option<Vec<u8>>,
}

impl KeyRow {
    /// What the row means for a new claim; `None` if the earlier claim has expired and can be taken over.
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

/// The owner of idempotency keys in a transaction.
pub(crate) trait Owner: Send + Sync {
    /// The statements for the owner's table. Their first parameters are the owner's ids.
    const STATEMENTS: &'static Statements;

    /// The owner's ids: the workspace and the actor, or the person.
    fn owner(&self) -> Result<(Uuid, Option<Uuid>), StoreError>;
}

impl Owner for Tenant {
    const STATEMENTS: &'static Statements = &OF_ACTOR;

    fn owner(&self) -> Result<(Uuid, Option<Uuid>), StoreError> {
        match self.actor {
            Actor::System => Err(StoreError::Internal("Tidegate itself names no requests".into())),
            actor => Ok((self.workspace.as_uuid(), actor_columns(actor).1)),
        }
    }
}

impl Owner for Person {
    const STATEMENTS: &'static Statements = &OF_PERSON;

    fn owner(&self) -> Result<(Uuid, Option<Uuid>), StoreError> {
        Ok((self.user.as_uuid(), None))
    }
}

/// A statement with the owner's ids bound.
fn query<'q>(statement: &'static str, (first, second): (Uuid, Option<Uuid>)) -> Query<'q, Postgres, PgArguments> {
    let query = sqlx::query(statement).bind(first);
    match second {
        Some(second) => query.bind(second),
        None => query,
    }
}

/// [`IdempotencyRepository`] in one transaction.
pub(crate) struct PgIdempotencyRepository<'c, G>(pub(crate) &'c mut PgTx<G>);

#[async_trait]
impl<G: Owner> IdempotencyRepository for PgIdempotencyRepository<'_, G> {
    async fn claim(
        &mut self,
        key: &IdempotencyKey,
        fingerprint: &Fingerprint,
        terms: Terms,
    ) -> Result<Claim, StoreError> {
        let owner = self.0.context.owner()?;
        let forget = sqlx::query(G::STATEMENTS.forget).bind(owner.0).bind(terms.now);
        forget.execute(self.0.sqlx()).await.map_err(store_error)?;
        let inserted = query(G::STATEMENTS.insert, owner)
            .bind(key.0.as_slice())
            .bind(fingerprint.0.as_slice())
            .bind(terms.claimed_until)
            .bind(terms.kept_until)
            .execute(self.0.sqlx())
            .await
            .map_err(store_error)?;
        if inserted.rows_affected() == 1 {
            return Ok(Claim::Ours(terms.claimed_until));
        }
        let read = query(G::STATEMENTS.read, owner).bind(key.0.as_slice());
        let row = read.fetch_one(self.0.sqlx()).await.map_err(store_error)?;
        if let Some(claim) = KeyRow::from_row(&row).map_err(store_error)?.claim(fingerprint, terms.now)? {
            return Ok(claim);
        }
        query(G::STATEMENTS.take_over, owner)
            .bind(key.0.as_slice())
            .bind(terms.claimed_until)
            .bind(terms.kept_until)
            .execute(self.0.sqlx())
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
        query(G::STATEMENTS.finish, self.0.context.owner()?)
            .bind(key.0.as_slice())
            .bind(claimed_until)
            .bind(i32::from(answer.status))
            .bind(headers(answer))
            .bind(answer.body.as_slice())
            .execute(self.0.sqlx())
            .await
            .map(drop)
            .map_err(store_error)
    }

    async fn release(&mut self, key: &IdempotencyKey, claimed_until: DateTime<Utc>) -> Result<(), StoreError> {
        query(G::STATEMENTS.release, self.0.context.owner()?)
            .bind(key.0.as_slice())
            .bind(claimed_until)
            .execute(self.0.sqlx())
            .await
            .map(drop)
            .map_err(store_error)
    }
}
