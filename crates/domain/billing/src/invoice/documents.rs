//! Invoices and credit notes as documents for people.

use super::{IssuedCreditNote, IssuedInvoice};

/// A document could not be written.
#[derive(Debug, thiserror::Error)]
#[error("the document could not be written: {0}")]
pub struct DocumentError(pub String);

/// Writes invoices and credit notes as PDF. It computes for some milliseconds and waits for nothing.
pub trait InvoiceDocuments: Send + Sync {
    /// The invoice, with its status. MUST give the same bytes for the same invoice.
    ///
    /// # Errors
    /// [`DocumentError`] if it could not be written.
    fn invoice(&self, invoice: &IssuedInvoice) -> Result<Vec<u8>, DocumentError>;

    /// A credit note on this invoice. MUST give the same bytes for the same credit note.
    ///
    /// # Errors
    /// [`DocumentError`] if it could not be written.
    fn credit_note(&self, note: &IssuedCreditNote, invoice: &IssuedInvoice) -> Result<Vec<u8>, DocumentError>;
}
