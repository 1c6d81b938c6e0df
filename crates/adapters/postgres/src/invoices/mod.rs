//! Invoices, credit notes, promo codes, the ledger and payments on PostgreSQL.

mod credit_note;
mod customer;
mod invoice;
mod ledger;
mod payment;
mod promo;

use tidegate_billing::Currency;
use tidegate_kernel::StoreError;

pub(crate) use credit_note::PgCreditNoteRepository;
pub(crate) use customer::PgCustomerRepository;
pub(crate) use invoice::PgInvoiceRepository;
pub(crate) use ledger::PgLedgerRepository;
pub(crate) use payment::PgPaymentRepository;
pub(crate) use promo::{PgPromoCatalogue, PgPromoRepository};

/// The currency of a row.
fn currency(code: &str) -> Result<Currency, StoreError> {
    code.parse().map_err(|error| StoreError::Internal(Box::new(error)))
}

/// The error for a word in a row that this program does not know.
fn unknown(what: &str, word: &str) -> StoreError {
    StoreError::Internal(format!("{word:?} is not {what}").into())
}
