//! The functions of the standard library that expressions have, and a few on text.
//!
//! Signatures: <https://github.com/google/cel-spec/blob/master/doc/langdef.md>, list of standard definitions; those on
//! text follow the strings extension of cel-go.

use std::ops::RangeInclusive;
use std::rc::Rc;

use chrono::{DateTime, Datelike, FixedOffset, SecondsFormat, TimeDelta, Timelike};
use chrono_tz::Tz;
use regex::{Regex, RegexBuilder};

use super::budget::{Budget, Exhausted, MAX_MATCHED, MAX_TEXT};
use super::value::{List, Text, Value, duration_text};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    Size,
    Contains,
    StartsWith,
    EndsWith,
    Matches,
    LowerAscii,
    UpperAscii,
    Trim,
    Split,
    Join,
    Replace,
    Substring,
    ToText,
    ToInt,
    ToUint,
    ToDouble,
    ToBool,
    ToBytes,
    TypeOf,
    Dynamic,
    Duration,
    Timestamp,
    Part(Part),
}

/// What can be asked of a timestamp; some of a duration too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Year,
    Month,
    DayOfMonth,
    Date,
    DayOfWeek,
    DayOfYear,
    Hours,
    Minutes,
    Seconds,
    Milliseconds,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Global,
    Method,
}

#[derive(Debug)]
pub(super) struct Signature {
    style: Option<Style>,
    /// How many values it takes, the one before the dot included.
    pub(super) arguments: RangeInclusive<usize>,
}

impl Signature {
    pub(super) fn allows(&self, style: Style) -> bool {
        self.style.is_none_or(|only| only == style)
    }
}

const GLOBAL: Option<Style> = Some(Style::Global);
const METHOD: Option<Style> = Some(Style::Method);

#[rustfmt::skip]
const TABLE: &[(&str, Function, Option<Style>, usize, usize)] = &[
    ("size", Function::Size, None, 1, 1),
    ("contains", Function::Contains, METHOD, 2, 2),
    ("startsWith", Function::StartsWith, METHOD, 2, 2),
    ("endsWith", Function::EndsWith, METHOD, 2, 2),
    ("matches", Function::Matches, None, 2, 2),
    ("lowerAscii", Function::LowerAscii, METHOD, 1, 1),
    ("upperAscii", Function::UpperAscii, METHOD, 1, 1),
    ("trim", Function::Trim, METHOD, 1, 1),
    ("split", Function::Split, METHOD, 2, 2),
    ("join", Function::Join, METHOD, 1, 2),
    ("replace", Function::Replace, METHOD, 3, 3),
    ("substring", Function::Substring, METHOD, 2, 3),
    ("string", Function::ToText, GLOBAL, 1, 1),
    ("int", Function::ToInt, GLOBAL, 1, 1),
    ("uint", Function::ToUint, GLOBAL, 1, 1),
    ("double", Function::ToDouble, GLOBAL, 1, 1),
    ("bool", Function::ToBool, GLOBAL, 1, 1),
    ("bytes", Function::ToBytes, GLOBAL, 1, 1),
    ("type", Function::TypeOf, GLOBAL, 1, 1),
    ("dyn", Function::Dynamic, GLOBAL, 1, 1),
    ("duration", Function::Duration, GLOBAL, 1, 1),
    ("timestamp", Function::Timestamp, GLOBAL, 1, 1),
    ("getFullYear", Function::Part(Part::Year), METHOD, 1, 2),
    ("getMonth", Function::Part(Part::Month), METHOD, 1, 2),
    ("getDayOfMonth", Function::Part(Part::DayOfMonth), METHOD, 1, 2),
    ("getDate", Function::Part(Part::Date), METHOD, 1, 2),
    ("getDayOfWeek", Function::Part(Part::DayOfWeek), METHOD, 1, 2),
    ("getDayOfYear", Function::Part(Part::DayOfYear), METHOD, 1, 2),
    ("getHours", Function::Part(Part::Hours), METHOD, 1, 2),
    ("getMinutes", Function::Part(Part::Minutes), METHOD, 1, 2),
    ("getSeconds", Function::Part(Part::Seconds), METHOD, 1, 2),
    ("getMilliseconds", Function::Part(Part::Milliseconds), METHOD, 1, 2),
];

