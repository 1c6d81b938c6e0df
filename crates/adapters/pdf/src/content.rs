//! What a document says: texts, in the order in which they are read.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use tidegate_billing::Currency;
use tidegate_billing::calendar::{Tz, day, days};
use tidegate_billing::invoice::{
    DocumentError, InvoiceStatus, IssuedCreditNote, IssuedInvoice, Line, LineKind, Parties, Party, TaxRate,
};

/// A document.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Document {
    /// Its id, which no other document has.
    pub(crate) id: String,
    /// What kind of document it is.
    pub(crate) title: &'static str,
    /// Its number.
    pub(crate) number: String,
    /// When it was issued.
    pub(crate) issued_at: DateTime<Utc>,
    /// What else is known about it, with labels.
    pub(crate) facts: Vec<(&'static str, String)>,
    /// Who it is from.
    pub(crate) seller: Party,
    /// Whom it is for.
    pub(crate) customer: Party,
    /// What matters most.
    pub(crate) headline: String,
    /// The lines.
    pub(crate) rows: Vec<Row>,
    /// The sums, with labels.
    pub(crate) sums: Vec<Sum>,
    /// Remarks, each a paragraph.
    pub(crate) remarks: Vec<String>,
}

/// A line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Row {
    /// What it is for.
    pub(crate) description: String,
    /// The facts that it comes from.
    pub(crate) details: Vec<String>,
    /// The number of units.
    pub(crate) quantity: String,
    /// The price of a unit.
    pub(crate) unit: String,
    /// The tax rate.
    pub(crate) tax: String,
    /// The amount.
    pub(crate) amount: String,
}

/// A sum.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Sum {
    pub(crate) label: String,
    pub(crate) amount: String,
    /// Whether it stands out.
    pub(crate) strong: bool,
}

impl Sum {
    fn new(label: impl Into<String>, amount: String) -> Self {
        Self { label: label.into(), amount, strong: false }
    }
}

impl Document {
    /// What an invoice says. `instructions` tells how the customer pays it.
    ///
    /// # Errors
    /// [`DocumentError`] if an amount does not fit.
    pub(crate) fn of_invoice(issued: &IssuedInvoice, instructions: Option<&str>) -> Result<Self, DocumentError> {
        let invoice = &issued.invoice;
        let (Parties { seller, customer, zone }, dates) = parties(issued);
        let amount = |minor| invoice.currency.amount(minor);
        let mut facts = vec![("Number", issued.number.to_string()), ("Date of issue", day(issued.issued_at, zone))];
        facts.push(("Period", days(issued.period, zone)));
        facts.extend(issued.due_at.map(|due| ("Due date", day(due, zone))));
        let paid = issued.paid_at.map(|at| day(at, zone)).unwrap_or_default();
        let (status, headline) = match (issued.status, issued.due_at) {
            (InvoiceStatus::Open, Some(due)) => {
                ("Open".to_owned(), format!("{} due by {}", amount(invoice.amount_due()), day(due, zone)))
            }
            (InvoiceStatus::Open, None) => ("Open".to_owned(), format!("{} due", amount(invoice.amount_due()))),
            (InvoiceStatus::Paid, _) => {
                (format!("Paid on {paid}"), format!("{} paid on {paid}", amount(invoice.total)))
            }
            (InvoiceStatus::Uncollectible, _) => {
                ("Written off".to_owned(), format!("{} written off", amount(invoice.amount_due())))
            }
        };
        facts.push(("Status", status));

        let mut sums = vec![Sum::new("Subtotal", amount(invoice.subtotal))];
        for (rate, tax) in taxes(&invoice.lines)? {
            sums.push(Sum::new(format!("Tax {}", percent(rate)), amount(tax)));
        }
        sums.push(Sum::new("Total", amount(invoice.total)));
        if invoice.credit_applied > 0 {
            sums.push(Sum::new("Paid by credit", amount(-invoice.credit_applied)));
        }
        let due = if issued.status == InvoiceStatus::Open { invoice.amount_due() } else { 0 };
        if due == 0 && invoice.amount_due() > 0 {
            let label = if issued.status == InvoiceStatus::Paid { "Paid" } else { "Written off" };
            sums.push(Sum::new(label, amount(-invoice.amount_due())));
        }
        sums.push(Sum { strong: true, ..Sum::new("Amount due", amount(due)) });

        let mut remarks = Vec::new();
        if invoice.lines.iter().any(|line| line.rate.inclusive && line.rate.ppm > 0) {
            remarks.push("Unit prices and amounts of lines include the tax.".to_owned());
        }
        if issued.credited > 0 {
            remarks.push(format!("Credit notes have taken back {} of this invoice.", amount(issued.credited)));
        }
        if invoice.carried_forward > 0 {
            remarks.push(format!("{} became credit, which next invoices use.", amount(invoice.carried_forward)));
        }
        if let Some(instructions) = instructions.filter(|_| due > 0) {
            remarks.push(instructions.to_owned());
        }
        remarks.push(dates);
        let texts = issued.descriptions.iter();
        Ok(Self {
            id: issued.id.to_string(),
            title: "Invoice",
            number: issued.number.to_string(),
            issued_at: issued.issued_at,
            facts,
            seller,
            customer,
            headline,
            rows: texts.zip(&invoice.lines).map(|(text, line)| row(text, line, invoice.currency)).collect(),
            sums,
            remarks,
        })
    }

