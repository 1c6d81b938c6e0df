//! One version of a plan, and its prices.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::entitlements::Entitlements;
use crate::money::Currency;

/// The largest amount of money or of units in a plan. Products of two of them fit into 128 bits, and a year of prices
/// into 64.
pub(super) const MAX_AMOUNT: i64 = 1_000_000_000_000;

/// What [`MAX_AMOUNT`] means.
pub(super) const AMOUNT_RANGE: &str = "an amount is from 0 to 1,000,000,000,000";

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
    /// The most prices.
    pub const MAX_PRICES: usize = 100;

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

    /// What is wrong with this plan; nothing if it can be sold.
    #[must_use]
    pub fn faults(&self) -> Vec<PlanFault> {
        let mut faults = Vec::new();
        let mut fault = |pointer: &str, reason| faults.push(PlanFault { pointer: pointer.to_owned(), reason });
        if !Self::is_name(&self.name) {
            fault("/name", "a name has 1 to 40 lower-case letters and dashes");
        }
        if !(1..=Self::MAX_TITLE).contains(&self.title.chars().count()) {
            fault("/title", "a title has 1 to 100 characters");
        }
        if self.version < 1 {
            fault("/version", "versions begin at 1");
        }
        if self.prices.len() > Self::MAX_PRICES {
            fault("/prices", "a plan has at most 100 prices");
        }
        let mut options = BTreeSet::new();
        for (index, price) in self.prices.iter().enumerate() {
            if !(0..=MAX_AMOUNT).contains(&price.amount) {
                fault(&format!("/prices/{index}/amount"), AMOUNT_RANGE);
            }
            if !options.insert((price.currency, price.interval)) {
                fault(&format!("/prices/{index}"), "there is one price for an interval and a currency");
            }
        }
        let currencies: BTreeSet<_> = self.prices.iter().map(|price| price.currency).collect();
        faults.extend(self.entitlements.faults(&currencies));
        faults
    }

    /// Whether this can be the name of a plan.
    #[must_use]
    pub fn is_name(name: &str) -> bool {
        (1..=Self::MAX_NAME).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')
    }

    /// The price per month of the first price; `None` if the plan is not sold.
    pub(super) fn per_month(&self) -> Option<i64> {
        self.prices.first().map(|price| price.amount / i64::from(price.interval.months()))
    }
}

/// Something that is wrong with a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanFault {
    /// The field, as a JSON pointer into the plan.
    pub pointer: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl fmt::Display for PlanFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.pointer, self.reason)
    }
}
