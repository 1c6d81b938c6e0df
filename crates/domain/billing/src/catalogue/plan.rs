//! One version of a plan, and its prices.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::entitlements::Entitlements;
use crate::money::Currency;

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
    /// The ways to pay for it: one price for each interval and currency. The first is the one to show. A plan without a
    /// price cannot be bought; only the operator assigns it, as the default plan.
    pub prices: Vec<Price>,
    /// What the plan allows.
    pub entitlements: Entitlements,
}

/// The price of one interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// How often it is due.
    pub interval: Interval,
    /// Its currency.
    pub currency: Currency,
    /// Minor units of the currency, such as cents.
    pub amount: i64,
}

/// How often a price is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interval {
    /// Every calendar month.
    Month,
    /// Every three calendar months.
    Quarter,
    /// Every calendar year.
    Year,
}

impl Interval {
    /// Every interval.
    pub const ALL: &'static [Self] = &[Self::Month, Self::Quarter, Self::Year];

    /// The name in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Month => "month",
            Self::Quarter => "quarter",
            Self::Year => "year",
        }
    }

    /// Its length in calendar months.
    #[must_use]
    pub const fn months(self) -> u32 {
        match self {
            Self::Month => 1,
            Self::Quarter => 3,
            Self::Year => 12,
        }
    }
}

/// The name and version of a plan.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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
    /// The longest name.
    pub const MAX_NAME: usize = 40;
    /// The longest title, in characters.
    pub const MAX_TITLE: usize = 100;

    /// Its name and version.
    #[must_use]
    pub fn id(&self) -> PlanVersion {
        PlanVersion { name: self.name.clone(), version: self.version }
    }

    /// The price for this interval and currency; `None` if the plan is not sold so.
    #[must_use]
    pub fn price(&self, interval: Interval, currency: Currency) -> Option<Price> {
        self.prices.iter().copied().find(|price| price.interval == interval && price.currency == currency)
    }

    /// Says what is wrong with this plan.
    pub(super) fn check(&self) -> Result<(), &'static str> {
        let named = (1..=Self::MAX_NAME).contains(&self.name.len())
            && self.name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
        let options: BTreeSet<_> = self.prices.iter().map(|price| (price.currency, price.interval)).collect();
        let currencies: BTreeSet<_> = self.prices.iter().map(|price| price.currency).collect();
        let currencies: Vec<_> = currencies.into_iter().collect();
        if !named {
            Err("a name has 1 to 40 lower-case letters and dashes")
        } else if !(1..=Self::MAX_TITLE).contains(&self.title.chars().count()) {
            Err("a title has 1 to 100 characters")
        } else if self.version < 1 {
            Err("versions begin at 1")
        } else if self.prices.iter().any(|price| price.amount < 0) {
            Err("a price is not negative")
        } else if options.len() < self.prices.len() {
            Err("there is one price for an interval and a currency")
        } else {
            self.entitlements.check(&currencies)
        }
    }
}
