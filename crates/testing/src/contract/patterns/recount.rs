//! A simple reference implementation of pattern detection: from all events in memory, not incremental, without a store.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use tidegate_events::Event;
use tidegate_events::pattern::{Dimension, Pattern, PatternFacts, PatternKey, Term};
use tidegate_kernel::{EventId, WorkspaceId};

/// An occurrence of a pattern: the time and the id of its first event, and of its second.
type Occurrence = (DateTime<Utc>, EventId, DateTime<Utc>, EventId);

/// An event in the sequence of its actor.
type Standing<'a> = (DateTime<Utc>, Term, EventId, &'a Event);

/// The patterns of `events`, strongest first.
pub(super) fn recount(workspace: WorkspaceId, events: &[Event]) -> Vec<Pattern> {
    let mut patterns = frequencies(workspace, events);
    patterns.extend(sequences(workspace, events));
    patterns.extend(pairs(workspace, events));
    patterns.retain(|pattern| pattern.support >= 3);
    patterns.sort_by_key(|pattern| Reverse((pattern.support, pattern.id)));
    patterns
}

fn count<T>(items: &[T]) -> i64 {
    i64::try_from(items.len()).expect("a small number")
}

fn frequencies(workspace: WorkspaceId, events: &[Event]) -> Vec<Pattern> {
    let mut active: Vec<NaiveDate> = events.iter().map(|event| event.time.at.date_naive()).collect();
    active.sort_unstable();
    active.dedup();
    let mut values: BTreeMap<(Dimension, String), Vec<&Event>> = BTreeMap::new();
    for event in events {
        let hour = Some(event.time.at.format("%H").to_string());
        for (dimension, value) in [
            (Dimension::Hour, hour),
            (Dimension::Extension, event.extension.clone()),
            (Dimension::Tool, event.tool.clone()),
            (Dimension::Subject, event.subject.clone()),
        ] {
            if let Some(value) = value {
                values.entry((dimension, value)).or_default().push(event);
            }
        }
    }
    let pattern = |((dimension, value), mut events): ((Dimension, String), Vec<&Event>)| {
        events.sort_by_key(|event| (event.time.at, event.id));
        let mut last_of_day: BTreeMap<NaiveDate, EventId> = BTreeMap::new();
        last_of_day.extend(events.iter().map(|event| (event.time.at.date_naive(), event.id)));
        let first_seen = events.first().expect("at least one event").time.at;
        let last_seen = events.last().expect("at least one event").time.at;
        Pattern {
            id: PatternKey::Frequency { dimension, value: Term::of(&value) }.id(workspace),
            support: count(&events),
            facts: PatternFacts::Frequency {
                dimension,
                value,
                days: i64::try_from(last_of_day.len()).expect("a small number"),
                active_days: count(&active),
                all_events: 0,
            },
            first_seen,
            last_seen,
            evidence: last_of_day.into_values().rev().take(5).collect(),
        }
    };
    let all = count(events);
    let mut patterns: Vec<Pattern> = values.into_iter().map(pattern).collect();
    for pattern in &mut patterns {
        if let PatternFacts::Frequency { all_events, .. } = &mut pattern.facts {
            *all_events = all;
        }
    }
    patterns
}

fn sequences(workspace: WorkspaceId, events: &[Event]) -> Vec<Pattern> {
    let mut lines: BTreeMap<&str, Vec<Standing<'_>>> = BTreeMap::new();
    let mut touches: BTreeMap<&str, i64> = BTreeMap::new();
    for event in events {
        if let (Some(actor), Some(subject)) = (&event.actor, &event.subject) {
            lines.entry(actor).or_default().push((event.time.at, Term::of(subject), event.id, event));
            *touches.entry(subject).or_default() += 1;
        }
    }
    let mut found: BTreeMap<(&str, &str), Vec<Occurrence>> = BTreeMap::new();
    for line in lines.values_mut() {
        line.sort_by_key(|(at, subject, id, _)| (*at, *subject, *id));
        for two in line.windows(2) {
            let (one, next) = (two[0].3, two[1].3);
            let gap = next.time.at - one.time.at;
            let one_moment = gap.is_zero() && one.session.is_some() && one.session == next.session;
            if gap <= TimeDelta::minutes(5) && one.subject != next.subject && !one_moment {
                let subjects = (one.subject.as_deref().unwrap_or(""), next.subject.as_deref().unwrap_or(""));
                found.entry(subjects).or_default().push((one.time.at, one.id, next.time.at, next.id));
            }
        }
    }
    let pattern = |((from, to), mut times): ((&str, &str), Vec<Occurrence>)| {
        times.sort_unstable();
        let gaps: i64 = times.iter().map(|(from_at, _, to_at, _)| (*to_at - *from_at).num_milliseconds()).sum();
        Pattern {
            id: PatternKey::Sequence { from: Term::of(from), to: Term::of(to) }.id(workspace),
            support: count(&times),
            facts: PatternFacts::Sequence {
                from: from.to_owned(),
                to: to.to_owned(),
                from_touches: touches.get(from).copied().unwrap_or(0),
                mean_gap_ms: gaps / count(&times),
            },
            first_seen: times.first().expect("at least one").0,
            last_seen: times.last().expect("at least one").2,
            evidence: evidence(&times),
        }
    };
    found.into_iter().map(pattern).collect()
}

fn pairs(workspace: WorkspaceId, events: &[Event]) -> Vec<Pattern> {
    let mut sessions: BTreeMap<&str, BTreeMap<&str, (DateTime<Utc>, EventId)>> = BTreeMap::new();
    for event in events {
        if let (Some(session), Some(subject)) = (&event.session, &event.subject) {
            let this = (event.time.at, event.id);
            let first = sessions.entry(session).or_default().entry(subject).or_insert(this);
            *first = this.min(*first);
        }
    }
    sessions.retain(|_, subjects| subjects.len() <= 100);
    let mut sessions_of: BTreeMap<&str, i64> = BTreeMap::new();
    for subject in sessions.values().flat_map(BTreeMap::keys) {
        *sessions_of.entry(subject).or_default() += 1;
    }
    let mut found: BTreeMap<(&str, &str), Vec<Occurrence>> = BTreeMap::new();
    for subjects in sessions.values() {
        for (one, (one_at, one_id)) in subjects {
            for (other, (other_at, other_id)) in subjects {
                // Each pair counts in one direction: from the subject with fewer sessions.
                if (sessions_of[one], one) < (sessions_of[other], other) {
                    found.entry((one, other)).or_default().push((*one_at, *one_id, *other_at, *other_id));
                }
            }
        }
    }
    let pattern = |((antecedent, consequent), mut times): ((&str, &str), Vec<Occurrence>)| {
        times.sort_unstable();
        Pattern {
            id: PatternKey::pair(Term::of(antecedent), Term::of(consequent)).id(workspace),
            support: count(&times),
            facts: PatternFacts::CoOccurrence {
                antecedent: antecedent.to_owned(),
                consequent: consequent.to_owned(),
                antecedent_sessions: sessions_of[antecedent],
                consequent_sessions: sessions_of[consequent],
                all_sessions: i64::try_from(sessions.len()).expect("a small number"),
            },
            first_seen: times.first().expect("at least one").0,
            last_seen: times.last().expect("at least one").0,
            evidence: evidence(&times),
        }
    };
    found.into_iter().map(pattern).collect()
}

/// Both events of the last three occurrences, newest first.
fn evidence(times: &[Occurrence]) -> Vec<EventId> {
    times.iter().rev().take(3).flat_map(|(_, first, _, second)| [*second, *first]).collect()
}
