//! Invoices add up, whatever is on them.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use tidegate_kernel::{Limit, Period};

use super::*;
use crate::catalogue::{EntitlementName, Interval, Metered, Overage, PlanVersion, Price};
use crate::ledger::Ledger;

const VAT: TaxRate = TaxRate { ppm: 190_000, inclusive: false };

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn april() -> Period {
    Period { start: at("2026-04-01T00:00:00Z"), end: at("2026-05-01T00:00:00Z") }
}

fn sold(name: &str, amount: i64) -> Sold {
    let price = Price { interval: Interval::Month, currency: Currency::EUR, amount };
    Sold { plan: PlanVersion { name: name.into(), version: 1 }, title: name.into(), price }
}

fn invoice(lines: Vec<Line>, discounts: &[(String, Discount)], credit: i64) -> Invoice {
    Invoice::new(Currency::EUR, lines, VAT, discounts, credit).unwrap()
}

fn amounts(invoice: &Invoice) -> Vec<(i64, i64)> {
    invoice.lines.iter().map(|line| (line.amount, line.tax)).collect()
}

/// The example of the documentation: Starter for 19.00 becomes Professional for 79.00 after a third of April.
#[test]
fn an_upgrade_credits_the_rest_of_the_old_plan_and_charges_that_of_the_new_one() {
    let first = invoice(vec![Line::plan(sold("starter", 1900), april(), VAT)], &[], 0);
    assert_eq!((first.subtotal, first.tax, first.total), (1900, 361, 2261));
    let now = at("2026-04-11T00:00:00.9Z");
    let credit = Line::credit(&first.paid_for_plan().unwrap().unwrap(), now).unwrap();
    let charge = Line::proration(sold("professional", 7900), april(), now, VAT).unwrap();
    let upgrade = invoice(vec![credit, charge], &[], 0);
    assert_eq!(amounts(&upgrade), [(-1267, -241), (5267, 1001)]);
    assert_eq!((upgrade.subtotal, upgrade.tax, upgrade.total), (4000, 760, 4760));
    // A further change credits the rest of what was paid for the rest.
    let paid = upgrade.paid_for_plan().unwrap().unwrap();
    let later = Line::credit(&paid, at("2026-04-21T00:00:00Z")).unwrap();
    assert_eq!((paid.amount, later.amount), (5267, -2634));
    assert_eq!(Line::credit(&paid, at("2026-06-01T00:00:00Z")).unwrap().amount, 0);
}

#[test]
fn a_negative_rest_becomes_credit_that_the_next_invoice_uses() {
    let year = Period { start: april().start, end: at("2027-04-01T00:00:00Z") };
    let yearly = invoice(vec![Line::plan(sold("starter", 19_000), year, VAT)], &[], 0);
    let credit = Line::credit(&yearly.paid_for_plan().unwrap().unwrap(), april().start).unwrap();
    let monthly = invoice(vec![credit, Line::plan(sold("professional", 7900), april(), VAT)], &[], 0);
    assert_eq!(amounts(&monthly), [(-19_000, -3610), (7900, 1501), (13_209, 0)]);
    assert_eq!((monthly.total, monthly.amount_due(), monthly.carried_forward), (0, 0, 13_209));
    let next = invoice(vec![Line::plan(sold("professional", 7900), april(), VAT)], &[], monthly.carried_forward);
    assert_eq!((next.total, next.credit_applied, next.amount_due()), (9401, 9401, 0));
}

#[test]
fn promo_codes_take_off_in_their_order_and_never_more_than_the_charges() {
    let codes = [("TEN".to_owned(), Discount::Percent(100_000)), ("BIG".into(), Discount::Amount(Currency::EUR, 9999))];
    let free = invoice(vec![Line::plan(sold("starter", 1900), april(), VAT)], &codes, 0);
    assert_eq!(amounts(&free), [(1900, 361), (-190, -36), (-1710, -325)]);
    assert_eq!((free.total, free.paid_for_plan().unwrap().unwrap().amount), (0, 0));
    assert_eq!(free.postings().unwrap(), []);
}

#[test]
fn usage_beyond_the_included_amount_is_charged_with_the_rows_that_it_comes_from() {
    let amounts = BTreeMap::from([(Currency::EUR, 50)]);
    let metered = Metered { included: Limit::AtMost(50_000), overage: Some(Overage { per: 1000, amounts }) };
    let rows = vec![
        UsageRow { period: april(), used: 51_999, charged: 0 },
        UsageRow { period: april(), used: 10, charged: 0 },
    ];
    let name = EntitlementName::EventsPerMonth;
    let line = Line::usage(&sold("starter", 1900), name, &metered, rows.clone(), VAT).unwrap().unwrap();
    assert_eq!((line.quantity, line.unit_amount, line.amount), (1999, 50, 99), "99.95 is rounded down");
    assert!(matches!(line.kind, LineKind::Usage { rows: stated, included: 50_000, .. } if stated == rows));
    let more = vec![UsageRow { period: april(), used: 52_020, charged: 51_999 }];
    let late = Line::usage(&sold("starter", 1900), name, &metered, more, VAT).unwrap().unwrap();
    assert_eq!((late.quantity, late.amount), (21, 2), "101 in total, of which 99 were charged");
    let less = vec![UsageRow { period: april(), used: 51_000, charged: 51_999 }];
    assert_eq!(Line::usage(&sold("starter", 1900), name, &metered, less, VAT), Ok(None));
    let within = vec![UsageRow { period: april(), used: 50_000, charged: 0 }];
    assert_eq!(Line::usage(&sold("starter", 1900), name, &metered, within, VAT), Ok(None));
}

