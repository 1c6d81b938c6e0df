//! When schedules fire, especially when the clocks change.

use chrono::{Datelike, Timelike};
use proptest::prelude::*;

use super::*;

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn ticks(schedule: &Schedule, from: DateTime<Utc>) -> impl Iterator<Item = DateTime<Utc>> + '_ {
    let next = |instant: &DateTime<Utc>| schedule.next_after(*instant);
    std::iter::successors(next(&from), next)
}

/// The times at which a schedule fires, in the local time of its zone.
fn fires(pattern: &str, zone: &str, from: &str, count: usize) -> Vec<String> {
    let schedule = Schedule::new(pattern, zone).unwrap();
    let local = |tick| schedule.local(tick).format("%m-%d %R%:z").to_string();
    ticks(&schedule, at(from)).take(count).map(local).collect()
}

#[test]
fn a_time_in_a_zone_follows_its_clocks() {
    let mondays = fires("0 9 * * MON", "Europe/Berlin", "2026-03-20T00:00:00Z", 3);
    assert_eq!(mondays, ["03-23 09:00+01:00", "03-30 09:00+02:00", "04-06 09:00+02:00"]);
}

/// Berlin skips 02:00 to 03:00 on 29 March 2026.
#[test]
fn times_that_the_clocks_skip_are_made_up_for_once_right_after_the_gap() {
    let spring = |pattern, count| fires(pattern, "Europe/Berlin", "2026-03-28T23:00:00Z", count);
    assert_eq!(spring("30 2 * * *", 2), ["03-29 03:00+02:00", "03-30 02:30+02:00"]);
    assert_eq!(spring("0 2,14 * * *", 3), ["03-29 03:00+02:00", "03-29 14:00+02:00", "03-30 02:00+02:00"]);
    assert_eq!(spring("0,30 2 * * *", 3), ["03-29 03:00+02:00", "03-30 02:00+02:00", "03-30 02:30+02:00"]);
    assert_eq!(spring("*/30 2 * * *", 3), ["03-29 03:00+02:00", "03-30 02:00+02:00", "03-30 02:30+02:00"]);
    assert_eq!(spring("* 2 * * *", 2), ["03-29 03:00+02:00", "03-30 02:00+02:00"]);
    // A skipped time and a time right after the gap fire together, once.
    assert_eq!(spring("0 2,3 * * *", 2), ["03-29 03:00+02:00", "03-30 02:00+02:00"]);
    assert_eq!(spring("0 */2 * * *", 3), ["03-29 03:00+02:00", "03-29 04:00+02:00", "03-29 06:00+02:00"]);
}

/// Berlin shows 02:00 to 03:00 twice on 25 October 2026.
#[test]
fn times_that_the_clocks_repeat_fire_at_the_first_of_them() {
    let autumn = |pattern, count| fires(pattern, "Europe/Berlin", "2026-10-24T22:30:00Z", count);
    assert_eq!(autumn("30 2 * * *", 2), ["10-25 02:30+02:00", "10-26 02:30+01:00"]);
    assert_eq!(autumn("0 2,14 * * *", 3), ["10-25 02:00+02:00", "10-25 14:00+01:00", "10-26 02:00+01:00"]);
    assert_eq!(autumn("*/30 2 * * *", 3), ["10-25 02:00+02:00", "10-25 02:30+02:00", "10-26 02:00+01:00"]);
    assert_eq!(autumn("0 2,3 * * *", 3), ["10-25 02:00+02:00", "10-25 03:00+01:00", "10-26 02:00+01:00"]);
    assert_eq!(autumn("0 */2 * * *", 2), ["10-25 02:00+02:00", "10-25 04:00+01:00"]);
}

#[test]
fn a_pattern_for_every_hour_goes_on_as_time_does() {
    for every in ["30 * * * *", "30 */1 * * *", "30 0-23 * * *"] {
        let autumn = fires(every, "Europe/Berlin", "2026-10-24T23:40:00Z", 4);
        assert_eq!(autumn, ["10-25 02:30+02:00", "10-25 02:30+01:00", "10-25 03:30+01:00", "10-25 04:30+01:00"]);
        let spring = fires(every, "Europe/Berlin", "2026-03-29T00:00:00Z", 2);
        assert_eq!(spring, ["03-29 01:30+01:00", "03-29 03:30+02:00"]);
    }
    // Lord Howe changes its clocks by half an hour.
    let spring = fires("*/15 * * * *", "Australia/Lord_Howe", "2026-10-03T15:15:00Z", 3);
    assert_eq!(spring, ["10-04 02:30+11:00", "10-04 02:45+11:00", "10-04 03:00+11:00"]);
}

