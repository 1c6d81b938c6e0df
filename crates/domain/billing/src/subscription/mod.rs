//! The state machine of a subscription: a state and a request or a fact give a new state and commands.
//!
//! [`service`], `operations` and `collection` have the use cases, and [`billing`] executes their commands. The rest is
//! pure. The caller stores the new state and executes the commands in one transaction, and calls [`Subscription::wake`]
//! again while [`Subscription::next_wakeup`] has passed.
//!
//! - A trial ends in the first period. Nothing is due before. The customer is reminded 3 days before the end.
//! - A change to a plan that costs more per month takes effect at once. The rest of what was paid is credited, and the
//!   rest of the period is charged, by the second. If the interval changes or the old plan was free, a new period
//!   begins. Open invoices must be paid first, so that nothing is credited that was not paid.
//! - Any other change takes effect at the end of the period. It is refused while the workspace uses more than the new
//!   plan allows. If it uses more at the end of the period, the change takes effect all the same: nothing is deleted,
//!   and nothing can be added until the usage is below the limit.
//! - A cancellation takes effect at the end of the period, or at once with a credit for the rest.
//! - A pause begins at the end of the period. Resuming begins a new period.
//! - When a payment fails or is late, the subscription is past due. Further attempts follow after 1, 3 and 7 days.
//!   14 days after the first failure it is suspended until the invoices are paid. No data is deleted.

pub mod billing;
mod collection;
pub mod metering;
mod operations;
pub mod order;
pub mod overdue;
pub mod requests;
pub mod service;
pub mod state;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use tidegate_kernel::{InvoiceId, Period};

pub use billing::InvoiceTerms;
pub use metering::MeteredUsage;
pub use order::{Charge, InvoiceOrder};
pub use overdue::{OverdueSweep, WakeOverdueSubscriptions};
pub use requests::{CancelAt, Excess, Refusal};
pub use service::{NewSubscription, Standing, SubscriptionError, Subscriptions, WakeSubscription};
pub use state::{Pending, Status, Subscription};

use crate::calendar::{Anchor, OutOfRange};
use crate::catalogue::PlanVersion;
use crate::invoice::{CreditNote, Paid, Sold};

/// What the caller must do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Issue an invoice, and report it by [`Subscription::invoice_issued`].
    Invoice(Box<InvoiceOrder>),
    /// Try to collect these invoices again.
    Charge(Vec<InvoiceId>),
    /// Write to the customer.
    Notify(Notice),
    /// From now on the workspace may use what this plan allows; `None` is the default plan of the installation.
    SetPlan(Option<PlanVersion>),
}

/// A message to the customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// The trial ends in some days.
    TrialEnds,
    /// A payment failed or is late for the first time.
    PaymentFailed,
    /// It is tried again: the number of the attempt, from 1.
    PaymentRetried(u8),
    /// The grace is over.
    Suspended,
    /// The subscription has ended.
    Cancelled,
}

impl Subscription {
    /// A new subscription. Its trial lasts for the rest of the day and this many days more. Without a trial (0 days) the
    /// first period begins at local midnight before `now`.
    ///
    /// # Errors
    /// [`OutOfRange`] if a period is outside of the calendar.
    pub fn start(
        sold: Sold,
        zone: Tz,
        trial_days: u16,
        now: DateTime<Utc>,
    ) -> Result<(Self, Vec<Command>), OutOfRange> {
        let anchor = Anchor::at(now, zone, sold.price.interval);
        let ends = anchor.after_days(trial_days)?;
        let mut subscription = Self {
            anchor,
            number: 0,
            status: Status::Trialing { ends, reminded: false },
            pending: None,
            paid: None,
            metered_until: now,
            metered: Vec::new(),
            open: BTreeMap::new(),
            sold,
        };
        let mut commands = vec![subscription.set_plan()];
        if trial_days == 0 {
            commands.push(subscription.begin(now, None)?);
        }
        Ok((subscription, commands))
    }

