//! The catalogue of plans: versioned data. A workspace keeps the plan version that it was assigned.
//!
//! - [`plan`] has a version of a plan and its prices.
//! - [`entitlements`] has what a plan allows.
//! - [`version`] has drafts, publication and retirement. [`edit`] has the operators' use cases.
//!
//! The catalogue is in the store. The plans that ship with the program are its first versions.

pub mod edit;
pub mod entitlements;
pub mod plan;
pub mod version;

use std::collections::BTreeSet;

pub use edit::{EditPlanError, PlanEditor};
pub use entitlements::{EntitlementName, Entitlements, Feature, Metered, Overage};
pub use plan::{Interval, Plan, PlanFault, PlanVersion, Price};
pub use version::{PlanRecord, PlanStatus};

use crate::error::CatalogueError;

/// The plans that ship with the program.
const BUILT_IN: &str = include_str!("plans.json");

/// Versions of plans: those that ship with the program, or those that are sold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Catalogue(Vec<Plan>);

impl Catalogue {
    /// The plans that ship with the program.
    ///
    /// # Errors
    /// [`CatalogueError`] if the compiled-in catalogue is invalid, which a test rules out.
    pub fn built_in() -> Result<Self, CatalogueError> {
        Self::parse(BUILT_IN)
    }

    /// Parses a catalogue: a JSON array of plans. A missing limit is an error, not unlimited.
    ///
    /// # Errors
    /// [`CatalogueError`] if the text is not such an array or a plan is invalid.
    pub fn parse(json: &str) -> Result<Self, CatalogueError> {
        Self(serde_json::from_str(json)?).check()
    }

    /// The catalogue, if no plan in it is invalid or stands twice.
    fn check(self) -> Result<Self, CatalogueError> {
        let mut seen = BTreeSet::new();
        for plan in &self.0 {
            if let Some(fault) = plan.faults().into_iter().next() {
                return Err(CatalogueError::Invalid(plan.id(), fault));
            }
            if !seen.insert((&plan.name, plan.version)) {
                let fault = PlanFault { pointer: "/version".to_owned(), reason: "it stands twice" };
                return Err(CatalogueError::Invalid(plan.id(), fault));
            }
        }
        Ok(self)
    }

    /// The plans in the order in which they are shown: by the price per month, and those without a price last.
    #[must_use]
    pub fn of(mut plans: Vec<Plan>) -> Self {
        let price = |plan: &Plan| plan.per_month().unwrap_or(i64::MAX);
        plans.sort_by(|a, b| (price(a), &a.name, b.version).cmp(&(price(b), &b.name, a.version)));
        Self(plans)
    }

    /// The same catalogue with further plans.
    ///
    /// # Errors
    /// [`CatalogueError`] if one of them is invalid, or there already.
    pub fn with(mut self, further: Vec<Plan>) -> Result<Self, CatalogueError> {
        self.0.extend(further);
        self.check()
    }

    /// Every version.
    pub fn versions(&self) -> impl Iterator<Item = &Plan> {
        self.0.iter()
    }

    /// The newest version of each plan, in catalogue order.
    pub fn current(&self) -> impl Iterator<Item = &Plan> {
        self.0.iter().filter(|plan| !self.0.iter().any(|other| other.name == plan.name && other.version > plan.version))
    }

    /// The newest version of the plan with this name.
    ///
    /// # Errors
    /// [`CatalogueError::Unknown`] if no plan has this name.
    pub fn newest(&self, name: &str) -> Result<&Plan, CatalogueError> {
        self.current().find(|plan| plan.name == name).ok_or_else(|| {
            let names: Vec<_> = self.current().map(|plan| plan.name.as_str()).collect();
            CatalogueError::Unknown(name.to_owned(), names.join(", "))
        })
    }

    /// The plan with this name and version.
    #[must_use]
    pub fn version(&self, id: &PlanVersion) -> Option<&Plan> {
        self.0.iter().find(|plan| plan.name == id.name && plan.version == id.version)
    }
}

#[cfg(test)]
mod tests {
    use tidegate_kernel::Limit;

    use super::*;
    use crate::money::Currency;

