//! A batch of new events, what must be known to count them, and the change that they make.
//!
//! Counting is a pure function: `batch + surroundings → delta`. The surroundings are what the store already holds right
//! beside the new events (the sessions that they join, the neighbours of each in its actor's order of time), so the cost
//! follows the batch and never the history. All counters are sums of contributions, so the order of arrival and the
//! way events are split into batches make no difference.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, NaiveDate, Utc};
use tidegate_kernel::EventId;

use super::key::{Dimension, PatternKey, Term};
use super::{frequency, sequence, session};
use crate::model::Event;

/// An event with its texts as terms.
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

/// Where an event stands in its actor's order: by time, and at equal times by subject, then by id.
///
/// Nothing here depends on when the event arrived.
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
    /// Who acted.
    pub actor: Term,
    /// Where the event stands.
    pub place: Place,
    /// The session that it belongs to.
    pub session: Option<Term>,
}

/// What the store holds right before and right after a place, of the same actor.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Gap {
    /// The last one before.
    pub before: Option<Link>,
    /// The first one after.
    pub after: Option<Link>,
}

/// That a subject takes part in a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// The session.
    pub session: Term,
    /// The subject.
    pub subject: Term,
    /// Its first event in this session, by time and then by id.
    pub at: DateTime<Utc>,
    /// The id of that event.
    pub event: EventId,
}

/// One value of one dimension on one day (UTC).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DayKey {
    /// What is counted by.
    pub dimension: Dimension,
    /// The value; [`Term::NONE`] for [`Dimension::All`].
    pub value: Term,
    /// The day of event time.
    pub day: NaiveDate,
}

/// What happened to one value on one day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayCount {
    /// How many events.
    pub events: i64,
    /// The time of the first.
    pub first_at: DateTime<Utc>,
    /// The time of the last.
    pub last_at: DateTime<Utc>,
    /// The last, by time and then by id.
    pub last_event: EventId,
}

/// A change to a pattern's counters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PatternChange {
    /// How often it happened.
    pub support: i64,
    /// On how many more days; frequencies only.
    pub days: i64,
    /// The gaps between both events in milliseconds, summed; sequences only.
    pub gap_ms: i64,
}

/// A change to what is known of a subject by itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SubjectChange {
    /// In how many sessions it took part, of those that make pairs.
    pub sessions: i64,
    /// How often an actor touched it.
    pub touches: i64,
}

/// A change to the sums over a workspace.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TotalsChange {
    /// Events.
    pub events: i64,
    /// Days on which anything happened.
    pub active_days: i64,
    /// Sessions that make pairs.
    pub sessions: i64,
    /// Sessions that are too large to make pairs.
    pub oversized_sessions: i64,
}

/// What the store holds around a batch.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// The members of [`Batch::sessions`], at most [`super::MAX_SESSION_SUBJECTS`] and one of each.
    pub members: Vec<Member>,
    /// The gap around the first and the last of each of [`Batch::runs`], and around each of [`Batch::crossed`].
    pub gaps: BTreeMap<Link, Gap>,
    /// Which of [`Batch::days`] have been counted before.
    pub days: BTreeSet<DayKey>,
}

/// Everything that a batch changes. Applying it is addition, and inserting `members` and `links`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Delta {
    /// The texts behind the terms.
    pub terms: BTreeMap<Term, String>,
    /// Changes of patterns.
    pub patterns: BTreeMap<PatternKey, PatternChange>,
    /// Changes of subjects.
    pub subjects: BTreeMap<Term, SubjectChange>,
    /// Changes of the sums.
    pub totals: TotalsChange,
    /// Counts to add to their days.
    pub days: BTreeMap<DayKey, DayCount>,
    /// Members to insert, or to replace where their place is earlier than the stored one.
    pub members: Vec<Member>,
    /// Sessions that have become too large.
    pub oversized: BTreeSet<Term>,
    /// Places to insert.
    pub links: Vec<Link>,
}

/// New events of one workspace, each of which the store has not counted yet.
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

    /// The sessions whose members must be known.
    #[must_use]
    pub fn sessions(&self) -> BTreeSet<Term> {
        self.events.iter().filter(|event| event.subject.is_some()).filter_map(|event| event.session).collect()
    }

    /// The days of which must be known whether they were counted before.
    #[must_use]
    pub fn days(&self) -> BTreeSet<DayKey> {
        self.events.iter().flat_map(frequency::day_keys).collect()
    }

    /// The first and the last new event of each actor: the places whose gaps must be known first.
    #[must_use]
    pub fn runs(&self) -> Vec<Link> {
        let ends = |links: &Vec<Link>| [links.first().copied(), links.last().copied().filter(|_| links.len() > 1)];
        self.links.values().flat_map(ends).flatten().collect()
    }

    /// With the gaps of [`Batch::runs`] known: the new events between which the store already holds others, so that each
    /// must be placed by itself. Empty where events come in the order of time.
    #[must_use]
    pub fn crossed(&self, gaps: &BTreeMap<Link, Gap>) -> Vec<Link> {
        sequence::crossed(self, gaps)
    }

    /// What this batch changes.
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
