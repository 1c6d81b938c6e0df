//! The lines of an invoice, with the facts that they come from.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tidegate_kernel::{Limit, Period};

use super::tax::TaxRate;
use crate::catalogue::{EntitlementName, Metered, PlanVersion, Price};
use crate::money::{Overflow, divide, share};

/// A version of a plan at the price that was agreed: a copy, which no later change of the plan affects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sold {
    /// The plan.
    pub plan: PlanVersion,
    /// The title of the plan.
    pub title: String,
    /// The price.
    pub price: Price,
}

/// The usage of one meter in one period of the meter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageRow {
    /// The period of the meter.
    pub period: Period,
    /// The amount used.
    pub used: i64,
    /// The part of it that an earlier invoice was about.
    #[serde(default)]
    pub charged: i64,
}

/// What a line is for, and the facts that its amount follows from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum LineKind {
    /// A plan for a whole period.
    Plan {
        /// The plan and its price.
        sold: Sold,
        /// The period.
        period: Period,
    },
    /// A plan for the rest of a period.
    Proration {
        /// The plan and its price for the whole period.
        sold: Sold,
        /// The rest.
        rest: Period,
        /// The whole period.
        period: Period,
    },
    /// What was paid for the rest of a period that the customer does not use.
    Credit {
        /// The plan that was paid for.
        plan: PlanVersion,
        /// The rest.
        rest: Period,
        /// The time that was paid for.
        paid_for: Period,
        /// What was paid for it, after discounts.
        paid: i64,
    },
    /// Usage beyond the included amount.
    Usage {
        /// The plan.
        plan: PlanVersion,
        /// What was used.
        name: EntitlementName,
        /// The usage that was counted, by periods of the meter.
        rows: Vec<UsageRow>,
        /// The amount that the plan includes in each period of the meter.
        included: i64,
        /// The number of units that the price is for.
        per: i64,
    },
    /// What a promo code takes off.
    Discount {
        /// The code.
        code: String,
    },
    /// A negative rest, which becomes the customer's credit.
    CarriedForward,
}

/// A line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// What it is for.
    pub kind: LineKind,
    /// The number of units.
    pub quantity: i64,
    /// The price of one unit, or of [`LineKind::Usage::per`] units.
    pub unit_amount: i64,
    /// Minor units; negative for credits and discounts. It contains the tax if the rate is inclusive.
    pub amount: i64,
    /// The tax rate.
    pub rate: TaxRate,
    /// The tax on the amount.
    pub tax: i64,
}

impl Line {
    /// A line of one unit, whose tax is not yet computed.
    const fn one(kind: LineKind, amount: i64, rate: TaxRate) -> Self {
        Self { kind, quantity: 1, unit_amount: amount, amount, rate, tax: 0 }
    }

    /// A plan for a whole period.
    #[must_use]
    pub const fn plan(sold: Sold, period: Period, rate: TaxRate) -> Self {
        let amount = sold.price.amount;
        Self::one(LineKind::Plan { sold, period }, amount, rate)
    }

    /// A plan from `now` to the end of the period, prorated by the second.
    ///
    /// # Errors
    /// [`Overflow`] if the period is empty.
    pub fn proration(sold: Sold, period: Period, now: DateTime<Utc>, rate: TaxRate) -> Result<Self, Overflow> {
        let rest = rest(period, now);
        let amount = share(sold.price.amount, seconds(rest), seconds(period))?;
        Ok(Self::one(LineKind::Proration { sold, rest, period }, amount, rate))
    }

    /// The credit for what was paid and is not used from `now` on. It is 0 if nothing is left.
    ///
    /// # Errors
    /// [`Overflow`] if the time that was paid for is empty.
    pub fn credit(paid: &Paid, now: DateTime<Utc>) -> Result<Self, Overflow> {
        let Paid { plan, paid_for, amount, rate } = paid.clone();
        let rest = rest(paid_for, now);
        let credit = share(amount, seconds(rest), seconds(paid_for))?;
        let kind = LineKind::Credit { plan, rest, paid_for, paid: amount };
        Ok(Self::one(kind, credit.checked_neg().ok_or(Overflow)?, rate))
    }

