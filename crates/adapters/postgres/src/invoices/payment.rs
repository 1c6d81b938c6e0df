//! The payments of a workspace, and the notifications of payment providers.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::FromRow;
use tidegate_billing::payment::{EventSubject, PaymentEvent, PaymentEvents};
use tidegate_billing::{Payment, PaymentRepository, PaymentState};
use tidegate_kernel::{InvoiceId, NewJob, PaymentId, StoreError, SystemScope, Transaction, WorkspaceId};
use tidegate_tenancy::Digest;
use uuid::Uuid;

use super::{currency, unknown};
use crate::error::store_error;
use crate::store::PgStore;
use crate::transaction::{PgTx, Tenant};

#[derive(Debug, FromRow)]
struct PaymentRow {
    id: Uuid,
    invoice_id: Uuid,
    attempt: i32,
    provider: String,
    provider_id: Option<String>,
    state: String,
    amount: i64,
    currency: String,
    failure: Option<String>,
    action_url: Option<String>,
    credited: i64,
    created_at: DateTime<Utc>,
    changed_at: DateTime<Utc>,
}

impl PaymentRow {
    fn payment(self) -> Result<Payment, StoreError> {
        Ok(Payment {
            id: PaymentId::from_uuid(self.id),
            invoice: InvoiceId::from_uuid(self.invoice_id),
            attempt: self.attempt,
            provider: self.provider,
            provider_id: self.provider_id,
            state: PaymentState::named(&self.state).ok_or_else(|| unknown("a state of a payment", &self.state))?,
            amount: self.amount,
            currency: currency(&self.currency)?,
            failure: self.failure,
            action_url: self.action_url,
            credited: self.credited,
            created_at: self.created_at,
            changed_at: self.changed_at,
        })
    }
}

/// [`PaymentRepository`] in one transaction.
pub(crate) struct PgPaymentRepository<'c>(pub(crate) &'c mut PgTx<Tenant>);

impl PgPaymentRepository<'_> {
    /// Lets an object of a provider be found without a workspace.
    async fn make_found(&mut self, kind: &str, provider: &str, id: &str, object: Uuid) -> Result<(), StoreError> {
        let query = sqlx::query(
            "insert into locator (kind, digest, workspace_id, object_id) values ($1, $2, $3, $4) on conflict do nothing",
        );
        let query = query.bind(kind).bind(digest(provider, id)).bind(self.0.workspace().as_uuid()).bind(object);
        query.execute(self.0.sqlx()).await.map(drop).map_err(store_error)
    }
}

/// The digest under which an object of a provider is found.
fn digest(provider: &str, id: &str) -> Vec<u8> {
    Digest::of(&format!("{provider} {id}")).as_bytes().to_vec()
}

#[async_trait]
impl PaymentEvents for PgStore {
    async fn receive(&self, scope: &SystemScope, event: &PaymentEvent, now: DateTime<Utc>) -> Result<bool, StoreError> {
        let mut tx = self.begin_directory(scope).await?;
        let query = sqlx::query(
            "insert into payment_event (provider, id, received_at) values ($1, $2, $3) on conflict (provider, id) do nothing",
        );
        let query = query.bind(&event.provider).bind(&event.id).bind(now);
        if query.execute(tx.sqlx()).await.map_err(store_error)?.rows_affected() == 0 {
            return Ok(false);
        }
        tx.jobs().enqueue(&NewJob::new(event)?).await?;
        tx.commit().await?;
        Ok(true)
    }

    async fn locate(
        &self,
        scope: &SystemScope,
        event: &PaymentEvent,
    ) -> Result<Option<(WorkspaceId, PaymentId)>, StoreError> {
        let (kind, id) = match &event.subject {
            EventSubject::Payment(id) => ("payment", id),
            EventSubject::Customer(id) => ("payment_customer", id),
        };
        let mut tx = self.begin_directory(scope).await?;
        let query = sqlx::query_as("select workspace_id, object_id from locator where kind = $1 and digest = $2");
        let query = query.bind(kind).bind(digest(&event.provider, id));
        let found: Option<(Uuid, Uuid)> = query.fetch_optional(tx.sqlx()).await.map_err(store_error)?;
        tx.commit().await?;
        Ok(found.map(|(workspace, object)| (WorkspaceId::from_uuid(workspace), PaymentId::from_uuid(object))))
    }
}

