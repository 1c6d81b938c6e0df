//! Login sessions and their refresh tokens.

use std::net::IpAddr;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tidegate_kernel::{Client, SessionId, StoreError, UserId};
use tidegate_tenancy::{
    AuthMethod, Digest, LiveSession, Session, SessionRepository, Succession, SuccessorSalt, TokenState,
};
use uuid::Uuid;

use super::people::PersonRow;
use crate::error::store_error;
use crate::transaction::{Directory, PgTx};

#[derive(sqlx::FromRow)]
struct SessionRow {
    session_id: Uuid,
    user_id: Uuid,
    session_created_at: DateTime<Utc>,
    refreshed_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    revoked_at: Option<DateTime<Utc>>,
    methods: Vec<String>,
    authenticated_at: DateTime<Utc>,
    remember: bool,
    address: Option<String>,
    user_agent: Option<String>,
    last_address: Option<String>,
}

impl From<SessionRow> for Session {
    fn from(row: SessionRow) -> Self {
        Self {
            id: SessionId::from_uuid(row.session_id),
            user: UserId::from_uuid(row.user_id),
            created_at: row.session_created_at,
            refreshed_at: row.refreshed_at,
            expires_at: row.expires_at,
            revoked_at: row.revoked_at,
            // A method of a newer release is none that this one could ask for.
            methods: row.methods.iter().filter_map(|method| method.parse().ok()).collect(),
            authenticated_at: row.authenticated_at,
            remember: row.remember,
            client: Client { address: address(row.address), user_agent: row.user_agent },
            last_address: address(row.last_address),
        }
    }
}

#[derive(sqlx::FromRow)]
struct LiveRow {
    #[sqlx(flatten)]
    session: SessionRow,
    #[sqlx(flatten)]
    person: PersonRow,
}

fn address(text: Option<String>) -> Option<IpAddr> {
    text.and_then(|text| text.parse().ok())
}

fn names(methods: &[AuthMethod]) -> Vec<&'static str> {
    methods.iter().map(|method| method.as_str()).collect()
}

fn salt_of(bytes: Vec<u8>) -> Result<SuccessorSalt, StoreError> {
    bytes.try_into().map_err(|_| StoreError::Internal("the salt of a refresh token does not have 32 bytes".into()))
}

/// [`SessionRepository`] in one transaction.
pub(crate) struct PgSessionRepository<'c>(pub(crate) &'c mut PgTx<Directory>);

