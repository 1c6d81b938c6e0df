//! What documents say about invoices of each kind.

use chrono::TimeZone;
use tidegate_billing::catalogue::{Interval, PlanVersion, Price};
use tidegate_billing::invoice::{Discount, Invoice, InvoiceNumber, Paid, Sold};
use tidegate_kernel::{InvoiceId, Period};

use super::*;

const EXCLUSIVE: TaxRate = TaxRate { ppm: 190_000, inclusive: false };
const INCLUSIVE: TaxRate = TaxRate { ppm: 77_000, inclusive: true };

fn at(day: u32) -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 3, day, 0, 0, 0).unwrap()
}

fn plan(rate: TaxRate) -> Line {
    let price = Price { interval: Interval::Month, currency: Currency::EUR, amount: 10_000 };
    let plan = PlanVersion { name: "starter".into(), version: 1 };
    Line::plan(Sold { plan, title: "Starter".into(), price }, Period { start: at(1), end: at(31) }, rate)
}

/// What was paid before, of which everything is credited.
fn credit(amount: i64) -> Line {
    let plan = PlanVersion { name: "professional".into(), version: 1 };
    let paid_for = Period { start: at(1), end: at(31) };
    Line::credit(&Paid { plan, paid_for, amount, rate: EXCLUSIVE }, at(1)).unwrap()
}

fn issued(lines: Vec<Line>, discounts: &[(String, Discount)], credit: i64) -> IssuedInvoice {
    let invoice = Invoice::new(Currency::EUR, lines, EXCLUSIVE, discounts, credit).unwrap();
    let due = invoice.amount_due() > 0;
    IssuedInvoice {
        id: InvoiceId::from_uuid(uuid::Uuid::from_u128(7)),
        number: InvoiceNumber(42),
        status: if due { InvoiceStatus::Open } else { InvoiceStatus::Paid },
        parties: None,
        descriptions: invoice.lines.iter().map(|_| "a line".to_owned()).collect(),
        invoice,
        period: Period { start: at(1), end: at(31) },
        issued_at: at(1),
        due_at: due.then(|| at(15)),
        credited: 0,
        paid_at: (!due).then(|| at(1)),
    }
}

/// The headline, the sums and the remarks but the last one, which is about dates.
fn said(invoice: &IssuedInvoice) -> (String, String, String) {
    let document = Document::of_invoice(invoice, Some("Pay to IBAN")).unwrap();
    let sums: Vec<_> = document.sums.iter().map(|sum| format!("{} {}", sum.label, sum.amount)).collect();
    let (dates, remarks) = document.remarks.split_last().unwrap();
    assert!(dates.starts_with("Dates are in UTC"), "{dates}");
    (document.headline, sums.join(", ").replace(" EUR", ""), remarks.join(" "))
}

#[test]
fn sums_and_remarks_follow_from_the_invoice() {
    let open = issued(vec![plan(EXCLUSIVE)], &[], 0);
    let paid = IssuedInvoice { status: InvoiceStatus::Paid, paid_at: Some(at(9)), credited: 500, ..open.clone() };
    let written_off = IssuedInvoice { status: InvoiceStatus::Uncollectible, ..open.clone() };
    let code = [("CODE-1".to_owned(), Discount::Percent(250_000))];
    for (invoice, headline, sums, remarks) in [
        (
            open,
            "119.00 EUR due by 2026-03-15",
            "Subtotal 100.00, Tax 19 % 19.00, Total 119.00, Amount due 119.00",
            "Pay to IBAN",
        ),
        (
            paid,
            "119.00 EUR paid on 2026-03-09",
            "Subtotal 100.00, Tax 19 % 19.00, Total 119.00, Paid -119.00, Amount due 0.00",
            "Credit notes have taken back 5.00 EUR of this invoice.",
        ),
        (
            written_off,
            "119.00 EUR written off",
            "Subtotal 100.00, Tax 19 % 19.00, Total 119.00, Written off -119.00, Amount due 0.00",
            "",
        ),
        (
            issued(vec![plan(INCLUSIVE)], &[], 0),
            "100.00 EUR due by 2026-03-15",
            "Subtotal 92.85, Tax 7.7 % 7.15, Total 100.00, Amount due 100.00",
            "Unit prices and amounts of lines include the tax. Pay to IBAN",
        ),
        (
            issued(vec![plan(EXCLUSIVE), plan(INCLUSIVE), plan(TaxRate::NONE)], &[], 1900),
            "300.00 EUR due by 2026-03-15",
            "Subtotal 292.85, Tax 7.7 % 7.15, Tax 19 % 19.00, Total 319.00, Paid by credit -19.00, Amount due 300.00",
            "Unit prices and amounts of lines include the tax. Pay to IBAN",
        ),
        (
            issued(vec![plan(EXCLUSIVE)], &code, 20_000),
            "89.25 EUR paid on 2026-03-01",
            "Subtotal 75.00, Tax 19 % 14.25, Total 89.25, Paid by credit -89.25, Amount due 0.00",
            "",
        ),
        (
            issued(vec![plan(EXCLUSIVE), credit(30_000)], &[], 0),
            "0.00 EUR paid on 2026-03-01",
            "Subtotal 38.00, Tax 19 % -38.00, Total 0.00, Amount due 0.00",
            "238.00 EUR became credit, which next invoices use.",
        ),
    ] {
        assert_eq!(said(&invoice), (headline.to_owned(), sums.to_owned(), remarks.to_owned()));
    }
}

#[test]
fn an_invoice_from_before_has_no_parties() {
    let document = Document::of_invoice(&issued(vec![plan(EXCLUSIVE)], &[], 0), None).unwrap();
    assert_eq!((document.seller, document.customer), (Party::default(), Party::default()));
}
