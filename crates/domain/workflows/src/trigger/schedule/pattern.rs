//! Parses a cron pattern with five fields, and explains what is wrong with an invalid one.
//!
//! It accepts what Vixie cron accepts, plus croner's day forms `L`, `W` and `#`, and `?` for "any day". A form that
//! programs interpret differently (`0/15`, `22-2`) or that has no sensible meaning (`*/61`, `1,`) is rejected with its
//! place and, if possible, a suggested pattern. The calendar is croner's, which gets the fields with their values
//! written out.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use chrono::{Datelike, NaiveDate};
use croner::parser::{CronParser, Seconds, Year};
use croner::{Cron, CronPattern, Weekday};

/// The maximum length of a pattern, in bytes.
const MAX_BYTES: usize = 200;

/// What is wrong with a pattern, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a cron pattern: {detail}")]
pub struct PatternError {
    /// The byte offset of the wrong part in the pattern.
    pub offset: usize,
    /// What is wrong and what to change.
    pub detail: String,
    /// The whole pattern that was probably meant.
    pub suggestion: Option<String>,
}

/// A parsed pattern.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    /// The local times that match.
    pub(super) cron: Cron,
    /// Whether the hour field matches every hour of the day.
    pub(super) every_hour: bool,
}

impl Pattern {
    /// Whether any date matches. Within 28 years, every date falls on every weekday that is possible for it.
    pub(super) fn names_a_day(&self) -> bool {
        let pattern: &CronPattern = &self.cron.pattern;
        let names = |day: NaiveDate| {
            let weekday = Weekday::from_days_from_sunday(day.weekday().num_days_from_sunday());
            matches!(pattern.month_match(day.month()), Ok(true))
                && matches!(pattern.day_match(day.year(), day.month(), day.day(), weekday), Ok(true))
        };
        let first = NaiveDate::from_ymd_opt(2000, 1, 1);
        first.is_some_and(|first| first.iter_days().take(28 * 366).any(names))
    }
}

struct Field {
    name: &'static str,
    min: u8,
    max: u8,
    /// The alternative names of its values, starting at `min`.
    names: &'static [&'static str],
}

const MINUTE: Field = Field { name: "minute", min: 0, max: 59, names: &[] };
const HOUR: Field = Field { name: "hour", min: 0, max: 23, names: &[] };
const DAY: Field = Field { name: "day of the month", min: 1, max: 31, names: &[] };
const MONTHS: [&str; 12] = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const MONTH: Field = Field { name: "month", min: 1, max: 12, names: &MONTHS };
const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];
const WEEKDAY: Field = Field { name: "weekday", min: 0, max: 6, names: &WEEKDAYS };

/// Sunday as 7, at the end of a week that begins on Monday.
const SECOND_SUNDAY: u8 = 7;

const SHORTHANDS: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

/// Parses a pattern.
pub(super) fn parse(text: &str) -> Result<Pattern, PatternError> {
    let problem = |offset, detail: &str, suggestion| PatternError { offset, detail: detail.to_owned(), suggestion };
    if text.len() > MAX_BYTES {
        return Err(problem(0, "it has more than 200 bytes", None));
    }
    if let Some(offset) = text.find(|c: char| !(c.is_ascii_graphic() || c == ' ' || c == '\t')) {
        return Err(problem(offset, "it has only letters, digits, signs and spaces", None));
    }
    let words = words(text);
    if let [(offset, word)] = *words
        && word.starts_with('@')
    {
        return match SHORTHANDS.iter().find(|(name, _)| name.eq_ignore_ascii_case(word)) {
            Some((_, pattern)) => parse(pattern),
            None => {
                let suggestion = crate::expression::nearest(word, SHORTHANDS.iter().map(|(name, _)| *name));
                Err(problem(offset, "there are @yearly, @monthly, @weekly, @daily and @hourly", suggestion))
            }
        };
    }
    let [minute, hour, day, month, weekday] = *words else {
        let texts: Vec<&str> = words.iter().map(|(_, word)| *word).collect();
        let suggestion = match *texts {
            [.., year] if texts.len() == 6 && year.len() == 4 => Some(texts[..5].join(" ")),
            ["0", ..] if texts.len() == 6 => Some(texts[1..].join(" ")),
            _ => None,
        };
        let count = words.len();
        let detail = format!(
            "it has {count} field{}, not five: minute, hour, day of the month, month and weekday, as in `0 9 * * MON`",
            if count == 1 { "" } else { "s" }
        );
        return Err(problem(words.get(5).map_or(0, |(offset, _)| *offset), &detail, suggestion));
    };
    let read = |field, (at, word)| Reader { text, field }.field(at, word);
    let (minutes, hours) = (read(&MINUTE, minute)?, read(&HOUR, hour)?);
    let (days, months) = (read(&DAY, day)?, read(&MONTH, month)?);
    let both = weekday.1.starts_with('+');
    let weekdays = read(&WEEKDAY, if both { (weekday.0 + 1, &weekday.1[1..]) } else { weekday })?;
    // Vixie cron's rule: if both day fields are restricted, either one is enough. If a field begins with a star, both
    // apply.
    let narrows = both || day.1.starts_with('*') || weekday.1.starts_with('*');
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).dom_and_dow(narrows).build();
    let fields = [&minutes, &hours, &days, &months, &weekdays].map(FieldValues::written);
    let cron = parser.parse(&fields.join(" ")).map_err(|error| problem(0, &error.to_string(), None))?;
    Ok(Pattern { cron, every_hour: hours.values.len() == 24 })
}

