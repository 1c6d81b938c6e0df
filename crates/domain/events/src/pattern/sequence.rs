//! Sequence: one actor touches A and then B.
//!
//! The events of an actor that have a subject are ordered by `Place`. Two adjacent events are a sequence if they are
//! at most [`SEQUENCE_WINDOW`] apart and have different subjects. Exception: events of one session at the same instant
//! (the files of a commit) have no order among themselves, so they make no sequence; co-occurrence counts them. A late
//! event is inserted at its place: it subtracts the sequence of its neighbours and adds those that it makes with them.

use std::collections::BTreeMap;

use chrono::TimeDelta;

use super::batch::{Batch, Delta, Gap, Link, Surroundings};
use super::key::PatternKey;

/// The maximum time between the two events of a sequence.
pub const SEQUENCE_WINDOW: TimeDelta = TimeDelta::seconds(300);

/// The sequence that two adjacent links make, with its gap in milliseconds; `None` if they make none.
pub(super) fn step(before: &Link, after: &Link) -> Option<(PatternKey, i64)> {
    let gap = after.place.at - before.place.at;
    let one_moment = gap.is_zero() && before.session.is_some() && before.session == after.session;
    let counts = gap <= SEQUENCE_WINDOW && before.place.subject != after.place.subject && !one_moment;
    let key = PatternKey::Sequence { from: before.place.subject, to: after.place.subject };
    counts.then(|| (key, gap.num_milliseconds()))
}

pub(super) fn crossed(batch: &Batch, gaps: &BTreeMap<Link, Gap>) -> Vec<Link> {
    let is_crossed = |links: &&Vec<Link>| match (links.first(), links.last()) {
        (Some(first), Some(last)) => gaps.get(first).and_then(|gap| gap.after).is_some_and(|after| after < *last),
        _ => false,
    };
    batch.links.values().filter(is_crossed).flatten().copied().filter(|link| !gaps.contains_key(link)).collect()
}

pub(super) fn count(batch: &Batch, known: &Surroundings, delta: &mut Delta) {
    for links in batch.links.values() {
        let mut gap = Gap::default();
        let mut at: Option<Link> = None;
        for link in links {
            delta.subjects.entry(link.place.subject).or_default().touches += 1;
            // The gap of the previous link also applies to this one, unless the store has a link between them.
            if at.is_none() || gap.after.is_some_and(|after| after < *link) {
                close(at, gap, delta);
                gap = known.gaps.get(link).copied().unwrap_or_default();
                add(gap.before, gap.after, -1, delta);
                at = gap.before;
            }
            add(at, Some(*link), 1, delta);
            at = Some(*link);
        }
        close(at, gap, delta);
        delta.links.extend(links);
    }
}

/// The last new link in a gap is adjacent to the link after the gap.
fn close(at: Option<Link>, gap: Gap, delta: &mut Delta) {
    add(at, gap.after, 1, delta);
}

fn add(before: Option<Link>, after: Option<Link>, sign: i64, delta: &mut Delta) {
    if let (Some(before), Some(after)) = (before, after)
        && let Some((key, gap_ms)) = step(&before, &after)
    {
        let change = delta.patterns.entry(key).or_default();
        change.support += sign;
        change.gap_ms += sign * gap_ms;
    }
}