pub(super) fn find(name: &str) -> Option<(Function, Signature)> {
    let (_, function, style, min, max) = TABLE.iter().find(|row| row.0 == name)?;
    Some((*function, Signature { style: *style, arguments: *min..=*max }))
}

pub(super) fn names() -> impl Iterator<Item = &'static str> {
    TABLE.iter().map(|row| row.0)
}

/// The types that an expression can name, for `type(x) == string`.
pub(super) fn type_name(name: &str) -> Option<&'static str> {
    ["null_type", "bool", "int", "uint", "double", "string", "bytes", "list", "map", "type"]
        .into_iter()
        .find(|known| *known == name)
}

/// Why a call has no value.
#[derive(Debug)]
pub(super) enum CallError {
    /// In words.
    Failed(String),
    /// The types do not fit.
    Types,
    Exhausted,
}

impl From<Exhausted> for CallError {
    fn from(_: Exhausted) -> Self {
        Self::Exhausted
    }
}

fn failed<T>(detail: impl Into<String>) -> Result<T, CallError> {
    Err(CallError::Failed(detail.into()))
}

/// Compiles a pattern that cannot cost more than some thousand steps a byte.
pub(super) fn compile_regex(pattern: &str) -> Result<Regex, String> {
    if pattern.len() > 512 {
        return Err("a pattern has at most 512 bytes".to_owned());
    }
    RegexBuilder::new(pattern).size_limit(1 << 15).dfa_size_limit(1 << 18).nest_limit(32).build().map_err(|error| {
        match error {
            regex::Error::CompiledTooBig(_) => "this pattern is too large once its repetitions are counted".to_owned(),
            _ => "this is not a regular expression (RE2 syntax)".to_owned(),
        }
    })
}

pub(super) fn matches<'a>(text: &Value<'a>, regex: &Regex, budget: &mut Budget) -> Result<Value<'a>, CallError> {
    let Value::Text(text) = text else { return Err(CallError::Types) };
    let text = text.as_str();
    if text.len() > MAX_MATCHED {
        return failed(format!("a text of more than {MAX_MATCHED} bytes cannot be matched"));
    }
    budget.spend(16 + 2 * text.len() as u64)?;
    Ok(Value::Bool(regex.is_match(text)))
}

/// A text that was made, within its limit.
fn made<'a>(text: String, budget: &mut Budget) -> Result<Value<'a>, CallError> {
    check_length(text.len())?;
    budget.scan(text.len())?;
    Ok(Value::made(text))
}

pub(super) fn check_length(bytes: usize) -> Result<(), CallError> {
    if bytes > MAX_TEXT { failed(format!("a text has at most {MAX_TEXT} bytes")) } else { Ok(()) }
}