#[test]
fn a_schedule_outlives_skipped_days_and_odd_changes() {
    // Apia has no 30 December 2011: its tick fires at the start of the next day.
    let apia = fires("30 1 * * *", "Pacific/Apia", "2011-12-28T23:00:00Z", 4);
    assert_eq!(apia, ["12-29 01:30-10:00", "12-31 00:00+14:00", "12-31 01:30+14:00", "01-01 01:30+14:00"]);
    let midnight = fires("0 0 * * *", "Pacific/Apia", "2011-12-29T09:00:00Z", 3);
    assert_eq!(midnight, ["12-29 00:00-10:00", "12-31 00:00+14:00", "01-01 00:00+14:00"]);
    // Kwajalein has no 21 August 1993.
    let kwajalein = fires("30 1 * * *", "Pacific/Kwajalein", "1993-08-20T00:00:00Z", 3);
    assert_eq!(kwajalein, ["08-20 01:30-12:00", "08-22 00:00+12:00", "08-22 01:30+12:00"]);
    // Troll changes its clocks by two hours.
    let troll = fires("30 1,2 * * *", "Antarctica/Troll", "2026-03-28T12:00:00Z", 3);
    assert_eq!(troll, ["03-29 03:00+02:00", "03-30 01:30+02:00", "03-30 02:30+02:00"]);
    let troll = fires("30 1,2 * * *", "Antarctica/Troll", "2026-10-24T12:00:00Z", 3);
    assert_eq!(troll, ["10-25 01:30+02:00", "10-25 02:30+02:00", "10-26 01:30+00:00"]);
    // São Paulo skipped midnight.
    let sao_paulo = fires("0 */6 * * *", "America/Sao_Paulo", "2018-11-03T18:00:00Z", 3);
    assert_eq!(sao_paulo, ["11-03 18:00-03:00", "11-04 01:00-02:00", "11-04 06:00-02:00"]);
    let leap = fires("0 0 29 2 *", "UTC", "2096-03-01T00:00:00Z", 1);
    assert_eq!(leap, ["02-29 00:00+00:00"], "2100 is no leap year, 2104 is");
}

/// A due check MUST compare the clock with the tick itself: compared with the tick after it, nothing is ever due.
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
    assert_eq!(last("2026-01-01T00:00:00Z", "2026-01-01T05:00:00.5Z").as_deref(), Some("05:00"));
    assert_eq!(last("2026-01-01T05:00:00Z", "2026-01-01T05:30:00Z"), None);
}

#[test]
fn what_never_comes_and_what_is_no_zone_is_refused() {
    for never in ["0 0 30 2 *", "0 0 31 4,6,9,11 *", "* * 31 2 *"] {
        assert_eq!(Schedule::new(never, "Europe/Berlin").unwrap_err(), ScheduleError::Never, "{never}");
    }
    assert!(Schedule::new("0 0 29 2 *", "UTC").is_ok());
    assert!(Schedule::new("0 0 31 4 MON", "UTC").is_ok(), "either day is enough");
    assert!(matches!(Schedule::new("0 9 * * *", "Europe/Berlinn"), Err(ScheduleError::Zone(_))));
}

