//! What a subscription wants to be invoiced.

use chrono::{DateTime, Utc};
use tidegate_kernel::{Meter, Period};

use crate::catalogue::{EntitlementName, Entitlements};
use crate::invoice::{Line, Paid, Sold, TaxRate, UsageRow};
use crate::money::Overflow;

/// The meters whose usage beyond the included amount is charged.
pub const METERED: [(Meter, EntitlementName); 3] = [
    (Meter::Events, EntitlementName::EventsPerMonth),
    (Meter::Runs, EntitlementName::RunsPerMonth),
    (Meter::Steps, EntitlementName::StepsPerMonth),
];

/// What an invoice is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvoiceOrder {
    /// What was paid, of which the rest from this time on is credited.
    pub credit: Option<(Paid, DateTime<Utc>)>,
    /// The plan that is charged.
    pub charge: Option<Charge>,
    /// The plan and the time whose usage is charged.
    pub usage: Option<(Sold, Period)>,
}

/// The charge for a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charge {
    /// The plan.
    pub sold: Sold,
    /// The whole period.
    pub period: Period,
    /// From when on the period is charged; `None` is from its start.
    pub from: Option<DateTime<Utc>>,
}

impl InvoiceOrder {
    /// The time that the invoice is about; `None` if it is about nothing.
    #[must_use]
    pub fn period(&self) -> Option<Period> {
        let charged = self.charge.as_ref().map(|charge| {
            let start = charge.from.unwrap_or(charge.period.start);
            Period { start, ..charge.period }
        });
        let credited = || {
            let (paid, from) = self.credit.as_ref()?;
            Some(Period { start: *from.min(&paid.paid_for.end), ..paid.paid_for })
        };
        charged.or_else(credited).or_else(|| self.usage.as_ref().map(|(_, ended)| *ended))
    }

    /// The lines for the plan: the credit, and the charge at this tax rate.
    ///
    /// # Errors
    /// [`Overflow`] if an amount does not fit.
    pub fn plan_lines(&self, rate: TaxRate) -> Result<Vec<Line>, Overflow> {
        let mut lines = Vec::new();
        if let Some((paid, from)) = &self.credit {
            lines.push(Line::credit(paid, *from)?);
        }
        if let Some(Charge { sold, period, from }) = &self.charge {
            lines.push(match from {
                Some(from) => Line::proration(sold.clone(), *period, *from, rate)?,
                None => Line::plan(sold.clone(), *period, rate),
            });
        }
        Ok(lines)
    }

    /// The months (in UTC) whose usage is charged, for each meter that the plan has an overage price for: those that
    /// ended in the time whose usage is charged, or at its end.
    #[must_use]
    pub fn months(&self, entitlements: &Entitlements) -> Vec<(Meter, EntitlementName, Vec<Period>)> {
        let Some((_, ended)) = &self.usage else { return Vec::new() };
        let charged = METERED
            .into_iter()
            .filter(|(_, name)| entitlements.metered(*name).is_some_and(|metered| metered.overage.is_some()));
        charged.map(|(meter, name)| (meter, name, months_that_ended(meter, *ended))).collect()
    }

    /// The line for usage beyond what is included; `None` if there is none.
    ///
    /// # Errors
    /// [`Overflow`] if an amount does not fit.
    pub fn usage_line(
        &self,
        entitlements: &Entitlements,
        name: EntitlementName,
        rows: Vec<UsageRow>,
        rate: TaxRate,
    ) -> Result<Option<Line>, Overflow> {
        match (&self.usage, entitlements.metered(name)) {
            (Some((sold, _)), Some(metered)) => Line::usage(sold, name, metered, rows, rate),
            _ => Ok(None),
        }
    }
}

/// The periods of a meter whose end is in `ended`, or at its end.
fn months_that_ended(meter: Meter, ended: Period) -> Vec<Period> {
    let mut month = meter.period(ended.start);
    let mut months = Vec::new();
    while month.end <= ended.end {
        months.push(month);
        month = meter.period(month.end);
    }
    months
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_is_charged_in_the_period_in_which_it_ends() {
        let period = |start: &str, end: &str| Period { start: start.parse().unwrap(), end: end.parse().unwrap() };
        let ends = |ended| {
            months_that_ended(Meter::Events, ended).iter().map(|month| month.end.to_rfc3339()).collect::<Vec<_>>()
        };
        let berlin = period("2026-01-14T23:00:00Z", "2026-02-14T23:00:00Z");
        assert_eq!(ends(berlin), ["2026-02-01T00:00:00+00:00"]);
        let quarter = period("2026-01-01T00:00:00Z", "2026-04-01T00:00:00Z");
        assert_eq!(ends(quarter).len(), 3);
        let west = period("2026-01-01T05:00:00Z", "2026-02-01T05:00:00Z");
        assert_eq!(ends(west), ["2026-02-01T00:00:00+00:00"]);
        let after = period("2026-02-01T00:00:00Z", "2026-02-28T00:00:00Z");
        assert!(ends(after).is_empty());
    }
}
