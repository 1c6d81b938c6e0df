//! Counting in batches equals counting all events at once, whatever the order and the split.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use tidegate_kernel::{EventId, Position, StoreError};
use uuid::Uuid;

use super::batch::{Batch, DayCount, DayKey, Delta, Gap, Link, Member, PatternChange, SubjectChange, TotalsChange};
use super::detection::count;
use super::key::{PatternKey, Term};
use super::ports::PatternCounters;
use super::session::MAX_SESSION_SUBJECTS;
use crate::model::{Event, EventTime};

/// Counters in memory.
#[derive(Debug, Default, PartialEq, Eq)]
struct Memory {
    patterns: BTreeMap<PatternKey, PatternChange>,
    subjects: BTreeMap<Term, SubjectChange>,
    totals: TotalsChange,
    days: BTreeMap<DayKey, DayCount>,
    members: BTreeMap<(Term, Term), Member>,
    links: BTreeSet<Link>,
}

#[async_trait]
impl PatternCounters for Memory {
    async fn members(&mut self, sessions: &BTreeSet<Term>) -> Result<Vec<Member>, StoreError> {
        let of = |session: &Term| {
            let session = *session;
            let members = self.members.values().filter(move |member| member.session == session);
            members.take(MAX_SESSION_SUBJECTS + 1).copied().collect::<Vec<_>>()
        };
        Ok(sessions.iter().flat_map(of).collect())
    }

    async fn gaps(&mut self, links: &[Link]) -> Result<BTreeMap<Link, Gap>, StoreError> {
        let gap = |link: &Link| Gap {
            before: self.links.range(..*link).next_back().filter(|before| before.actor == link.actor).copied(),
            after: self.links.range(*link..).next().filter(|after| after.actor == link.actor).copied(),
        };
        Ok(links.iter().map(|link| (*link, gap(link))).collect())
    }

    async fn counted(&mut self, days: &BTreeSet<DayKey>) -> Result<BTreeSet<DayKey>, StoreError> {
        Ok(days.iter().filter(|day| self.days.contains_key(day)).copied().collect())
    }

    async fn apply(&mut self, delta: &Delta) -> Result<Vec<PatternKey>, StoreError> {
        for (key, change) in &delta.patterns {
            let stored = self.patterns.entry(*key).or_default();
            stored.support += change.support;
            stored.days += change.days;
            stored.gap_ms += change.gap_ms;
        }
        for (key, change) in &delta.subjects {
            let stored = self.subjects.entry(*key).or_default();
            stored.sessions += change.sessions;
            stored.touches += change.touches;
        }
        self.totals.events += delta.totals.events;
        self.totals.active_days += delta.totals.active_days;
        self.totals.sessions += delta.totals.sessions;
        self.totals.oversized_sessions += delta.totals.oversized_sessions;
        for (key, count) in &delta.days {
            let stored = self.days.entry(*key).or_insert(DayCount { events: 0, ..*count });
            stored.events += count.events;
            stored.first_at = stored.first_at.min(count.first_at);
            (stored.last_at, stored.last_event) =
                (stored.last_at, stored.last_event).max((count.last_at, count.last_event));
        }
        for member in &delta.members {
            let stored = self.members.entry((member.session, member.subject)).or_insert(*member);
            if (member.at, member.event) < (stored.at, stored.event) {
                *stored = *member;
            }
        }
        self.links.extend(&delta.links);
        Ok(delta.patterns.keys().filter(|key| self.support(**key) >= 3).copied().collect())
    }
}

impl Memory {
    fn add(&mut self, events: &[Event]) -> Delta {
        let batch = Batch::new(events);
        // Operations in memory are never pending.
        match pin!(count(self, &batch)).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(counted) => counted.unwrap().0,
            Poll::Pending => panic!("memory does not wait"),
        }
    }

    fn support(&self, key: PatternKey) -> i64 {
        self.patterns.get(&key).map_or(0, |change| change.support)
    }

    /// The counters without those that are zero.
    fn settled(mut self) -> Self {
        self.patterns.retain(|_, change| *change != PatternChange::default());
        self.subjects.retain(|_, change| *change != SubjectChange::default());
        self
    }
}

type Occurrence = (DateTime<Utc>, Term, EventId, Option<Term>);

