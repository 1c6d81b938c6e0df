//! The catalogue of plans: versioned data. A workspace keeps the plan version that it was assigned.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::CatalogueError;

/// The plans that ship with the program.
const BUILT_IN: &str = include_str!("plans.json");

/// One version of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The name in the API.
    pub name: String,
    /// Increases with every change of price or entitlements. A version never changes.
    pub version: i32,
    /// The title for people.
    pub title: String,
    /// The price of one interval.
    pub price: Price,
    /// How often the price is due.
    pub interval: Interval,
    /// The limits of the plan.
    pub entitlements: Entitlements,
}

/// An amount of money.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// Minor units of the currency, such as cents.
    pub amount: i64,
    /// ISO 4217.
    pub currency: String,
}

/// How often a price is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interval {
    /// Every calendar month.
    Month,
    /// Every calendar year.
    Year,
}

/// The limits of a plan; `None` means unlimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entitlements {
    /// Bytes of uploaded files.
    #[serde(deserialize_with = "Option::deserialize")]
    pub storage_bytes: Option<i64>,
    /// Events added per month.
    #[serde(deserialize_with = "Option::deserialize")]
    pub events_per_month: Option<i64>,
    /// Workflows at a time.
    #[serde(deserialize_with = "Option::deserialize")]
    pub workflows: Option<i64>,
    /// Runs started per month.
    #[serde(deserialize_with = "Option::deserialize")]
    pub runs_per_month: Option<i64>,
    /// Steps per month.
    #[serde(deserialize_with = "Option::deserialize")]
    pub steps_per_month: Option<i64>,
    /// Requests per day.
    #[serde(deserialize_with = "Option::deserialize")]
    pub api_calls_per_day: Option<i64>,
}

impl Entitlements {
    const fn limits(&self) -> [Option<i64>; 6] {
        [
            self.storage_bytes,
            self.events_per_month,
            self.workflows,
            self.runs_per_month,
            self.steps_per_month,
            self.api_calls_per_day,
        ]
    }
}

/// The name and version of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PlanVersion {
    /// The plan's name.
    pub name: String,
    /// Its version.
    pub version: i32,
}

impl fmt::Display for PlanVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (version {})", self.name, self.version)
    }
}

impl Plan {
    /// Its name and version.
    #[must_use]
    pub fn id(&self) -> PlanVersion {
        PlanVersion { name: self.name.clone(), version: self.version }
    }

    fn check(&self) -> Result<(), &'static str> {
        let named = !self.name.is_empty() && self.name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
        let currency = &self.price.currency;
        if !named {
            Err("a name has lower-case letters and dashes")
        } else if self.version < 1 {
            Err("versions begin at 1")
        } else if self.price.amount < 0 {
            Err("a price is not negative")
        } else if currency.len() != 3 || !currency.bytes().all(|b| b.is_ascii_uppercase()) {
            Err("a currency has three capital letters")
        } else if self.entitlements.limits().iter().flatten().any(|limit| *limit < 0) {
            Err("a limit is not negative")
        } else {
            Ok(())
        }
    }
}

/// All versions of all plans.
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
        let plans: Vec<Plan> = serde_json::from_str(json)?;
        let mut seen = BTreeSet::new();
        for plan in &plans {
            plan.check().map_err(|reason| CatalogueError::Invalid(plan.id(), reason))?;
            if !seen.insert((&plan.name, plan.version)) {
                return Err(CatalogueError::Invalid(plan.id(), "it stands twice"));
            }
        }
        Ok(Self(plans))
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
    use super::*;

    #[test]
    fn the_built_in_plans_are_valid() {
        let catalogue = Catalogue::built_in().unwrap();
        let free = catalogue.newest("free").unwrap();
        assert_eq!(free.entitlements.events_per_month, Some(1000));
        assert_eq!((free.entitlements.workflows, free.entitlements.storage_bytes), (Some(3), Some(1_000_000_000)));
        assert!(catalogue.newest("unlimited").unwrap().entitlements.limits().iter().all(Option::is_none));
        let error = catalogue.newest("gratis").unwrap_err().to_string();
        assert_eq!(error, "there is no plan \"gratis\"; the plans are free, unlimited");
    }

    #[test]
    fn a_newer_version_is_current_and_the_older_one_stays() {
        let mut plans: Vec<Plan> = serde_json::from_str(BUILT_IN).unwrap();
        plans[0].version = 2;
        plans[0].entitlements.workflows = Some(5);
        plans.extend(serde_json::from_str::<Vec<Plan>>(BUILT_IN).unwrap().into_iter().take(1));
        let catalogue = Catalogue::parse(&serde_json::to_string(&plans).unwrap()).unwrap();
        assert_eq!(catalogue.newest("free").unwrap().entitlements.workflows, Some(5));
        assert_eq!(catalogue.current().count(), 2);
        let old = catalogue.version(&PlanVersion { name: "free".into(), version: 1 }).unwrap();
        assert_eq!(old.entitlements.workflows, Some(3));
    }

    #[test]
    fn a_catalogue_that_contradicts_itself_is_refused() {
        for (from, to) in [
            ("\"version\": 1", "\"version\": 0"),
            ("\"amount\": 0", "\"amount\": -1"),
            ("EUR", "eur"),
            ("\"workflows\": 3", "\"workflows\": -3"),
            ("\"workflows\": 3,", ""),
            ("\"free\"", "\"unlimited\""),
            ("\"title\": \"Free\"", "\"title\": \"Free\", \"more\": 1"),
        ] {
            let broken = BUILT_IN.replacen(from, to, 1);
            assert_ne!(broken, BUILT_IN);
            assert!(Catalogue::parse(&broken).is_err(), "{to}");
        }
    }
}