    #[test]
    fn the_built_in_plans_are_valid() {
        let catalogue = Catalogue::built_in().unwrap();
        let free = &catalogue.newest("free").unwrap().entitlements;
        assert_eq!(free.limit(EntitlementName::EventsPerMonth), Limit::AtMost(1000));
        assert_eq!((free.workflows, free.storage_bytes), (Limit::AtMost(3), Limit::AtMost(1_000_000_000)));
        assert_eq!(free.file_bytes, Limit::AtMost(50_000_000));
        let unlimited = &catalogue.newest("unlimited").unwrap().entitlements;
        assert!(EntitlementName::ALL.iter().all(|name| unlimited.limit(*name) == Limit::Unlimited));
        assert!(Feature::ALL.iter().all(|feature| unlimited.has(*feature)));
        let error = catalogue.newest("gratis").unwrap_err().to_string();
        let names = "free, starter, professional, enterprise, unlimited";
        assert_eq!(error, format!("there is no plan \"gratis\"; the plans are {names}"));
    }

    #[test]
    fn the_paid_plans_allow_what_they_are_sold_with() {
        let catalogue = Catalogue::built_in().unwrap();
        let sold = ["starter", "professional", "enterprise"].map(|name| {
            let allowed = &catalogue.newest(name).unwrap().entitlements;
            [allowed.storage_bytes, allowed.api_calls_per_day, allowed.members].map(Limit::at_most)
        });
        assert_eq!(sold[0], [Some(10_000_000_000), Some(1000), Some(3)]);
        assert_eq!(sold[1], [Some(50_000_000_000), Some(5000), Some(10)]);
        assert_eq!(sold[2], [None; 3]);
    }

    #[test]
    fn an_overage_price_lifts_the_hard_limit() {
        let catalogue = Catalogue::built_in().unwrap();
        let starter = &catalogue.newest("starter").unwrap().entitlements;
        assert_eq!(starter.limit(EntitlementName::EventsPerMonth), Limit::Unlimited);
        let events = starter.metered(EntitlementName::EventsPerMonth).unwrap();
        assert_eq!(events.included, Limit::AtMost(50_000));
        assert_eq!(events.overage.as_ref().unwrap().amounts[&Currency::EUR], 50);
        assert_eq!(starter.metered(EntitlementName::Workflows), None);
    }

    #[test]
    fn a_newer_version_is_current_and_the_older_one_stays() {
        let mut plans: Vec<Plan> = serde_json::from_str(BUILT_IN).unwrap();
        plans[0].version = 2;
        plans[0].entitlements.workflows = Limit::AtMost(5);
        plans.extend(serde_json::from_str::<Vec<Plan>>(BUILT_IN).unwrap().into_iter().take(1));
        let catalogue = Catalogue::parse(&serde_json::to_string(&plans).unwrap()).unwrap();
        assert_eq!(catalogue.newest("free").unwrap().entitlements.workflows, Limit::AtMost(5));
        assert_eq!(catalogue.current().count(), 5);
        let old = catalogue.version(&PlanVersion { name: "free".into(), version: 1 }).unwrap();
        assert_eq!(old.entitlements.workflows, Limit::AtMost(3));
    }

    #[test]
    fn a_catalogue_that_contradicts_itself_is_refused() {
        for (from, to) in [
            ("\"version\": 1", "\"version\": 0"),
            ("\"amount\": 0", "\"amount\": -1"),
            ("EUR", "eur"),
            ("\"USD\"", "\"EUR\""),
            ("\"workflows\": 3", "\"workflows\": -3"),
            ("\"workflows\": 3", "\"workflows\": null"),
            ("\"workflows\": 3,", ""),
            (", \"overage\": null", ""),
            ("\"custom_roles\": false,", ""),
            ("\"custom_roles\"", "\"custom\""),
            ("\"free\"", "\"unlimited\""),
            ("\"free\"", "\"free plan\""),
            ("\"title\": \"Free\"", "\"title\": \"Free\", \"more\": 1"),
            ("\"included\": 50000", "\"included\": \"unlimited\""),
            ("\"per\": 1000", "\"per\": 0"),
            ("{\"EUR\": 50, \"USD\": 55}", "{\"EUR\": 50}"),
            ("{\"EUR\": 50, \"USD\": 55}", "{\"EUR\": 50, \"USD\": -55}"),
        ] {
            let broken = BUILT_IN.replacen(from, to, 1);
            assert_ne!(broken, BUILT_IN, "{from}");
            assert!(Catalogue::parse(&broken).is_err(), "{to}");
        }
    }
}
