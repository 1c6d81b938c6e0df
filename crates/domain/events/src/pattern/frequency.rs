//! Frequency: how often something happened, counted per day so that a day can be subtracted later.

use chrono::{DateTime, Timelike, Utc};

use super::batch::{Batch, DayCount, DayKey, Delta, Seen, Surroundings};
use super::key::{Dimension, PatternKey, Term};

/// The hour of the day in UTC, as two digits.
pub(super) fn hour_text(at: DateTime<Utc>) -> String {
    format!("{:02}", at.hour())
}

/// The day counters to which one event adds.
pub(super) fn day_keys(event: &Seen) -> impl Iterator<Item = DayKey> + use<> {
    let day = event.at.date_naive();
    [
        (Dimension::All, Some(Term::NONE)),
        (Dimension::Extension, event.extension),
        (Dimension::Tool, event.tool),
        (Dimension::Hour, Some(Term::of(&hour_text(event.at)))),
        (Dimension::Subject, event.subject),
    ]
    .into_iter()
    .filter_map(move |(dimension, value)| Some(DayKey { dimension, value: value?, day }))
}

pub(super) fn count(batch: &Batch, known: &Surroundings, delta: &mut Delta) {
    for event in &batch.events {
        for key in day_keys(event) {
            let (at, id) = (event.at, event.id);
            let first = DayCount { events: 0, first_at: at, last_at: at, last_event: id };
            let count = delta.days.entry(key).or_insert(first);
            count.events += 1;
            count.first_at = count.first_at.min(at);
            (count.last_at, count.last_event) = (count.last_at, count.last_event).max((at, id));
        }
    }
    for (key, count) in &delta.days {
        let fresh_day = i64::from(!known.days.contains(key));
        if key.dimension == Dimension::All {
            delta.totals.events += count.events;
            delta.totals.active_days += fresh_day;
        } else {
            let pattern = PatternKey::Frequency { dimension: key.dimension, value: key.value };
            let change = delta.patterns.entry(pattern).or_default();
            change.support += count.events;
            change.days += fresh_day;
        }
    }
}