/// The definitions in the simplest form: on all events, nothing incremental.
fn recount(events: &[Event]) -> Memory {
    let mut memory = Memory::default();
    let mut sessions: BTreeMap<&str, BTreeMap<&str, (DateTime<Utc>, EventId)>> = BTreeMap::new();
    let mut lines: BTreeMap<&str, Vec<Occurrence>> = BTreeMap::new();
    for event in events {
        let at = event.time.at;
        let mut tally = |dimension, value: Option<Term>| {
            let Some(value) = value else { return };
            let key = DayKey { dimension, value, day: at.date_naive() };
            let day = memory.days.entry(key).or_insert(DayCount {
                events: 0,
                first_at: at,
                last_at: at,
                last_event: event.id,
            });
            day.events += 1;
            day.first_at = day.first_at.min(at);
            if (at, event.id) > (day.last_at, day.last_event) {
                (day.last_at, day.last_event) = (at, event.id);
            }
        };
        use super::Dimension::{All, Extension, Hour, Subject, Tool};
        tally(All, Some(Term::NONE));
        tally(Extension, event.extension.as_deref().map(Term::of));
        tally(Tool, event.tool.as_deref().map(Term::of));
        tally(Hour, Some(Term::of(&at.format("%H").to_string())));
        tally(Subject, event.subject.as_deref().map(Term::of));
        let Some(subject) = event.subject.as_deref() else { continue };
        if let Some(session) = event.session.as_deref() {
            let first = sessions.entry(session).or_default().entry(subject).or_insert((at, event.id));
            *first = (*first).min((at, event.id));
        }
        if let Some(actor) = event.actor.as_deref() {
            let session = event.session.as_deref().map(Term::of);
            lines.entry(actor).or_default().push((at, Term::of(subject), event.id, session));
        }
    }
    for (key, day) in &memory.days {
        if key.dimension == super::Dimension::All {
            memory.totals.events += day.events;
            memory.totals.active_days += 1;
        } else {
            let key = PatternKey::Frequency { dimension: key.dimension, value: key.value };
            let pattern = memory.patterns.entry(key).or_default();
            pattern.support += day.events;
            pattern.days += 1;
        }
    }
    for (session, subjects) in sessions {
        let fits = subjects.len() <= 100;
        if fits {
            memory.totals.sessions += 1;
        } else {
            memory.totals.oversized_sessions += 1;
        }
        for (subject, (at, event)) in &subjects {
            let (session, subject) = (Term::of(session), Term::of(subject));
            memory.members.insert((session, subject), Member { session, subject, at: *at, event: *event });
            memory.subjects.entry(subject).or_default().sessions += i64::from(fits);
        }
        for (one, _) in subjects.iter().filter(|_| fits) {
            for (other, _) in subjects.range::<str, _>((std::ops::Bound::Excluded(*one), std::ops::Bound::Unbounded)) {
                memory.patterns.entry(PatternKey::pair(Term::of(one), Term::of(other))).or_default().support += 1;
            }
        }
    }
    for (actor, mut line) in lines {
        line.sort_unstable();
        for (at, subject, event, session) in &line {
            memory.subjects.entry(*subject).or_default().touches += 1;
            let place = super::batch::Place { at: *at, subject: *subject, event: *event };
            memory.links.insert(Link { actor: Term::of(actor), place, session: *session });
        }
        for neighbours in line.windows(2) {
            let (one, next) = (neighbours[0], neighbours[1]);
            let gap = next.0 - one.0;
            let same_moment = gap == TimeDelta::zero() && one.3.is_some() && one.3 == next.3;
            if gap <= TimeDelta::seconds(300) && one.1 != next.1 && !same_moment {
                let pattern = memory.patterns.entry(PatternKey::Sequence { from: one.1, to: next.1 }).or_default();
                pattern.support += 1;
                pattern.gap_ms += gap.num_milliseconds();
            }
        }
    }
    memory.settled()
}

fn event(number: u32, second: i64, actor: &str, session: Option<&str>, subject: &str) -> Event {
    let at = DateTime::UNIX_EPOCH + TimeDelta::days(18_000) + TimeDelta::seconds(second);
    Event {
        id: EventId::from_uuid(Uuid::from_u128(number.into())),
        position: Position(number.into()),
        event_type: "file.modified".to_owned(),
        source: "/test".to_owned(),
        subject: Some(subject.to_owned()),
        time: EventTime { at, text: at.to_rfc3339() },
        actor: Some(actor.to_owned()),
        tool: Some("git".to_owned()),
        session: session.map(str::to_owned),
        extension: subject.rsplit_once('.').map(|(_, extension)| extension.to_owned()),
        received_at: at,
    }
}

fn sequence(from: &str, to: &str) -> PatternKey {
    PatternKey::Sequence { from: Term::of(from), to: Term::of(to) }
}

fn pair(one: &str, other: &str) -> PatternKey {
    PatternKey::pair(Term::of(one), Term::of(other))
}

#[test]
fn a_late_event_is_put_in_its_place() {
    let mut memory = Memory::default();
    memory.add(&[event(1, 0, "ann", None, "a"), event(2, 200, "ann", None, "c")]);
    assert_eq!(memory.support(sequence("a", "c")), 1);
    memory.add(&[event(3, 100, "ann", None, "b")]);
    assert_eq!(memory.support(sequence("a", "c")), 0);
    assert_eq!(memory.support(sequence("a", "b")), 1);
    assert_eq!(memory.support(sequence("b", "c")), 1);
    let gap = memory.patterns.get(&sequence("b", "c")).map(|change| change.gap_ms);
    assert_eq!(gap, Some(100_000));
}

