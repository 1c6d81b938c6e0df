//! The invoices of a workspace.

use std::collections::HashMap;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::FromRow;
use tidegate_billing::InvoiceRepository;
use tidegate_billing::invoice::{Invoice, InvoiceNumber, InvoiceStatus, IssuedInvoice, Line, TaxRate};
use tidegate_kernel::{InvoiceId, Period, StoreError};
use uuid::Uuid;

use super::{currency, unknown};
use crate::error::store_error;
use crate::transaction::{PgTx, Tenant};

#[derive(Debug, FromRow)]
struct InvoiceRow {
    id: Uuid,
    number: i64,
    status: String,
    currency: String,
    period_start: DateTime<Utc>,
    period_end: DateTime<Utc>,
    subtotal: i64,
    tax: i64,
    total: i64,
    carried_forward: i64,
    credit_applied: i64,
    issued_at: DateTime<Utc>,
    due_at: Option<DateTime<Utc>>,
    credited: i64,
    paid_at: Option<DateTime<Utc>>,
    parties: Option<Vec<u8>>,
}

#[derive(Debug, FromRow)]
struct LineRow {
    invoice_id: Uuid,
    description: String,
    quantity: i64,
    unit_amount: i64,
    amount: i64,
    tax: i64,
    tax_ppm: i32,
    tax_inclusive: bool,
    facts: Vec<u8>,
}

impl LineRow {
    fn line(self) -> Result<(String, Line), StoreError> {
        let internal = |error: serde_json::Error| StoreError::Internal(Box::new(error));
        let ppm = u32::try_from(self.tax_ppm).map_err(|error| StoreError::Internal(Box::new(error)))?;
        let line = Line {
            kind: serde_json::from_slice(&self.facts).map_err(internal)?,
            quantity: self.quantity,
            unit_amount: self.unit_amount,
            amount: self.amount,
            rate: TaxRate { ppm, inclusive: self.tax_inclusive },
            tax: self.tax,
        };
        Ok((self.description, line))
    }
}

impl InvoiceRow {
    fn invoice(self, lines: Vec<(String, Line)>) -> Result<IssuedInvoice, StoreError> {
        let parties = self.parties.map(|parties| serde_json::from_slice(&parties)).transpose();
        let (descriptions, lines) = lines.into_iter().unzip();
        Ok(IssuedInvoice {
            id: InvoiceId::from_uuid(self.id),
            number: InvoiceNumber(self.number),
            status: InvoiceStatus::named(&self.status)
                .ok_or_else(|| unknown("a status of an invoice", &self.status))?,
            parties: parties.map_err(|error| StoreError::Internal(Box::new(error)))?,
            invoice: Invoice {
                currency: currency(&self.currency)?,
                lines,
                subtotal: self.subtotal,
                tax: self.tax,
                total: self.total,
                carried_forward: self.carried_forward,
                credit_applied: self.credit_applied,
            },
            descriptions,
            period: Period { start: self.period_start, end: self.period_end },
            issued_at: self.issued_at,
            due_at: self.due_at,
            credited: self.credited,
            paid_at: self.paid_at,
        })
    }
}

/// [`InvoiceRepository`] in one transaction.
pub(crate) struct PgInvoiceRepository<'c>(pub(crate) &'c mut PgTx<Tenant>);

impl PgInvoiceRepository<'_> {
    /// The invoices of these rows, with their lines.
    async fn with_lines(&mut self, rows: Vec<InvoiceRow>) -> Result<Vec<IssuedInvoice>, StoreError> {
        let workspace = self.0.workspace().as_uuid();
        let lines: Vec<LineRow> = sqlx::query_as(
            "select invoice_id, description, quantity, unit_amount, amount, tax, tax_ppm, tax_inclusive, facts
             from invoice_line where workspace_id = $1 and invoice_id = any ($2) order by invoice_id, line",
        )
        .bind(workspace)
        .bind(rows.iter().map(|row| row.id).collect::<Vec<_>>())
        .fetch_all(self.0.sqlx())
        .await
        .map_err(store_error)?;
        let mut of_invoice: HashMap<Uuid, Vec<(String, Line)>> = HashMap::new();
        for line in lines {
            of_invoice.entry(line.invoice_id).or_default().push(line.line()?);
        }
        rows.into_iter()
            .map(|row| {
                let lines = of_invoice.remove(&row.id).unwrap_or_default();
                row.invoice(lines)
            })
            .collect()
    }

    async fn insert_lines(&mut self, issued: &IssuedInvoice) -> Result<(), StoreError> {
        let lines = &issued.invoice.lines;
        let facts = lines.iter().map(|line| serde_json::to_vec(&line.kind)).collect::<Result<Vec<_>, _>>();
        let ppm = lines.iter().map(|line| i32::try_from(line.rate.ppm)).collect::<Result<Vec<_>, _>>();
        let query = sqlx::query(
            "insert into invoice_line (workspace_id, invoice_id, line, description, quantity, unit_amount, amount, tax,
                 tax_ppm, tax_inclusive, facts)
             select $1, $2, nth, description, quantity, unit_amount, amount, tax, ppm, inclusive, facts
             from unnest($3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::int[], $9::boolean[],
                 $10::bytea[]) with ordinality
                 l (description, quantity, unit_amount, amount, tax, ppm, inclusive, facts, nth)",
        );
        let query = query
            .bind(self.0.workspace().as_uuid())
            .bind(issued.id.as_uuid())
            .bind(&issued.descriptions)
            .bind(lines.iter().map(|line| line.quantity).collect::<Vec<_>>())
            .bind(lines.iter().map(|line| line.unit_amount).collect::<Vec<_>>())
            .bind(lines.iter().map(|line| line.amount).collect::<Vec<_>>())
            .bind(lines.iter().map(|line| line.tax).collect::<Vec<_>>())
            .bind(ppm.map_err(|error| StoreError::Internal(Box::new(error)))?)
            .bind(lines.iter().map(|line| line.rate.inclusive).collect::<Vec<_>>())
            .bind(facts.map_err(|error| StoreError::Internal(Box::new(error)))?);
        query.execute(self.0.sqlx()).await.map(drop).map_err(store_error)
    }
}

