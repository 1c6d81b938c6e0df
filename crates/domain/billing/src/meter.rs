//! Meters: what is counted, and over which period.

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, NaiveTime, Utc};

use crate::catalogue::{EntitlementName, Entitlements};

/// A kind of usage that is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Meter {
    /// Requests in a workspace, per day.
    ApiCalls,
    /// Events added, per month; duplicates and rejected ones do not count.
    Events,
    /// Runs started, per month.
    Runs,
    /// Steps that ended, per month.
    Steps,
}

impl Meter {
    /// Every meter, in the order in which usage lists them.
    pub const ALL: [Self; 4] = [Self::ApiCalls, Self::Events, Self::Runs, Self::Steps];

    /// The name in the API and in the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ApiCalls => "api_calls",
            Self::Events => "events",
            Self::Runs => "runs",
            Self::Steps => "steps",
        }
    }

    /// The period of this meter that contains `now`. Days and months begin at midnight UTC.
    #[must_use]
    pub fn period(self, now: DateTime<Utc>) -> Period {
        let day = now.date_naive();
        let (start, end) = match self {
            Self::ApiCalls => (day, day.checked_add_days(Days::new(1))),
            Self::Events | Self::Runs | Self::Steps => {
                let first = day.with_day(1).unwrap_or(day);
                (first, first.checked_add_months(Months::new(1)))
            }
        };
        Period { start: midnight(start), end: midnight(end.unwrap_or(NaiveDate::MAX)) }
    }

    /// The limit of a plan for one period; `None` means unlimited.
    #[must_use]
    pub const fn limit(self, entitlements: &Entitlements) -> Option<i64> {
        let name = match self {
            Self::ApiCalls => EntitlementName::ApiCallsPerDay,
            Self::Events => EntitlementName::EventsPerMonth,
            Self::Runs => EntitlementName::RunsPerMonth,
            Self::Steps => EntitlementName::StepsPerMonth,
        };
        entitlements.limit(name).at_most()
    }
}

fn midnight(day: NaiveDate) -> DateTime<Utc> {
    day.and_time(NaiveTime::MIN).and_utc()
}

/// A time span with an exclusive end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    /// The first instant.
    pub start: DateTime<Utc>,
    /// The first instant after it.
    pub end: DateTime<Utc>,
}

/// The usage of one meter in the current period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// The meter.
    pub meter: Meter,
    /// The count.
    pub used: i64,
    /// The plan's limit; `None` means unlimited.
    pub limit: Option<i64>,
    /// The period.
    pub period: Period,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn period(meter: Meter, now: &str) -> [String; 2] {
        let period = meter.period(now.parse().unwrap());
        [period.start.to_rfc3339(), period.end.to_rfc3339()]
    }

    #[test]
    fn months_and_days_begin_at_midnight_utc() {
        let month = ["2026-12-01T00:00:00+00:00", "2027-01-01T00:00:00+00:00"];
        assert_eq!(period(Meter::Events, "2026-12-31T23:59:59.999Z"), month);
        assert_eq!(period(Meter::Runs, "2026-12-01T00:00:00Z"), month);
        let day = ["2028-02-29T00:00:00+00:00", "2028-03-01T00:00:00+00:00"];
        assert_eq!(period(Meter::ApiCalls, "2028-02-29T12:00:00Z"), day);
    }

    proptest! {
        #[test]
        fn an_instant_lies_in_its_period_and_periods_meet(seconds in 0_i64..10_000_000_000) {
            let now = DateTime::from_timestamp(seconds, 0).unwrap();
            for meter in Meter::ALL {
                let period = meter.period(now);
                prop_assert!(period.start <= now && now < period.end);
                prop_assert_eq!(meter.period(period.end).start, period.end);
            }
        }
    }
}