pub(super) fn call<'a>(
    function: Function,
    arguments: &[Value<'a>],
    budget: &mut Budget,
) -> Result<Value<'a>, CallError> {
    use Value as V;
    Ok(match (function, arguments) {
        (Function::Size, [V::Text(text)]) => {
            budget.scan(text.as_str().len())?;
            size(text.as_str().chars().count())
        }
        (Function::Size, [V::Bytes(bytes)]) => size(bytes.len()),
        (Function::Size, [V::List(list)]) => size(list.len()),
        (Function::Size, [V::Map(map)]) => size(map.len()),
        (Function::Matches, [text, V::Text(pattern)]) => {
            budget.spend(20_000)?;
            let regex = compile_regex(pattern.as_str()).map_err(CallError::Failed)?;
            matches(text, &regex, budget)?
        }
        (Function::ToText, [value]) => to_text(value, budget)?,
        (Function::ToInt, [value]) => to_int(value)?,
        (Function::ToUint, [value]) => to_uint(value)?,
        (Function::ToDouble, [value]) => to_double(value)?,
        (Function::ToBool, [V::Bool(value)]) => V::Bool(*value),
        (Function::ToBool, [V::Text(text)]) => match text.as_str() {
            "true" | "True" | "TRUE" | "t" | "1" => V::Bool(true),
            "false" | "False" | "FALSE" | "f" | "0" => V::Bool(false),
            _ => return failed("this text is not true or false"),
        },
        (Function::ToBytes, [V::Bytes(bytes)]) => V::Bytes(Rc::clone(bytes)),
        (Function::ToBytes, [V::Text(text)]) => {
            budget.scan(text.as_str().len())?;
            V::Bytes(Rc::from(text.as_str().as_bytes()))
        }
        (Function::TypeOf, [value]) => V::Type(value.type_name()),
        (Function::Dynamic, [value]) => value.clone(),
        (Function::Duration, [V::Duration(duration)]) => V::Duration(*duration),
        (Function::Duration, [V::Text(text)]) => match parse_duration(text.as_str()) {
            Some(duration) => V::Duration(duration),
            None => return failed("this text is not a duration such as 1h30m or 2.5s"),
        },
        (Function::Timestamp, [V::Timestamp(time)]) => V::Timestamp(*time),
        (Function::Timestamp, [V::Int(seconds)]) => match DateTime::from_timestamp(*seconds, 0) {
            Some(time) => V::Timestamp(time.fixed_offset()),
            None => return failed("this number of seconds is outside the range of timestamps"),
        },
        (Function::Timestamp, [V::Text(text)]) => match DateTime::parse_from_rfc3339(text.as_str()) {
            Ok(time) => V::Timestamp(time),
            Err(_) => return failed("this text is not an RFC 3339 timestamp"),
        },
        (Function::Part(part), [V::Timestamp(time)]) => part_of(part, &time.to_utc()),
        (Function::Part(part), [V::Timestamp(time), V::Text(zone)]) => part_in(part, time, zone.as_str())?,
        (Function::Part(part), [V::Duration(duration)]) => part_of_duration(part, *duration)?,
        (function, arguments) => text_call(function, arguments, budget)?,
    })
}

fn text_call<'a>(function: Function, arguments: &[Value<'a>], budget: &mut Budget) -> Result<Value<'a>, CallError> {
    use Value as V;
    let (subject, rest) = match arguments {
        [V::List(list)] if function == Function::Join => return join(list, "", budget),
        [V::List(list), V::Text(separator)] if function == Function::Join => {
            return join(list, separator.as_str(), budget);
        }
        [V::Text(text), rest @ ..] => (text.as_str(), rest),
        _ => return Err(CallError::Types),
    };
    budget.scan(subject.len())?;
    Ok(match (function, rest) {
        (Function::Contains, [V::Text(part)]) => V::Bool(subject.contains(part.as_str())),
        (Function::StartsWith, [V::Text(part)]) => V::Bool(subject.starts_with(part.as_str())),
        (Function::EndsWith, [V::Text(part)]) => V::Bool(subject.ends_with(part.as_str())),
        (Function::LowerAscii, []) => made(subject.to_ascii_lowercase(), budget)?,
        (Function::UpperAscii, []) => made(subject.to_ascii_uppercase(), budget)?,
        (Function::Trim, []) => made(subject.trim().to_owned(), budget)?,
        (Function::Split, [V::Text(separator)]) => {
            let mut parts: Vec<Value<'a>> = Vec::new();
            for part in subject.split(separator.as_str()) {
                budget.spend(1)?;
                parts.push(made(part.to_owned(), budget)?);
            }
            V::List(List::Made(parts.into()))
        }
        (Function::Replace, [V::Text(from), V::Text(to)]) => {
            let hits = subject.matches(from.as_str()).count();
            let length = subject.len().saturating_add(hits.saturating_mul(to.as_str().len()));
            check_length(length)?;
            made(subject.replace(from.as_str(), to.as_str()), budget)?
        }
        (Function::Substring, [V::Int(start)]) => substring(subject, *start, None, budget)?,
        (Function::Substring, [V::Int(start), V::Int(end)]) => substring(subject, *start, Some(*end), budget)?,
        _ => return Err(CallError::Types),
    })
}

