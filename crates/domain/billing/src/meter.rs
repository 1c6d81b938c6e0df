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
