//! Invoices, payments, credit notes, promo codes, notices, and the ledger.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tidegate_kernel::{CreditNoteId, InvoiceId, PaymentId, StoreError};
use uuid::Uuid;

use crate::invoice::{
    CreditNoteNumber, CustomerDetails, InvoiceNumber, IssuedCreditNote, IssuedInvoice, Party, PromoCode,
    PromoRedemption,
};
use crate::ledger::{Account, Posting};
use crate::money::Currency;
use crate::payment::Payment;

/// The payments of one workspace, and its customers at payment providers. Payments are kept with the invoices.
#[async_trait]
pub trait PaymentRepository: Send {
    /// The workspace's customer at a provider.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be read.
    async fn customer(&mut self, provider: &str) -> Result<Option<String>, StoreError>;

    /// Stores the workspace's customer at a provider. MUST keep an earlier one. From the commit on,
    /// [`PaymentEvents`](crate::payment::PaymentEvents) finds it.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be stored.
    async fn insert_customer(&mut self, provider: &str, customer: &str, now: DateTime<Utc>) -> Result<(), StoreError>;

    /// Stores a payment. MUST change nothing and return false if the invoice has a payment with the same attempt.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be stored.
    async fn insert(&mut self, payment: &Payment) -> Result<bool, StoreError>;

    /// Stores the provider's id of a payment that has none. MUST keep an earlier one. From the commit on,
    /// [`PaymentEvents`](crate::payment::PaymentEvents) finds it.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be stored.
    async fn set_provider_id(&mut self, id: PaymentId, provider: &str, provider_id: &str) -> Result<(), StoreError>;

    /// A payment.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be read.
    async fn find(&mut self, id: PaymentId) -> Result<Option<Payment>, StoreError>;

    /// A payment, for a change. MUST wait until no other transaction has it locked.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be locked.
    async fn lock(&mut self, id: PaymentId) -> Result<Option<Payment>, StoreError>;

    /// The payments of an invoice, by attempt.
    ///
    /// # Errors
    /// [`StoreError`] if they could not be read.
    async fn of_invoice(&mut self, invoice: InvoiceId) -> Result<Vec<Payment>, StoreError>;

    /// Stores the state of a payment, with the failure, the address and the credit.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be stored.
    async fn update(&mut self, payment: &Payment) -> Result<(), StoreError>;

    /// At most `limit` payments that were created before `before`, newest first.
    ///
    /// # Errors
    /// [`StoreError`] if they could not be read.
    async fn list(&mut self, before: Option<PaymentId>, limit: u32) -> Result<Vec<Payment>, StoreError>;
}

/// What the owners of one workspace were told.
#[async_trait]
pub trait NoticeRepository: Send {
    /// From the commit on, the owners were told of the notice with this id. Returns false, and changes nothing, if they
    /// were before.
    ///
    /// MUST return true to one transaction that commits: a second transaction waits until the first has ended.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be stored.
    async fn mark_sent(&mut self, id: Uuid, now: DateTime<Utc>) -> Result<bool, StoreError>;
}

/// What one workspace says about itself as a customer.
#[async_trait]
pub trait CustomerRepository: Send {
    /// Whom invoices are for. MUST be the name of the workspace alone, at revision 0, if it gave no details.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be read.
    async fn details(&mut self) -> Result<CustomerDetails, StoreError>;

    /// Stores the details in place of those at this revision, at the next one. MUST change nothing and return false if
    /// they are at another revision, also if another transaction changes them at the same time.
    ///
    /// # Errors
    /// [`StoreError`] if they could not be stored.
    async fn replace_details(&mut self, details: &Party, at: i32, now: DateTime<Utc>) -> Result<bool, StoreError>;
}

/// The invoices of one workspace.
#[async_trait]
pub trait InvoiceRepository: Send {
    /// The next number. Numbers are one series for all workspaces.
    ///
    /// MUST give each number to one committed transaction, and leave none out: the number is free again if the
    /// transaction is rolled back. So other transactions wait for this one.
    ///
    /// # Errors
    /// [`StoreError`] if there is no number.
    async fn next_number(&mut self) -> Result<InvoiceNumber, StoreError>;

    /// Stores an invoice with its lines.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be stored.
    async fn insert(&mut self, invoice: &IssuedInvoice) -> Result<(), StoreError>;

    /// An invoice with its lines, and with what credit notes have taken back.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be read.
    async fn find(&mut self, id: InvoiceId) -> Result<Option<IssuedInvoice>, StoreError>;