#[async_trait]
impl SessionRepository for PgSessionRepository<'_> {
    async fn insert(&mut self, session: &Session, token: &Digest) -> Result<(), StoreError> {
        sqlx::query(
            "with family as (
                insert into session (id, user_id, created_at, refreshed_at, expires_at, revoked_at, remember, address,
                    user_agent, last_address, methods, authenticated_at)
                values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $12, $13))
             insert into refresh_token (digest, session_id) values ($11, $1)",
        )
        .bind(session.id.as_uuid())
        .bind(session.user.as_uuid())
        .bind(session.created_at)
        .bind(session.refreshed_at)
        .bind(session.expires_at)
        .bind(session.revoked_at)
        .bind(session.remember)
        .bind(session.client.address.map(|address| address.to_string()))
        .bind(session.client.user_agent.as_deref())
        .bind(session.last_address.map(|address| address.to_string()))
        .bind(token.as_bytes().as_slice())
        .bind(names(&session.methods))
        .bind(session.authenticated_at)
        .execute(self.0.sqlx())
        .await
        .map(drop)
        .map_err(store_error)
    }

    async fn find_live(&mut self, id: SessionId, now: DateTime<Utc>) -> Result<Option<LiveSession>, StoreError> {
        let row: Option<LiveRow> = sqlx::query_as(
            "select s.id as session_id, s.user_id, s.created_at as session_created_at, s.refreshed_at, s.expires_at,
                s.revoked_at, s.methods, s.authenticated_at, s.remember, s.address, s.user_agent, s.last_address, p.id, p.email, p.email_verified_at,
                p.name, p.language, p.time_zone, p.notify_usage, p.notify_billing, p.created_at, p.deactivated_at
             from session s join person p on p.id = s.user_id
             where s.id = $1 and s.revoked_at is null and s.expires_at > $2 and p.deactivated_at is null",
        )
        .bind(id.as_uuid())
        .bind(now)
        .fetch_optional(self.0.sqlx())
        .await
        .map_err(store_error)?;
        Ok(row.map(|row| LiveSession { session: row.session.into(), person: row.person.into() }))
    }

    async fn use_token(&mut self, token: &Digest, now: DateTime<Utc>) -> Result<Option<TokenState>, StoreError> {
        // The session's row is locked first and alone. So each of several tokens of a family sees what the token before
        // it has done, and no two wait for each other.
        let row: Option<SessionRow> = sqlx::query_as(
            "select id as session_id, user_id, created_at as session_created_at, refreshed_at, expires_at, revoked_at,
                methods, authenticated_at, remember, address, user_agent, last_address
             from session where id = (select session_id from refresh_token where digest = $1) for no key update",
        )
        .bind(token.as_bytes().as_slice())
        .fetch_optional(self.0.sqlx())
        .await
        .map_err(store_error)?;
        let Some(session) = row.map(Session::from) else { return Ok(None) };
        let used = sqlx::query(
            "with used as (
                update refresh_token set used_at = $2 where digest = $1 and used_at is null returning digest),
             forgotten as (
                update refresh_token set successor_salt = null
                where session_id = $3 and successor_salt is not null and exists (select from used))
             select digest from used",
        )
        .bind(token.as_bytes().as_slice())
        .bind(now)
        .bind(session.id.as_uuid())
        .fetch_optional(self.0.sqlx())
        .await
        .map_err(store_error)?;
        if used.is_some() {
            return Ok(Some(TokenState::Current(session)));
        }
        let row: (Option<DateTime<Utc>>, Option<Vec<u8>>) =
            sqlx::query_as("select used_at, successor_salt from refresh_token where digest = $1")
                .bind(token.as_bytes().as_slice())
                .fetch_one(self.0.sqlx())
                .await
                .map_err(store_error)?;
        let succession = match row {
            (Some(at), Some(salt)) => Some(Succession { at, salt: salt_of(salt)? }),
            _ => None,
        };
        Ok(Some(TokenState::Used { session, succession }))
    }

    async fn rotate(
        &mut self,
        session: &Session,
        used: &Digest,
        salt: &SuccessorSalt,
        token: &Digest,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "with family as (update session set refreshed_at = $5, expires_at = $6, last_address = $7 where id = $1),
             predecessor as (update refresh_token set successor_salt = $3 where digest = $2 and session_id = $1)
             insert into refresh_token (digest, session_id) values ($4, $1)",
        )
        .bind(session.id.as_uuid())
        .bind(used.as_bytes().as_slice())
        .bind(salt.as_slice())
        .bind(token.as_bytes().as_slice())
        .bind(session.refreshed_at)
        .bind(session.expires_at)
        .bind(session.last_address.map(|address| address.to_string()))
        .execute(self.0.sqlx())
        .await
        .map(drop)
        .map_err(store_error)
    }

    async fn authenticated(&mut self, id: SessionId, method: AuthMethod, at: DateTime<Utc>) -> Result<(), StoreError> {
        sqlx::query(
            "update session set authenticated_at = $3,
                methods = case when $2 = any (methods) then methods else methods || $2 end
             where id = $1",
        )
        .bind(id.as_uuid())
        .bind(method.as_str())
        .bind(at)
        .execute(self.0.sqlx())
        .await
        .map(drop)
        .map_err(store_error)
    }

    async fn revoke(&mut self, user: UserId, id: SessionId, now: DateTime<Utc>) -> Result<bool, StoreError> {
        let query = sqlx::query(
            "update session set revoked_at = $3 where id = $2 and user_id = $1 and revoked_at is null and expires_at > $3",
        )
        .bind(user.as_uuid())
        .bind(id.as_uuid())
        .bind(now);
        Ok(query.execute(self.0.sqlx()).await.map_err(store_error)?.rows_affected() == 1)
    }

    async fn revoke_all(
        &mut self,
        user: UserId,
        except: Option<SessionId>,
        now: DateTime<Utc>,
    ) -> Result<Vec<SessionId>, StoreError> {
        let ids: Vec<Uuid> = sqlx::query_scalar(
            "update session set revoked_at = $3
             where user_id = $1 and id is distinct from $2 and revoked_at is null and expires_at > $3 returning id",
        )
        .bind(user.as_uuid())
        .bind(except.map(|except| except.as_uuid()))
        .bind(now)
        .fetch_all(self.0.sqlx())
        .await
        .map_err(store_error)?;
        Ok(ids.into_iter().map(SessionId::from_uuid).collect())
    }

    async fn list_live(&mut self, user: UserId, now: DateTime<Utc>) -> Result<Vec<Session>, StoreError> {
        let rows: Vec<SessionRow> = sqlx::query_as(
            "select id as session_id, user_id, created_at as session_created_at, refreshed_at, expires_at, revoked_at,
                methods, authenticated_at, remember, address, user_agent, last_address
             from session where user_id = $1 and revoked_at is null and expires_at > $2 order by id desc limit 200",
        )
        .bind(user.as_uuid())
        .bind(now)
        .fetch_all(self.0.sqlx())
        .await
        .map_err(store_error)?;
        Ok(rows.into_iter().map(Session::from).collect())
    }
}