#[async_trait]
impl PaymentRepository for PgPaymentRepository<'_> {
    async fn customer(&mut self, provider: &str) -> Result<Option<String>, StoreError> {
        let query =
            sqlx::query_scalar("select customer from payment_customer where workspace_id = $1 and provider = $2");
        let query = query.bind(self.0.workspace().as_uuid()).bind(provider);
        query.fetch_optional(self.0.sqlx()).await.map_err(store_error)
    }

    async fn insert_customer(&mut self, provider: &str, customer: &str, now: DateTime<Utc>) -> Result<(), StoreError> {
        let workspace = self.0.workspace().as_uuid();
        let query = sqlx::query(
            "insert into payment_customer (workspace_id, provider, customer, created_at) values ($1, $2, $3, $4)
             on conflict (workspace_id, provider) do nothing",
        );
        let query = query.bind(workspace).bind(provider).bind(customer).bind(now);
        if query.execute(self.0.sqlx()).await.map_err(store_error)?.rows_affected() == 0 {
            return Ok(());
        }
        self.make_found("payment_customer", provider, customer, workspace).await
    }

    async fn insert(&mut self, payment: &Payment) -> Result<bool, StoreError> {
        let query = sqlx::query(
            "insert into payment (workspace_id, id, invoice_id, attempt, provider, provider_id, state, amount, currency,
                 failure, action_url, credited, created_at, changed_at)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
             on conflict (workspace_id, invoice_id, attempt) do nothing",
        );
        let query = query
            .bind(self.0.workspace().as_uuid())
            .bind(payment.id.as_uuid())
            .bind(payment.invoice.as_uuid())
            .bind(payment.attempt)
            .bind(&payment.provider)
            .bind(&payment.provider_id)
            .bind(payment.state.as_str())
            .bind(payment.amount)
            .bind(payment.currency.code())
            .bind(&payment.failure)
            .bind(&payment.action_url)
            .bind(payment.credited)
            .bind(payment.created_at)
            .bind(payment.changed_at);
        Ok(query.execute(self.0.sqlx()).await.map_err(store_error)?.rows_affected() == 1)
    }

    async fn set_provider_id(&mut self, id: PaymentId, provider: &str, provider_id: &str) -> Result<(), StoreError> {
        let workspace = self.0.workspace().as_uuid();
        let query = sqlx::query(
            "update payment set provider_id = $4
             where workspace_id = $1 and id = $2 and provider = $3 and provider_id is null",
        );
        let query = query.bind(workspace).bind(id.as_uuid()).bind(provider).bind(provider_id);
        if query.execute(self.0.sqlx()).await.map_err(store_error)?.rows_affected() == 0 {
            return Ok(());
        }
        self.make_found("payment", provider, provider_id, id.as_uuid()).await
    }

    async fn find(&mut self, id: PaymentId) -> Result<Option<Payment>, StoreError> {
        let query = sqlx::query_as("select * from payment where workspace_id = $1 and id = $2");
        let query = query.bind(self.0.workspace().as_uuid()).bind(id.as_uuid());
        let row: Option<PaymentRow> = query.fetch_optional(self.0.sqlx()).await.map_err(store_error)?;
        row.map(PaymentRow::payment).transpose()
    }

    async fn lock(&mut self, id: PaymentId) -> Result<Option<Payment>, StoreError> {
        let query = sqlx::query_as("select * from payment where workspace_id = $1 and id = $2 for update");
        let query = query.bind(self.0.workspace().as_uuid()).bind(id.as_uuid());
        let row: Option<PaymentRow> = query.fetch_optional(self.0.sqlx()).await.map_err(store_error)?;
        row.map(PaymentRow::payment).transpose()
    }

    async fn of_invoice(&mut self, invoice: InvoiceId) -> Result<Vec<Payment>, StoreError> {
        let query =
            sqlx::query_as("select * from payment where workspace_id = $1 and invoice_id = $2 order by attempt");
        let query = query.bind(self.0.workspace().as_uuid()).bind(invoice.as_uuid());
        let rows: Vec<PaymentRow> = query.fetch_all(self.0.sqlx()).await.map_err(store_error)?;
        rows.into_iter().map(PaymentRow::payment).collect()
    }

    async fn update(&mut self, payment: &Payment) -> Result<(), StoreError> {
        let query = sqlx::query(
            "update payment set state = $3, failure = $4, action_url = $5, credited = $6, changed_at = $7
             where workspace_id = $1 and id = $2",
        );
        let query = query
            .bind(self.0.workspace().as_uuid())
            .bind(payment.id.as_uuid())
            .bind(payment.state.as_str())
            .bind(&payment.failure)
            .bind(&payment.action_url)
            .bind(payment.credited)
            .bind(payment.changed_at);
        query.execute(self.0.sqlx()).await.map(drop).map_err(store_error)
    }

    async fn list(&mut self, before: Option<PaymentId>, limit: u32) -> Result<Vec<Payment>, StoreError> {
        let query = sqlx::query_as(
            "select * from payment where workspace_id = $1 and id < $2 order by workspace_id desc, id desc limit $3",
        );
        let before = before.map_or(Uuid::max(), |id| id.as_uuid());
        let query = query.bind(self.0.workspace().as_uuid()).bind(before).bind(i64::from(limit));
        let rows: Vec<PaymentRow> = query.fetch_all(self.0.sqlx()).await.map_err(store_error)?;
        rows.into_iter().map(PaymentRow::payment).collect()
    }
}
