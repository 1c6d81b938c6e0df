//! A customer through time, in memory: the state machine of subscriptions, invoices and the ledger with a clock that
//! jumps from one thing to do to the next.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use tidegate_billing::calendar::Tz;
use tidegate_billing::invoice::{Invoice, Sold, TaxRate, UsageRow, issued};
use tidegate_billing::ledger::{Account, Ledger};
use tidegate_billing::subscription::{CancelAt, Command, InvoiceOrder, Status, Subscription};
use tidegate_billing::{Catalogue, Currency, EntitlementName, Interval, Plan, PlanVersion, Price};
use tidegate_kernel::InvoiceId;
use uuid::Uuid;

/// Anything that can go wrong, as a text for people.
pub type Failure = Box<dyn std::error::Error>;

/// The file that describes a customer.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    currency: Currency,
    timezone: String,
    /// Parts per million.
    tax_ppm: u32,
    tax_inclusive: bool,
    /// Days from the issue of an invoice until payment is due.
    payment_days: i64,
    plan: String,
    interval: Interval,
    trial_days: u16,
    begins: DateTime<Utc>,
    ends: DateTime<Utc>,
    acts: Vec<Act>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Act {
    at: DateTime<Utc>,
    #[serde(rename = "do")]
    what: What,
}

/// What happens at a time.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum What {
    /// The customer changes the plan.
    Change(String, Interval),
    /// The customer's card works from now on, or fails. A card that works pays open invoices at once.
    Card(bool),
    /// The customer uses something.
    Use(EntitlementName, i64),
    /// The operator publishes a version of a plan with other prices.
    Edit(String, Vec<Price>),
    Pause,
    Resume,
    Cancel(bool),
}

/// The state of the customer, and what has been written about them.
pub struct Customer {
    scenario: Scenario,
    plans: Vec<Plan>,
    subscription: Subscription,
    ledger: Ledger,
    invoices: Vec<(InvoiceId, Invoice)>,
    usage: BTreeMap<(EntitlementName, DateTime<Utc>), i64>,
    card: bool,
    report: String,
}

impl Customer {
    /// Runs a scenario and returns what happened: each status, each invoice with its lines, and the balances.
    ///
    /// # Errors
    /// [`Failure`] if the scenario cannot be read or asks for what is refused.
    pub fn run(scenario: &str) -> Result<String, Failure> {
        let mut scenario: Scenario = serde_json::from_str(scenario)?;
        let acts = std::mem::take(&mut scenario.acts);
        let (begins, ends) = (scenario.begins, scenario.ends);
        let plans: Vec<Plan> = Catalogue::built_in()?.current().cloned().collect();
        let zone: Tz = scenario.timezone.parse()?;
        let sold = sold(&plans, &scenario.plan, scenario.interval, scenario.currency)?;
        let (subscription, commands) = Subscription::start(sold, zone, scenario.trial_days, begins)?;
        let (ledger, usage) = (Ledger::default(), BTreeMap::new());
        let mut customer =
            Self { scenario, plans, subscription, ledger, invoices: vec![], usage, card: true, report: String::new() };
        customer.execute(commands, begins)?;
        customer.note(begins, "begins")?;
        for act in acts {
            customer.pass(act.at)?;
            customer.act(act)?;
        }
        customer.pass(ends)?;
        customer.balances()?;
        Ok(customer.report)
    }

    /// Does everything whose time comes until `until`.
    fn pass(&mut self, until: DateTime<Utc>) -> Result<(), Failure> {
        while let Some(at) = self.subscription.next_wakeup()?.filter(|at| *at <= until) {
            let before = self.subscription.status;
            let commands = self.subscription.wake(at)?;
            self.execute(commands, at)?;
            if before != self.subscription.status {
                self.note(at, "status changes")?;
            }
        }
        Ok(())
    }

    fn act(&mut self, Act { at, what }: Act) -> Result<(), Failure> {
        let text = format!("{what:?}");
        let commands = match what {
            What::Change(plan, interval) => {
                let sold = sold(&self.plans, &plan, interval, self.scenario.currency)?;
                self.subscription.change(sold, vec![], at)?
            }
            What::Card(works) => {
                self.card = works;
                vec![Command::Charge(self.subscription.open.keys().copied().collect())]
            }
            What::Use(name, amount) => {
                let month = tidegate_kernel::Span::Month.period(at).start;
                *self.usage.entry((name, month)).or_default() += amount;
                vec![]
            }
            What::Edit(name, prices) => {
                let newest = newest(&self.plans, &name)?;
                let edited = Plan { version: newest.version + 1, prices, ..newest.clone() };
                self.plans.push(edited);
                vec![]
            }
            What::Pause => self.subscription.pause()?,
            What::Resume => self.subscription.resume(at)?,
            What::Cancel(now) => self.subscription.cancel(if now { CancelAt::Now } else { CancelAt::PeriodEnd }, at)?,
        };
        self.execute(commands, at)?;
        self.note(at, &text)
    }

