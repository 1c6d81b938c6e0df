//! Counting events, and reading the counters.

use std::collections::BTreeSet;

use tidegate_events::cloud_event::NewEvent;
use tidegate_events::pattern::{DETECTION, MAX_SESSION_SUBJECTS, PatternFacts, PatternFilter, PatternKind, Patterns};
use tidegate_kernel::{PageSize, Position};

use super::recount::recount;
use super::{Subject, history, together, touch};

/// Batches of any size in any order give the same as all events at once: numbers, times, evidence and order.
pub async fn counting_in_batches_equals_a_recount(subject: &Subject) {
    let scope = subject.scope();
    let mut events = history(7, 900);
    // An order that is independent of time.
    events.sort_by_key(NewEvent::dedupe_key);
    let mut rest = events.as_slice();
    for size in [1, 300, 7, 64, 2, 150].into_iter().cycle() {
        let (batch, after) = rest.split_at(rest.len().min(size));
        subject.add_events(&scope, batch).await;
        subject.detect(&scope, u32::try_from(size).unwrap_or(1).max(40)).await;
        rest = after;
        if rest.is_empty() {
            break;
        }
    }
    let expected = recount(subject.ours, &subject.stored(&scope).await);
    let kinds: BTreeSet<_> = expected.iter().map(|pattern| pattern.facts.kind()).collect();
    assert_eq!(kinds.len(), 3, "the case shows every kind");
    let (found, watermark) = subject.patterns(&scope, &PatternFilter::default(), 200).await;
    assert_eq!(found, expected);
    assert_eq!(watermark, Position(i64::try_from(events.len()).expect("a small number")));
}

/// Pages of any size together give the list, with every filter.
pub async fn pages_make_up_the_list(subject: &Subject) {
    let scope = subject.scope();
    subject.add_and_detect(&scope, &history(11, 400)).await;
    let everything = PatternFilter::default();
    let (all, _) = subject.patterns(&scope, &everything, 200).await;
    assert!(all.len() > 20, "there is something to page through");
    assert_eq!(subject.patterns(&scope, &everything, 3).await.0, all);
    for kind in PatternKind::ALL {
        let filter = PatternFilter { kinds: vec![kind], min_confidence: 0.35 };
        let mut expected = all.clone();
        expected.retain(|pattern| pattern.facts.kind() == kind && pattern.confidence() >= 0.35);
        assert_eq!(subject.patterns(&scope, &filter, 2).await.0, expected, "{kind}");
    }
}

/// Two workers that count the same events at the same time count them once.
pub async fn two_who_count_at_once_count_once(subject: &Subject) {
    let scope = subject.scope();
    subject.add_events(&scope, &history(13, 300)).await;
    let (one, other) = (subject.detection(25), subject.detection(40));
    let work = async |detection: tidegate_events::pattern::Detection| {
        let scope = subject.scope();
        while detection.step(&scope).await.expect("a chunk is counted, or somebody else has it").more {}
    };
    tokio::join!(work(one), work(other));
    let expected = recount(subject.ours, &subject.stored(&scope).await);
    assert_eq!(subject.patterns(&scope, &PatternFilter::default(), 200).await.0, expected);
}

/// MUST show patterns and watermark from one snapshot, whatever is counted meanwhile: the list equals a recount of the
/// events up to the watermark.
pub async fn a_list_is_as_of_its_watermark(subject: &Subject) {
    let scope = subject.scope();
    subject.add_events(&scope, &history(17, 240)).await;
    let stored = subject.stored(&scope).await;
    let counting = tokio::spawn({
        let subject = subject.clone();
        async move { subject.detect(&subject.scope(), 12).await }
    });
    let service = Patterns::new(subject.patterns.clone());
    let size = PageSize::new(200).expect("a size that is allowed");
    loop {
        let listed = service.list(&scope, &PatternFilter::default(), None, size).await.expect("patterns are listed");
        let seen = usize::try_from(listed.watermark.0).expect("a small number");
        let mut expected = recount(subject.ours, &stored[..seen]);
        expected.truncate(200);
        assert_eq!(listed.page.items, expected, "as of {seen}");
        if seen == stored.len() {
            break;
        }
    }
    counting.await.expect("counting does not fail");
}

