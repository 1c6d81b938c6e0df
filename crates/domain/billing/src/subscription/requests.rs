//! What a customer asks of a subscription, and why it is refused.

use std::fmt;

use chrono::{DateTime, Utc};

use super::{Charge, Command, InvoiceOrder, Notice, Pending, Status, Subscription};
use crate::calendar::{Anchor, OutOfRange};
use crate::catalogue::EntitlementName;
use crate::invoice::Sold;

/// When a cancellation takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CancelAt {
    /// At the end of the current period or of the trial.
    PeriodEnd,
    /// At once. The rest of what was paid becomes the customer's credit.
    Now,
}

/// Usage above what a plan allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Excess {
    /// What is limited.
    pub name: EntitlementName,
    /// How much is used.
    pub used: i64,
    /// How much the plan allows.
    pub limit: i64,
}

impl fmt::Display for Excess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {} and the plan allows {}", self.name.as_str(), self.used, self.limit)
    }
}

/// Why a request is refused. Nothing has changed then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It has ended for good.
    #[error("the subscription has ended")]
    Cancelled,
    /// The subscription has this plan at this price, and no other is pending.
    #[error("the subscription has this plan already")]
    SamePlan,
    /// The currency of a subscription never changes.
    #[error("the subscription is in another currency")]
    Currency,
    /// The workspace uses more than the plan allows.
    #[error("the workspace uses more than the plan allows: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    TooMuchUsed(Vec<Excess>),
    /// An invoice must be paid first.
    #[error("an invoice is open and must be paid first")]
    InvoiceOpen,
    /// It must be resumed first.
    #[error("the subscription is paused; resume it first")]
    Paused,
    /// Neither a pause nor a cancellation is there to be taken back.
    #[error("the subscription is neither paused nor about to end")]
    NothingToResume,
    /// A period is outside of the calendar.
    #[error(transparent)]
    OutOfRange(#[from] OutOfRange),
}

impl Subscription {
    /// Changes to another plan or price. `excess` is the usage above what the new plan allows.
    ///
    /// # Errors
    /// [`Refusal`] says why not.
    pub fn change(&mut self, sold: Sold, excess: Vec<Excess>, now: DateTime<Utc>) -> Result<Vec<Command>, Refusal> {
        match self.status {
            Status::Cancelled { .. } => return Err(Refusal::Cancelled),
            Status::Paused { .. } => return Err(Refusal::Paused),
            Status::Suspended { .. } => return Err(Refusal::InvoiceOpen),
            Status::Trialing { .. } | Status::Active | Status::PastDue { .. } => {}
        }
        if sold.price.currency != self.sold.price.currency {
            return Err(Refusal::Currency);
        } else if sold.plan == self.sold.plan && sold.price == self.sold.price {
            // To ask for the current plan takes back a pending change.
            return match self.pending.take_if(|pending| matches!(pending, Pending::Change(_))) {
                Some(_) => Ok(Vec::new()),
                None => Err(Refusal::SamePlan),
            };
        } else if !excess.is_empty() {
            return Err(Refusal::TooMuchUsed(excess));
        }
        if matches!(self.status, Status::Trialing { .. }) {
            self.sold = sold;
            self.pending = None;
            Ok(vec![self.set_plan()])
        } else if costs_more(&sold, &self.sold) {
            self.upgrade(sold, now)
        } else {
            self.pending = Some(Pending::Change(sold));
            Ok(Vec::new())
        }
    }