    /// The usage beyond the included amount; `None` if there is none or it has no price. The included amount counts
    /// for each period of the meter. The price is in proportion and rounded down. Usage that an earlier invoice was about
    /// is not charged again.
    ///
    /// # Errors
    /// [`Overflow`] if the amount does not fit.
    pub fn usage(
        sold: &Sold,
        name: EntitlementName,
        metered: &Metered,
        rows: Vec<UsageRow>,
        rate: TaxRate,
    ) -> Result<Option<Self>, Overflow> {
        let (Limit::AtMost(included), Some(overage)) = (metered.included, &metered.overage) else { return Ok(None) };
        let Some(unit_amount) = overage.amounts.get(&sold.price.currency).copied() else { return Ok(None) };
        let beyond = |used: i64| i128::from(used.saturating_sub(included).max(0));
        let charged: i128 = rows.iter().map(|row| beyond(row.charged)).sum();
        let used: i128 = rows.iter().map(|row| beyond(row.used.max(row.charged))).sum();
        let quantity = i64::try_from(used - charged).map_err(|_| Overflow)?;
        if quantity == 0 {
            return Ok(None);
        }
        let price = |units: i128| {
            let exact = units.checked_mul(i128::from(unit_amount)).ok_or(Overflow)?;
            divide(exact - exact.rem_euclid(i128::from(overage.per.max(1))), i128::from(overage.per))
        };
        let amount = price(used)?.checked_sub(price(charged)?).ok_or(Overflow)?;
        let kind = LineKind::Usage { plan: sold.plan.clone(), name, rows, included, per: overage.per };
        Ok(Some(Self { kind, quantity, unit_amount, amount, rate, tax: 0 }))
    }

    /// What a promo code takes off; `off` is not negative.
    pub(super) const fn discount(code: String, off: i64, rate: TaxRate) -> Self {
        Self::one(LineKind::Discount { code }, -off, rate)
    }

    /// A negative rest of `amount` that becomes credit.
    pub(super) const fn carried_forward(amount: i64) -> Self {
        Self::one(LineKind::CarriedForward, amount, TaxRate::NONE)
    }

    /// The amount without tax.
    ///
    /// # Errors
    /// [`Overflow`] if it does not fit.
    pub fn net(&self) -> Result<i64, Overflow> {
        if self.rate.inclusive { self.amount.checked_sub(self.tax).ok_or(Overflow) } else { Ok(self.amount) }
    }

    /// The promo code that takes off this line; `None` if it is another line.
    #[must_use]
    pub fn promo_code(&self) -> Option<&str> {
        match &self.kind {
            LineKind::Discount { code } => Some(code),
            _ => None,
        }
    }

    /// Whether promo codes take off from this line.
    pub(super) const fn is_charge(&self) -> bool {
        matches!(self.kind, LineKind::Plan { .. } | LineKind::Proration { .. } | LineKind::Usage { .. })
    }
}

/// What was paid for a plan, which is the most that can be credited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paid {
    /// The plan.
    pub plan: PlanVersion,
    /// The time that was paid for.
    pub paid_for: Period,
    /// The amount after discounts, in the manner of the rate with or without tax.
    pub amount: i64,
    /// The tax rate at that time.
    pub rate: TaxRate,
}

/// The part of a period from `now` on, cut to whole seconds.
fn rest(period: Period, now: DateTime<Utc>) -> Period {
    let second = DateTime::from_timestamp(now.timestamp(), 0).unwrap_or(now);
    Period { start: second.clamp(period.start, period.end), end: period.end }
}

fn seconds(period: Period) -> i64 {
    (period.end - period.start).num_seconds()
}
