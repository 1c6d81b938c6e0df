//! What operators do to the invoices of a workspace: record payments, write credit notes, write off.
//!
//! A deleted workspace has its books until it is erased: its invoices change, and nothing new is charged.

use chrono::{DateTime, Utc};
use serde_json::json;
use tidegate_kernel::{
    AuditEntry, CreditNoteId, InvoiceId, OperatorScope, Page, PageSize, Permission, StoreError, WorkspaceId,
    WorkspaceScope,
};

use super::service::{SubscriptionError, Subscriptions, lock};
use super::{Command, Subscription};
use crate::catalogue::PlanVersion;
use crate::invoice::{CreditNote, InvoiceStatus, IssuedCreditNote, IssuedInvoice};
use crate::ledger::{Cause, LedgerError};
use crate::money::Currency;
use crate::notice::OwnerNotice;
use crate::ports::BillingTx;

/// An open transaction about one invoice, with the subscription locked.
struct Books {
    tx: Box<dyn BillingTx>,
    subscription: Subscription,
    invoice: IssuedInvoice,
    /// Whether the workspace is deleted.
    deleted: bool,
    workspace: WorkspaceId,
    default: PlanVersion,
    now: DateTime<Utc>,
}

fn internal(error: LedgerError) -> StoreError {
    StoreError::Internal(Box::new(error))
}

impl Subscriptions {
    /// Records that a customer has paid an invoice, such as by bank transfer. The amount must be what is due.
    ///
    /// # Errors
    /// [`SubscriptionError`] if there is no such invoice, it is not open, the amount is another one, or the workspace is
    /// erased.
    pub async fn record_payment(
        &self,
        operator: &OperatorScope,
        workspace: WorkspaceId,
        invoice: InvoiceId,
        currency: Currency,
        amount: i64,
    ) -> Result<IssuedInvoice, SubscriptionError> {
        let mut books = self.books(operator, workspace, invoice).await?;
        if books.invoice.status != InvoiceStatus::Open {
            return Err(SubscriptionError::NotOpen);
        }
        let (due, owed) = (books.invoice.invoice.amount_due(), books.invoice.invoice.currency);
        if amount != due || currency != owed {
            return Err(SubscriptionError::WrongAmount { due, currency: owed });
        }
        let now = books.now;
        if !books.tx.invoices().mark_paid(invoice, now).await? {
            return Err(SubscriptionError::NotOpen);
        }
        if let Some(transaction) = books.invoice.invoice.payment().map_err(internal)? {
            self.executor.post(&mut *books.tx, invoice, Cause::Payment, transaction, now).await?;
        }
        let commands = if books.deleted { Vec::new() } else { books.subscription.payment_succeeded(invoice, now)? };
        if !books.deleted {
            let (number, paid) = (books.invoice.number.to_string(), currency.amount(amount));
            self.executor.notify(&mut *books.tx, OwnerNotice::PaymentReceived { number, amount: paid }).await?;
        }
        let entry = AuditEntry::new("invoice.paid", invoice);
        let paid = IssuedInvoice { status: InvoiceStatus::Paid, paid_at: Some(now), ..books.invoice.clone() };
        self.close(books, commands, entry.with(json!({ "amount": amount, "currency": currency }))).await?;
        Ok(paid)
    }

    /// Takes back a part of a paid invoice. The amount becomes the customer's credit.
    ///
    /// # Errors
    /// [`SubscriptionError`] if there is no such invoice, it is not paid, more is taken back than was paid, or the
    /// workspace is erased.
    pub async fn credit(
        &self,
        operator: &OperatorScope,
        workspace: WorkspaceId,
        invoice: InvoiceId,
        amount: i64,
        reason: String,
    ) -> Result<IssuedCreditNote, SubscriptionError> {
        let mut books = self.books(operator, workspace, invoice).await?;
        if books.invoice.status != InvoiceStatus::Paid {
            return Err(SubscriptionError::NotPaid);
        }
        let note = CreditNote::new(&books.invoice.invoice, books.invoice.credited, amount)?;
        let issued = IssuedCreditNote {
            id: CreditNoteId::generate(&self.executor.env),
            number: books.tx.credit_notes().next_number().await?,
            invoice,
            note,
            reason,
            issued_at: books.now,
        };
        books.tx.credit_notes().insert(&issued).await?;
        if let Some(transaction) = note.posting().map_err(internal)? {
            self.executor.post(&mut *books.tx, invoice, Cause::CreditNote, transaction, books.now).await?;
        }
        let paid = books.invoice.invoice.paid_for_plan().map_err(|error| internal(error.into()))?;
        books.subscription.credited(paid.as_ref(), &note);
        let details = json!({ "amount": amount, "currency": note.currency, "reason": issued.reason });
        let entry = AuditEntry::new("invoice.credited", invoice).with(details);
        self.close(books, Vec::new(), entry).await?;
        Ok(issued)
    }

