//! Timestamps and durations.

use chrono::{DateTime, Datelike, FixedOffset, NaiveTime, TimeDelta, Timelike};
use chrono_tz::Tz;

use super::{CallError, Called, failed};
use crate::expression::budget::Budget;
use crate::expression::value::Value;

/// The maximum duration in seconds, about 10,000 years: the range of `google.protobuf.Duration`.
const MAX_SECONDS: i64 = 315_576_000_000;
/// The maximum length of the text of a duration or a timestamp, in bytes. Meaningful ones are shorter.
const MAX_TIME_TEXT: usize = 256;

/// The duration, if it is in range.
pub(in crate::expression) fn duration<'a>(duration: TimeDelta) -> Option<Value<'a>> {
    let most = TimeDelta::try_seconds(MAX_SECONDS)?;
    (duration.abs() <= most).then_some(Value::Duration(duration))
}

/// The timestamp, if it is within the years 1 to 9999 in UTC.
pub(in crate::expression) fn timestamp<'a>(time: DateTime<FixedOffset>) -> Option<Value<'a>> {
    (1..=9999).contains(&time.naive_utc().year()).then_some(Value::Timestamp(time))
}

/// The time from `b` to `a`, if its nanoseconds fit into an int (292 years), as in the specification's tests.
pub(in crate::expression) fn difference<'a>(a: DateTime<FixedOffset>, b: DateTime<FixedOffset>) -> Option<Value<'a>> {
    let between = a - b;
    between.num_nanoseconds().map(|_| Value::Duration(between))
}

pub(super) fn to_duration<'a>(arguments: &[Value<'a>], _: &mut Budget) -> Called<'a> {
    match arguments {
        [Value::Duration(duration)] => Ok(Value::Duration(*duration)),
        [Value::Text(text)] if text.as_str().len() <= MAX_TIME_TEXT => match parse_duration(text.as_str()) {
            Some(parsed) => {
                duration(parsed).map_or_else(|| failed("a duration has at most 315,576,000,000 seconds"), Ok)
            }
            None => failed("this text is not a duration such as 1h30m or 2.5s"),
        },
        [Value::Text(_)] => failed("this text is not a duration such as 1h30m or 2.5s"),
        _ => Err(CallError::Types),
    }
}

pub(super) fn to_timestamp<'a>(arguments: &[Value<'a>], _: &mut Budget) -> Called<'a> {
    let time = match arguments {
        [Value::Timestamp(time)] => Some(*time),
        [Value::Int(seconds)] => DateTime::from_timestamp(*seconds, 0).map(|time| time.fixed_offset()),
        [Value::Text(text)] => {
            let text = text.as_str();
            let parsed = (text.len() <= MAX_TIME_TEXT).then(|| DateTime::parse_from_rfc3339(text).ok());
            match parsed.flatten() {
                Some(time) => Some(time),
                None => return failed("this text is not an RFC 3339 timestamp"),
            }
        }
        _ => return Err(CallError::Types),
    };
    time.and_then(timestamp).map_or_else(|| failed("a timestamp is within the years 1 to 9999"), Ok)
}

/// A local time in the requested zone.
struct Local {
    year: i32,
    month0: u32,
    day0: u32,
    weekday: u32,
    ordinal0: u32,
    time: NaiveTime,
}

impl Local {
    fn of(time: &(impl Datelike + Timelike)) -> Self {
        let (hour, minute, second) = (time.hour(), time.minute(), time.second());
        Self {
            year: time.year(),
            month0: time.month0(),
            day0: time.day0(),
            weekday: time.weekday().num_days_from_sunday(),
            ordinal0: time.ordinal0(),
            time: NaiveTime::from_hms_nano_opt(hour, minute, second, time.nanosecond() % 1_000_000_000)
                .unwrap_or_default(),
        }
    }
}

/// The local time of a timestamp in UTC, in a named zone, or at an offset such as `+02:00` or `02:00`.
fn local(arguments: &[Value<'_>]) -> Called<'static, Local> {
    let (time, zone) = match arguments {
        [Value::Timestamp(time)] => return Ok(Local::of(&time.to_utc())),
        [Value::Timestamp(time), Value::Text(zone)] => (time, zone.as_str()),
        _ => return Err(CallError::Types),
    };
    if let Ok(zone) = zone.parse::<Tz>() {
        return Ok(Local::of(&time.with_timezone(&zone)));
    }
    match offset(zone) {
        Some(offset) => Ok(Local::of(&time.with_timezone(&offset))),
        None => failed("this is not a time zone"),
    }
}

/// `+02:00`, `-02:00` or `02:00`.
fn offset(text: &str) -> Option<FixedOffset> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let (hours, minutes) = digits.split_once(':')?;
    let two = |digits: &str| {
        let number = (digits.len() == 2 && digits.bytes().all(|digit| digit.is_ascii_digit())).then_some(digits)?;
        number.parse::<i32>().ok()
    };
    let (hours, minutes) = (two(hours)?, two(minutes)?);
    if minutes < 60 { FixedOffset::east_opt(sign * (hours * 3_600 + minutes * 60)) } else { None }
}

fn calendar<'a>(arguments: &[Value<'a>], part: fn(&Local) -> i64) -> Called<'a> {
    local(arguments).map(|local| Value::Int(part(&local)))
}