/// The words of a text, with the byte offset of each.
fn words(text: &str) -> Vec<(usize, &str)> {
    let mut next = 0;
    let word = |word: &'_ str| {
        let at = next;
        next += word.len() + 1;
        at
    };
    let places: Vec<usize> = text.split([' ', '\t']).map(word).collect();
    places.into_iter().zip(text.split([' ', '\t'])).filter(|(_, word)| !word.is_empty()).collect()
}

/// The values of a field.
#[derive(Debug, Default)]
struct FieldValues {
    values: BTreeSet<u8>,
    /// Days that depend on the month, in croner's syntax.
    relative: Vec<String>,
    /// Any day: only the other day field restricts.
    any: bool,
}

impl FieldValues {
    fn written(&self) -> String {
        if self.any {
            return "*".to_owned();
        }
        let values = self.values.iter().map(ToString::to_string);
        values.chain(self.relative.iter().cloned()).collect::<Vec<_>>().join(",")
    }
}

struct Reader<'t> {
    text: &'t str,
    field: &'static Field,
}

impl Reader<'_> {
    /// A problem with the part at `at`, with `instead` as the suggested replacement.
    fn problem(&self, at: usize, part: &str, detail: impl std::fmt::Display, instead: Option<String>) -> PatternError {
        let suggestion = instead.map(|instead| {
            let (before, after) = (&self.text[..at], &self.text[at + part.len()..]);
            format!("{before}{instead}{after}").trim().to_owned()
        });
        PatternError { offset: at, detail: format!("in the field of the {}, {detail}", self.field.name), suggestion }
    }

    fn is_day(&self) -> bool {
        [DAY.name, WEEKDAY.name].contains(&self.field.name)
    }

    fn field(&self, at: usize, word: &str) -> Result<FieldValues, PatternError> {
        let mut found = FieldValues { any: self.is_day() && ["*", "?"].contains(&word), ..FieldValues::default() };
        if found.any {
            return Ok(found);
        }
        if word.contains('?') {
            let detail = "`?` is not known; it stands for any day, alone in one of the two fields of days";
            return Err(self.problem(at, word, detail, Some(word.replace('?', "*"))));
        }
        let parts: Vec<&str> = word.split(',').collect();
        if parts.contains(&"") {
            let kept: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
            let instead = (!kept.is_empty()).then(|| kept.join(","));
            return Err(self.problem(at, word, format!("a value is missing beside a comma of `{word}`"), instead));
        }
        if parts.len() > 1 && parts.contains(&"*") {
            let detail = format!("`*` is every {} already; nothing stands beside it", self.field.name);
            return Err(self.problem(at, word, detail, Some("*".to_owned())));
        }
        let mut part_at = at;
        for part in parts {
            self.part(part_at, part, &mut found)?;
            part_at += part.len() + 1;
        }
        if ["L", "LW"].iter().all(|last| found.relative.iter().any(|relative| relative == last)) {
            return Err(self.problem(at, word, "`L` and `LW` exclude each other; name one of them", None));
        }
        Ok(found)
    }

    fn part(&self, at: usize, part: &str, found: &mut FieldValues) -> Result<(), PatternError> {
        if let Some(relative) = self.relative(at, part)? {
            found.relative.push(relative);
            return Ok(());
        }
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, Some(step)),
            None => (part, None),
        };
        let (from, to) = match range.split_once('-') {
            _ if range == "*" => (self.field.min, self.field.max),
            Some((first, last)) => self.range(at, range, (first, last))?,
            None if range.is_empty() && step.is_some() => {
                let detail = format!("`{part}` says nothing before its step");
                return Err(self.problem(at, part, detail, Some(format!("*{part}"))));
            }
            None => {
                let value = self.value(at, range)?;
                if let Some(step) = step {
                    let detail = format!("`{part}` has a step without a range, which programs read differently");
                    let instead = format!("{range}-{}/{step}", self.last(range));
                    return Err(self.problem(at, part, detail, Some(instead)));
                }
                (value, value)
            }
        };
        let step = match step {
            None => 1,
            Some(step) => self.step(at, part, step, (from, to))?,
        };
        found.values.extend((from..=to).step_by(step).map(|value| self.plain(value)));
        Ok(())
    }

    /// The canonical value of a weekday, because Sunday has two values.
    fn plain(&self, value: u8) -> u8 {
        if self.field.name == WEEKDAY.name && value == SECOND_SUNDAY { 0 } else { value }
    }

    fn value(&self, at: usize, part: &str) -> Result<u8, PatternError> {
        let field = self.field;
        let named = (field.min..).zip(field.names).find(|(_, name)| name.eq_ignore_ascii_case(part));
        if let Some((value, _)) = named {
            return Ok(value);
        }
        let max = if field.name == WEEKDAY.name { SECOND_SUNDAY } else { field.max };
        let number = part.parse().ok().filter(|_| part.len() <= 2 && part.bytes().all(|byte| byte.is_ascii_digit()));
        if let Some(number) = number.filter(|number| (field.min..=max).contains(number)) {
            return Ok(number);
        }
        let names = match field.names {
            [first, .., last] => format!(" or {first} to {last}"),
            _ => String::new(),
        };
        let meant = field.names.iter().find(|name| part.to_ascii_uppercase().starts_with(**name));
        let detail = format!("expected {} to {max}{names}, this is `{part}`", field.min);
        Err(self.problem(at, part, detail, meant.map(|name| (*name).to_owned())))
    }

    fn range(&self, at: usize, range: &str, (first, last): (&str, &str)) -> Result<(u8, u8), PatternError> {
        let from = self.value(at, first)?;
        let to = match self.value(at + first.len() + 1, last)? {
            0 if self.field.name == WEEKDAY.name && from > 0 => SECOND_SUNDAY,
            to => to,
        };
        if from <= to {
            return Ok((from, to));
        }
        let begin = match self.field.names {
            [name, ..] if first.len() == 3 => (*name).to_owned(),
            _ => self.field.min.to_string(),
        };
        let instead = format!("{first}-{},{begin}-{last}", self.last(first));
        let instead = (from <= self.field.max).then_some(instead);
        Err(self.problem(at, range, format!("the range `{range}` ends before it begins"), instead))
    }

    /// The last value of the field, written in the style of `like`.
    fn last(&self, like: &str) -> String {
        match self.field.names {
            [.., name] if like.len() == 3 => (*name).to_owned(),
            _ => self.field.max.to_string(),
        }
    }

    fn step(&self, at: usize, part: &str, step: &str, (from, to): (u8, u8)) -> Result<usize, PatternError> {
        let most = usize::from(to - from);
        let number = step.parse::<usize>().ok().filter(|_| step.bytes().all(|byte| byte.is_ascii_digit()));
        match number {
            Some(number) if (1..=most).contains(&number) => Ok(number),
            // The usual way to write "once per range" is the first value alone.
            Some(number) if number == most + 1 => {
                let detail = format!("the step of `{part}` is as long as its range, so that one value is left");
                Err(self.problem(at, part, detail, Some(from.to_string())))
            }
            _ => Err(self.problem(at, part, format!("the step of `{part}` is not from 1 to {most}"), None)),
        }
    }

    /// A day that depends on the month, in croner's syntax: `L`, `LW` and `15W` for days of the month, `5L` and `5#2`
    /// for weekdays.
    fn relative(&self, at: usize, part: &str) -> Result<Option<String>, PatternError> {
        let upper = part.to_ascii_uppercase();
        if self.field.name == DAY.name {
            if ["L", "LW"].contains(&upper.as_str()) {
                return Ok(Some(upper));
            }
            let Some(day) = upper.strip_suffix('W') else { return Ok(None) };
            return Ok(Some(format!("{}W", self.value(at, day)?)));
        }
        if self.field.name != WEEKDAY.name {
            return Ok(None);
        }
        let (day, nth) = match (upper.split_once('#'), upper.strip_suffix('L')) {
            (Some((day, nth)), _) => (day, nth),
            (None, Some(day)) => (day, "L"),
            (None, None) => return Ok(None),
        };
        let day = self.plain(self.value(at, day)?);
        if !["1", "2", "3", "4", "5", "L"].contains(&nth) {
            let detail = format!("`{part}` counts the weekdays of a month: `#1` to `#5`, or `#L` for the last");
            return Err(self.problem(at, part, detail, None));
        }
        Ok(Some(format!("{day}#{nth}")))
    }
}
