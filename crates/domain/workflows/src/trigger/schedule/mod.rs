//! Cron schedules in a time zone.
//!
//! A pattern with specific hours fires at the first moment at which the local clock shows the named time or a later
//! one. So a time that the clock skips fires right after the gap, together with all other times in the gap. A time that
//! the clock shows twice fires at the first of the two. A pattern for every hour fires whenever the local clock shows a
//! matching time, and times in a gap do not fire.

mod pattern;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use chrono::{DateTime, FixedOffset, MappedLocalTime, NaiveDateTime, TimeDelta, TimeZone, Utc};
use chrono_tz::{GapInfo, Tz};
use croner::Cron;

pub use pattern::PatternError;

/// A cron pattern in a time zone.
#[derive(Debug, Clone)]
pub struct Schedule {
    cron: Arc<Cron>,
    every_hour: bool,
    zone: Tz,
}

/// Why a schedule is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// The pattern is invalid.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// The time zone is not in the IANA database.
    #[error("there is no time zone of this name; they are written like Europe/Berlin")]
    Zone(String),
    /// The pattern never matches a date.
    #[error("this pattern names a time that never comes")]
    Never,
}

impl Schedule {
    /// The schedule of `pattern` in the time zone named `zone`.
    ///
    /// # Errors
    /// [`ScheduleError`] if the pattern or the zone is invalid, or the pattern never fires.
    pub fn new(pattern: &str, zone: &str) -> Result<Self, ScheduleError> {
        let zone: Tz = zone.parse().map_err(|_| ScheduleError::Zone(zone.to_owned()))?;
        let pattern = pattern::parse(pattern)?;
        if !pattern.names_a_day() {
            return Err(ScheduleError::Never);
        }
        Ok(Self { cron: Arc::new(pattern.cron), every_hour: pattern.every_hour, zone })
    }

    /// The first time after `instant`, and never `instant` itself, so that a tick does not fire twice.
    #[must_use]
    pub fn next_after(&self, instant: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let shown = self.shown(instant);
        if !self.every_hour {
            return self.named_after(shown).find_map(|named| self.first_at(named).filter(|tick| *tick > instant));
        }
        let coming = |named| self.moments(named).into_iter().flatten().find(|moment| *moment > instant);
        let ahead = self.named_after(shown).find_map(coming);
        // If the clock will show this time again, it will also repeat the times since the start of the repetition.
        let once_more = self.moments(shown).into_iter().flatten().find(|moment| *moment > instant);
        let repeated = once_more.and_then(|again| {
            let since = self.named_after(shown - (again - instant));
            since.take_while(|named| *named <= shown).find_map(coming)
        });
        [ahead, repeated].into_iter().flatten().min()
    }

    /// The latest time at or before `now` and after `since`: the time for which a scheduler makes up after an outage.
    #[must_use]
    pub fn last_due(&self, since: DateTime<Utc>, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let shown = self.shown(now);
        // If the clock shows this time for the second time, it has already shown later times.
        let repeats = self.first_at(shown).map_or(TimeDelta::zero(), |first| now - first);
        let before = self.named_until(shown + repeats);
        let last = if self.every_hour {
            let past = |named| self.moments(named).into_iter().flatten().rev().find(|moment| *moment <= now);
            let later = before.take_while(|named| *named > shown).find_map(past);
            [later, self.named_until(shown).find_map(past)].into_iter().flatten().max()
        } else {
            before.filter_map(|named| self.first_at(named)).find(|tick| *tick <= now)
        };
        last.filter(|last| *last > since)
    }

    /// `instant` in the local time of the time zone.
    #[must_use]
    pub fn local(&self, instant: DateTime<Utc>) -> DateTime<FixedOffset> {
        instant.with_timezone(&self.zone).fixed_offset()
    }

    /// The names of all time zones.
    pub fn zones() -> impl Iterator<Item = &'static str> {
        chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name())
    }

    fn shown(&self, instant: DateTime<Utc>) -> NaiveDateTime {
        instant.with_timezone(&self.zone).naive_local()
    }

    /// The matching local times after `local`, whether or not the clock shows them.
    fn named_after(&self, local: NaiveDateTime) -> impl Iterator<Item = NaiveDateTime> + '_ {
        // Local times are passed to croner as UTC, which has no gaps and no repetitions.
        let next =
            |local: &NaiveDateTime| Some(self.cron.find_next_occurrence(&local.and_utc(), false).ok()?.naive_utc());
        std::iter::successors(next(&local), next)
    }

    /// The matching local times up to and including `local`, the latest first.
    fn named_until(&self, local: NaiveDateTime) -> impl Iterator<Item = NaiveDateTime> + '_ {
        let before = |local: &NaiveDateTime, inclusive| {
            Some(self.cron.find_previous_occurrence(&local.and_utc(), inclusive).ok()?.naive_utc())
        };
        std::iter::successors(before(&local, true), move |local| before(local, false))
    }

    /// The moments at which the clock shows `local`: none, one or two, the earlier first.
    fn moments(&self, local: NaiveDateTime) -> [Option<DateTime<Utc>>; 2] {
        match self.zone.from_local_datetime(&local) {
            MappedLocalTime::None => [None, None],
            MappedLocalTime::Single(moment) => [Some(moment.to_utc()), None],
            MappedLocalTime::Ambiguous(earlier, later) => [Some(earlier.to_utc()), Some(later.to_utc())],
        }
    }

    /// The first moment at which the clock shows `local` or a later time.
    fn first_at(&self, local: NaiveDateTime) -> Option<DateTime<Utc>> {
        let [first, _] = self.moments(local);
        first.or_else(|| Some(GapInfo::new(&local, &self.zone)?.end?.to_utc()))
    }
}