/// For a timestamp a part of its local time, for a duration its whole length in that unit.
fn clock<'a>(arguments: &[Value<'a>], part: fn(&NaiveTime) -> u32, whole: fn(&TimeDelta) -> i64) -> Called<'a> {
    match arguments {
        [Value::Duration(duration)] => Ok(Value::Int(whole(duration))),
        _ => local(arguments).map(|local| Value::Int(i64::from(part(&local.time)))),
    }
}

pub(super) fn full_year<'a>(arguments: &[Value<'a>], _: &mut Budget) -> Called<'a> {
    calendar(arguments, |local| i64::from(local.year))
}

pub(super) fn month<'a>(arguments: &[Value<'a>], _: &mut Budget) -> Called<'a> {
    calendar(arguments, |local| i64::from(local.month0))
}

pub(super) fn day_of_month<'a>(arguments: &[Value<'a>], _: &mut Budget) -> Called<'a> {
    calendar(arguments, |local| i64::from(local.day0))
}

pub(super) fn date<'a>(arguments: &[Value<'a>], _: &mut Budget) -> Called<'a> {
    calendar(arguments, |local| i64::from(local.day0) + 1)
}

pub(super) fn day_of_week<'a>(arguments: &[Value<'a>], _: &mut Budget) -> Called<'a> {
    calendar(arguments, |local| i64::from(local.weekday))
}

pub(super) fn day_of_year<'a>(arguments: &[Value<'a>], _: &mut Budget) -> Called<'a> {
    calendar(arguments, |local| i64::from(local.ordinal0))
}

pub(super) fn hours<'a>(arguments: &[Value<'a>], _: &mut Budget) -> Called<'a> {
    clock(arguments, Timelike::hour, TimeDelta::num_hours)
}

pub(super) fn minutes<'a>(arguments: &[Value<'a>], _: &mut Budget) -> Called<'a> {
    clock(arguments, Timelike::minute, TimeDelta::num_minutes)
}

pub(super) fn seconds<'a>(arguments: &[Value<'a>], _: &mut Budget) -> Called<'a> {
    clock(arguments, Timelike::second, TimeDelta::num_seconds)
}

/// The milliseconds within the second, for a duration too.
pub(super) fn milliseconds<'a>(arguments: &[Value<'a>], _: &mut Budget) -> Called<'a> {
    let beside = |duration: &TimeDelta| i64::from(duration.subsec_nanos() / 1_000_000);
    clock(arguments, |time| time.nanosecond() / 1_000_000, beside)
}

/// A duration in CEL's format: a sign, then numbers with a unit of h, m, s, ms, us or ns.
fn parse_duration(text: &str) -> Option<TimeDelta> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(TimeDelta::zero());
    }
    if rest.is_empty() {
        return None;
    }
    let mut nanos: i128 = 0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| c.is_ascii_alphabetic())?;
        let (number, tail) = rest.split_at(end);
        let unit_end = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (unit, after) = tail.split_at(unit_end);
        let unit = match unit {
            "h" => 3_600_000_000_000,
            "m" => 60_000_000_000,
            "s" => 1_000_000_000,
            "ms" => 1_000_000,
            "us" => 1_000,
            "ns" => 1,
            _ => return None,
        };
        nanos = nanos.checked_add(scaled(number, unit)?)?;
        rest = after;
    }
    let nanos = nanos.checked_mul(sign)?;
    let seconds = i64::try_from(nanos.div_euclid(1_000_000_000)).ok()?;
    TimeDelta::new(seconds, u32::try_from(nanos.rem_euclid(1_000_000_000)).ok()?)
}

/// `number`, which may have decimals, times `unit`; digits below one unit are cut off. The arithmetic is exact.
fn scaled(number: &str, unit: i128) -> Option<i128> {
    let (whole, decimals) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() && decimals.is_empty() || !digits(whole) || !digits(decimals) {
        return None;
    }
    let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut total = whole.checked_mul(unit)?;
    let mut place = unit;
    for digit in decimals.bytes() {
        place /= 10;
        total = total.checked_add(place * i128::from(digit - b'0'))?;
    }
    Some(total)
}
