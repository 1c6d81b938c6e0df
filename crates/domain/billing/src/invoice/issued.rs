//! An invoice with its number, and the texts of its lines.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use tidegate_kernel::{InvoiceId, Period};

use super::{Invoice, InvoiceNumber, InvoiceStatus, Line, LineKind, Parties};
use crate::calendar::days;

/// An invoice that was issued. Only its status changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuedInvoice {
    /// The id.
    pub id: InvoiceId,
    /// The number.
    pub number: InvoiceNumber,
    /// The status.
    pub status: InvoiceStatus,
    /// Who it is from and for; `None` for an invoice from before this was kept.
    pub parties: Option<Parties>,
    /// The amounts.
    pub invoice: Invoice,
    /// The texts of its lines, in their order.
    pub descriptions: Vec<String>,
    /// The time that it is about.
    pub period: Period,
    /// When it was issued.
    pub issued_at: DateTime<Utc>,
    /// When payment is due; `None` if nothing is to be paid.
    pub due_at: Option<DateTime<Utc>>,
    /// What credit notes have taken back of it.
    pub credited: i64,
    /// When it was paid.
    pub paid_at: Option<DateTime<Utc>>,
}

/// The text of a line, with dates in the customer's time zone.
#[must_use]
pub fn describe(line: &Line, zone: Tz) -> String {
    let days = |period: &Period| days(*period, zone);
    match &line.kind {
        LineKind::Plan { sold, period } => format!("{}, {}", sold.title, days(period)),
        LineKind::Proration { sold, rest, .. } => format!("{}, rest of the period, {}", sold.title, days(rest)),
        LineKind::Credit { plan, rest, .. } => format!("Credit for {}, {}", plan.name, days(rest)),
        LineKind::Usage { name, included, per, .. } => {
            format!("{} beyond {included} a month, price per {per}", name.as_str().replace('_', " "))
        }
        LineKind::Discount { code } => format!("Promo code {code}"),
        LineKind::CarriedForward => "Carried forward as credit".to_owned(),
    }
}
