//! Subscriptions by example, and under random requests, payments and times.

use chrono::TimeDelta;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::catalogue::{EntitlementName, Interval, Price};
use crate::invoice::{Invoice, TaxRate};
use crate::ledger::{Account, Ledger};
use crate::money::Currency;

const RATE: TaxRate = TaxRate { ppm: 190_000, inclusive: false };

/// Time from the issue of an invoice until payment is due.
const TERMS: TimeDelta = TimeDelta::days(5);

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn sold(name: &str, interval: Interval, amount: i64) -> Sold {
    let price = Price { interval, currency: Currency::EUR, amount };
    Sold { plan: PlanVersion { name: name.into(), version: 1 }, title: name.into(), price }
}

fn starter() -> Sold {
    sold("starter", Interval::Month, 1900)
}

fn professional() -> Sold {
    sold("professional", Interval::Month, 7900)
}

/// A subscription with its invoices and ledger: what the store does, in memory.
struct Customer {
    subscription: Subscription,
    ledger: Ledger,
    invoices: Vec<(InvoiceId, DateTime<Utc>, Invoice)>,
    /// The plan that counts.
    plan: Option<PlanVersion>,
    log: Vec<String>,
    /// The times whose usage was charged.
    metered: Vec<Period>,
    /// Time that was charged (1) and credited (-1).
    covered: Vec<(Period, i64)>,
}

impl Customer {
    fn new(sold: Sold, zone: &str, trial_days: u16, now: DateTime<Utc>) -> Self {
        let (subscription, commands) = Subscription::start(sold, zone.parse().unwrap(), trial_days, now).unwrap();
        let (ledger, log) = (Ledger::default(), Vec::new());
        let mut customer =
            Self { subscription, ledger, invoices: vec![], plan: None, log, metered: vec![], covered: vec![] };
        customer.execute(commands, now);
        customer
    }

    fn execute(&mut self, commands: Vec<Command>, now: DateTime<Utc>) {
        for command in commands {
            match command {
                Command::Invoice(order) => self.invoice(*order, now),
                Command::Charge(invoices) => self.log.push(format!("charge {}", invoices.len())),
                Command::Notify(notice) => self.log.push(format!("{notice:?}")),
                Command::SetPlan(plan) => self.plan = plan,
            }
        }
    }

    fn invoice(&mut self, order: InvoiceOrder, now: DateTime<Utc>) {
        let whole_second = |at: DateTime<Utc>| DateTime::from_timestamp(at.timestamp(), 0).unwrap();
        let lines = order.plan_lines(RATE).unwrap();
        self.metered.extend(order.usage.as_ref().map(|(_, time)| *time));
        if let Some((paid, from)) = order.credit {
            let start = whole_second(from).clamp(paid.paid_for.start, paid.paid_for.end);
            self.covered.push((Period { start, ..paid.paid_for }, -1));
        }
        if let Some(Charge { period, from, .. }) = order.charge {
            self.covered.push((Period { start: from.map_or(period.start, whole_second), ..period }, 1));
        }
        let credit = -self.ledger.balance(Currency::EUR, Account::CustomerCredit);
        let invoice = Invoice::new(Currency::EUR, lines, RATE, &[], credit).unwrap();
        for (_, posting) in invoice.postings().unwrap() {
            self.ledger.post(posting).unwrap();
        }
        let id = InvoiceId::from_uuid(Uuid::from_u128(self.invoices.len() as u128));
        let due = (invoice.amount_due() > 0).then_some(now + TERMS);
        self.subscription.invoice_issued(id, due, invoice.paid_for_plan().unwrap());
        self.invoices.push((id, now, invoice));
    }

    fn pass(&mut self, until: DateTime<Utc>) {
        while let Some(at) = self.subscription.next_wakeup().unwrap().filter(|at| *at <= until) {
            let commands = self.subscription.wake(until).unwrap();
            self.execute(commands, at);
            assert_ne!(self.subscription.next_wakeup().unwrap(), Some(at), "each step is done once");
        }
    }

    fn pay(&mut self, now: DateTime<Utc>) {
        let Some(id) = self.subscription.open.keys().next().copied() else { return };
        let (_, _, invoice) = self.invoices.iter().find(|(other, _, _)| *other == id).unwrap();
        self.ledger.post(invoice.payment().unwrap().unwrap()).unwrap();
        let commands = self.subscription.payment_succeeded(id, now).unwrap();
        self.execute(commands, now);
    }