/// A step that is not committed leaves neither counts nor a moved cursor.
pub async fn an_abandoned_step_changes_nothing(subject: &Subject) {
    let scope = subject.scope();
    subject.add_events(&scope, &together("s", 3, "a", "b")).await;
    {
        let mut tx = subject.detection.begin(&scope).await.expect("a transaction begins");
        assert!(tx.consumers().advance(DETECTION, Position::START, Position(6)).await.expect("the cursor moves"));
        let events = tx.feed().read(Position::START, Position(6), 10).await.expect("events are read");
        let batch = tidegate_events::pattern::Batch::new(&events);
        tidegate_events::pattern::detection::count(&mut *tx.counters(), &batch).await.expect("the batch is counted");
    }
    let (found, watermark) = subject.patterns(&scope, &PatternFilter::default(), 50).await;
    assert_eq!((found.len(), watermark), (0, Position::START));
    subject.detect(&scope, 10).await;
    assert_eq!(subject.patterns_of(&scope, PatternKind::CoOccurrence).await.len(), 1);
}

/// A session that grows past the limit removes its pairs and is reported.
pub async fn an_oversized_session_makes_no_pairs_and_is_told_of(subject: &Subject) {
    let scope = subject.scope();
    subject.add_and_detect(&scope, &together("s", 3, "a", "b")).await;
    let big = |n: usize| touch(format!("big-{n}"), 50_000, "bob", "big", &format!("f{n}"));
    let mut events: Vec<_> = (0..MAX_SESSION_SUBJECTS - 2).map(big).collect();
    events.extend(["a", "b"].map(|name| touch(format!("big-{name}"), 50_000, "bob", "big", name)));
    subject.add_and_detect(&scope, &events).await;
    let supports = async || {
        let pairs = subject.patterns_of(&scope, PatternKind::CoOccurrence).await;
        pairs.iter().map(|pattern| (pattern.support, pattern.evidence.len())).collect::<Vec<_>>()
    };
    assert_eq!(supports().await, [(4, 6)]);
    subject.add_and_detect(&scope, &[big(MAX_SESSION_SUBJECTS)]).await;
    assert_eq!(supports().await, [(3, 6)]);
    let service = Patterns::new(subject.patterns.clone());
    let listed = service.list(&scope, &PatternFilter::default(), None, PageSize::default()).await;
    let listed = listed.expect("patterns are listed");
    assert_eq!(listed.oversized_sessions, 1);
    assert_eq!(listed.notes(), ["1 session has over 100 subjects and make no pairs."]);
    let expected = recount(subject.ours, &subject.stored(&scope).await);
    assert_eq!(subject.patterns(&scope, &PatternFilter::default(), 200).await.0, expected);
}

/// The numbers of a small case, computed by hand.
pub async fn the_numbers_are_what_they_are_called(subject: &Subject) {
    let scope = subject.scope();
    // a and b together 3 times, a alone once, b alone twice, c alone four times: 10 sessions.
    let mut events = together("both", 3, "a", "b");
    let alone =
        |name: &str, n: i64| touch(format!("{name}-{n}"), 100_000 + n * 3600, "bob", &format!("{name}{n}"), name);
    events.push(alone("a", 0));
    events.extend((1..3).map(|n| alone("b", n)));
    events.extend((3..7).map(|n| alone("c", n)));
    subject.add_and_detect(&scope, &events).await;
    let pairs = subject.patterns_of(&scope, PatternKind::CoOccurrence).await;
    let [pair] = pairs.as_slice() else { panic!("one pair: {pairs:?}") };
    assert!((pair.confidence() - 0.75).abs() < 1e-9);
    let lift = pair.lift().expect("a pair has a lift");
    assert!((lift - 0.3 / (0.4 * 0.5)).abs() < 1e-9, "{lift}");
    assert_eq!(pair.description(), "`a` and `b` change together: in 3 of the 4 sessions with `a`.");
    let PatternFacts::CoOccurrence { all_sessions, .. } = pair.facts else { panic!("a pair") };
    assert_eq!(all_sessions, 10);
}
