//! Invoices and credit notes as PDF.
//!
//! - `content` has what a document says. It knows invoices, and nothing about pages.
//! - `page` arranges that on pages of A4. `text` turns text into glyphs: fonts, bidirectional order, lines.
//!
//! Names in Latin, Greek, Cyrillic, Hebrew and Arabic script need no other font than those of this crate
//! (`fonts/OFL.txt`). Other scripts need a font of the operator.

mod content;
mod page;
mod text;

use std::fmt;

use parley::fontique::Blob;
use tidegate_billing::invoice::{DocumentError, InvoiceDocuments, IssuedCreditNote, IssuedInvoice};

use crate::content::Document;
use crate::text::Fonts;

/// Writes documents with the fonts of this crate, and further ones.
#[derive(Clone)]
pub struct PdfDocuments {
    fonts: Fonts,
    instructions: Option<String>,
}

impl fmt::Debug for PdfDocuments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PdfDocuments").finish_non_exhaustive()
    }
}

/// A file that is not a font in the TrueType or OpenType format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is not a font in the TrueType or OpenType format")]
pub struct NotAFont;

impl PdfDocuments {
    /// Documents. `instructions` is the remark on open invoices that tells how customers pay.
    #[must_use]
    pub fn new(instructions: Option<String>) -> Self {
        Self { fonts: Fonts::default(), instructions }
    }

    /// Adds a font for the characters that none before it has.
    ///
    /// # Errors
    /// [`NotAFont`] if it is none.
    pub fn with_font(mut self, font: Vec<u8>) -> Result<Self, NotAFont> {
        self.fonts.add(Blob::from(font)).then_some(self).ok_or(NotAFont)
    }
}

impl InvoiceDocuments for PdfDocuments {
    fn invoice(&self, invoice: &IssuedInvoice) -> Result<Vec<u8>, DocumentError> {
        page::write(&self.fonts, &Document::of_invoice(invoice, self.instructions.as_deref())?)
    }

    fn credit_note(&self, note: &IssuedCreditNote, invoice: &IssuedInvoice) -> Result<Vec<u8>, DocumentError> {
        page::write(&self.fonts, &Document::of_credit_note(note, invoice))
    }
}