    fn change(&mut self, sold: Sold, now: DateTime<Utc>) -> Result<(), Refusal> {
        let commands = self.subscription.change(sold, vec![], now)?;
        self.execute(commands, now);
        Ok(())
    }

    fn status(&self) -> &'static str {
        self.subscription.status.as_str()
    }

    /// How often the time at `now` was charged and not credited.
    fn times_charged(&self, now: DateTime<Utc>) -> i64 {
        let covers = |period: &Period| period.start <= now && now < period.end;
        self.covered.iter().filter(|(period, _)| covers(period)).map(|(_, times)| times).sum()
    }
}

/// What an invoice took back or never got is not credited when the subscription ends.
#[test]
fn nothing_is_credited_twice_and_nothing_that_was_not_paid() {
    let begins = at("2026-04-01T00:00:00Z");
    let half = at("2026-04-16T00:00:00Z");
    let credit_at_the_end = |customer: &mut Customer| {
        let commands = customer.subscription.cancel(CancelAt::Now, half).unwrap();
        let credits = commands.iter().filter_map(|command| match command {
            Command::Invoice(order) => order.plan_lines(RATE).unwrap().first().map(|line| line.amount),
            _ => None,
        });
        credits.sum::<i64>()
    };
    let mut whole = Customer::new(starter(), "UTC", 0, begins);
    whole.pay(begins);
    let invoice = whole.invoices[0].2.clone();
    let paid = invoice.paid_for_plan().unwrap();
    let (mut noted, mut other) =
        (Customer::new(starter(), "UTC", 0, begins), Customer::new(starter(), "UTC", 0, begins));
    assert_eq!(credit_at_the_end(&mut whole), -950);
    noted.pay(begins);
    let note = CreditNote::new(&invoice, 0, invoice.total).unwrap();
    noted.subscription.credited(paid.as_ref(), &note);
    assert_eq!(credit_at_the_end(&mut noted), 0, "the credit note took back everything");
    let id = other.invoices[0].0;
    assert_eq!(other.subscription.written_off(id, paid.as_ref(), half).unwrap(), []);
    assert!(other.subscription.open.is_empty());
    assert_eq!(credit_at_the_end(&mut other), 0, "nothing was paid");
}

#[test]
fn a_trial_ends_at_midnight_in_the_first_period() {
    let mut customer = Customer::new(starter(), "Europe/Berlin", 14, at("2026-03-01T12:00:00Z"));
    assert_eq!((customer.status(), customer.invoices.len()), ("trialing", 0));
    assert_eq!(customer.plan, Some(starter().plan));
    customer.change(professional(), at("2026-03-02T12:00:00Z")).unwrap();
    customer.pass(at("2026-03-16T00:00:00Z"));
    let period = customer.subscription.period().unwrap().unwrap();
    assert_eq!((period.start, period.end), (at("2026-03-15T23:00:00Z"), at("2026-04-15T22:00:00Z")));
    assert_eq!((customer.status(), customer.invoices[0].2.subtotal), ("active", 7900));
}

#[test]
fn the_customer_is_reminded_of_a_trial_once_before_it_ends() {
    let reminders = |customer: &Customer| customer.log.iter().filter(|entry| *entry == "TrialEnds").count();
    let mut customer = Customer::new(starter(), "UTC", 14, at("2026-03-01T12:00:00Z"));
    customer.pass(at("2026-03-12T23:59:59Z"));
    assert_eq!(reminders(&customer), 0);
    customer.pass(at("2026-03-13T00:00:00Z"));
    customer.pass(at("2026-03-15T23:59:59Z"));
    assert_eq!((reminders(&customer), customer.status()), (1, "trialing"));
    customer.pass(at("2026-03-20T00:00:00Z"));
    assert_eq!((reminders(&customer), customer.status()), (1, "active"));

    let mut late = Customer::new(starter(), "UTC", 14, at("2026-03-01T12:00:00Z"));
    late.pass(at("2026-03-17T00:00:00Z"));
    assert_eq!((reminders(&late), late.status()), (0, "active"), "it has ended already");
    let mut leaves = Customer::new(starter(), "UTC", 14, at("2026-03-01T12:00:00Z"));
    leaves.subscription.cancel(CancelAt::PeriodEnd, at("2026-03-02T12:00:00Z")).unwrap();
    leaves.pass(at("2026-03-14T00:00:00Z"));
    assert_eq!(reminders(&leaves), 0, "nothing is charged");
}

