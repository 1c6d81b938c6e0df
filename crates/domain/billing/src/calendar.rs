//! Billing periods in the customer's time zone.
//!
//! A period begins at local midnight of the anchor's day of the month. If a month has no such day, its last day counts:
//! after 31 January come 28 February and 31 March. A period ends when the next one begins, so periods neither overlap
//! nor leave a gap.
//!
//! Some midnights do not exist, because the clock skips them: then the period begins with the first instant after the
//! gap. Some midnights exist twice. Then the period begins with the one after which the local date is not again the
//! day before, so that no instant with the local date of the last day falls into the next period.

use chrono::{
    DateTime, Datelike, Days, LocalResult, Months, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, TimeZone, Utc,
};
pub use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use tidegate_kernel::Period;

use crate::catalogue::Interval;

/// No time zone skips more than this at once. Samoa skipped a day in 2011.
const LONGEST_GAP: i64 = 36 * 60 * 60;

/// A date that is outside of the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the date is outside of the calendar")]
pub struct OutOfRange;

/// Where the periods of a subscription begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Anchor {
    /// The customer's time zone.
    #[serde(with = "zone_name")]
    pub zone: Tz,
    /// The local date on which period 0 begins.
    pub day: NaiveDate,
    /// The length of a period.
    pub interval: Interval,
}

impl Anchor {
    /// The anchor whose period 0 begins at local midnight before `now`. The first day counts as a whole.
    #[must_use]
    pub fn at(now: DateTime<Utc>, zone: Tz, interval: Interval) -> Self {
        Self { zone, day: now.with_timezone(&zone).date_naive(), interval }
    }

    /// The period with this number, counted from 0.
    ///
    /// # Errors
    /// [`OutOfRange`] if the period is outside of the calendar.
    pub fn period(&self, number: u32) -> Result<Period, OutOfRange> {
        let next = number.checked_add(1).ok_or(OutOfRange)?;
        Ok(Period { start: self.start(number)?, end: self.start(next)? })
    }

    /// The number of the period that contains `now`. A time before period 0 has no period.
    ///
    /// # Errors
    /// [`OutOfRange`] if no period contains `now`.
    pub fn number(&self, now: DateTime<Utc>) -> Result<u32, OutOfRange> {
        let day = now.with_timezone(&self.zone).date_naive();
        let months = (i64::from(day.year()) - i64::from(self.day.year())) * 12 + i64::from(day.month())
            - i64::from(self.day.month());
        // The month alone is at most one period away from the answer.
        let near = months.div_euclid(i64::from(self.interval.months()));
        for number in (near - 1).max(0)..=near + 1 {
            let number = u32::try_from(number).map_err(|_| OutOfRange)?;
            let period = self.period(number)?;
            if period.start <= now && now < period.end {
                return Ok(number);
            }
        }
        Err(OutOfRange)
    }

    /// Local midnight after the anchor's day and `days` whole days.
    ///
    /// # Errors
    /// [`OutOfRange`] if that is outside of the calendar.
    pub fn after_days(&self, days: u16) -> Result<DateTime<Utc>, OutOfRange> {
        let day = self.day.checked_add_days(Days::new(u64::from(days) + 1)).ok_or(OutOfRange)?;
        midnight(self.zone, day)
    }

    fn start(&self, number: u32) -> Result<DateTime<Utc>, OutOfRange> {
        let months = self.interval.months().checked_mul(number).ok_or(OutOfRange)?;
        let day = self.day.checked_add_months(Months::new(months)).ok_or(OutOfRange)?;
        midnight(self.zone, day)
    }
}

/// A day in the customer's time zone.
#[must_use]
pub fn day(at: DateTime<Utc>, zone: Tz) -> String {
    at.with_timezone(&zone).date_naive().to_string()
}

/// The first and the last day of a period in the customer's time zone.
#[must_use]
pub fn days(period: Period, zone: Tz) -> String {
    let last = (period.end - TimeDelta::nanoseconds(1)).max(period.start);
    format!("{} to {}", day(period.start, zone), day(last, zone))
}