fn size<'a>(count: usize) -> Value<'a> {
    Value::Int(i64::try_from(count).unwrap_or(i64::MAX))
}

fn join<'a>(list: &List<'a>, separator: &str, budget: &mut Budget) -> Result<Value<'a>, CallError> {
    let mut text = String::new();
    for (index, item) in list.iter().enumerate() {
        let Value::Text(item) = item else { return Err(CallError::Types) };
        budget.spend(1)?;
        if index > 0 {
            text.push_str(separator);
        }
        text.push_str(item.as_str());
        check_length(text.len())?;
    }
    made(text, budget)
}

fn substring<'a>(text: &str, start: i64, end: Option<i64>, budget: &mut Budget) -> Result<Value<'a>, CallError> {
    let length = text.chars().count();
    let end = end.map_or(Some(length), |end| usize::try_from(end).ok());
    match (usize::try_from(start).ok(), end) {
        (Some(start), Some(end)) if start <= end && end <= length => {
            made(text.chars().skip(start).take(end - start).collect(), budget)
        }
        _ => failed("the range is outside the text"),
    }
}

fn to_text<'a>(value: &Value<'a>, budget: &mut Budget) -> Result<Value<'a>, CallError> {
    Ok(match value {
        Value::Text(Text::Borrowed(text)) => Value::Text(Text::Borrowed(text)),
        Value::Text(Text::Made(text)) => Value::Text(Text::Made(Rc::clone(text))),
        Value::Bool(value) => Value::made(value.to_string()),
        Value::Int(value) => Value::made(value.to_string()),
        Value::Uint(value) => Value::made(value.to_string()),
        Value::Double(value) => Value::made(value.to_string()),
        Value::Timestamp(time) => Value::made(time.to_rfc3339_opts(SecondsFormat::AutoSi, true)),
        Value::Duration(duration) => Value::made(duration_text(duration)),
        Value::Bytes(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => made(text.to_owned(), budget)?,
            Err(_) => return failed("these bytes are not UTF-8"),
        },
        Value::Null | Value::Type(_) | Value::List(_) | Value::Map(_) => return Err(CallError::Types),
    })
}

const OUT_OF_RANGE: &str = "the number is outside the range of the type";

fn to_int<'a>(value: &Value<'a>) -> Result<Value<'a>, CallError> {
    let int = match value {
        Value::Int(value) => Some(*value),
        Value::Uint(value) => i64::try_from(*value).ok(),
        // -2^63 is a double, 2^63 - 1 is not: the upper bound is strict.
        Value::Double(value) if (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(value) =>
        {
            #[expect(clippy::cast_possible_truncation, reason = "the range was checked; CEL rounds towards zero")]
            Some(*value as i64)
        }
        Value::Double(_) => None,
        Value::Text(text) => match text.as_str().parse() {
            Ok(int) => Some(int),
            Err(_) => return failed("this text is not a whole number"),
        },
        Value::Timestamp(time) => Some(time.timestamp()),
        _ => return Err(CallError::Types),
    };
    int.map_or_else(|| failed(OUT_OF_RANGE), |int| Ok(Value::Int(int)))
}

fn to_uint<'a>(value: &Value<'a>) -> Result<Value<'a>, CallError> {
    let uint = match value {
        Value::Int(value) => u64::try_from(*value).ok(),
        Value::Uint(value) => Some(*value),
        Value::Double(value) if (0.0..18_446_744_073_709_551_616.0).contains(value) =>
        {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range was checked")]
            Some(*value as u64)
        }
        Value::Double(_) => None,
        Value::Text(text) => match text.as_str().parse() {
            Ok(uint) => Some(uint),
            Err(_) => return failed("this text is not a whole number of 0 or more"),
        },
        _ => return Err(CallError::Types),
    };
    uint.map_or_else(|| failed(OUT_OF_RANGE), |uint| Ok(Value::Uint(uint)))
}