#[test]
fn a_cheaper_plan_waits_for_the_end_of_the_period_and_for_room() {
    let mut customer = Customer::new(professional(), "UTC", 0, at("2026-01-31T12:00:00Z"));
    customer.pay(at("2026-01-31T13:00:00Z"));
    let before = customer.subscription.clone();
    let excess = Excess { name: EntitlementName::Members, used: 7, limit: 3 };
    let refused = customer.subscription.change(starter(), vec![excess], at("2026-02-01T00:00:00Z"));
    let reason = refused.unwrap_err().to_string();
    assert_eq!(reason, "the workspace uses more than the plan allows: members is 7 and the plan allows 3");
    assert_eq!(customer.subscription, before);

    customer.change(starter(), at("2026-02-01T00:00:00Z")).unwrap();
    assert_eq!(customer.plan, Some(professional().plan));
    customer.pass(at("2026-02-28T00:00:00Z"));
    customer.pay(at("2026-02-28T12:00:00Z"));
    customer.pass(at("2026-03-31T00:00:00Z"));
    let starts = customer.covered.iter().map(|(period, _)| period.start.date_naive().to_string()).collect::<Vec<_>>();
    assert_eq!(starts, ["2026-01-31", "2026-02-28", "2026-03-31"]);
    assert_eq!((customer.plan, customer.invoices[1].2.subtotal), (Some(starter().plan), 1900));
}

#[test]
fn a_pending_change_is_taken_back_by_asking_for_the_current_plan() {
    let mut customer = Customer::new(professional(), "UTC", 0, at("2026-01-31T12:00:00Z"));
    let now = at("2026-02-01T00:00:00Z");
    customer.change(starter(), now).unwrap();
    customer.change(professional(), now).unwrap();
    assert_eq!(customer.subscription.pending, None);
    assert_eq!(customer.change(professional(), now), Err(Refusal::SamePlan));
    let dollars = Sold { price: Price { currency: "USD".parse().unwrap(), ..starter().price }, ..starter() };
    assert_eq!(customer.change(dollars, now), Err(Refusal::Currency));
}

#[test]
fn an_upgrade_waits_for_the_payment_of_open_invoices() {
    let mut customer = Customer::new(starter(), "UTC", 0, at("2026-04-01T12:00:00Z"));
    let now = at("2026-04-11T00:00:00Z");
    assert_eq!(customer.change(professional(), now), Err(Refusal::InvoiceOpen));
    customer.pay(now);
    customer.change(professional(), now).unwrap();
    assert_eq!((customer.invoices[1].2.subtotal, customer.plan.clone()), (4000, Some(professional().plan)));
    customer.pay(now);
    // A year is a new period from today on, and the credit is larger than no year.
    customer.change(sold("professional", Interval::Year, 99_000), at("2026-04-21T15:00:00Z")).unwrap();
    assert_eq!(customer.covered[3].0.start, at("2026-04-21T00:00:00Z"));
    assert_eq!(customer.invoices[2].2.subtotal, 99_000 - 2634);
}

#[test]
fn dunning_follows_after_1_3_and_7_days_and_suspends_after_14() {
    let mut customer = Customer::new(starter(), "UTC", 0, at("2026-01-01T00:00:00Z"));
    let failed = at("2026-01-02T08:00:00Z");
    let (id, _, _) = customer.invoices[0];
    let commands = customer.subscription.payment_failed(id, failed);
    customer.execute(commands, failed);
    assert_eq!((customer.status(), customer.log.len()), ("past_due", 1));
    for (days, told) in [(1, 3), (3, 5), (7, 7)] {
        customer.pass(failed + TimeDelta::days(days) - TimeDelta::seconds(1));
        assert_eq!(customer.log.len(), told - 2, "before day {days}");
        customer.pass(failed + TimeDelta::days(days));
        assert_eq!((customer.status(), customer.log.len()), ("past_due", told), "after day {days}");
    }
    assert_eq!(customer.plan, Some(starter().plan), "the plan counts during the grace");
    customer.pass(failed + TimeDelta::days(14));
    assert_eq!((customer.status(), customer.plan.clone()), ("suspended", None));
    assert_eq!(customer.log[1..3], ["charge 1", "PaymentRetried(1)"]);
    // Nothing is charged while it is suspended; the payment brings the plan back.
    customer.pass(at("2026-06-01T00:00:00Z"));
    assert_eq!(customer.invoices.len(), 1);
    customer.pay(at("2026-06-01T09:00:00Z"));
    assert_eq!((customer.status(), customer.plan.clone()), ("active", Some(starter().plan)));
    assert_eq!(customer.covered[1].0.start, at("2026-06-01T00:00:00Z"));
}

