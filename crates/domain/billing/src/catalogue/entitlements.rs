//! What a plan allows: features, limits, and metered amounts with an overage price.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use tidegate_kernel::Limit;

use super::plan::{AMOUNT_RANGE, MAX_AMOUNT, PlanFault};
use crate::money::Currency;
use crate::names::names;

names! {
    /// A limit of a plan.
    EntitlementName {
        /// Bytes of all files of the workspace.
        StorageBytes = "storage_bytes";
        /// Bytes of the largest file.
        FileBytes = "file_bytes";
        /// Events added per month.
        EventsPerMonth = "events_per_month";
        /// Workflows at a time.
        Workflows = "workflows";
        /// Runs started per month.
        RunsPerMonth = "runs_per_month";
        /// Attempts of steps that began, per month.
        StepsPerMonth = "steps_per_month";
        /// API requests per day.
        ApiCallsPerDay = "api_calls_per_day";
        /// API requests per minute.
        RequestsPerMinute = "requests_per_minute";
        /// Members at a time.
        Members = "members";
        /// Runs at a time that have not ended.
        ConcurrentRuns = "concurrent_runs";
    }
}

names! {
    /// Something that a plan has or lacks.
    Feature {
        /// Roles beside the four standard ones.
        CustomRoles = "custom_roles";
        /// The audit log as a file.
        AuditExport = "audit_export";
        /// Restriction of a workspace to networks.
        NetworkPolicy = "network_policy";
        /// Log-in through the customer's identity provider.
        SingleSignOn = "single_sign_on";
    }
}

/// What a plan allows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entitlements {
    /// The features that the plan has. A feature that is missing is an error, not false.
    pub features: BTreeMap<Feature, bool>,
    /// Bytes of all files of the workspace.
    pub storage_bytes: Limit,
    /// Bytes of the largest file.
    pub file_bytes: Limit,
    /// Workflows at a time.
    pub workflows: Limit,
    /// API requests per day.
    pub api_calls_per_day: Limit,
    /// API requests per minute.
    pub requests_per_minute: Limit,
    /// Members at a time.
    pub members: Limit,
    /// Runs at a time that have not ended.
    pub concurrent_runs: Limit,
    /// Events added per month.
    pub events_per_month: Metered,
    /// Runs started per month.
    pub runs_per_month: Metered,
    /// Attempts of steps that began, per month.
    pub steps_per_month: Metered,
}

/// An amount per month that the price includes, and what more of it costs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metered {
    /// The amount that the price of the plan includes.
    pub included: Limit,
    /// The price of what goes beyond; `None` if nothing can.
    #[serde(deserialize_with = "Option::deserialize")]
    pub overage: Option<Overage>,
}

/// The price of usage beyond the included amount.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Overage {
    /// The number of units that `amounts` is for. Usage is charged in proportion, rounded down once per period.
    pub per: i64,
    /// The price of `per` units in minor units, for each currency of the plan's prices.
    pub amounts: BTreeMap<Currency, i64>,
}

impl Metered {
    /// The limit that usage cannot pass. With an overage price there is none.
    #[must_use]
    pub const fn hard_limit(&self) -> Limit {
        if self.overage.is_some() { Limit::Unlimited } else { self.included }
    }
}

impl Entitlements {
    /// The limit that usage cannot pass. A metered amount with an overage price has none.
    #[must_use]
    pub const fn limit(&self, name: EntitlementName) -> Limit {
        match name {
            EntitlementName::StorageBytes => self.storage_bytes,
            EntitlementName::FileBytes => self.file_bytes,
            EntitlementName::Workflows => self.workflows,
            EntitlementName::ApiCallsPerDay => self.api_calls_per_day,
            EntitlementName::RequestsPerMinute => self.requests_per_minute,
            EntitlementName::Members => self.members,
            EntitlementName::ConcurrentRuns => self.concurrent_runs,
            EntitlementName::EventsPerMonth => self.events_per_month.hard_limit(),
            EntitlementName::RunsPerMonth => self.runs_per_month.hard_limit(),
            EntitlementName::StepsPerMonth => self.steps_per_month.hard_limit(),
        }
    }

    /// The metered amount of this name; `None` if it is a plain limit.
    #[must_use]
    pub const fn metered(&self, name: EntitlementName) -> Option<&Metered> {
        match name {
            EntitlementName::EventsPerMonth => Some(&self.events_per_month),
            EntitlementName::RunsPerMonth => Some(&self.runs_per_month),
            EntitlementName::StepsPerMonth => Some(&self.steps_per_month),
            EntitlementName::StorageBytes
            | EntitlementName::FileBytes
            | EntitlementName::Workflows
            | EntitlementName::ApiCallsPerDay
            | EntitlementName::RequestsPerMinute
            | EntitlementName::Members
            | EntitlementName::ConcurrentRuns => None,
        }
    }

    /// Whether the plan has this feature.
    #[must_use]
    pub fn has(&self, feature: Feature) -> bool {
        self.features.get(&feature).copied().unwrap_or(false)
    }

    /// What is wrong with these entitlements, if the plan is sold in `currencies`.
    pub(super) fn faults(&self, currencies: &BTreeSet<Currency>) -> Vec<PlanFault> {
        let mut faults = Vec::new();
        let mut fault = |pointer: String, reason| faults.push(PlanFault { pointer, reason });
        for feature in Feature::ALL.iter().filter(|feature| !self.features.contains_key(feature)) {
            fault(format!("/entitlements/features/{}", feature.as_str()), "each feature is true or false");
        }
        if self.concurrent_runs == Limit::AtMost(0) {
            fault("/entitlements/concurrent_runs".to_owned(), "at least one run runs at a time");
        }
        for name in EntitlementName::ALL {
            let Some(Metered { included, overage: Some(overage) }) = self.metered(*name) else { continue };
            let at = format!("/entitlements/{}", name.as_str());
            if *included == Limit::Unlimited {
                fault(format!("{at}/overage"), "an unlimited amount has no overage price");
            }
            if !(1..=MAX_AMOUNT).contains(&overage.per) {
                fault(format!("{at}/overage/per"), "an overage price is for 1 to 1,000,000,000,000 units");
            }
            for (currency, _) in overage.amounts.iter().filter(|(_, amount)| !(0..=MAX_AMOUNT).contains(*amount)) {
                fault(format!("{at}/overage/amounts/{currency}"), AMOUNT_RANGE);
            }
            if !overage.amounts.keys().eq(currencies.iter()) {
                let reason = "an overage price is in the currencies of the plan's prices";
                fault(format!("{at}/overage/amounts"), reason);
            }
        }
        faults
    }
}