/// A field's text, and which values it matches.
#[derive(Debug, Clone, Copy)]
struct Written(&'static str, fn(u32) -> bool);

impl Written {
    fn names(self, value: u32) -> bool {
        (self.1)(value)
    }
}

const MINUTES: [Written; 5] = [
    Written("0", |m| m == 0),
    Written("0,30", |m| m == 0 || m == 30),
    Written("*/20", |m| m % 20 == 0),
    Written("10-50/15", |m| [10, 25, 40].contains(&m)),
    Written("*", |_| true),
];
const HOURS: [Written; 9] = [
    Written("*", |_| true),
    Written("*/1", |_| true),
    Written("0-23", |_| true),
    Written("*/2", |h| h % 2 == 0),
    Written("0", |h| h == 0),
    Written("2", |h| h == 2),
    Written("1,2,14", |h| [1, 2, 14].contains(&h)),
    Written("0-3", |h| h <= 3),
    Written("23", |h| h == 23),
];
const DAYS: [Written; 4] =
    [Written("*", |_| true), Written("*/2", |d| d % 2 == 1), Written("24-31", |d| d >= 24), Written("1", |d| d == 1)];
const WEEKDAYS: [Written; 4] = [
    Written("*", |_| true),
    Written("SUN", |w| w == 0),
    Written("MON-FRI", |w| (1..=5).contains(&w)),
    Written("*/2", |w| w % 2 == 0),
];

/// A pattern with its own evaluation, independent of the tested code.
#[derive(Debug, Clone, Copy)]
struct Read {
    minute: Written,
    hour: Written,
    day: Written,
    weekday: Written,
}

impl Read {
    fn pattern(self) -> String {
        format!("{} {} {} * {}", self.minute.0, self.hour.0, self.day.0, self.weekday.0)
    }

    fn names(self, local: NaiveDateTime) -> bool {
        let day = self.day.names(local.day());
        let weekday = self.weekday.names(local.weekday().num_days_from_sunday());
        let either = ![self.day.0, self.weekday.0].iter().any(|text| text.starts_with('*'));
        let this_day = if either { day || weekday } else { day && weekday };
        this_day && self.hour.names(local.hour()) && self.minute.names(local.minute())
    }

    /// The ticks from `from` until `until`, found minute by minute.
    fn ticks(self, zone: Tz, from: DateTime<Utc>, until: DateTime<Utc>) -> Vec<DateTime<Utc>> {
        let minute = TimeDelta::minutes(1);
        let every_hour = (0..24).all(|hour| self.hour.names(hour));
        let shown = |moment: DateTime<Utc>| moment.with_timezone(&zone).naive_local();
        // The latest local time that the clock has shown. Starting two days earlier is enough for all zones.
        let mut latest = shown(from - TimeDelta::days(2));
        let mut found = Vec::new();
        let mut moment = from - TimeDelta::days(2);
        while moment < until {
            let now = shown(moment);
            let mut named = every_hour && self.names(now);
            while latest < now {
                latest += minute;
                named |= !every_hour && self.names(latest);
            }
            if named && moment >= from {
                found.push(moment);
            }
            moment += minute;
        }
        found
    }
}

/// The days of a year on which the clocks of a zone change, and one day without a change.
fn changes(zone: Tz, year: i32) -> Vec<DateTime<Utc>> {
    let first = Utc.with_ymd_and_hms(year, 1, 1, 0, 0, 0).unwrap();
    let offset = |moment: DateTime<Utc>| moment.with_timezone(&zone).fixed_offset().offset().local_minus_utc();
    let days = (0..366).map(|day| first + TimeDelta::days(day));
    let mut found: Vec<_> = days.filter(|day| offset(*day) != offset(*day + TimeDelta::days(1))).collect();
    found.push(first);
    found
}

fn compare(read: Read, zone: Tz, day: DateTime<Utc>) {
    let schedule = Schedule::new(&read.pattern(), zone.name()).unwrap();
    let (from, until) = (day - TimeDelta::days(1), day + TimeDelta::days(3));
    let expected = read.ticks(zone, from, until);
    let before = from - TimeDelta::seconds(1);
    let found: Vec<_> = ticks(&schedule, before).take_while(|tick| *tick < until).collect();
    let context = format!("{} in {} around {day}", read.pattern(), zone.name());
    assert_eq!(found, expected, "{context}");
    for moment in (0..96).map(|hour| from + TimeDelta::minutes(hour * 60 + 7)) {
        let (past, to_come) = expected.split_at(expected.partition_point(|tick| *tick <= moment));
        assert_eq!(schedule.last_due(before, moment), past.last().copied(), "the last in {context} at {moment}");
        let next = schedule.next_after(moment).filter(|next| *next < until);
        assert_eq!(next, to_come.first().copied(), "the next in {context} at {moment}");
    }
}

fn read() -> impl Strategy<Value = Read> {
    use proptest::sample::select;
    (select(&MINUTES[..]), select(&HOURS[..]), select(&DAYS[..]), select(&WEEKDAYS[..]))
        .prop_map(|(minute, hour, day, weekday)| Read { minute, hour, day, weekday })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Any zone, in any year since its offsets are whole minutes.
    #[test]
    fn ticks_are_those_of_the_rule(
        read in read(), zone in proptest::sample::select(&chrono_tz::TZ_VARIANTS[..]), year in 1973..2038i32,
    ) {
        for day in changes(zone, year) {
            compare(read, zone, day);
        }
    }

    #[test]
    fn ticks_are_those_of_the_rule_where_clocks_change_oddly(
        read in read(),
        (zone, year) in proptest::sample::select(vec![
            (Tz::Pacific__Apia, 2011), (Tz::Pacific__Kwajalein, 1993), (Tz::Pacific__Kiritimati, 1994),
            (Tz::Antarctica__Troll, 2026), (Tz::Australia__Lord_Howe, 2026), (Tz::America__Sao_Paulo, 2018),
            (Tz::Antarctica__Casey, 2010), (Tz::America__Havana, 2026), (Tz::Africa__Casablanca, 2026),
            (Tz::Asia__Pyongyang, 2015), (Tz::America__Caracas, 2016), (Tz::Europe__Berlin, 2026),
        ]),
    ) {
        for day in changes(zone, year) {
            compare(read, zone, day);
        }
    }
}
