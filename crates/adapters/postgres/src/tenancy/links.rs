//! Links in mails to people.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tidegate_kernel::{StoreError, UserId};
use tidegate_tenancy::{Digest, Email, Link, LinkPurpose, LinkRepository};
use uuid::Uuid;

use crate::engine::unreadable;
use crate::error::store_error;
use crate::transaction::{Directory, PgTx};

type LinkRow = (Uuid, String, String, DateTime<Utc>);

fn link((user, purpose, address, expires_at): LinkRow) -> Result<Link, StoreError> {
    Ok(Link {
        user: UserId::from_uuid(user),
        purpose: purpose.parse().map_err(unreadable)?,
        address: Email::given(&address),
        expires_at,
    })
}

/// [`LinkRepository`] in one transaction.
pub(crate) struct PgLinkRepository<'c>(pub(crate) &'c mut PgTx<Directory>);

#[async_trait]
impl LinkRepository for PgLinkRepository<'_> {
    async fn insert(&mut self, link: &Link, token: &Digest) -> Result<(), StoreError> {
        sqlx::query(
            "with superfluous as (
                delete from account_link where digest in (
                    select digest from account_link where user_id = $2 and purpose = $3
                    order by created_at desc, digest offset 4))
             insert into account_link (digest, user_id, purpose, address, created_at, expires_at)
             values ($1, $2, $3, $4, $5, $6)",
        )
        .bind(token.as_bytes().as_slice())
        .bind(link.user.as_uuid())
        .bind(link.purpose.as_str())
        .bind(link.address.as_str())
        .bind(self.0.env.now())
        .bind(link.expires_at)
        .execute(self.0.sqlx())
        .await
        .map(drop)
        .map_err(store_error)
    }

    async fn find(&mut self, token: &Digest, purpose: LinkPurpose) -> Result<Option<Link>, StoreError> {
        let row: Option<LinkRow> = sqlx::query_as(
            "select user_id, purpose, address, expires_at from account_link where digest = $1 and purpose = $2",
        )
        .bind(token.as_bytes().as_slice())
        .bind(purpose.as_str())
        .fetch_optional(self.0.sqlx())
        .await
        .map_err(store_error)?;
        row.map(link).transpose()
    }

    async fn take(&mut self, token: &Digest, purpose: LinkPurpose) -> Result<Option<Link>, StoreError> {
        // The person's row is locked first and alone. So of two links of a person the second is used after the first has
        // deleted it, and no two wait for each other.
        sqlx::query(
            "select from person where id = (select user_id from account_link where digest = $1) for no key update",
        )
        .bind(token.as_bytes().as_slice())
        .execute(self.0.sqlx())
        .await
        .map_err(store_error)?;
        let row: Option<LinkRow> = sqlx::query_as(
            "with used as (
                select * from account_link where digest = $1 and purpose = $2),
             voided as (
                delete from account_link l using used where l.user_id = used.user_id and l.purpose = used.purpose)
             select user_id, purpose, address, expires_at from used",
        )
        .bind(token.as_bytes().as_slice())
        .bind(purpose.as_str())
        .fetch_optional(self.0.sqlx())
        .await
        .map_err(store_error)?;
        row.map(link).transpose()
    }

    async fn void(&mut self, user: UserId, purposes: &[LinkPurpose], now: DateTime<Utc>) -> Result<(), StoreError> {
        let purposes: Vec<&str> = purposes.iter().map(|purpose| purpose.as_str()).collect();
        sqlx::query(
            "with voided as (update person set links_void_until = $3 where id = $1)
             delete from account_link where user_id = $1 and purpose = any ($2)",
        )
        .bind(user.as_uuid())
        .bind(purposes)
        .bind(now)
        .execute(self.0.sqlx())
        .await
        .map(drop)
        .map_err(store_error)
    }

    async fn voided_at(&mut self, user: UserId) -> Result<Option<DateTime<Utc>>, StoreError> {
        let row: Option<Option<DateTime<Utc>>> =
            sqlx::query_scalar("select links_void_until from person where id = $1")
                .bind(user.as_uuid())
                .fetch_optional(self.0.sqlx())
                .await
                .map_err(store_error)?;
        Ok(row.flatten())
    }

    async fn prune(&mut self, now: DateTime<Utc>) -> Result<(), StoreError> {
        sqlx::query("delete from account_link where expires_at < $1")
            .bind(now)
            .execute(self.0.sqlx())
            .await
            .map(drop)
            .map_err(store_error)
    }
}