#[test]
fn a_payment_that_is_reported_twice_or_late_changes_nothing() {
    let mut customer = Customer::new(starter(), "UTC", 0, at("2026-01-01T00:00:00Z"));
    let (id, now, _) = customer.invoices[0];
    customer.pay(now);
    let paid = customer.subscription.clone();
    assert_eq!(customer.subscription.payment_succeeded(id, now), Ok(vec![]));
    assert_eq!(customer.subscription.payment_failed(id, now), []);
    assert_eq!(customer.subscription, paid);
}

#[test]
fn a_bill_that_is_not_paid_in_time_is_past_due() {
    let mut customer = Customer::new(starter(), "UTC", 0, at("2026-01-01T00:00:00Z"));
    customer.pass(at("2026-01-05T23:59:59Z"));
    assert_eq!(customer.status(), "active");
    customer.pass(at("2026-01-06T00:00:00Z"));
    assert_eq!(customer.status(), "past_due");
    customer.pay(at("2026-01-06T01:00:00Z"));
    assert_eq!(customer.status(), "active");
}

#[test]
fn a_cancellation_at_once_credits_the_rest_and_one_at_the_end_does_not() {
    let mut customer = Customer::new(starter(), "UTC", 0, at("2026-04-01T12:00:00Z"));
    customer.pay(at("2026-04-01T12:00:00Z"));
    let mut waits = customer.subscription.clone();
    assert_eq!(waits.cancel(CancelAt::PeriodEnd, at("2026-04-16T00:00:00Z")), Ok(vec![]));
    assert!(waits.wake(at("2026-04-30T23:59:59Z")).unwrap().is_empty() && waits.status.plan_counts());
    assert!(waits.clone().resume(at("2026-04-16T00:00:00Z")).is_ok());
    waits.wake(at("2026-05-01T00:00:00Z")).unwrap();
    assert_eq!(waits.status, Status::Cancelled { at: at("2026-05-01T00:00:00Z") });

    let commands = customer.subscription.cancel(CancelAt::Now, at("2026-04-16T00:00:00Z")).unwrap();
    customer.execute(commands, at("2026-04-16T00:00:00Z"));
    assert_eq!((customer.invoices[1].2.total, customer.invoices[1].2.carried_forward), (0, 950 + 181));
    assert_eq!((customer.plan.clone(), customer.log.as_slice()), (None, ["Cancelled".to_owned()].as_slice()));
    assert_eq!(customer.subscription.cancel(CancelAt::Now, at("2026-04-17T00:00:00Z")), Err(Refusal::Cancelled));
}

#[test]
fn a_pause_begins_at_the_end_of_the_period_and_costs_nothing() {
    let mut customer = Customer::new(starter(), "UTC", 0, at("2026-04-01T12:00:00Z"));
    assert_eq!(customer.subscription.pause(), Err(Refusal::InvoiceOpen));
    customer.pay(at("2026-04-01T12:00:00Z"));
    customer.subscription.pause().unwrap();
    customer.pass(at("2026-08-15T00:00:00Z"));
    assert_eq!((customer.status(), customer.times_charged(at("2026-05-02T00:00:00Z"))), ("paused", 0));
    assert_eq!(customer.change(professional(), at("2026-08-15T00:00:00Z")), Err(Refusal::Paused));
    let commands = customer.subscription.resume(at("2026-08-15T10:00:00Z")).unwrap();
    customer.execute(commands, at("2026-08-15T10:00:00Z"));
    assert_eq!((customer.status(), customer.plan.clone()), ("active", Some(starter().plan)));
    assert_eq!(customer.covered.last().unwrap().0.end, at("2026-09-15T00:00:00Z"));
}

