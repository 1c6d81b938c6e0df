//! Credit notes: they take back a part of an invoice that was paid.

use chrono::{DateTime, Utc};
use tidegate_kernel::{CreditNoteId, InvoiceId};

use super::{CreditNoteNumber, Invoice};
use crate::ledger::{Account, LedgerError, Transaction};
use crate::money::{Currency, Overflow, share};

/// A part of a paid invoice that the customer gets back as credit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CreditNote {
    /// The currency of the invoice.
    pub currency: Currency,
    /// The amount with tax.
    pub total: i64,
    /// The tax in it.
    pub tax: i64,
}

/// A credit note that was issued. It never changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuedCreditNote {
    /// The id.
    pub id: CreditNoteId,
    /// The number.
    pub number: CreditNoteNumber,
    /// The invoice that it takes back a part of.
    pub invoice: InvoiceId,
    /// The amounts.
    pub note: CreditNote,
    /// Why it was written, for the customer.
    pub reason: String,
    /// When it was issued.
    pub issued_at: DateTime<Utc>,
}

/// Why a credit note cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CreditNoteError {
    /// It takes back nothing.
    #[error("a credit note is for more than 0")]
    Nothing,
    /// It takes back more than was paid and not yet taken back.
    #[error("a credit note takes back at most what was paid: {left} minor units are left")]
    MoreThanPaid {
        /// What can be taken back.
        left: i64,
    },
    /// An amount does not fit.
    #[error(transparent)]
    Overflow(#[from] Overflow),
}

impl CreditNote {
    /// A credit note of `total` on a paid invoice, of which `credited` was taken back before.
    ///
    /// The tax is in proportion to that of the invoice. It is computed on the sum of all credit notes, so that
    /// together they take back exactly the tax of the invoice when they take back everything.
    ///
    /// # Errors
    /// [`CreditNoteError`] if the amount is not positive or more than what is left.
    pub fn new(invoice: &Invoice, credited: i64, total: i64) -> Result<Self, CreditNoteError> {
        let left = invoice.total.checked_sub(credited).ok_or(Overflow)?;
        if total < 1 {
            return Err(CreditNoteError::Nothing);
        } else if total > left {
            return Err(CreditNoteError::MoreThanPaid { left });
        }
        let tax = |credited| share(invoice.tax, credited, invoice.total);
        Ok(Self { currency: invoice.currency, total, tax: tax(credited + total)? - tax(credited)? })
    }

    /// The transaction with which the ledger records it: the amount becomes the customer's credit.
    ///
    /// # Errors
    /// [`LedgerError`] if an amount does not fit.
    pub fn posting(&self) -> Result<Option<Transaction>, LedgerError> {
        let net = self.total.checked_sub(self.tax).ok_or(Overflow)?;
        let credit = self.total.checked_neg().ok_or(Overflow)?;
        let changes = [(Account::Revenue, net), (Account::Tax, self.tax), (Account::CustomerCredit, credit)];
        Transaction::of(self.currency, &changes)
    }
}
