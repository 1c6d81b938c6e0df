//! The ledger of a workspace.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::FromRow;
use tidegate_billing::ledger::{Account, Cause, Entry, Posting, Transaction};
use tidegate_billing::{Currency, LedgerRepository};
use tidegate_kernel::{InvoiceId, StoreError};
use uuid::Uuid;

use super::{currency, unknown};
use crate::error::store_error;
use crate::transaction::{PgTx, Tenant};

#[derive(Debug, FromRow)]
struct PostingRow {
    id: Uuid,
    at: DateTime<Utc>,
    cause: String,
    currency: String,
    invoice_id: Uuid,
    accounts: Vec<String>,
    amounts: Vec<i64>,
}

impl PostingRow {
    fn posting(self) -> Result<Posting, StoreError> {
        let entry = |(account, amount): (String, i64)| {
            let account = Account::named(&account).ok_or_else(|| unknown("an account", &account))?;
            Ok(Entry { account, amount })
        };
        let entries = self.accounts.into_iter().zip(self.amounts).map(entry).collect::<Result<_, StoreError>>()?;
        let transaction = Transaction::new(currency(&self.currency)?, entries);
        Ok(Posting {
            id: self.id,
            at: self.at,
            cause: Cause::named(&self.cause).ok_or_else(|| unknown("a cause", &self.cause))?,
            invoice: InvoiceId::from_uuid(self.invoice_id),
            transaction: transaction.map_err(|error| StoreError::Internal(Box::new(error)))?,
        })
    }
}

/// [`LedgerRepository`] in one transaction.
pub(crate) struct PgLedgerRepository<'c>(pub(crate) &'c mut PgTx<Tenant>);

#[async_trait]
impl LedgerRepository for PgLedgerRepository<'_> {
    async fn post(&mut self, posting: &Posting) -> Result<(), StoreError> {
        let (workspace, transaction) = (self.0.workspace().as_uuid(), &posting.transaction);
        let head = sqlx::query(
            "insert into ledger_transaction (workspace_id, id, at, cause, currency, invoice_id) values ($1, $2, $3, $4, $5, $6)",
        );
        let code = transaction.currency().code();
        let head = head.bind(workspace).bind(posting.id).bind(posting.at).bind(posting.cause.as_str()).bind(code);
        head.bind(posting.invoice.as_uuid()).execute(self.0.sqlx()).await.map_err(store_error)?;
        let entries = sqlx::query(
            "insert into ledger_entry (workspace_id, transaction_id, line, account, currency, amount)
             select $1, $2, nth, account, $3, amount
             from unnest($4::text[], $5::bigint[]) with ordinality e (account, amount, nth)",
        );
        let accounts: Vec<_> = transaction.entries().iter().map(|entry| entry.account.as_str()).collect();
        let amounts: Vec<_> = transaction.entries().iter().map(|entry| entry.amount).collect();
        let entries = entries.bind(workspace).bind(posting.id).bind(code).bind(accounts).bind(amounts);
        entries.execute(self.0.sqlx()).await.map(drop).map_err(store_error)
    }

    async fn balance(&mut self, currency: Currency, account: Account) -> Result<i64, StoreError> {
        // A balance that does not fit is an error of the cast.
        let query = sqlx::query_scalar(
            "select coalesce(sum(amount), 0)::bigint from ledger_entry
             where workspace_id = $1 and account = $2 and currency = $3",
        );
        let query = query.bind(self.0.workspace().as_uuid()).bind(account.as_str()).bind(currency.code());
        query.fetch_one(self.0.sqlx()).await.map_err(store_error)
    }

    async fn list(&mut self, before: Option<Uuid>, limit: u32) -> Result<Vec<Posting>, StoreError> {
        let rows: Vec<PostingRow> = sqlx::query_as(
            "select t.id, t.at, t.cause, t.currency, t.invoice_id,
                 array(select account from ledger_entry e
                       where e.workspace_id = $1 and e.transaction_id = t.id order by line) as accounts,
                 array(select amount from ledger_entry e
                       where e.workspace_id = $1 and e.transaction_id = t.id order by line) as amounts
             from ledger_transaction t where t.workspace_id = $1 and t.id < $2
             order by t.workspace_id desc, t.id desc limit $3",
        )
        .bind(self.0.workspace().as_uuid())
        .bind(before.unwrap_or(Uuid::max()))
        .bind(i64::from(limit))
        .fetch_all(self.0.sqlx())
        .await
        .map_err(store_error)?;
        rows.into_iter().map(PostingRow::posting).collect()
    }
}
