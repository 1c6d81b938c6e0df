//! Co-occurrence: subjects in the same session.
//!
//! Every two subjects of a session are a pair, once per session. A session with more than [`MAX_SESSION_SUBJECTS`]
//! subjects (reformatted code, an import) says nothing about which two belong together and would make thousands of
//! pairs. It counts as oversized and makes no pairs. A session that grows beyond the limit subtracts the pairs that it
//! made.

use std::collections::BTreeMap;

use super::batch::{Batch, Delta, Member, Surroundings};
use super::key::{PatternKey, Term};

/// The maximum number of subjects of a session that makes pairs.
pub const MAX_SESSION_SUBJECTS: usize = 100;

type Members = BTreeMap<Term, Member>;

pub(super) fn count(batch: &Batch, known: &Surroundings, delta: &mut Delta) {
    let mut stored: BTreeMap<Term, Members> = BTreeMap::new();
    for member in &known.members {
        stored.entry(member.session).or_default().insert(member.subject, *member);
    }
    let mut joining: BTreeMap<Term, Members> = BTreeMap::new();
    for event in &batch.events {
        if let (Some(session), Some(subject)) = (event.session, event.subject) {
            let member = Member { session, subject, at: event.at, event: event.id };
            keep_earlier(joining.entry(session).or_default(), member);
        }
    }
    for (session, joining) in joining {
        let none = Members::new();
        let stored = stored.get(&session).unwrap_or(&none);
        let fresh: Vec<Term> = joining.keys().filter(|subject| !stored.contains_key(subject)).copied().collect();
        let (before, after) = (stored.len(), stored.len() + fresh.len());
        let old: Vec<Term> = stored.keys().copied().collect();
        if after <= MAX_SESSION_SUBJECTS {
            contribute(&fresh, &old, 1, delta);
            delta.totals.sessions += i64::from(before == 0 && after > 0);
        } else if before <= MAX_SESSION_SUBJECTS {
            contribute(&old, &[], -1, delta);
            delta.totals.sessions -= i64::from(before > 0);
            delta.totals.oversized_sessions += 1;
            delta.oversized.insert(session);
        }
        let is_news = |member: &Member| {
            stored.get(&member.subject).is_none_or(|known| (member.at, member.event) < (known.at, known.event))
        };
        delta.members.extend(joining.into_values().filter(is_news));
    }
}

fn keep_earlier(members: &mut Members, member: Member) {
    let kept = members.entry(member.subject).or_insert(member);
    if (member.at, member.event) < (kept.at, kept.event) {
        *kept = member;
    }
}

/// Adds the contributions of `subjects` to a session that already has `others`, multiplied by `sign`.
fn contribute(subjects: &[Term], others: &[Term], sign: i64, delta: &mut Delta) {
    for (index, subject) in subjects.iter().enumerate() {
        delta.subjects.entry(*subject).or_default().sessions += sign;
        for other in others.iter().chain(subjects.iter().skip(index + 1)) {
            delta.patterns.entry(PatternKey::pair(*subject, *other)).or_default().support += sign;
        }
    }
}
