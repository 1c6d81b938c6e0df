//! Usage that an invoice was about. What is counted of it later is charged with a later invoice.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use tidegate_kernel::{Meter, Period};

use super::Subscription;
use super::order::METERED;
use crate::catalogue::EntitlementName;
use crate::invoice::Sold;

/// How long after the end of a month what is counted late is still charged.
const LATE: TimeDelta = TimeDelta::days(100);

/// The usage of a month that an invoice was about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeteredUsage {
    /// The plan that counted then, at its price.
    pub sold: Sold,
    /// What was used.
    pub name: EntitlementName,
    /// The month.
    pub period: Period,
    /// The amount that was counted until the invoice.
    pub used: i64,
}

impl MeteredUsage {
    /// The meter; `None` if it is not charged any more.
    #[must_use]
    pub fn meter(&self) -> Option<Meter> {
        METERED.iter().find(|(_, name)| *name == self.name).map(|(meter, _)| *meter)
    }
}

impl Subscription {
    /// Remembers what an invoice is about, in place of earlier amounts, and forgets what is long ago.
    pub fn usage_metered(&mut self, usage: Vec<MeteredUsage>, now: DateTime<Utc>) {
        self.metered.retain(|known| {
            let replaced = usage.iter().any(|new| (new.name, new.period) == (known.name, known.period));
            !replaced && now - known.period.end < LATE
        });
        self.metered.extend(usage);
    }
}