    /// What a credit note on this invoice says.
    pub(crate) fn of_credit_note(issued: &IssuedCreditNote, invoice: &IssuedInvoice) -> Self {
        let (Parties { seller, customer, zone }, dates) = parties(invoice);
        let rates: BTreeSet<TaxRate> =
            invoice.invoice.lines.iter().map(|line| line.rate).filter(|rate| rate.ppm > 0).collect();
        let amount = |minor| issued.note.currency.amount(minor);
        let net = issued.note.total - issued.note.tax;
        Self {
            id: issued.id.to_string(),
            title: "Credit note",
            number: issued.number.to_string(),
            issued_at: issued.issued_at,
            facts: vec![
                ("Number", issued.number.to_string()),
                ("Date of issue", day(issued.issued_at, zone)),
                ("On invoice", format!("{} of {}", invoice.number, day(invoice.issued_at, zone))),
            ],
            seller,
            customer,
            headline: format!("{} as credit", amount(issued.note.total)),
            rows: vec![Row {
                description: issued.reason.clone(),
                details: Vec::new(),
                quantity: "1".to_owned(),
                unit: amount(net),
                // With several rates, the tax is a share of each.
                tax: if rates.len() == 1 { rates.into_iter().map(percent).collect() } else { String::new() },
                amount: amount(net),
            }],
            sums: vec![
                Sum::new("Subtotal", amount(net)),
                Sum::new("Tax", amount(issued.note.tax)),
                Sum { strong: true, ..Sum::new("Total", amount(issued.note.total)) },
            ],
            remarks: vec!["The amount is credit, which the next invoices use.".to_owned(), dates],
        }
    }
}

/// The parties of a document, and the remark on what its dates are in.
fn parties(invoice: &IssuedInvoice) -> (Parties, String) {
    match invoice.parties.clone() {
        Some(parties) => {
            let dates = format!("Dates are in the time zone {}.", parties.zone.name());
            (parties, dates)
        }
        None => (
            Parties { seller: Party::default(), customer: Party::default(), zone: Tz::UTC },
            "Dates are in UTC, those in descriptions in the customer's time zone.".to_owned(),
        ),
    }
}

fn row(description: &str, line: &Line, currency: Currency) -> Row {
    let details = match &line.kind {
        LineKind::Usage { rows, .. } => rows
            .iter()
            .map(|row| {
                // Meters count by months in UTC.
                let month = row.period.start.format("%Y-%m");
                match row.charged {
                    0 => format!("{month}: {} used", row.used),
                    before => format!("{month}: {} used, {before} of them on an earlier invoice", row.used),
                }
            })
            .collect(),
        _ => Vec::new(),
    };
    Row {
        description: description.to_owned(),
        details,
        quantity: line.quantity.to_string(),
        unit: currency.amount(line.unit_amount),
        tax: percent(line.rate),
        amount: currency.amount(line.amount),
    }
}

/// The tax by rate, without the rate of 0 %.
fn taxes(lines: &[Line]) -> Result<BTreeMap<TaxRate, i64>, DocumentError> {
    let mut taxes = BTreeMap::new();
    for line in lines.iter().filter(|line| line.rate.ppm > 0) {
        let sum = taxes.entry(line.rate).or_insert(0_i64);
        *sum = sum.checked_add(line.tax).ok_or_else(|| DocumentError("the tax does not fit".to_owned()))?;
    }
    Ok(taxes)
}

/// A rate as people read it: `7.7 %` for 77 000 parts per million.
fn percent(rate: TaxRate) -> String {
    let digits = format!("{}.{:04}", rate.ppm / 10_000, rate.ppm % 10_000);
    format!("{} %", digits.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests;