#[async_trait]
impl InvoiceRepository for PgInvoiceRepository<'_> {
    async fn next_number(&mut self) -> Result<InvoiceNumber, StoreError> {
        let query = sqlx::query_scalar("update invoice_counter set last = last + 1 returning last");
        query.fetch_one(self.0.sqlx()).await.map(InvoiceNumber).map_err(store_error)
    }

    async fn insert(&mut self, issued: &IssuedInvoice) -> Result<(), StoreError> {
        let invoice = &issued.invoice;
        let parties = issued.parties.as_ref().map(serde_json::to_vec).transpose();
        let query = sqlx::query(
            "insert into invoice (workspace_id, id, number, status, currency, period_start, period_end, subtotal, tax, total,
                 carried_forward, credit_applied, issued_at, due_at, paid_at, parties)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
        );
        let query = query
            .bind(self.0.workspace().as_uuid())
            .bind(issued.id.as_uuid())
            .bind(issued.number.0)
            .bind(issued.status.as_str())
            .bind(invoice.currency.code())
            .bind(issued.period.start)
            .bind(issued.period.end)
            .bind(invoice.subtotal)
            .bind(invoice.tax)
            .bind(invoice.total)
            .bind(invoice.carried_forward)
            .bind(invoice.credit_applied)
            .bind(issued.issued_at)
            .bind(issued.due_at)
            .bind(issued.paid_at)
            .bind(parties.map_err(|error| StoreError::Internal(Box::new(error)))?);
        query.execute(self.0.sqlx()).await.map_err(store_error)?;
        self.insert_lines(issued).await
    }

    async fn find(&mut self, id: InvoiceId) -> Result<Option<IssuedInvoice>, StoreError> {
        let workspace = self.0.workspace().as_uuid();
        let query = sqlx::query_as(
            "select i.*, (select coalesce(sum(n.total), 0)::bigint from credit_note n
                          where n.workspace_id = $1 and n.invoice_id = i.id) as credited
             from invoice i where i.workspace_id = $1 and i.id = $2",
        );
        let row = query.bind(workspace).bind(id.as_uuid()).fetch_optional(self.0.sqlx()).await.map_err(store_error)?;
        Ok(self.with_lines(row.into_iter().collect()).await?.pop())
    }

    async fn list(&mut self, before: Option<InvoiceId>, limit: u32) -> Result<Vec<IssuedInvoice>, StoreError> {
        let workspace = self.0.workspace().as_uuid();
        let query = sqlx::query_as(
            "select i.*, (select coalesce(sum(n.total), 0)::bigint from credit_note n
                          where n.workspace_id = $1 and n.invoice_id = i.id) as credited
             from invoice i where i.workspace_id = $1 and i.id < $2 order by i.workspace_id desc, i.id desc limit $3",
        );
        let before = before.map_or(Uuid::max(), |id| id.as_uuid());
        let query = query.bind(workspace).bind(before).bind(i64::from(limit));
        let rows = query.fetch_all(self.0.sqlx()).await.map_err(store_error)?;
        self.with_lines(rows).await
    }

    async fn mark_paid(&mut self, id: InvoiceId, at: DateTime<Utc>) -> Result<bool, StoreError> {
        let query = sqlx::query(
            "update invoice set status = 'paid', paid_at = $3 where workspace_id = $1 and id = $2 and status = 'open'",
        );
        let query = query.bind(self.0.workspace().as_uuid()).bind(id.as_uuid()).bind(at);
        Ok(query.execute(self.0.sqlx()).await.map_err(store_error)?.rows_affected() == 1)
    }

    async fn mark_uncollectible(&mut self, id: InvoiceId) -> Result<bool, StoreError> {
        let query = sqlx::query(
            "update invoice set status = 'uncollectible' where workspace_id = $1 and id = $2 and status = 'open'",
        );
        let query = query.bind(self.0.workspace().as_uuid()).bind(id.as_uuid());
        Ok(query.execute(self.0.sqlx()).await.map_err(store_error)?.rows_affected() == 1)
    }
}
