//! People and their passwords.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tidegate_kernel::{StoreError, UserId};
use tidegate_tenancy::{
    Email, Language, Name, Notifications, PasswordHash, Person, PersonRepository, Registered, TimeZone,
};
use uuid::Uuid;

use crate::error::store_error;
use crate::transaction::{Directory, PgTx};

#[derive(sqlx::FromRow)]
pub(super) struct PersonRow {
    id: Uuid,
    email: String,
    email_verified_at: Option<DateTime<Utc>>,
    name: String,
    language: Option<String>,
    time_zone: Option<String>,
    notify_usage: bool,
    notify_billing: bool,
    created_at: DateTime<Utc>,
    deactivated_at: Option<DateTime<Utc>>,
}

impl From<PersonRow> for Person {
    fn from(row: PersonRow) -> Self {
        Self {
            id: UserId::from_uuid(row.id),
            email: Email::given(&row.email),
            email_verified_at: row.email_verified_at,
            name: Name::stored(row.name),
            language: row.language.map(Language::stored),
            time_zone: row.time_zone.map(TimeZone::stored),
            notifications: Notifications { usage: row.notify_usage, billing: row.notify_billing },
            created_at: row.created_at,
            deactivated_at: row.deactivated_at,
        }
    }
}

#[derive(sqlx::FromRow)]
struct CredentialsRow {
    #[sqlx(flatten)]
    person: PersonRow,
    password_hash: String,
}

impl From<CredentialsRow> for (Person, PasswordHash) {
    fn from(row: CredentialsRow) -> Self {
        (row.person.into(), PasswordHash::new(row.password_hash))
    }
}

/// [`PersonRepository`] in one transaction.
pub(crate) struct PgPersonRepository<'c>(pub(crate) &'c mut PgTx<Directory>);

#[async_trait]
impl PersonRepository for PgPersonRepository<'_> {
    async fn insert(&mut self, person: &Person, hash: &PasswordHash) -> Result<Registered, StoreError> {
        let row: Option<(Uuid, bool)> = sqlx::query_as(
            "with added as (
                insert into person (id, email, email_key, email_verified_at, name, language, time_zone, notify_usage,
                    notify_billing, password_hash, created_at, deactivated_at)
                values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
                on conflict (email_key) do nothing returning id)
             select id, true from added union all select id, false from person where email_key = $3",
        )
        .bind(person.id.as_uuid())
        .bind(person.email.as_str())
        .bind(person.email.key())
        .bind(person.email_verified_at)
        .bind(person.name.as_str())
        .bind(person.language.as_ref().map(Language::as_str))
        .bind(person.time_zone.as_ref().map(TimeZone::as_str))
        .bind(person.notifications.usage)
        .bind(person.notifications.billing)
        .bind(hash.as_str())
        .bind(person.created_at)
        .bind(person.deactivated_at)
        .fetch_optional(self.0.sqlx())
        .await
        .map_err(store_error)?;
        Ok(match row {
            Some((_, true)) => Registered::New,
            Some((id, false)) => Registered::Taken(Some(UserId::from_uuid(id))),
            None => Registered::Taken(None),
        })
    }

    async fn find(&mut self, ids: &[UserId]) -> Result<Vec<Person>, StoreError> {
        let ids: Vec<Uuid> = ids.iter().map(UserId::as_uuid).collect();
        let rows: Vec<PersonRow> = sqlx::query_as(
            "select id, email, email_verified_at, name, language, time_zone, notify_usage, notify_billing, created_at,
                deactivated_at
             from person where id = any ($1)",
        )
        .bind(ids)
        .fetch_all(self.0.sqlx())
        .await
        .map_err(store_error)?;
        Ok(rows.into_iter().map(Person::from).collect())
    }

    async fn credentials(&mut self, email: &Email) -> Result<Option<(Person, PasswordHash)>, StoreError> {
        let row: Option<CredentialsRow> = sqlx::query_as(
            "select id, email, email_verified_at, name, language, time_zone, notify_usage, notify_billing, created_at,
                deactivated_at, password_hash
             from person where email_key = $1",
        )
        .bind(email.key())
        .fetch_optional(self.0.sqlx())
        .await
        .map_err(store_error)?;
        Ok(row.map(Into::into))
    }

    async fn lock(&mut self, user: UserId) -> Result<Option<(Person, PasswordHash)>, StoreError> {
        let row: Option<CredentialsRow> = sqlx::query_as(
            "select id, email, email_verified_at, name, language, time_zone, notify_usage, notify_billing, created_at,
                deactivated_at, password_hash
             from person where id = $1 for no key update",
        )
        .bind(user.as_uuid())
        .fetch_optional(self.0.sqlx())
        .await
        .map_err(store_error)?;
        Ok(row.map(Into::into))
    }

    async fn update(&mut self, person: &Person) -> Result<(), StoreError> {
        sqlx::query(
            "update person set email = $2, email_key = $3, email_verified_at = $4, name = $5, language = $6,
                time_zone = $7, notify_usage = $8, notify_billing = $9
             where id = $1",
        )
        .bind(person.id.as_uuid())
        .bind(person.email.as_str())
        .bind(person.email.key())
        .bind(person.email_verified_at)
        .bind(person.name.as_str())
        .bind(person.language.as_ref().map(Language::as_str))
        .bind(person.time_zone.as_ref().map(TimeZone::as_str))
        .bind(person.notifications.usage)
        .bind(person.notifications.billing)
        .execute(self.0.sqlx())
        .await
        .map(drop)
        .map_err(store_error)
    }

    async fn set_password(&mut self, user: UserId, hash: &PasswordHash) -> Result<(), StoreError> {
        sqlx::query("update person set password_hash = $2 where id = $1")
            .bind(user.as_uuid())
            .bind(hash.as_str())
            .execute(self.0.sqlx())
            .await
            .map(drop)
            .map_err(store_error)
    }

    async fn rehash(&mut self, user: UserId, old: &PasswordHash, new: &PasswordHash) -> Result<(), StoreError> {
        sqlx::query("update person set password_hash = $3 where id = $1 and password_hash = $2")
            .bind(user.as_uuid())
            .bind(old.as_str())
            .bind(new.as_str())
            .execute(self.0.sqlx())
            .await
            .map(drop)
            .map_err(store_error)
    }

    async fn set_active(&mut self, user: UserId, active: bool, now: DateTime<Utc>) -> Result<(), StoreError> {
        sqlx::query("update person set deactivated_at = case when $2 then null else $3 end where id = $1")
            .bind(user.as_uuid())
            .bind(active)
            .bind(now)
            .execute(self.0.sqlx())
            .await
            .map(drop)
            .map_err(store_error)
    }
}