/// A time zone as its name in the IANA database. For `serde(with)`.
pub(crate) mod zone_name {
    use chrono_tz::Tz;
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(crate) fn serialize<S: Serializer>(zone: &Tz, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(zone.name())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Tz, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// The instant with which this local date begins.
fn midnight(zone: Tz, day: NaiveDate) -> Result<DateTime<Utc>, OutOfRange> {
    let local = day.and_time(NaiveTime::MIN);
    match zone.from_local_datetime(&local) {
        LocalResult::Single(at) => Ok(at.with_timezone(&Utc)),
        LocalResult::Ambiguous(first, second) => {
            let before_second = second.checked_sub_signed(TimeDelta::seconds(1)).ok_or(OutOfRange)?;
            let again = before_second.date_naive() < day;
            Ok(if again { second } else { first }.with_timezone(&Utc))
        }
        LocalResult::None => after_gap(zone, local),
    }
}

/// The first instant after the gap that contains `local`, by bisection over whole seconds.
fn after_gap(zone: Tz, local: NaiveDateTime) -> Result<DateTime<Utc>, OutOfRange> {
    let at = |seconds| {
        let later = local.checked_add_signed(TimeDelta::seconds(seconds)).ok_or(OutOfRange)?;
        Ok(zone.from_local_datetime(&later).earliest())
    };
    let (mut skipped, mut exists) = (0, LONGEST_GAP);
    while exists - skipped > 1 {
        let middle = i64::midpoint(skipped, exists);
        if at(middle)?.is_some() { exists = middle } else { skipped = middle }
    }
    at(exists)?.map(|at| at.with_timezone(&Utc)).ok_or(OutOfRange)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn anchor(zone: &str, day: &str, interval: Interval) -> Anchor {
        Anchor { zone: zone.parse().unwrap(), day: day.parse().unwrap(), interval }
    }

    fn days(anchor: &Anchor, count: u32) -> Vec<String> {
        let start = |number| anchor.period(number).unwrap().start.with_timezone(&anchor.zone);
        (0..count).map(|number| start(number).format("%m-%d %H:%M").to_string()).collect()
    }

    #[test]
    fn the_31st_keeps_being_the_31st() {
        let monthly = anchor("Europe/Berlin", "2026-01-31", Interval::Month);
        assert_eq!(days(&monthly, 5), ["01-31 00:00", "02-28 00:00", "03-31 00:00", "04-30 00:00", "05-31 00:00"]);
        let quarterly = anchor("Europe/Berlin", "2026-11-30", Interval::Quarter);
        assert_eq!(days(&quarterly, 4), ["11-30 00:00", "02-28 00:00", "05-30 00:00", "08-30 00:00"]);
    }

    #[test]
    fn a_year_from_29_february_ends_on_the_28th_until_the_next_leap_year() {
        let yearly = anchor("UTC", "2028-02-29", Interval::Year);
        assert_eq!(days(&yearly, 5), ["02-29 00:00", "02-28 00:00", "02-28 00:00", "02-28 00:00", "02-29 00:00"]);
    }

    #[test]
    fn a_period_has_the_hour_that_the_clock_skips_or_repeats() {
        let monthly = anchor("Europe/Berlin", "2026-03-15", Interval::Month);
        let hours = |number| {
            let period = monthly.period(number).unwrap();
            (period.end - period.start).num_hours()
        };
        assert_eq!((hours(0), hours(7)), (31 * 24 - 1, 31 * 24 + 1));
    }

    #[test]
    fn a_midnight_that_does_not_exist_is_the_first_instant_after_the_gap() {
        let start = |zone, day| anchor(zone, day, Interval::Month).period(0).unwrap().start.to_rfc3339();
        assert_eq!(start("America/Sao_Paulo", "2018-11-04"), "2018-11-04T03:00:00+00:00");
        assert_eq!(start("Pacific/Apia", "2011-12-30"), "2011-12-30T10:00:00+00:00", "the day was skipped");
        assert_eq!(start("Africa/Monrovia", "1972-01-07"), "1972-01-07T00:44:30+00:00");
    }

    #[test]
    fn of_two_midnights_the_one_counts_after_which_the_day_before_does_not_come_again() {
        let start = |zone, day| anchor(zone, day, Interval::Month).period(0).unwrap().start.to_rfc3339();
        // 01:00 becomes 00:00 of the same day.
        assert_eq!(start("America/Havana", "2026-11-01"), "2026-11-01T04:00:00+00:00");
        // 00:01 became 23:01 of the day before.
        assert_eq!(start("America/St_Johns", "2010-11-07"), "2010-11-07T03:30:00+00:00");
    }

    fn any_anchor() -> impl Strategy<Value = Anchor> {
        let zones = prop::sample::select(chrono_tz::TZ_VARIANTS.as_slice());
        (zones, 0_i64..25_000, prop::sample::select(Interval::ALL)).prop_map(|(zone, days, interval)| {
            let day = NaiveDate::from_ymd_opt(1972, 1, 1).unwrap() + TimeDelta::days(days);
            Anchor { zone, day, interval }
        })
    }

    proptest! {
        #[test]
        fn periods_tile(anchor in any_anchor(), number in 0_u32..400) {
            let (period, next) = (anchor.period(number).unwrap(), anchor.period(number + 1).unwrap());
            prop_assert!(period.start < period.end);
            prop_assert_eq!(period.end, next.start);
            prop_assert_eq!(anchor.number(period.start).unwrap(), number);
            prop_assert_eq!(anchor.number(period.end - TimeDelta::nanoseconds(1)).unwrap(), number);
        }

        #[test]
        fn an_instant_is_in_exactly_one_period(anchor in any_anchor(), seconds in 0_i64..1_000_000_000) {
            let now = anchor.period(0).unwrap().start + TimeDelta::seconds(seconds);
            let number = anchor.number(now).unwrap();
            let within = |number: u32| anchor.period(number).is_ok_and(|period| period.start <= now && now < period.end);
            prop_assert!(within(number) && !within(number + 1) && (number == 0 || !within(number - 1)));
        }

        /// Half past eleven in the evening is before the midnight that follows, in every zone and on every date.
        #[test]
        fn usage_before_midnight_is_in_the_period_that_ends(anchor in any_anchor(), number in 0_u32..400) {
            let period = anchor.period(number).unwrap();
            let next_day = anchor.day + Months::new(anchor.interval.months() * (number + 1));
            let evening = next_day.pred_opt().unwrap().and_hms_opt(23, 30, 0).unwrap();
            if let Some(at) = anchor.zone.from_local_datetime(&evening).latest() {
                prop_assert!(period.start <= at && at < period.end);
            }
        }

        #[test]
        fn a_purchase_is_in_period_0(seconds in 100_000_000_i64..4_000_000_000, anchor in any_anchor()) {
            let now = DateTime::from_timestamp(seconds, 0).unwrap();
            let bought = Anchor::at(now, anchor.zone, anchor.interval);
            prop_assert!(now < bought.period(0).unwrap().end);
        }
    }
}
