//! The limits of plans, by meter, and the usage of one meter.

use tidegate_kernel::{Limit, Meter, Period};

use crate::plan::Entitlements;

/// The limit of a plan for one period of `meter`, or for its level.
#[must_use]
pub const fn limit_of(meter: Meter, entitlements: &Entitlements) -> Limit {
    let limit = match meter {
        Meter::ApiCalls => entitlements.api_calls_per_day,
        Meter::Events => entitlements.events_per_month,
        Meter::Runs => entitlements.runs_per_month,
        Meter::Steps => entitlements.steps_per_month,
        Meter::StorageBytes => entitlements.storage_bytes,
        Meter::Workflows => entitlements.workflows,
        Meter::Members => None,
    };
    match limit {
        Some(n) => Limit::AtMost(n),
        None => Limit::Unlimited,
    }
}

/// The usage of one meter in the current period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// The meter.
    pub meter: Meter,
    /// The count.
    pub used: i64,
    /// The plan's limit.
    pub limit: Limit,
    /// The period.
    pub period: Period,
}