#[derive(Debug, Clone)]
enum Act {
    Pass,
    Pay,
    Fail,
    Change(usize),
    Cancel(CancelAt),
    Pause,
    Resume,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => Just(Act::Pass),
        6 => Just(Act::Pay),
        2 => Just(Act::Fail),
        4 => (0_usize..5).prop_map(Act::Change),
        1 => Just(Act::Cancel(CancelAt::PeriodEnd)),
        1 => Just(Act::Pause),
        2 => Just(Act::Resume),
    ]
}

fn plans() -> [Sold; 5] {
    let free = sold("free", Interval::Month, 0);
    let quarter = sold("starter", Interval::Quarter, 6000);
    [free, starter(), professional(), sold("professional", Interval::Year, 99_000), quarter]
}

proptest! {
    #[test]
    fn time_is_charged_once_and_the_ledger_balances(
        zone in prop::sample::select(vec!["UTC", "Europe/Berlin", "America/Havana", "Pacific/Apia"]),
        trial in prop::sample::select(vec![0_u16, 14]),
        begin in 0_i64..100_000_000,
        acts in prop::collection::vec((act(), 1_i64..3_000_000), 1..60),
        last in prop::option::of(1_i64..3_000_000),
    ) {
        let mut now = at("2026-01-01T00:00:00Z") + TimeDelta::seconds(begin);
        let mut customer = Customer::new(plans()[1].clone(), zone, trial, now);
        let end = last.map(|seconds| (Act::Cancel(CancelAt::Now), seconds));
        for (act, seconds) in acts.into_iter().chain(end) {
            now += TimeDelta::seconds(seconds);
            customer.pass(now);
            let before = customer.subscription.clone();
            let result = match act {
                Act::Pass => Ok(vec![]),
                Act::Pay => { customer.pay(now); Ok(vec![]) }
                Act::Fail => {
                    let open = customer.subscription.open.keys().next_back().copied();
                    Ok(open.map(|id| customer.subscription.payment_failed(id, now)).unwrap_or_default())
                }
                Act::Change(plan) => customer.subscription.change(plans()[plan].clone(), vec![], now),
                Act::Cancel(at) => customer.subscription.cancel(at, now),
                Act::Pause => customer.subscription.pause(),
                Act::Resume => customer.subscription.resume(now),
            };
            match result {
                Ok(commands) => customer.execute(commands, now),
                Err(_) => prop_assert_eq!(&customer.subscription, &before, "a refusal changes nothing"),
            }
            let subscription = &customer.subscription;
            prop_assert_eq!(customer.plan.is_some(), subscription.status.plan_counts());
            prop_assert!(subscription.next_wakeup().unwrap().is_none_or(|at| at > now));
            if matches!(subscription.status, Status::Active | Status::PastDue { .. }) {
                prop_assert_eq!(customer.times_charged(now), 1, "{:?}", customer.covered);
                let period = subscription.period().unwrap().unwrap();
                prop_assert_eq!(customer.times_charged(period.end - TimeDelta::seconds(1)), 1);
                prop_assert_eq!(customer.times_charged(period.end), 0);
            }
            for pair in customer.metered.windows(2) {
                prop_assert!(pair[0].start <= pair[0].end && pair[0].end <= pair[1].start, "{:?}", customer.metered);
            }
            for (period, _) in &customer.covered {
                prop_assert!((0..=1).contains(&customer.times_charged(period.start)), "{:?}", customer.covered);
            }
            let unpaid: i64 = customer.invoices.iter()
                .filter(|(id, _, _)| subscription.open.contains_key(id))
                .map(|(_, _, invoice)| invoice.amount_due()).sum();
            let balance = |account| customer.ledger.balance(Currency::EUR, account);
            prop_assert_eq!(balance(Account::Receivable), unpaid);
            prop_assert!(balance(Account::CustomerCredit) <= 0, "no credit is used twice");
            prop_assert!(-balance(Account::CustomerCredit) <= balance(Account::Cash), "no credit without a payment");
        }
    }
}
