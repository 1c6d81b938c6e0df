//! The state of a subscription.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use tidegate_kernel::{InvoiceId, Period};

use super::metering::MeteredUsage;
use crate::calendar::{Anchor, OutOfRange};
use crate::invoice::{Paid, Sold};

/// How long after the first failed payment the next attempts are made.
pub const RETRIES: [TimeDelta; 3] = [TimeDelta::days(1), TimeDelta::days(3), TimeDelta::days(7)];

/// How long after the first failed payment the plan still counts.
pub const GRACE: TimeDelta = TimeDelta::days(14);

/// How long before its end the customer is reminded of a trial.
pub const TRIAL_REMINDER: TimeDelta = TimeDelta::days(3);

/// The status of a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The plan counts, and nothing is due before `ends`.
    Trialing {
        /// When the first period begins.
        ends: DateTime<Utc>,
        /// Whether the customer was reminded of the end.
        #[serde(default)]
        reminded: bool,
    },
    /// The plan counts.
    Active,
    /// A payment has failed or is late. The plan still counts.
    PastDue {
        /// When the first payment failed or was late.
        since: DateTime<Utc>,
        /// How many further attempts were made.
        retries: u8,
    },
    /// The grace is over. The plan does not count until the invoices are paid. All data stays.
    Suspended {
        /// When the grace was over.
        since: DateTime<Utc>,
    },
    /// Paused by the customer at the end of a period. The plan does not count, and nothing is due.
    Paused {
        /// When the last period ended.
        since: DateTime<Utc>,
    },
    /// Ended for good.
    Cancelled {
        /// When it ended.
        at: DateTime<Utc>,
    },
}

impl Status {
    /// The names of all statuses in the API and in the store.
    pub const NAMES: &'static [&'static str] = &["trialing", "active", "past_due", "suspended", "paused", "cancelled"];

    /// The name in the API and in the store.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Trialing { .. } => "trialing",
            Self::Active => "active",
            Self::PastDue { .. } => "past_due",
            Self::Suspended { .. } => "suspended",
            Self::Paused { .. } => "paused",
            Self::Cancelled { .. } => "cancelled",
        }
    }

    /// Whether the workspace may use what the plan allows. If not, the default plan of the installation counts.
    #[must_use]
    pub const fn plan_counts(&self) -> bool {
        matches!(self, Self::Trialing { .. } | Self::Active | Self::PastDue { .. })
    }
}

/// What happens at the end of the current period or of the trial. A later request replaces an earlier one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pending {
    /// Another plan begins.
    Change(Sold),
    /// The subscription ends.
    Cancel,
    /// The subscription pauses.
    Pause,
}

/// The subscription of a workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscription {
    /// The plan and its price: a copy of the version that was bought.
    pub sold: Sold,
    /// Where periods begin. During a trial its interval does not count yet.
    pub anchor: Anchor,
    /// The number of the current period.
    pub number: u32,
    /// The status.
    pub status: Status,
    /// What happens at the end of the period.
    pub pending: Option<Pending>,
    /// What was invoiced for the current plan: the most that can be credited when it is paid.
    pub paid: Option<Paid>,
    /// Until when usage was charged.
    pub metered_until: DateTime<Utc>,
    /// The usage that the last invoices were about.
    #[serde(default)]
    pub metered: Vec<MeteredUsage>,
    /// The invoices that are not paid, and when payment is due.
    pub open: BTreeMap<InvoiceId, DateTime<Utc>>,
}

impl Subscription {
    /// The current period; `None` during a trial.
    ///
    /// # Errors
    /// [`OutOfRange`] if it is outside of the calendar.
    pub fn period(&self) -> Result<Option<Period>, OutOfRange> {
        match self.status {
            Status::Trialing { .. } => Ok(None),
            _ => self.anchor.period(self.number).map(Some),
        }
    }

    /// Whether it has ended for good.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        matches!(self.status, Status::Cancelled { .. })
    }

    /// When [`Subscription::wake`] has something to do; `None` if never.
    ///
    /// # Errors
    /// [`OutOfRange`] if that is outside of the calendar.
    pub fn next_wakeup(&self) -> Result<Option<DateTime<Utc>>, OutOfRange> {
        let end = || self.anchor.period(self.number).map(|period| period.end);
        Ok(match self.status {
            Status::Trialing { ends, reminded: false } => {
                Some(ends.checked_sub_signed(TRIAL_REMINDER).ok_or(OutOfRange)?)
            }
            Status::Trialing { ends, reminded: true } => Some(ends),
            Status::Active => {
                let end = end()?;
                Some(self.first_due().map_or(end, |due| due.min(end)))
            }
            Status::PastDue { since, retries } => Some(dunning_step(since, retries)?.min(end()?)),
            Status::Suspended { .. } | Status::Paused { .. } | Status::Cancelled { .. } => None,
        })
    }

    /// The usage since it was last charged, until `at`. From then on it counts as charged.
    pub(super) fn take_usage(&mut self, at: DateTime<Utc>) -> (Sold, Period) {
        let start = self.metered_until.min(at);
        self.metered_until = at;
        (self.sold.clone(), Period { start, end: at })
    }

    /// When the first of the open invoices is due.
    pub(super) fn first_due(&self) -> Option<DateTime<Utc>> {
        self.open.values().min().copied()
    }

    /// The open invoices that are due.
    pub(super) fn due(&self, now: DateTime<Utc>) -> Vec<InvoiceId> {
        self.open.iter().filter(|(_, due)| **due <= now).map(|(invoice, _)| *invoice).collect()
    }
}

/// When the next attempt is made, or the grace is over.
pub(super) fn dunning_step(since: DateTime<Utc>, retries: u8) -> Result<DateTime<Utc>, OutOfRange> {
    let after = RETRIES.get(usize::from(retries)).copied().unwrap_or(GRACE);
    since.checked_add_signed(after).ok_or(OutOfRange)
}