    /// Does the first thing whose time has come; nothing if none has.
    ///
    /// # Errors
    /// [`OutOfRange`] if a period is outside of the calendar.
    pub fn wake(&mut self, now: DateTime<Utc>) -> Result<Vec<Command>, OutOfRange> {
        let Some(at) = self.next_wakeup()?.filter(|at| *at <= now) else { return Ok(Vec::new()) };
        match self.status {
            Status::Trialing { ends, reminded: false } => {
                self.status = Status::Trialing { ends, reminded: true };
                // A server that was away until the trial had ended does not remind of it.
                let ends_in_payment = now < ends && !matches!(self.pending, Some(Pending::Cancel | Pending::Pause));
                Ok(if ends_in_payment { vec![Command::Notify(Notice::TrialEnds)] } else { Vec::new() })
            }
            Status::Trialing { .. } => self.end_period(at, true),
            Status::Active if self.first_due().is_some_and(|due| due <= at) => Ok(self.fail(at)),
            Status::PastDue { since, retries } if state::dunning_step(since, retries)? <= at => {
                Ok(self.dun(since, retries, at))
            }
            Status::Active | Status::PastDue { .. } => self.end_period(at, false),
            Status::Suspended { .. } | Status::Paused { .. } | Status::Cancelled { .. } => Ok(Vec::new()),
        }
    }

    /// Takes notice of an invoice. `due` is `None` if nothing is to be paid.
    pub fn invoice_issued(&mut self, invoice: InvoiceId, due: Option<DateTime<Utc>>, paid: Option<Paid>) {
        if let Some(due) = due {
            self.open.insert(invoice, due);
        }
        if paid.is_some() {
            self.paid = paid;
        }
    }

    /// Takes notice of a payment. An invoice that is not open changes nothing.
    ///
    /// # Errors
    /// [`OutOfRange`] if a period is outside of the calendar.
    pub fn payment_succeeded(&mut self, invoice: InvoiceId, now: DateTime<Utc>) -> Result<Vec<Command>, OutOfRange> {
        if self.open.remove(&invoice).is_none() || !self.due(now).is_empty() {
            return Ok(Vec::new());
        }
        match self.status {
            Status::PastDue { .. } => {
                self.status = Status::Active;
                Ok(Vec::new())
            }
            Status::Suspended { .. } => {
                self.status = Status::Active;
                let mut commands = vec![self.set_plan()];
                if self.anchor.period(self.number)?.end <= now {
                    commands.push(self.begin(now, None)?);
                }
                Ok(commands)
            }
            _ => Ok(Vec::new()),
        }
    }

    /// Takes notice that an invoice will not be paid. `paid` is what it would have paid for the plan: that is not credited
    /// later. Nothing waits for the invoice any more, as after a payment.
    ///
    /// # Errors
    /// [`OutOfRange`] if a period is outside of the calendar.
    pub fn written_off(
        &mut self,
        invoice: InvoiceId,
        paid: Option<&Paid>,
        now: DateTime<Utc>,
    ) -> Result<Vec<Command>, OutOfRange> {
        if self.paid_as(paid).is_some() {
            self.paid = None;
        }
        self.payment_succeeded(invoice, now)
    }

    /// Takes notice of a credit note on an invoice that paid `paid` for the plan: what it takes back is not credited once
    /// more when the plan changes or ends.
    pub fn credited(&mut self, paid: Option<&Paid>, note: &CreditNote) {
        if let Some(own) = self.paid_as(paid) {
            let taken = if own.rate.inclusive { note.total } else { note.total.saturating_sub(note.tax) };
            own.amount = own.amount.saturating_sub(taken).max(0);
        }
    }

    /// What was paid for the plan, if it was paid by the invoice that paid `paid`.
    fn paid_as(&mut self, paid: Option<&Paid>) -> Option<&mut Paid> {
        let of = |paid: &Paid| (paid.plan.clone(), paid.paid_for, paid.rate);
        self.paid.as_mut().filter(|own| paid.is_some_and(|paid| of(own) == of(paid)))
    }