    fn execute(&mut self, commands: Vec<Command>, at: DateTime<Utc>) -> Result<(), Failure> {
        for command in commands {
            match command {
                Command::Invoice(order) => self.invoice(&order, at)?,
                Command::Charge(invoices) => {
                    for invoice in invoices {
                        self.charge(invoice, at)?;
                    }
                }
                Command::Notify(notice) => writeln!(self.report, "{at:?} notice: {notice:?}")?,
                Command::SetPlan(plan) => {
                    let plan = plan.map_or("the default plan".to_owned(), |plan| plan.to_string());
                    writeln!(self.report, "{at:?} plan: {plan}")?;
                }
            }
        }
        Ok(())
    }

    fn invoice(&mut self, order: &InvoiceOrder, at: DateTime<Utc>) -> Result<(), Failure> {
        let rate = TaxRate { ppm: self.scenario.tax_ppm, inclusive: self.scenario.tax_inclusive };
        let mut lines = Vec::new();
        if let Some((sold, _)) = &order.usage {
            let entitlements = &version(&self.plans, &sold.plan)?.entitlements;
            for (_, name, months) in order.months(entitlements) {
                let used = |start| self.usage.get(&(name, start)).copied().unwrap_or(0);
                let rows = months
                    .iter()
                    .map(|month| UsageRow { period: *month, used: used(month.start), charged: 0 })
                    .collect();
                lines.extend(order.usage_line(entitlements, name, rows, rate)?);
            }
        }
        lines.extend(order.plan_lines(rate)?);
        if lines.is_empty() {
            return Ok(());
        }
        let credit = -self.ledger.balance(self.scenario.currency, Account::CustomerCredit);
        let invoice = Invoice::new(self.scenario.currency, lines, rate, &[], credit)?;
        for (_, transaction) in invoice.postings()? {
            self.ledger.post(transaction)?;
        }
        let number = self.invoices.len() + 1;
        let id = InvoiceId::from_uuid(Uuid::from_u128(number as u128));
        let due = (invoice.amount_due() > 0).then_some(at + TimeDelta::days(self.scenario.payment_days));
        self.subscription.invoice_issued(id, due, invoice.paid_for_plan()?);
        writeln!(self.report, "{at:?} invoice {number}")?;
        for line in &invoice.lines {
            let text = issued::describe(line, self.subscription.anchor.zone);
            writeln!(self.report, "    {:>9} tax {:>7}  {text}", line.amount, line.tax)?;
        }
        let Invoice { subtotal, tax, total, credit_applied, .. } = invoice;
        let due = invoice.amount_due();
        writeln!(self.report, "    subtotal {subtotal}, tax {tax}, total {total}, credit {credit_applied}, due {due}")?;
        self.invoices.push((id, invoice));
        if due > 0 { self.charge(id, at) } else { Ok(()) }
    }

    fn charge(&mut self, id: InvoiceId, at: DateTime<Utc>) -> Result<(), Failure> {
        let commands = if self.card {
            let found = self.invoices.iter().find(|(other, _)| *other == id);
            let (_, invoice) = found.ok_or("an invoice that was never issued is charged")?;
            if let Some(payment) = invoice.payment()? {
                self.ledger.post(payment)?;
            }
            self.subscription.payment_succeeded(id, at)?
        } else {
            self.subscription.payment_failed(id, at)
        };
        self.execute(commands, at)
    }

    fn note(&mut self, at: DateTime<Utc>, what: &str) -> Result<(), Failure> {
        let status = match self.subscription.status {
            Status::PastDue { retries, .. } => format!("past_due after {retries} retries"),
            status => status.as_str().to_owned(),
        };
        writeln!(self.report, "{at:?} {what}: {status}")?;
        Ok(())
    }

    fn balances(&mut self) -> Result<(), Failure> {
        let mut sum = 0;
        for account in Account::ALL {
            let balance = self.ledger.balance(self.scenario.currency, *account);
            writeln!(self.report, "balance {:>16} {balance:>9}", account.as_str())?;
            sum += balance;
        }
        writeln!(self.report, "balance {:>16} {sum:>9}", "all")?;
        Ok(())
    }
}

fn newest<'a>(plans: &'a [Plan], name: &str) -> Result<&'a Plan, Failure> {
    let found = plans.iter().filter(|plan| plan.name == name).max_by_key(|plan| plan.version);
    found.ok_or_else(|| format!("there is no plan {name:?}").into())
}

fn version<'a>(plans: &'a [Plan], id: &PlanVersion) -> Result<&'a Plan, Failure> {
    plans.iter().find(|plan| plan.id() == *id).ok_or_else(|| format!("there is no plan {id}").into())
}

fn sold(plans: &[Plan], name: &str, interval: Interval, currency: Currency) -> Result<Sold, Failure> {
    let plan = newest(plans, name)?;
    let price = plan.price(interval, currency).ok_or("the plan has no such price")?;
    Ok(Sold { plan: plan.id(), title: plan.title.clone(), price })
}