    /// At most `limit` invoices that were issued before `before`, newest first.
    ///
    /// # Errors
    /// [`StoreError`] if they could not be read.
    async fn list(&mut self, before: Option<InvoiceId>, limit: u32) -> Result<Vec<IssuedInvoice>, StoreError>;

    /// Marks an open invoice as paid. MUST change nothing and return false if it is not open.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be stored.
    async fn mark_paid(&mut self, id: InvoiceId, at: DateTime<Utc>) -> Result<bool, StoreError>;

    /// Marks an open invoice as uncollectible. MUST change nothing and return false if it is not open.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be stored.
    async fn mark_uncollectible(&mut self, id: InvoiceId) -> Result<bool, StoreError>;
}

/// The credit notes of one workspace.
#[async_trait]
pub trait CreditNoteRepository: Send {
    /// The next number. Numbers are one series for all workspaces, beside that of invoices.
    ///
    /// MUST give each number to one committed transaction, and leave none out, as [`InvoiceRepository::next_number`].
    ///
    /// # Errors
    /// [`StoreError`] if there is no number.
    async fn next_number(&mut self) -> Result<CreditNoteNumber, StoreError>;

    /// Stores a credit note.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be stored.
    async fn insert(&mut self, note: &IssuedCreditNote) -> Result<(), StoreError>;

    /// A credit note.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be read.
    async fn find(&mut self, id: CreditNoteId) -> Result<Option<IssuedCreditNote>, StoreError>;

    /// At most `limit` credit notes that were issued before `before`, newest first.
    ///
    /// # Errors
    /// [`StoreError`] if they could not be read.
    async fn list(&mut self, before: Option<CreditNoteId>, limit: u32) -> Result<Vec<IssuedCreditNote>, StoreError>;
}

/// The promo codes of the seller.
#[async_trait]
pub trait PromoCatalogue: Send {
    /// At most `limit` codes after `after`, in the order of their texts.
    ///
    /// # Errors
    /// [`StoreError`] if they could not be read.
    async fn list(&mut self, after: Option<&str>, limit: u32) -> Result<Vec<PromoCode>, StoreError>;

    /// A code; `None` if there is none.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be read.
    async fn find(&mut self, code: &str) -> Result<Option<PromoCode>, StoreError>;

    /// Stores a new code. MUST return false, and change nothing, if there is one with its text.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be stored.
    async fn insert(&mut self, code: &PromoCode) -> Result<bool, StoreError>;

    /// Deactivates a code. MUST keep the time if it was deactivated before.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be stored.
    async fn deactivate(&mut self, code: &str, at: DateTime<Utc>) -> Result<(), StoreError>;
}

/// The promo codes that one workspace redeems.
#[async_trait]
pub trait PromoRepository: Send {
    /// A code of the seller, for its redemption; `None` if there is none.
    ///
    /// MUST wait until no other transaction has it locked, whosever it is.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be locked or read.
    async fn lock(&mut self, code: &str) -> Result<Option<PromoCode>, StoreError>;

    /// Stores how often a locked code was redeemed, and nothing else of it.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be stored.
    async fn save(&mut self, code: &PromoCode) -> Result<(), StoreError>;

    /// Stores a redemption. MUST return false, and change nothing, if the workspace has redeemed the code before.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be stored.
    async fn add(&mut self, redemption: &PromoRedemption) -> Result<bool, StoreError>;

    /// The redemptions that still count, the oldest first.
    ///
    /// # Errors
    /// [`StoreError`] if they could not be read.
    async fn redeemed(&mut self) -> Result<Vec<PromoRedemption>, StoreError>;

    /// These codes have taken off from one more invoice. One that counts for all of them does not change.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be stored.
    async fn use_up(&mut self, codes: &[&str]) -> Result<(), StoreError>;
}

/// The ledger of one workspace. It is append-only.
#[async_trait]
pub trait LedgerRepository: Send {
    /// Adds a transaction. MUST refuse entries that do not sum to zero, at the latest at the commit.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be stored.
    async fn post(&mut self, posting: &Posting) -> Result<(), StoreError>;

    /// The balance of an account: positive is a debit balance; 0 if nothing was posted.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be read or does not fit.
    async fn balance(&mut self, currency: Currency, account: Account) -> Result<i64, StoreError>;

    /// At most `limit` transactions before `before`, newest first.
    ///
    /// # Errors
    /// [`StoreError`] if they could not be read.
    async fn list(&mut self, before: Option<Uuid>, limit: u32) -> Result<Vec<Posting>, StoreError>;
}