    fn upgrade(&mut self, sold: Sold, now: DateTime<Utc>) -> Result<Vec<Command>, Refusal> {
        if !self.open.is_empty() {
            return Err(Refusal::InvoiceOpen);
        }
        let current = self.anchor.period(self.number)?;
        let new_period = sold.price.interval != self.sold.price.interval || self.sold.price.amount == 0;
        let (anchor, number) = if new_period {
            (Anchor::at(now, self.anchor.zone, sold.price.interval), 0)
        } else {
            (self.anchor, self.number)
        };
        let period = anchor.period(number)?;
        // A new period begins at midnight, and so does the credit: no second is paid twice.
        let from = if new_period { period.start } else { now.clamp(current.start, current.end) };
        let credit = self.paid.take().map(|paid| (paid, from));
        let usage = Some(self.take_usage(now));
        let charge = Charge { sold: sold.clone(), period, from: (!new_period).then_some(from) };
        (self.anchor, self.number, self.sold, self.pending) = (anchor, number, sold, None);
        let order = InvoiceOrder { credit, charge: Some(charge), usage };
        Ok(vec![self.set_plan(), Command::Invoice(Box::new(order))])
    }

    /// Ends the subscription.
    ///
    /// # Errors
    /// [`Refusal`] if it has ended already or a period is outside of the calendar.
    pub fn cancel(&mut self, at: CancelAt, now: DateTime<Utc>) -> Result<Vec<Command>, Refusal> {
        match (at, self.status) {
            (_, Status::Cancelled { .. }) => Err(Refusal::Cancelled),
            (CancelAt::PeriodEnd, Status::Trialing { .. } | Status::Active | Status::PastDue { .. }) => {
                self.pending = Some(Pending::Cancel);
                Ok(Vec::new())
            }
            // Nothing is paid for any more: there is no period whose end could be waited for.
            (CancelAt::PeriodEnd, Status::Suspended { .. } | Status::Paused { .. }) | (CancelAt::Now, _) => {
                let counted = matches!(self.status, Status::Active | Status::PastDue { .. });
                let usage = counted.then(|| self.take_usage(now));
                let credit = self.paid.take().filter(|_| counted && self.open.is_empty()).map(|paid| (paid, now));
                (self.status, self.pending) = (Status::Cancelled { at: now }, None);
                let mut commands = vec![Command::SetPlan(None), Command::Notify(Notice::Cancelled)];
                if usage.is_some() || credit.is_some() {
                    commands.push(Command::Invoice(Box::new(InvoiceOrder { credit, charge: None, usage })));
                }
                Ok(commands)
            }
        }
    }

    /// Pauses at the end of the current period or of the trial.
    ///
    /// # Errors
    /// [`Refusal`] if it has ended or is paused, or an invoice is open.
    pub fn pause(&mut self) -> Result<Vec<Command>, Refusal> {
        match self.status {
            Status::Cancelled { .. } => Err(Refusal::Cancelled),
            Status::Paused { .. } => Err(Refusal::Paused),
            _ if !self.open.is_empty() => Err(Refusal::InvoiceOpen),
            _ => {
                self.pending = Some(Pending::Pause);
                Ok(Vec::new())
            }
        }
    }

    /// Takes back a pause or a pending cancellation. After a pause a new period begins.
    ///
    /// # Errors
    /// [`Refusal`] if there is nothing to take back, or an invoice is open.
    pub fn resume(&mut self, now: DateTime<Utc>) -> Result<Vec<Command>, Refusal> {
        match self.status {
            Status::Cancelled { .. } => Err(Refusal::Cancelled),
            Status::Paused { .. } if !self.open.is_empty() => Err(Refusal::InvoiceOpen),
            Status::Paused { .. } => Ok(vec![self.set_plan(), self.begin(now, None)?]),
            _ => match self.pending.take_if(|pending| matches!(pending, Pending::Pause | Pending::Cancel)) {
                Some(_) => Ok(Vec::new()),
                None => Err(Refusal::NothingToResume),
            },
        }
    }
}

/// Whether `new` costs more per month than `old`.
fn costs_more(new: &Sold, old: &Sold) -> bool {
    let per_year = |sold: &Sold| i128::from(sold.price.amount) * i128::from(12 / sold.price.interval.months());
    per_year(new) > per_year(old)
}