fn to_double<'a>(value: &Value<'a>) -> Result<Value<'a>, CallError> {
    Ok(Value::Double(match value {
        Value::Double(value) => *value,
        Value::Text(text) => match text.as_str().parse() {
            Ok(double) => double,
            Err(_) => return failed("this text is not a number"),
        },
        other => as_double(other).ok_or(CallError::Types)?,
    }))
}

/// A number as a double.
#[expect(clippy::cast_precision_loss, reason = "CEL rounds to the nearest double")]
pub(super) fn as_double(value: &Value<'_>) -> Option<f64> {
    match value {
        Value::Int(value) => Some(*value as f64),
        Value::Uint(value) => Some(*value as f64),
        Value::Double(value) => Some(*value),
        _ => None,
    }
}

fn part_in<'a>(part: Part, time: &DateTime<FixedOffset>, zone: &str) -> Result<Value<'a>, CallError> {
    if let Ok(zone) = zone.parse::<Tz>() {
        return Ok(part_of(part, &time.with_timezone(&zone)));
    }
    // CEL also takes an offset such as +02:00.
    match format!("2000-01-01T00:00:00{zone}").parse::<DateTime<FixedOffset>>() {
        Ok(example) => Ok(part_of(part, &time.with_timezone(example.offset()))),
        Err(_) => failed("this is not a time zone"),
    }
}

fn part_of<'a>(part: Part, time: &(impl Datelike + Timelike)) -> Value<'a> {
    Value::Int(match part {
        Part::Year => i64::from(time.year()),
        Part::Month => i64::from(time.month0()),
        Part::DayOfMonth => i64::from(time.day0()),
        Part::Date => i64::from(time.day()),
        Part::DayOfWeek => i64::from(time.weekday().num_days_from_sunday()),
        Part::DayOfYear => i64::from(time.ordinal0()),
        Part::Hours => i64::from(time.hour()),
        Part::Minutes => i64::from(time.minute()),
        Part::Seconds => i64::from(time.second()),
        Part::Milliseconds => i64::from(time.nanosecond() / 1_000_000 % 1_000),
    })
}

fn part_of_duration<'a>(part: Part, duration: TimeDelta) -> Result<Value<'a>, CallError> {
    Ok(Value::Int(match part {
        Part::Hours => duration.num_hours(),
        Part::Minutes => duration.num_minutes(),
        Part::Seconds => duration.num_seconds(),
        Part::Milliseconds => i64::from(duration.subsec_nanos() / 1_000_000),
        _ => return Err(CallError::Types),
    }))
}

/// A duration as CEL writes it: a sign, then numbers with a unit of h, m, s, ms, us or ns.
fn parse_duration(text: &str) -> Option<TimeDelta> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(TimeDelta::zero());
    }
    let mut total = TimeDelta::zero();
    while !rest.is_empty() {
        let end = rest.find(|c: char| c.is_ascii_alphabetic())?;
        let (number, tail) = rest.split_at(end);
        let unit_end = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (unit, after) = tail.split_at(unit_end);
        let nanos = match unit {
            "h" => 3_600_000_000_000,
            "m" => 60_000_000_000,
            "s" => 1_000_000_000,
            "ms" => 1_000_000,
            "us" => 1_000,
            "ns" => 1,
            _ => return None,
        };
        total = total.checked_add(&TimeDelta::nanoseconds(scaled(number, nanos)?))?;
        rest = after;
    }
    (!text.is_empty()).then_some(total * sign)
}

/// `number`, which may have decimals, times `unit`, exactly and without the digits below one.
fn scaled(number: &str, unit: i64) -> Option<i64> {
    let (whole, decimals) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && decimals.is_empty() || !number.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return None;
    }
    let whole: i64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut total = whole.checked_mul(unit)?;
    let mut place = unit;
    for digit in decimals.bytes() {
        place /= 10;
        if !digit.is_ascii_digit() {
            return None;
        }
        total = total.checked_add(place.checked_mul(i64::from(digit - b'0'))?)?;
    }
    Some(total)
}
