//! The credit notes of a workspace.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::FromRow;
use tidegate_billing::CreditNoteRepository;
use tidegate_billing::invoice::{CreditNote, CreditNoteNumber, IssuedCreditNote};
use tidegate_kernel::{CreditNoteId, InvoiceId, StoreError};
use uuid::Uuid;

use super::currency;
use crate::error::store_error;
use crate::transaction::{PgTx, Tenant};

#[derive(Debug, FromRow)]
struct NoteRow {
    id: Uuid,
    number: i64,
    invoice_id: Uuid,
    currency: String,
    total: i64,
    tax: i64,
    reason: String,
    issued_at: DateTime<Utc>,
}

impl NoteRow {
    fn note(self) -> Result<IssuedCreditNote, StoreError> {
        Ok(IssuedCreditNote {
            id: CreditNoteId::from_uuid(self.id),
            number: CreditNoteNumber(self.number),
            invoice: InvoiceId::from_uuid(self.invoice_id),
            note: CreditNote { currency: currency(&self.currency)?, total: self.total, tax: self.tax },
            reason: self.reason,
            issued_at: self.issued_at,
        })
    }
}

/// [`CreditNoteRepository`] in one transaction.
pub(crate) struct PgCreditNoteRepository<'c>(pub(crate) &'c mut PgTx<Tenant>);

#[async_trait]
impl CreditNoteRepository for PgCreditNoteRepository<'_> {
    async fn next_number(&mut self) -> Result<CreditNoteNumber, StoreError> {
        let query = sqlx::query_scalar(
            "update invoice_counter set last_credit_note = last_credit_note + 1 returning last_credit_note",
        );
        query.fetch_one(self.0.sqlx()).await.map(CreditNoteNumber).map_err(store_error)
    }

    async fn insert(&mut self, issued: &IssuedCreditNote) -> Result<(), StoreError> {
        let query = sqlx::query(
            "insert into credit_note (workspace_id, id, number, invoice_id, currency, total, tax, reason, issued_at)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        );
        let query = query
            .bind(self.0.workspace().as_uuid())
            .bind(issued.id.as_uuid())
            .bind(issued.number.0)
            .bind(issued.invoice.as_uuid())
            .bind(issued.note.currency.code())
            .bind(issued.note.total)
            .bind(issued.note.tax)
            .bind(&issued.reason)
            .bind(issued.issued_at);
        query.execute(self.0.sqlx()).await.map(drop).map_err(store_error)
    }

    async fn find(&mut self, id: CreditNoteId) -> Result<Option<IssuedCreditNote>, StoreError> {
        let query = sqlx::query_as(
            "select id, number, invoice_id, currency, total, tax, reason, issued_at from credit_note
             where workspace_id = $1 and id = $2",
        );
        let query = query.bind(self.0.workspace().as_uuid()).bind(id.as_uuid());
        let row: Option<NoteRow> = query.fetch_optional(self.0.sqlx()).await.map_err(store_error)?;
        row.map(NoteRow::note).transpose()
    }

    async fn list(&mut self, before: Option<CreditNoteId>, limit: u32) -> Result<Vec<IssuedCreditNote>, StoreError> {
        let query = sqlx::query_as(
            "select id, number, invoice_id, currency, total, tax, reason, issued_at from credit_note
             where workspace_id = $1 and id < $2 order by workspace_id desc, id desc limit $3",
        );
        let before = before.map_or(Uuid::max(), |id| id.as_uuid());
        let query = query.bind(self.0.workspace().as_uuid()).bind(before).bind(i64::from(limit));
        let rows: Vec<NoteRow> = query.fetch_all(self.0.sqlx()).await.map_err(store_error)?;
        rows.into_iter().map(NoteRow::note).collect()
    }
}