#[test]
fn a_sequence_ends_after_five_minutes_and_at_another_actor() {
    let mut memory = Memory::default();
    memory.add(&[event(1, 0, "ann", None, "a"), event(2, 300, "ann", None, "b"), event(3, 601, "ann", None, "c")]);
    memory.add(&[event(4, 310, "bob", None, "d")]);
    assert_eq!(memory.support(sequence("a", "b")), 1);
    assert_eq!(memory.support(sequence("b", "c")), 0);
    assert_eq!(memory.support(sequence("b", "d")), 0);
}

#[test]
fn the_files_of_one_commit_have_no_order() {
    let mut memory = Memory::default();
    memory.add(&[event(1, 0, "ann", Some("one"), "a"), event(2, 0, "ann", Some("one"), "b")]);
    memory.add(&[event(3, 0, "ann", Some("two"), "c")]);
    let sequences = memory.patterns.keys().filter(|key| matches!(key, PatternKey::Sequence { .. })).count();
    assert!((1..=2).contains(&sequences), "only what touches the other session: {sequences}");
    assert_eq!(memory.support(sequence("a", "b")) + memory.support(sequence("b", "a")), 0);
    assert_eq!(memory.support(pair("a", "b")), 1);
}

#[test]
fn a_session_that_grows_too_large_takes_its_pairs_back() {
    let name = |n: u32| format!("file-{n}");
    let mut memory = Memory::default();
    memory.add(&[event(1000, 0, "ann", Some("small"), "file-1"), event(1001, 0, "ann", Some("small"), "file-2")]);
    let first: Vec<Event> = (0..100).map(|n| event(n, 0, "ann", Some("large"), &name(n))).collect();
    memory.add(&first);
    assert_eq!(memory.support(pair("file-1", "file-2")), 2);
    assert_eq!((memory.totals.sessions, memory.totals.oversized_sessions), (2, 0));
    memory.add(&[event(100, 0, "ann", Some("large"), &name(100))]);
    assert_eq!(memory.support(pair("file-1", "file-2")), 1);
    assert_eq!((memory.totals.sessions, memory.totals.oversized_sessions), (1, 1));
    memory.add(&[event(101, 0, "ann", Some("large"), &name(101))]);
    assert_eq!((memory.totals.sessions, memory.totals.oversized_sessions), (1, 1));
    assert_eq!(memory.subjects.get(&Term::of("file-1")).map(|subject| subject.sessions), Some(1));
}

#[test]
fn an_event_without_actor_session_and_subject_counts_by_hour_alone() {
    let mut memory = Memory::default();
    let bare =
        Event { subject: None, actor: None, session: None, tool: None, extension: None, ..event(1, 0, "", None, "") };
    memory.add(&[bare]);
    assert_eq!(memory.patterns.len(), 1);
    assert_eq!((memory.totals.events, memory.totals.active_days), (1, 1));
}

prop_compose! {
    fn events()(
        rows in prop::collection::vec(
            (0i64..3000, 0u8..3, prop::option::of(0u8..5), prop::option::weighted(0.9, 0u8..6), any::<bool>()),
            1..60,
        ),
        giant in prop::option::of(90u8..115),
    ) -> Vec<Event> {
        let names = ["a.rs", "b.rs", "c.md", "d", "e.toml", "f.rs"];
        let mut events: Vec<Event> = Vec::new();
        for (second, actor, session, subject, coarse) in rows {
            // Half of the times are coarse, so that ties occur.
            let second = if coarse { second / 200 * 200 } else { second } * if second % 7 == 0 { 90 } else { 1 };
            let number = u32::try_from(events.len()).unwrap();
            let session = session.map(|session| format!("s{session}"));
            let name = names[usize::from(subject.unwrap_or(0))];
            let mut next = event(number, second, &format!("p{actor}"), session.as_deref(), name);
            if subject.is_none() {
                next.subject = None;
            }
            if actor == 2 && coarse {
                next.actor = None;
            }
            events.push(next);
        }
        // In some cases, session s0 is large: just below, at or above the limit.
        for n in 0..giant.unwrap_or(0) {
            let number = u32::try_from(events.len()).unwrap();
            events.push(event(number, 50, "p9", Some("s0"), &format!("g{n}")));
        }
        events
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn batches_in_any_order_count_like_all_at_once(
        (events, cuts) in events().prop_flat_map(|events| {
            let cuts = prop::collection::vec(1usize..20, 1..40);
            (Just(events).prop_shuffle(), cuts)
        })
    ) {
        let expected = recount(&events);
        let mut memory = Memory::default();
        let (mut rest, mut cuts) = (events.as_slice(), cuts.iter().cycle());
        while !rest.is_empty() {
            let (batch, after) = rest.split_at(cuts.next().copied().unwrap_or(1).min(rest.len()));
            memory.add(batch);
            rest = after;
        }
        prop_assert_eq!(memory.settled(), expected);
    }
}
