//! Mails that are stored instead of sent.

use async_trait::async_trait;
use sqlx::Row;
use sqlx::postgres::PgRow;
use tidegate_kernel::{JobId, Page, PageSize, StoreError, SystemScope, Transaction};
use tidegate_tenancy::{Email, KeptMail, Mail, MailOutbox};
use uuid::Uuid;

use crate::engine::unreadable;
use crate::error::store_error;
use crate::store::PgStore;

#[async_trait]
impl MailOutbox for PgStore {
    async fn keep(&self, scope: &SystemScope, id: JobId, mail: &Mail) -> Result<(), StoreError> {
        let mut tx = self.begin_directory(scope).await?;
        sqlx::query(
            "insert into kept_mail (id, at, recipient, name, subject, body_text, body_html)
             values ($1, $2, $3, $4, $5, $6, $7) on conflict (id) do nothing",
        )
        .bind(id.as_uuid())
        .bind(self.now())
        .bind(mail.to.as_str())
        .bind(&mail.name)
        .bind(&mail.subject)
        .bind(&mail.text)
        .bind(&mail.html)
        .execute(tx.sqlx())
        .await
        .map_err(store_error)?;
        tx.commit().await
    }

    async fn list(
        &self,
        scope: &SystemScope,
        after: Option<JobId>,
        size: PageSize,
    ) -> Result<Page<KeptMail, JobId>, StoreError> {
        let mut tx = self.begin_directory(scope).await?;
        let rows = sqlx::query(
            "select id, at, recipient, name, subject, body_text, body_html from kept_mail where id < $1
             order by id desc limit $2",
        )
        .bind(after.map_or(Uuid::max(), |after| after.as_uuid()))
        .bind(i64::from(size.get()) + 1)
        .fetch_all(tx.sqlx())
        .await
        .map_err(store_error)?;
        tx.commit().await?;
        let mails = rows.iter().map(kept).collect::<Result<Vec<_>, _>>()?;
        Ok(Page::from_overfetch(mails, size, |mail| mail.id))
    }
}

fn kept(row: &PgRow) -> Result<KeptMail, StoreError> {
    let recipient: String = row.try_get("recipient").map_err(store_error)?;
    Ok(KeptMail {
        id: JobId::from_uuid(row.try_get("id").map_err(store_error)?),
        at: row.try_get("at").map_err(store_error)?,
        mail: Mail {
            to: Email::new(&recipient).map_err(unreadable)?,
            name: row.try_get("name").map_err(store_error)?,
            subject: row.try_get("subject").map_err(store_error)?,
            text: row.try_get("body_text").map_err(store_error)?,
            html: row.try_get("body_html").map_err(store_error)?,
        },
    })
}
