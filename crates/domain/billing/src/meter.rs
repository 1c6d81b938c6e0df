//! The limits of plans, by meter, and the usage of one meter.

use tidegate_kernel::{Limit, Meter, Period};

use crate::catalogue::{EntitlementName, Entitlements};

/// The limit of a plan for one period of `meter`, or for its level.
#[must_use]
pub const fn limit_of(meter: Meter, entitlements: &Entitlements) -> Limit {
    entitlements.limit(match meter {
        Meter::ApiCalls => EntitlementName::ApiCallsPerDay,
        Meter::Events => EntitlementName::EventsPerMonth,
        Meter::Runs => EntitlementName::RunsPerMonth,
        Meter::Steps => EntitlementName::StepsPerMonth,
        Meter::StorageBytes => EntitlementName::StorageBytes,
        Meter::Workflows => EntitlementName::Workflows,
        Meter::Members => EntitlementName::Members,
    })
}

/// Which usage is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UsageQuery {
    /// The meters; all if it is empty.
    pub meters: Vec<Meter>,
    /// A calendar month in UTC; `None` for the current period of each meter.
    pub month: Option<Period>,
    /// Whether the usage is told for each day of the month, which is the current one by default.
    pub by_day: bool,
}

impl UsageQuery {
    /// Whether this meter is asked for.
    #[must_use]
    pub fn asks_for(&self, meter: Meter) -> bool {
        self.meters.is_empty() || self.meters.contains(&meter)
    }
}

/// The usage of one meter in one period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// The meter.
    pub meter: Meter,
    /// The count.
    pub used: i64,
    /// The plan's limit for this period. [`Limit::Unlimited`] also if it is not a period that the plan limits now: a period
    /// in the past, a day of a meter by month, a month of a meter by day.
    pub limit: Limit,
    /// The period.
    pub period: Period,
}