    /// Takes notice of a failed payment. An invoice that is not open changes nothing.
    pub fn payment_failed(&mut self, invoice: InvoiceId, now: DateTime<Utc>) -> Vec<Command> {
        let Some(due) = self.open.get_mut(&invoice) else { return Vec::new() };
        *due = now.min(*due);
        if self.status == Status::Active { self.fail(now) } else { Vec::new() }
    }

    fn fail(&mut self, since: DateTime<Utc>) -> Vec<Command> {
        self.status = Status::PastDue { since, retries: 0 };
        vec![Command::Notify(Notice::PaymentFailed)]
    }

    fn dun(&mut self, since: DateTime<Utc>, retries: u8, at: DateTime<Utc>) -> Vec<Command> {
        if usize::from(retries) < state::RETRIES.len() {
            let retries = retries + 1;
            self.status = Status::PastDue { since, retries };
            vec![Command::Charge(self.due(at)), Command::Notify(Notice::PaymentRetried(retries))]
        } else {
            self.status = Status::Suspended { since: at };
            vec![Command::SetPlan(None), Command::Notify(Notice::Suspended)]
        }
    }

    /// Ends the trial or the period, and begins what is pending or the next period.
    fn end_period(&mut self, at: DateTime<Utc>, trial: bool) -> Result<Vec<Command>, OutOfRange> {
        let ended = (!trial).then(|| self.take_usage(at));
        let usage_only =
            |usage| Command::Invoice(Box::new(InvoiceOrder { credit: None, charge: None, usage: Some(usage) }));
        match self.pending.take() {
            Some(Pending::Cancel) => {
                self.status = Status::Cancelled { at };
                let mut commands = vec![Command::SetPlan(None), Command::Notify(Notice::Cancelled)];
                commands.extend(ended.map(usage_only));
                Ok(commands)
            }
            Some(Pending::Pause) => {
                self.status = Status::Paused { since: at };
                let mut commands = vec![Command::SetPlan(None)];
                commands.extend(ended.map(usage_only));
                Ok(commands)
            }
            Some(Pending::Change(sold)) => {
                let keeps_anchor = sold.price.interval == self.sold.price.interval && !trial;
                self.sold = sold;
                let set_plan = self.set_plan();
                let invoice = if keeps_anchor { self.renew(ended)? } else { self.begin(at, ended)? };
                Ok(vec![set_plan, invoice])
            }
            None if trial => Ok(vec![self.begin(at, None)?]),
            None => Ok(vec![self.renew(ended)?]),
        }
    }

    /// The next period begins.
    fn renew(&mut self, ended: Option<(Sold, Period)>) -> Result<Command, OutOfRange> {
        self.number = self.number.checked_add(1).ok_or(OutOfRange)?;
        let charge = Charge { sold: self.sold.clone(), period: self.anchor.period(self.number)?, from: None };
        Ok(Command::Invoice(Box::new(InvoiceOrder { credit: None, charge: Some(charge), usage: ended })))
    }

    /// A first period begins, at local midnight before `at`. A past-due subscription stays past due.
    fn begin(&mut self, at: DateTime<Utc>, ended: Option<(Sold, Period)>) -> Result<Command, OutOfRange> {
        self.anchor = Anchor::at(at, self.anchor.zone, self.sold.price.interval);
        self.number = 0;
        self.metered_until = self.metered_until.max(at);
        if !matches!(self.status, Status::PastDue { .. }) {
            self.status = Status::Active;
        }
        let charge = Charge { sold: self.sold.clone(), period: self.anchor.period(0)?, from: None };
        Ok(Command::Invoice(Box::new(InvoiceOrder { credit: None, charge: Some(charge), usage: ended })))
    }

    fn set_plan(&self) -> Command {
        Command::SetPlan(Some(self.sold.plan.clone()))
    }
}
