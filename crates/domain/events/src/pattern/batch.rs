//! A batch of new events, the stored data that is needed to count them, and the resulting change.
//!
//! Counting is a pure function: `batch + surroundings → delta`. The surroundings are the stored data next to the new
//! events: the sessions that they join, and the neighbours of each event in its actor's order of time. So the cost
//! depends on the batch and not on the history. All counters are sums of contributions, so neither the order of arrival
//! nor the split into batches changes the result.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, NaiveDate, Utc};
use tidegate_kernel::EventId;

use super::key::{Dimension, PatternKey, Term};
use super::{frequency, sequence, session};
use crate::model::Event;

/// An event with its texts replaced by terms.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    pub(super) id: EventId,
    pub(super) at: DateTime<Utc>,
    pub(super) actor: Option<Term>,
    pub(super) subject: Option<Term>,
    pub(super) session: Option<Term>,
    pub(super) tool: Option<Term>,
    pub(super) extension: Option<Term>,
}

/// The sort key of an event in its actor's order: by time, then by subject, then by id.
///
/// It does not depend on when the event arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Event time.
    pub at: DateTime<Utc>,
    /// The subject.
    pub subject: Term,
    /// The event.
    pub event: EventId,
}

/// An event in its actor's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Link {
    /// The actor.
    pub actor: Term,
    /// The event's sort key.
    pub place: Place,
    /// The event's session.
    pub session: Option<Term>,
}

/// The stored neighbours of a place, of the same actor.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Gap {
    /// The last link before the place.
    pub before: Option<Link>,
    /// The first link after the place.
    pub after: Option<Link>,
}

/// The participation of a subject in a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// The session.
    pub session: Term,
    /// The subject.
    pub subject: Term,
    /// The time of the subject's first event in this session; ties are ordered by id.
    pub at: DateTime<Utc>,
    /// The id of that event.
    pub event: EventId,
}

/// One value of one dimension on one day (UTC).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DayKey {
    /// The dimension.
    pub dimension: Dimension,
    /// The value; [`Term::NONE`] for [`Dimension::All`].
    pub value: Term,
    /// The day of the event time.
    pub day: NaiveDate,
}

/// The counts of one value on one day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayCount {
    /// The number of events.
    pub events: i64,
    /// The time of the first event.
    pub first_at: DateTime<Utc>,
    /// The time of the last event.
    pub last_at: DateTime<Utc>,
    /// The last event; ties in time are ordered by id.
    pub last_event: EventId,
}

/// A change of a pattern's counters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PatternChange {
    /// The change of its support: how often it happened.
    pub support: i64,
    /// On how many more days it happened; only for frequencies.
    pub days: i64,
    /// The sum of the gaps between both events, in milliseconds; only for sequences.
    pub gap_ms: i64,
}

/// A change of a subject's own counters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SubjectChange {
    /// The number of sessions with this subject, without oversized ones.
    pub sessions: i64,
    /// How often an actor touched it.
    pub touches: i64,
}

/// A change of the totals of a workspace.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TotalsChange {
    /// Events.
    pub events: i64,
    /// Days with at least one event.
    pub active_days: i64,
    /// Sessions that are not oversized.
    pub sessions: i64,
    /// Oversized sessions, which make no pairs.
    pub oversized_sessions: i64,
}

/// The stored data next to a batch.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// The members of [`Batch::sessions`], of each session at most [`super::MAX_SESSION_SUBJECTS`] + 1.
    pub members: Vec<Member>,
    /// The gaps around the first and the last link of each of [`Batch::runs`], and around each of [`Batch::crossed`].
    pub gaps: BTreeMap<Link, Gap>,
    /// Which of [`Batch::days`] were counted before.
    pub days: BTreeSet<DayKey>,
}

/// All changes of a batch. To apply it, add the counters and insert `members` and `links`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Delta {
    /// The texts behind the terms.
    pub terms: BTreeMap<Term, String>,
    /// Changes of patterns.
    pub patterns: BTreeMap<PatternKey, PatternChange>,
    /// Changes of subjects.
    pub subjects: BTreeMap<Term, SubjectChange>,
    /// Changes of the totals.
    pub totals: TotalsChange,
    /// Counts to add to their days.
    pub days: BTreeMap<DayKey, DayCount>,
    /// Members to insert. A stored member is replaced if the new one is earlier.
    pub members: Vec<Member>,
    /// Sessions that have become oversized.
    pub oversized: BTreeSet<Term>,
    /// Links to insert.
    pub links: Vec<Link>,
}

/// New events of one workspace. The store has counted none of them yet.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    pub(super) events: Vec<Seen>,
    pub(super) links: BTreeMap<Term, Vec<Link>>,
    terms: BTreeMap<Term, String>,
}

impl Batch {
    /// A batch of these events.
    #[must_use]
    pub fn new(events: &[Event]) -> Self {
        let mut batch = Self::default();
        for event in events {
            let seen = Seen {
                id: event.id,
                at: event.time.at,
                actor: event.actor.as_deref().map(Term::of),
                subject: event.subject.as_deref().map(|text| batch.keep(text)),
                session: event.session.as_deref().map(|text| batch.keep(text)),
                tool: event.tool.as_deref().map(|text| batch.keep(text)),
                extension: event.extension.as_deref().map(|text| batch.keep(text)),
            };
            batch.keep(&frequency::hour_text(event.time.at));
            if let (Some(actor), Some(subject)) = (seen.actor, seen.subject) {
                let place = Place { at: seen.at, subject, event: seen.id };
                batch.links.entry(actor).or_default().push(Link { actor, place, session: seen.session });
            }
            batch.events.push(seen);
        }
        batch.links.values_mut().for_each(|links| links.sort_unstable());
        batch
    }

    fn keep(&mut self, text: &str) -> Term {
        let term = Term::of(text);
        self.terms.entry(term).or_insert_with(|| text.to_owned());
        term
    }

    /// The sessions whose stored members are needed.
    #[must_use]
    pub fn sessions(&self) -> BTreeSet<Term> {
        self.events.iter().filter(|event| event.subject.is_some()).filter_map(|event| event.session).collect()
    }

    /// The days for which it is needed whether they were counted before.
    #[must_use]
    pub fn days(&self) -> BTreeSet<DayKey> {
        self.events.iter().flat_map(frequency::day_keys).collect()
    }

    /// The first and the last new event of each actor. Their gaps are needed first.
    #[must_use]
    pub fn runs(&self) -> Vec<Link> {
        let ends = |links: &Vec<Link>| [links.first().copied(), links.last().copied().filter(|_| links.len() > 1)];
        self.links.values().flat_map(ends).flatten().collect()
    }

    /// The new events between which the store already has others, given the gaps of [`Batch::runs`]. Each of them needs
    /// its own gap. Empty if events arrive in order of time.
    #[must_use]
    pub fn crossed(&self, gaps: &BTreeMap<Link, Gap>) -> Vec<Link> {
        sequence::crossed(self, gaps)
    }

    /// The change that this batch makes.
    #[must_use]
    pub fn delta(&self, known: &Surroundings) -> Delta {
        let mut delta = Delta { terms: self.terms.clone(), ..Delta::default() };
        frequency::count(self, known, &mut delta);
        sequence::count(self, known, &mut delta);
        session::count(self, known, &mut delta);
        delta.patterns.retain(|_, change| *change != PatternChange::default());
        delta.subjects.retain(|_, change| *change != SubjectChange::default());
        delta
    }
}
