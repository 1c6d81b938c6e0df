//! Isolation of two tenants whose sessions, actors and subjects have the same names.

use std::collections::BTreeSet;

use tidegate_events::pattern::{Batch, Gap, Pattern, PatternFilter, PatternKey, PatternKind, Term};
use tidegate_events::suggestion::Offer;
use tidegate_kernel::Position;

use super::recount::recount;
use super::{Subject, together};

/// The events of one tenant change no number of another's, even if all names are the same.
pub async fn another_tenant_counts_for_itself(subject: &Subject) {
    let (ours, theirs) = (subject.scope(), subject.foreign());
    subject.add_and_detect(&theirs, &together("s", 9, "a", "b")).await;
    assert_eq!(subject.patterns(&ours, &PatternFilter::default(), 50).await, (Vec::new(), Position::START));
    subject.add_and_detect(&ours, &together("s", 4, "a", "b")).await;
    for (scope, workspace, times) in [(&ours, subject.ours, 4), (&theirs, subject.theirs, 9)] {
        let expected = recount(workspace, &subject.stored(scope).await);
        assert_eq!(subject.patterns(scope, &PatternFilter::default(), 50).await.0, expected);
        let pairs = subject.patterns_of(scope, PatternKind::CoOccurrence).await;
        assert_eq!(pairs.iter().map(|pair| pair.support).collect::<Vec<_>>(), [times]);
    }
    let id = |patterns: &[Pattern]| patterns.first().map(|pattern| pattern.id);
    let (one, other) = (
        subject.patterns_of(&ours, PatternKind::CoOccurrence).await,
        subject.patterns_of(&theirs, PatternKind::CoOccurrence).await,
    );
    assert_ne!(id(&one), id(&other), "an id says nothing about another tenant");
}

/// No counter that detection reads returns what only another tenant has counted.
pub async fn another_tenants_counters_are_not_read(subject: &Subject) {
    let (ours, theirs) = (subject.scope(), subject.foreign());
    subject.add_and_detect(&theirs, &together("s", 4, "a", "b")).await;
    let batch = Batch::new(&subject.stored(&theirs).await);
    let (sessions, links, days) = (batch.sessions(), batch.runs(), batch.days());
    for (scope, counted) in [(&theirs, true), (&ours, false)] {
        let mut tx = subject.detection.begin(scope).await.expect("a transaction begins");
        let members = tx.counters().members(&sessions).await.expect("members are read");
        assert_eq!(!members.is_empty(), counted);
        let gaps = tx.counters().gaps(&links).await.expect("gaps are read");
        assert_eq!(gaps.len(), links.len(), "each has an answer");
        assert_eq!(gaps.values().any(|gap| *gap != Gap::default()), counted);
        let known = tx.counters().counted(&days).await.expect("days are read");
        assert_eq!(known, if counted { days.clone() } else { BTreeSet::new() });
    }
}

/// Another tenant's patterns make no suggestion, and an offer does not change another tenant's suggestion.
pub async fn another_tenants_suggestions_are_not_refreshed(subject: &Subject) {
    let (ours, theirs) = (subject.scope(), subject.foreign());
    subject.add_and_detect(&theirs, &together("s", 4, "a", "b")).await;
    let before = subject.offered(&theirs).await;
    let (keys, basis) = ([PatternKey::pair(Term::of("a"), Term::of("b"))], [Term::of("a"), Term::of("b")].into());
    let mut tx = subject.detection.begin(&theirs).await.expect("a transaction begins");
    assert_eq!(tx.suggestions().workspace(), subject.theirs);
    let candidates = tx.suggestions().candidates(&keys, &basis).await.expect("candidates are read");
    let [candidate] = candidates.as_slice() else { panic!("one pair: {candidates:?}") };
    drop(tx);
    let mut tx = subject.detection.begin(&ours).await.expect("a transaction begins");
    assert_eq!(tx.suggestions().workspace(), subject.ours);
    assert_eq!(tx.suggestions().candidates(&keys, &basis).await.expect("nothing is read"), []);
    let offers = before.iter().map(|suggestion| Offer {
        id: suggestion.id,
        rule: suggestion.rule.clone(),
        candidate: candidate.clone(),
        confidence: 1,
        good: false,
    });
    tx.suggestions().offer(&offers.collect::<Vec<_>>()).await.expect("nothing is refreshed");
    tx.commit().await.expect("it commits");
    assert_eq!(subject.offered(&theirs).await, before);
    assert_eq!(subject.offered(&ours).await, []);
}