#[test]
fn credit_notes_take_back_what_was_paid_and_no_more() {
    let paid = invoice(vec![Line::plan(sold("starter", 1900), april(), VAT)], &[], 0);
    assert_eq!(CreditNote::new(&paid, 0, 0), Err(CreditNoteError::Nothing));
    assert_eq!(CreditNote::new(&paid, 0, -1), Err(CreditNoteError::Nothing));
    assert_eq!(CreditNote::new(&paid, 2000, 262), Err(CreditNoteError::MoreThanPaid { left: 261 }));
    assert_eq!(CreditNote::new(&paid, 2000, 261).unwrap().tax, 361 - 319);
}

#[test]
fn amounts_that_do_not_fit_are_an_error() {
    let plans = vec![Line::plan(sold("dear", i64::MAX), april(), VAT); 2];
    assert_eq!(Invoice::new(Currency::EUR, plans, VAT, &[], 0), Err(Overflow));
}

fn line() -> impl Strategy<Value = Line> {
    let rate = prop::sample::select(vec![VAT, TaxRate { ppm: 77_000, inclusive: true }, TaxRate::NONE]);
    (0_i64..10_000_000, 0_i64..2_592_000, rate, 0..3).prop_map(|(amount, second, rate, kind)| {
        let now = april().start + TimeDelta::seconds(second);
        let sold = sold("starter", amount);
        let paid = Paid { plan: sold.plan.clone(), paid_for: april(), amount, rate };
        match kind {
            0 => Line::plan(sold, april(), rate),
            1 => Line::proration(sold, april(), now, rate).unwrap(),
            _ => Line::credit(&paid, now).unwrap(),
        }
    })
}

fn discount() -> impl Strategy<Value = (String, Discount)> {
    let percent = (1_u32..=1_000_000).prop_map(Discount::Percent);
    let amount = (1_i64..1_000_000).prop_map(|amount| Discount::Amount(Currency::EUR, amount));
    prop_oneof![percent, amount].prop_map(|discount| ("CODE".to_owned(), discount))
}

proptest! {
    #[test]
    fn lines_sum_to_the_total_and_the_ledger_balances(
        lines in prop::collection::vec(line(), 0..12),
        discounts in prop::collection::vec(discount(), 0..3),
        credit in 0_i64..10_000_000,
    ) {
        let invoice = Invoice::new(Currency::EUR, lines, VAT, &discounts, credit).unwrap();
        let net: i64 = invoice.lines.iter().map(|line| line.net().unwrap()).sum();
        let tax: i64 = invoice.lines.iter().map(|line| line.tax).sum();
        prop_assert_eq!((net, tax, net + tax), (invoice.subtotal, invoice.tax, invoice.total));
        prop_assert!(0 <= invoice.amount_due() && invoice.credit_applied <= credit);

        let mut ledger = Ledger::default();
        let issued = invoice.postings().unwrap().into_iter().map(|(_, transaction)| transaction);
        for posting in issued.chain(invoice.payment().unwrap()) {
            ledger.post(posting).unwrap();
        }
        let balance = |account| ledger.balance(Currency::EUR, account);
        prop_assert_eq!((balance(Account::Receivable), balance(Account::Cash)), (0, invoice.amount_due()));
        prop_assert_eq!(-balance(Account::Tax), invoice.tax);
        prop_assert_eq!(-balance(Account::CustomerCredit), invoice.carried_forward - invoice.credit_applied);
    }

    /// What is used and what is credited sum to what was paid, and the credit is never more.
    #[test]
    fn the_credit_is_at_most_what_was_paid(amount in 0_i64..1_000_000_000, second in 0_i64..2_592_000, code in discount()) {
        let first = invoice(vec![Line::plan(sold("starter", amount), april(), VAT)], &[code], 0);
        let paid = first.paid_for_plan().unwrap().unwrap();
        let now = april().start + TimeDelta::seconds(second);
        let credit = Line::credit(&paid, now).unwrap();
        prop_assert!(0 <= -credit.amount && -credit.amount <= paid.amount && paid.amount <= amount);
        let back = invoice(vec![credit], &[], 0);
        prop_assert!(back.carried_forward <= first.total, "{} is more than {}", back.carried_forward, first.total);
    }

    #[test]
    fn credit_notes_sum_to_the_invoice(amount in 1_i64..1_000_000, parts in prop::collection::vec(1_i64..100_000, 0..10)) {
        let paid = invoice(vec![Line::plan(sold("starter", amount), april(), VAT)], &[], 0);
        let (mut credited, mut tax) = (0, 0);
        for part in parts.into_iter().chain([i64::MAX]) {
            let part = part.min(paid.total - credited);
            if part == 0 { break }
            let note = CreditNote::new(&paid, credited, part).unwrap();
            prop_assert!(0 <= note.tax && note.tax <= note.total);
            note.posting().unwrap().unwrap();
            credited += part;
            tax += note.tax;
        }
        prop_assert_eq!((credited, tax), (paid.total, paid.tax));
    }
}
