//! Invoices: lines that sum to the total, tax, discounts, credit.
//!
//! - [`mod@line`] has the lines, each with the facts that its amount follows from.
//! - [`tax`] has the rule of rounding. [`promo`] has discounts, [`promo_codes`] who makes and redeems them. [`credit_note`] takes back what was invoiced.
//! - [`issued`] is an invoice with its number. [`number`] has the numbers of documents, [`party`] who they are from and for.
//!   [`billing_details`] lets customers say who they are. [`documents`] writes them for people.
//!
//! An invoice is never changed after it was issued.

pub mod billing_details;
pub mod credit_note;
pub mod documents;
pub mod issued;
pub mod line;
pub mod number;
pub mod party;
pub mod promo;
pub mod promo_codes;
pub mod tax;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

pub use billing_details::{BillingDetails, BillingDetailsError};
pub use credit_note::{CreditNote, CreditNoteError, IssuedCreditNote};
pub use documents::{DocumentError, InvoiceDocuments};
pub use issued::IssuedInvoice;
pub use line::{Line, LineKind, Paid, Sold, UsageRow};
pub use number::{CreditNoteNumber, InvoiceNumber};
pub use party::{CustomerDetails, Parties, Party, PartyField, PartyMistake};
pub use promo::{Discount, PromoCode, PromoDuration, PromoError, PromoRedemption};
pub use promo_codes::{PromoCodeError, PromoCodes};
pub use tax::TaxRate;

use crate::ledger::{Account, Cause, LedgerError, Transaction};
use crate::money::{Currency, Overflow, share, sum};
use crate::names::names;

names! {
    /// The status of an invoice.
    InvoiceStatus {
        /// It waits for payment.
        Open = "open";
        /// It is paid, or nothing was due.
        Paid = "paid";
        /// It will not be paid.
        Uncollectible = "uncollectible";
    }
}

/// What an invoice says about money. `subtotal + tax == total`, and the lines sum to each of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invoice {
    /// The currency of all amounts.
    pub currency: Currency,
    /// The lines.
    pub lines: Vec<Line>,
    /// The sum without tax.
    pub subtotal: i64,
    /// The tax.
    pub tax: i64,
    /// The sum with tax, never negative.
    pub total: i64,
    /// A negative rest that became the customer's credit, as a positive amount.
    pub carried_forward: i64,
    /// How much of the total the customer's credit pays.
    pub credit_applied: i64,
}

impl Invoice {
    /// An invoice of these lines. `rate` is the tax rate of its charges, `discounts` take off from the charges in their
    /// order, and `credit` is the customer's credit, which pays as much of the total as it can.
    ///
    /// # Errors
    /// [`Overflow`] if an amount does not fit.
    pub fn new(
        currency: Currency,
        mut lines: Vec<Line>,
        rate: TaxRate,
        discounts: &[(String, Discount)],
        credit: i64,
    ) -> Result<Self, Overflow> {
        let mut left = sum(lines.iter().filter(|line| line.is_charge()).map(|line| line.amount))?;
        for (code, discount) in discounts {
            let off = discount.of(left)?;
            left -= off;
            if off > 0 {
                lines.push(Line::discount(code.clone(), off, rate));
            }
        }
        add_tax(&mut lines)?;
        let gross = |lines: &[Line]| {
            let net = lines.iter().map(Line::net).collect::<Result<Vec<_>, _>>()?;
            sum(net.into_iter().chain(lines.iter().map(|line| line.tax)))
        };
        let carried_forward = gross(&lines)?.min(0).checked_neg().ok_or(Overflow)?;
        if carried_forward > 0 {
            lines.push(Line::carried_forward(carried_forward));
        }
        let total = gross(&lines)?;
        let tax = sum(lines.iter().map(|line| line.tax))?;
        let subtotal = total.checked_sub(tax).ok_or(Overflow)?;
        let credit_applied = credit.clamp(0, total);
        Ok(Self { currency, lines, subtotal, tax, total, carried_forward, credit_applied })
    }

    /// What is left to pay.
    #[must_use]
    pub const fn amount_due(&self) -> i64 {
        self.total - self.credit_applied
    }

    /// What the customer pays for the plan on this invoice after discounts, if they pay the invoice; `None` if it has
    /// no plan. Discounts are spread over the charges in proportion.
    ///
    /// # Errors
    /// [`Overflow`] if an amount does not fit.
    pub fn paid_for_plan(&self) -> Result<Option<Paid>, Overflow> {
        let charges = sum(self.lines.iter().filter(|line| line.is_charge()).map(|line| line.amount))?;
        let discounts = self.lines.iter().filter(|line| matches!(line.kind, LineKind::Discount { .. }));
        let off = sum(discounts.map(|line| line.amount))?.checked_neg().ok_or(Overflow)?;
        for line in &self.lines {
            let (LineKind::Plan { sold, period: paid_for } | LineKind::Proration { sold, rest: paid_for, .. }) =
                &line.kind
            else {
                continue;
            };
            let share = if charges == 0 { 0 } else { share(off, line.amount, charges)? };
            let (plan, paid_for) = (sold.plan.clone(), *paid_for);
            return Ok(Some(Paid { plan, paid_for, amount: line.amount - share, rate: line.rate }));
        }
        Ok(None)
    }

    /// The transactions with which the ledger records the invoice and the credit that it uses up.
    ///
    /// # Errors
    /// [`LedgerError`] if an amount does not fit.
    pub fn postings(&self) -> Result<Vec<(Cause, Transaction)>, LedgerError> {
        let revenue = self.carried_forward.checked_sub(self.subtotal).ok_or(Overflow)?;
        let issued = Transaction::of(
            self.currency,
            &[
                (Account::Receivable, self.total),
                (Account::Revenue, revenue),
                (Account::Tax, self.tax.checked_neg().ok_or(Overflow)?),
                (Account::CustomerCredit, self.carried_forward.checked_neg().ok_or(Overflow)?),
            ],
        )?;
        let (credit, receivable) = (Account::CustomerCredit, Account::Receivable);
        let applied = Transaction::transfer(self.currency, credit, receivable, self.credit_applied)?;
        let issued = issued.map(|transaction| (Cause::Invoice, transaction));
        Ok(issued.into_iter().chain(applied.map(|transaction| (Cause::Credit, transaction))).collect())
    }

    /// The transaction that records the payment of what is due; `None` if nothing is.
    ///
    /// # Errors
    /// [`LedgerError`] if the amount does not fit.
    pub fn payment(&self) -> Result<Option<Transaction>, LedgerError> {
        Transaction::transfer(self.currency, Account::Cash, Account::Receivable, self.amount_due())
    }

    /// The transaction that writes off what is due; `None` if nothing is.
    ///
    /// # Errors
    /// [`LedgerError`] if the amount does not fit.
    pub fn write_off(&self) -> Result<Option<Transaction>, LedgerError> {
        Transaction::transfer(self.currency, Account::BadDebt, Account::Receivable, self.amount_due())
    }
}

/// Computes the tax of the lines, rate by rate.
fn add_tax(lines: &mut [Line]) -> Result<(), Overflow> {
    let rates: BTreeSet<TaxRate> = lines.iter().map(|line| line.rate).collect();
    for rate in rates {
        let mut of_rate: Vec<_> = lines.iter_mut().filter(|line| line.rate == rate).collect();
        let amounts: Vec<_> = of_rate.iter().map(|line| line.amount).collect();
        for (line, tax) in of_rate.iter_mut().zip(rate.of(&amounts)?) {
            line.tax = tax;
        }
    }
    Ok(())
}
