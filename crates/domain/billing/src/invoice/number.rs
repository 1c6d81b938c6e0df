//! Numbers of invoices and credit notes.

use std::fmt;

/// The number of a document. Numbers are given in ascending order and without gaps, by incrementing a counter in the
/// transaction that stores the document: if the transaction is rolled back, so is the counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InvoiceNumber(pub i64);

/// The number of a credit note. Credit notes have a series of their own, given as that of invoices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CreditNoteNumber(pub i64);

impl fmt::Display for CreditNoteNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CN-{:06}", self.0)
    }
}

impl fmt::Display for InvoiceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "INV-{:06}", self.0)
    }
}
