//! What payments of a provider do to a subscription and its invoices, in an open transaction.

use chrono::{DateTime, Utc};
use serde_json::json;
use tidegate_kernel::{AuditEntry, InvoiceId, StoreError, WorkspaceScope};

use super::Subscription;
use super::service::{Subscriptions, lock};
use crate::catalogue::PlanVersion;
use crate::invoice::InvoiceStatus;
use crate::ledger::{Account, Cause, Transaction};
use crate::notice::OwnerNotice;
use crate::payment::Payment;
use crate::ports::BillingTx;

fn internal(error: impl std::error::Error + Send + Sync + 'static) -> StoreError {
    StoreError::Internal(Box::new(error))
}

impl Subscriptions {
    /// The subscription, locked against other changes; `None` if there is none or the workspace is deleted.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be locked.
    pub(crate) async fn lock_existing(
        &self,
        tx: &mut dyn BillingTx,
        default: &PlanVersion,
        now: DateTime<Utc>,
    ) -> Result<Option<Subscription>, StoreError> {
        // An erased workspace has no subscription and can have no plan.
        if tx.subscription().find().await?.is_none() { Ok(None) } else { lock(tx, default, now).await }
    }

    /// Records a payment whose money has arrived, and returns how much of it became the customer's credit: all of it if
    /// the invoice was paid otherwise.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be recorded. The transaction must not be committed then.
    pub(crate) async fn collected(
        &self,
        tx: &mut dyn BillingTx,
        subscription: Option<&mut Subscription>,
        default: &PlanVersion,
        payment: &Payment,
    ) -> Result<i64, StoreError> {
        let Payment { invoice, amount, currency, changed_at: now, .. } = *payment;
        let found = tx.invoices().find(invoice).await?.ok_or_else(|| internal(UnknownInvoice(invoice)))?;
        let due = found.invoice.amount_due();
        let pays =
            found.status == InvoiceStatus::Open && amount >= due && tx.invoices().mark_paid(invoice, now).await?;
        let credited = if pays { amount - due } else { amount };
        let changes =
            [(Account::Cash, amount), (Account::Receivable, credited - amount), (Account::CustomerCredit, -credited)];
        if let Some(transaction) = Transaction::of(currency, &changes).map_err(internal)? {
            self.executor.post(tx, invoice, Cause::Payment, transaction, now).await?;
        }
        if pays {
            let details = json!({ "amount": due, "currency": currency, "payment": payment.id });
            tx.audit().record(AuditEntry::new("invoice.paid", invoice).with(details)).await?;
            if let Some(subscription) = subscription {
                let commands = subscription.payment_succeeded(invoice, now).map_err(internal)?;
                self.executor.execute(tx, subscription, commands, default, now).await?;
            }
        }
        let (number, amount) = (found.number.to_string(), currency.amount(amount));
        self.executor.notify(tx, OwnerNotice::PaymentReceived { number, amount }).await?;
        Ok(credited)
    }

    /// Takes notice of a payment that failed or waits for the customer, whom it tells where to confirm it.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be stored. The transaction must not be committed then.
    pub(crate) async fn not_collected(
        &self,
        tx: &mut dyn BillingTx,
        subscription: &mut Subscription,
        default: &PlanVersion,
        payment: &Payment,
    ) -> Result<(), StoreError> {
        let Payment { invoice, amount, currency, changed_at: now, .. } = *payment;
        if let Some(url) = &payment.action_url {
            let number = tx.invoices().find(invoice).await?.map(|found| found.number.to_string()).unwrap_or_default();
            let (amount, url) = (currency.amount(amount), url.clone());
            self.executor.notify(tx, OwnerNotice::PaymentAction { number, amount, url }).await?;
        }
        let commands = subscription.payment_failed(invoice, now);
        self.executor.execute(tx, subscription, commands, default, now).await
    }

    /// Reads the plan of the workspace again when it is needed.
    pub(crate) fn forget(&self, scope: &WorkspaceScope) {
        self.executor.billing.forget(scope.workspace());
    }
}

/// A payment for an invoice that is not there. A foreign key prevents it.
#[derive(Debug, thiserror::Error)]
#[error("there is no invoice {0}")]
struct UnknownInvoice(InvoiceId);