    /// Writes off an open invoice that will not be paid. It blocks the subscription no longer.
    ///
    /// # Errors
    /// [`SubscriptionError`] if there is no such invoice, it is not open, or the workspace is erased.
    pub async fn write_off(
        &self,
        operator: &OperatorScope,
        workspace: WorkspaceId,
        invoice: InvoiceId,
        note: Option<&str>,
    ) -> Result<IssuedInvoice, SubscriptionError> {
        let mut books = self.books(operator, workspace, invoice).await?;
        if books.invoice.status != InvoiceStatus::Open || !books.tx.invoices().mark_uncollectible(invoice).await? {
            return Err(SubscriptionError::NotOpen);
        }
        let now = books.now;
        if let Some(transaction) = books.invoice.invoice.write_off().map_err(internal)? {
            self.executor.post(&mut *books.tx, invoice, Cause::WriteOff, transaction, now).await?;
        }
        let paid = books.invoice.invoice.paid_for_plan().map_err(|error| internal(error.into()))?;
        let commands =
            if books.deleted { Vec::new() } else { books.subscription.written_off(invoice, paid.as_ref(), now)? };
        let details = json!({ "amount": books.invoice.invoice.amount_due(), "note": note });
        let entry = AuditEntry::new("invoice.written_off", invoice).with(details);
        let written_off = IssuedInvoice { status: InvoiceStatus::Uncollectible, ..books.invoice.clone() };
        self.close(books, commands, entry).await?;
        Ok(written_off)
    }

    /// The credit notes of the workspace, newest first.
    ///
    /// # Errors
    /// [`SubscriptionError`] without `billing:read`, or if they could not be read.
    pub async fn credit_notes(
        &self,
        scope: &WorkspaceScope,
        before: Option<CreditNoteId>,
        size: PageSize,
    ) -> Result<Page<IssuedCreditNote, CreditNoteId>, SubscriptionError> {
        scope.require(Permission::BillingRead)?;
        let rows = self.store.begin(scope).await?.credit_notes().list(before, size.get() + 1).await?;
        Ok(Page::from_overfetch(rows, size, |note| note.id))
    }

    /// A credit note, with its invoice.
    ///
    /// # Errors
    /// [`SubscriptionError`] without `billing:read`, or if there is no such credit note.
    pub async fn credit_note(
        &self,
        scope: &WorkspaceScope,
        id: CreditNoteId,
    ) -> Result<(IssuedCreditNote, IssuedInvoice), SubscriptionError> {
        scope.require(Permission::BillingRead)?;
        let mut tx = self.store.begin(scope).await?;
        let note = tx.credit_notes().find(id).await?.ok_or(SubscriptionError::NotFound)?;
        let invoice = tx.invoices().find(note.invoice).await?.ok_or(SubscriptionError::NotFound)?;
        Ok((note, invoice))
    }

    /// Opens the books of a workspace at an invoice.
    async fn books(
        &self,
        operator: &OperatorScope,
        workspace: WorkspaceId,
        invoice: InvoiceId,
    ) -> Result<Books, SubscriptionError> {
        let scope = operator.enter(workspace);
        let (now, default) = (self.now(), self.default().await?);
        let mut tx = self.store.begin(&scope).await?;
        // Without an invoice nothing is stored: the workspace may not exist.
        tx.invoices().find(invoice).await?.ok_or(SubscriptionError::NotFound)?;
        // Who has an invoice has a subscription, until the workspace is erased.
        tx.subscription().find().await?.ok_or(SubscriptionError::Erased)?;
        let locked = lock(&mut *tx, &default, now).await?;
        let deleted = locked.is_none();
        let subscription = match locked {
            Some(subscription) => subscription,
            None => tx.subscription().find().await?.ok_or(SubscriptionError::Erased)?,
        };
        let invoice = tx.invoices().find(invoice).await?.ok_or(SubscriptionError::NotFound)?;
        Ok(Books { tx, subscription, invoice, deleted, workspace, default, now })
    }

    /// Stores the subscription, executes the commands, and commits with an entry in the audit log. Nothing is begun for a
    /// deleted workspace.
    async fn close(&self, books: Books, commands: Vec<Command>, entry: AuditEntry) -> Result<(), SubscriptionError> {
        let Books { mut tx, mut subscription, invoice, deleted, workspace, default, now } = books;
        if deleted {
            subscription.open.remove(&invoice.id);
            tx.subscription().save(&subscription, now).await?;
        } else {
            self.executor.execute(&mut *tx, &mut subscription, commands, &default, now).await?;
        }
        tx.audit().record(entry).await?;
        tx.commit().await?;
        self.executor.billing.forget(workspace);
        Ok(())
    }
}
