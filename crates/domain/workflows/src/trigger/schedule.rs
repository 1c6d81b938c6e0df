//! Cron schedules in a time zone.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};

/// The times that a cron pattern names: minutes, hours, days of the month, months, days of the week.
///
/// Where clocks go forward, a time that does not exist fires at the first minute after the gap; where they go back, a
/// fixed hour fires once and a pattern for every hour fires in both halves. (croner follows Vixie cron here.)
#[derive(Debug, Clone)]
pub struct Schedule {
    cron: Arc<Cron>,
    zone: Tz,
}

/// Why a schedule cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// The pattern cannot be read.
    #[error("this is not a cron pattern of five fields, such as `0 9 * * MON`: {0}")]
    Pattern(String),
    /// The time zone is not in the IANA database.
    #[error("there is no time zone of this name; they are written like Europe/Berlin")]
    Zone(String),
    /// The pattern names a time that does not come.
    #[error("this pattern names a time that never comes")]
    Never,
}

impl Schedule {
    /// The schedule of `pattern` in the time zone named `zone`.
    ///
    /// # Errors
    /// [`ScheduleError`]; a pattern that never fires is one.
    pub fn new(pattern: &str, zone: &str) -> Result<Self, ScheduleError> {
        let zone: Tz = zone.parse().map_err(|_| ScheduleError::Zone(zone.to_owned()))?;
        if pattern.len() > 200 || !pattern.is_ascii() {
            return Err(ScheduleError::Pattern("it has other than letters, digits and signs".to_owned()));
        }
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let cron = parser.parse(pattern).map_err(|error| ScheduleError::Pattern(error.to_string()))?;
        let schedule = Self { cron: Arc::new(cron), zone };
        match schedule.next_after(DateTime::UNIX_EPOCH) {
            Some(_) => Ok(schedule),
            None => Err(ScheduleError::Never),
        }
    }

    /// The first time after `instant`; never `instant` itself, so that a tick that was fired is behind.
    #[must_use]
    pub fn next_after(&self, instant: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let next = self.cron.find_next_occurrence(&instant.with_timezone(&self.zone), false).ok()?;
        Some(next.to_utc()).filter(|next| *next > instant)
    }

    /// The latest time at or before `now` that comes after `since`: what a scheduler that was away has to make up for.
    #[must_use]
    pub fn last_due(&self, since: DateTime<Utc>, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let last = self.cron.find_previous_occurrence(&now.with_timezone(&self.zone), true).ok()?.to_utc();
        (last > since && last <= now).then_some(last)
    }

    /// The names of all time zones.
    pub fn zones() -> impl Iterator<Item = &'static str> {
        chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn fires(pattern: &str, zone: &str, from: &str, count: usize) -> Vec<String> {
        let schedule = Schedule::new(pattern, zone).unwrap();
        let next = |instant: &DateTime<Utc>| schedule.next_after(*instant);
        std::iter::successors(next(&at(from)), next).take(count).map(|time| time.format("%F %R").to_string()).collect()
    }

    #[test]
    fn a_time_in_a_zone_follows_its_clocks() {
        let mondays = fires("0 9 * * MON", "Europe/Berlin", "2026-03-20T00:00:00Z", 3);
        assert_eq!(mondays, ["2026-03-23 08:00", "2026-03-30 07:00", "2026-04-06 07:00"]);
    }

    #[test]
    fn a_time_that_the_clocks_skip_still_fires_and_one_that_they_repeat_fires_once() {
        // Berlin skips 02:00–03:00 on 29 March 2026 and repeats it on 25 October 2026.
        let spring = fires("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", 2);
        assert_eq!(spring, ["2026-03-29 01:00", "2026-03-30 00:30"]);
        let autumn = fires("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2);
        assert_eq!(autumn, ["2026-10-25 00:30", "2026-10-26 01:30"]);
        let hourly = fires("30 * * * *", "Europe/Berlin", "2026-10-25T00:00:00Z", 3);
        assert_eq!(hourly, ["2026-10-25 00:30", "2026-10-25 01:30", "2026-10-25 02:30"]);
    }

    /// The products that came before compared the clock with the tick after it, so that nothing was ever due.
    #[test]
    fn a_tick_becomes_due_and_then_lies_behind() {
        let schedule = Schedule::new("*/5 * * * *", "UTC").unwrap();
        let next = schedule.next_after(at("2026-01-01T00:01:00Z")).unwrap();
        assert!(next > at("2026-01-01T00:04:59Z") && next <= at("2026-01-01T00:05:00Z"), "due at five past");
        assert_eq!(schedule.next_after(next), Some(at("2026-01-01T00:10:00Z")));
    }

    #[test]
    fn of_missed_ticks_the_last_is_made_up_for() {
        let schedule = Schedule::new("0 * * * *", "UTC").unwrap();
        let last = |since, now| schedule.last_due(at(since), at(now)).map(|time| time.format("%R").to_string());
        assert_eq!(last("2026-01-01T00:00:00Z", "2026-01-01T05:30:00Z").as_deref(), Some("05:00"));
        assert_eq!(last("2026-01-01T00:00:00Z", "2026-01-01T05:00:00Z").as_deref(), Some("05:00"));
        assert_eq!(last("2026-01-01T05:00:00Z", "2026-01-01T05:30:00Z"), None);
    }

    #[test]
    fn what_is_no_schedule_is_refused() {
        for bad in ["", "* * * *", "60 * * * *", "* * * * * *", "x * * * *", "0 9 * * MON 2026", "é * * * *"] {
            assert!(matches!(Schedule::new(bad, "UTC"), Err(ScheduleError::Pattern(_))), "{bad}");
        }
        assert_eq!(Schedule::new("0 0 30 2 *", "UTC").unwrap_err(), ScheduleError::Never);
        assert!(matches!(Schedule::new("0 9 * * *", "Europe/Berlinn"), Err(ScheduleError::Zone(_))));
    }

    proptest! {
        #[test]
        fn each_tick_comes_after_the_one_before(
            minute in 0u8..60, hour in 0u8..24, start in 1_700_000_000i64..1_900_000_000,
            zone in proptest::sample::select(vec!["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]),
        ) {
            let schedule = Schedule::new(&format!("{minute} {hour} * * *"), zone).unwrap();
            let mut instant = DateTime::from_timestamp(start, 0).unwrap();
            for _ in 0..3 {
                let next = schedule.next_after(instant).unwrap();
                prop_assert!(next > instant && next - instant <= chrono::TimeDelta::hours(26));
                instant = next;
            }
        }
    }
}
