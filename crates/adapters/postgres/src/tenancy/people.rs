//! People and their passwords.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tidegate_kernel::{StoreError, UserId};
use tidegate_tenancy::{Email, Name, PasswordHash, Person, PersonRepository};
use uuid::Uuid;

use crate::error::store_error;
use crate::transaction::{Directory, PgTx};

#[derive(sqlx::FromRow)]
pub(super) struct PersonRow {
    pub(super) id: Uuid,
    pub(super) email: String,
    pub(super) name: String,
    pub(super) created_at: DateTime<Utc>,
}

impl From<PersonRow> for Person {
    fn from(row: PersonRow) -> Self {
        Self {
            id: UserId::from_uuid(row.id),
            email: Email::given(&row.email),
            name: Name::stored(row.name),
            created_at: row.created_at,
        }
    }
}

#[derive(sqlx::FromRow)]
struct CredentialsRow {
    #[sqlx(flatten)]
    person: PersonRow,
    password_hash: String,
}

/// [`PersonRepository`] in one transaction.
pub(crate) struct PgPersonRepository<'c>(pub(crate) &'c mut PgTx<Directory>);

#[async_trait]
impl PersonRepository for PgPersonRepository<'_> {
    async fn insert(&mut self, person: &Person, hash: &PasswordHash) -> Result<bool, StoreError> {
        let query = sqlx::query(
            "insert into person (id, email, name, password_hash, created_at) values ($1, $2, $3, $4, $5)
             on conflict (email) do nothing",
        )
        .bind(person.id.as_uuid())
        .bind(person.email.as_str())
        .bind(person.name.as_str())
        .bind(hash.as_phc())
        .bind(person.created_at);
        Ok(query.execute(self.0.sqlx()).await.map_err(store_error)?.rows_affected() == 1)
    }

    async fn find(&mut self, ids: &[UserId]) -> Result<Vec<Person>, StoreError> {
        let ids: Vec<Uuid> = ids.iter().map(UserId::as_uuid).collect();
        let rows: Vec<PersonRow> = sqlx::query_as("select id, email, name, created_at from person where id = any ($1)")
            .bind(ids)
            .fetch_all(self.0.sqlx())
            .await
            .map_err(store_error)?;
        Ok(rows.into_iter().map(Person::from).collect())
    }

    async fn credentials(&mut self, email: &Email) -> Result<Option<(Person, PasswordHash)>, StoreError> {
        let row: Option<CredentialsRow> =
            sqlx::query_as("select id, email, name, created_at, password_hash from person where email = $1")
                .bind(email.as_str())
                .fetch_optional(self.0.sqlx())
                .await
                .map_err(store_error)?;
        Ok(row.map(|row| (row.person.into(), PasswordHash::from_phc(row.password_hash))))
    }

    async fn rehash(&mut self, user: UserId, old: &PasswordHash, new: &PasswordHash) -> Result<(), StoreError> {
        sqlx::query("update person set password_hash = $3 where id = $1 and password_hash = $2")
            .bind(user.as_uuid())
            .bind(old.as_phc())
            .bind(new.as_phc())
            .execute(self.0.sqlx())
            .await
            .map(drop)
            .map_err(store_error)
    }
}
