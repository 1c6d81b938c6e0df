//! Obligations of `EventRepository::add`.

use std::collections::BTreeSet;

use chrono::{SubsecRound, TimeDelta};
use serde_json::json;
use tidegate_events::cloud_event::NewEvent;
use tidegate_events::{Allowance, EventTime, Outcome, Payload};
use tidegate_kernel::Position;

use super::{Subject, added, ids, plain, plains, sender_ids};

const WRITERS: i64 = 16;

/// Positions begin at 1 and have no gaps. A duplicate takes none, and the head covers the original.
pub async fn positions_are_dense(subject: &Subject) {
    let scope = subject.scope();
    assert_eq!(subject.head(&scope).await, Position::START);
    let first = subject.add(&scope, &plains([1, 2])).await;
    assert_eq!((first.head, first.outcomes), (Position(2), added([1, 2])));
    let second = subject.add(&scope, &plains([3, 1, 4])).await;
    let expected = [Outcome::Added(Position(3)), Outcome::Known, Outcome::Added(Position(4))];
    assert_eq!((second.head, second.outcomes), (Position(4), expected.to_vec()));
    let third = subject.add(&scope, &plains([4, 3])).await;
    assert_eq!((third.head, third.outcomes), (Position(4), vec![Outcome::Known; 2]));
    assert_eq!(subject.head(&scope).await, Position(4));
    assert_eq!(sender_ids(&subject.everything(&scope).await), ["1", "2", "3", "4"]);
}

/// An addition that is rolled back leaves neither an event nor a gap.
pub async fn what_is_rolled_back_leaves_no_gap(subject: &Subject) {
    let scope = subject.scope();
    subject.add(&scope, &plains([1])).await;
    let events = plains([2]);
    let mut tx = subject.events.begin(&scope).await.expect("a transaction begins");
    tx.events().add(&subject.addition(&events, None)).await.expect("events are added");
    drop(tx);
    assert_eq!(subject.add(&scope, &plains([3])).await.outcomes, added([2]));
    assert_eq!(sender_ids(&subject.everything(&scope).await), ["1", "3"]);
}

/// Sixteen writers with overlapping batches in different orders never deadlock; each event is stored once, without a
/// gap.
pub async fn overlapping_retries_add_each_event_once(subject: &Subject) {
    const EVENTS: i64 = 60;
    let writers = (0..WRITERS).map(|writer| {
        let subject = subject.clone();
        tokio::spawn(async move {
            let mut own = Vec::new();
            for round in 0..4 {
                // A step that has no common factor with the count visits every event, in another order for each writer.
                let step = [7, 11, 13, 59, 1, 37][usize::try_from((writer + round) % 6).unwrap_or(0)];
                let batch: Vec<NewEvent> = plains((0..EVENTS).map(|n| (writer * 5 + n * step) % EVENTS).take(40));
                let added = subject.add(&subject.scope(), &batch).await;
                own.extend(added.outcomes.iter().filter_map(|outcome| match outcome {
                    Outcome::Added(position) => Some(position.0),
                    _ => None,
                }));
            }
            own
        })
    });
    let mut positions = Vec::new();
    for writer in writers.collect::<Vec<_>>() {
        positions.extend(writer.await.expect("no writer fails"));
    }
    positions.sort_unstable();
    assert_eq!(positions, (1..=EVENTS).collect::<Vec<_>>());
    let stored = subject.everything(&subject.scope()).await;
    assert_eq!(sender_ids(&stored).into_iter().collect::<BTreeSet<_>>().len(), stored.len());
    assert_eq!(stored.len(), positions.len());
}

/// Sixteen writers with a limit use it up exactly.
pub async fn the_limit_is_exact_under_sixteen_writers(subject: &Subject) {
    const LIMIT: i64 = 500;
    let writers = (0..WRITERS).map(|writer| {
        let subject = subject.clone();
        tokio::spawn(async move {
            let (mut fresh, mut over) = (0_i64, 0_i64);
            for round in 0..10 {
                // Seven new events, and three that another round has sent.
                let events = plains((writer * 1_000 + round * 7..).take(10));
                let added = subject.commit(&subject.scope(), &subject.addition(&events, Some(LIMIT))).await;
                for outcome in added.expect("events are added").outcomes {
                    match outcome {
                        Outcome::Added(_) => fresh += 1,
                        Outcome::OverLimit => over += 1,
                        Outcome::Known => {}
                    }
                }
            }
            (fresh, over)
        })
    });
    let (mut fresh, mut over) = (0, 0);
    for writer in writers.collect::<Vec<_>>() {
        let (own, refused) = writer.await.expect("no writer fails");
        fresh += own;
        over += refused;
    }
    assert_eq!(fresh, LIMIT);
    assert!(over > 0);
    assert_eq!(subject.head(&subject.scope()).await, Position(LIMIT));
}

/// Events are added in order until the limit is reached, and the rest is refused. A duplicate uses nothing; a new
/// period begins at 0.
pub async fn the_limit_counts_what_is_added_in_a_period(subject: &Subject) {
    let scope = subject.scope();
    let commit = async |ids: Vec<i64>, month: i64| {
        let events = plains(ids);
        let mut addition = subject.addition(&events, Some(3));
        addition.allowance.period_start += TimeDelta::days(month * 31);
        subject.commit(&scope, &addition).await.expect("events are added").outcomes
    };
    assert_eq!(commit(vec![1, 2], 0).await, added([1, 2]));
    let expected =
        [Outcome::Known, Outcome::Added(Position(3)), Outcome::OverLimit, Outcome::Known, Outcome::OverLimit];
    assert_eq!(commit(vec![2, 3, 4, 1, 5], 0).await, expected);
    assert_eq!(commit(vec![1, 2], 1).await, [Outcome::Known; 2], "nothing is added, so no period begins");
    assert_eq!(commit(vec![4], 0).await, [Outcome::OverLimit]);
    assert_eq!(commit(vec![4, 5], 1).await, added([4, 5]));
    assert_eq!(
        commit(vec![6, 7], 0).await,
        [Outcome::Added(Position(6)), Outcome::OverLimit],
        "a late clock counts now"
    );
}

/// An event that is sent again within 32 days is a duplicate, also across the bounds of a partition; later it is new.
pub async fn an_event_is_known_for_32_days(subject: &Subject) {
    let scope = subject.scope();
    let events = [plain("again")];
    let mut addition = subject.addition(&events, None);
    let mut outcomes = Vec::new();
    for days in [0, 20, 31, 33] {
        let later = subject.addition(&events, None).received_at + TimeDelta::days(days);
        addition.received_at = later;
        outcomes.extend(subject.commit(&scope, &addition).await.expect("events are added").outcomes);
    }
    assert_eq!(outcomes, [Outcome::Added(Position(1)), Outcome::Known, Outcome::Known, Outcome::Added(Position(2))]);
}

/// Ids rise with positions, even if a server's clock is behind.
pub async fn ids_rise_with_positions(subject: &Subject) {
    let scope = subject.scope();
    for (id, minutes) in [(0, 0), (1, -10), (2, -20), (3, 5), (4, -5)] {
        let events = plains([id * 2, id * 2 + 1]);
        let mut addition = subject.addition(&events, None);
        addition.received_at += TimeDelta::minutes(minutes);
        subject.commit(&scope, &addition).await.expect("events are added");
    }
    let stored = subject.everything(&scope).await;
    assert_eq!(stored.iter().map(|event| event.event.position.0).collect::<Vec<_>>(), (1..=10).collect::<Vec<_>>());
    assert!(ids(&stored).is_sorted());
}

/// All attributes of an event read back as they were given.
pub async fn an_event_reads_back_whole(subject: &Subject) {
    let scope = subject.scope();
    let now = subject.env.now();
    let mut full = plain("full");
    full.subject = Some("src/ü\u{1F980}.rs".into());
    full.time = Some(EventTime { at: now.trunc_subsecs(6), text: "2017-09-30T08:30:02.123456789-07:00".into() });
    full.actor = Some("ann".into());
    full.tool = Some("git".into());
    full.session = Some("s1".into());
    full.extension = Some("rs".into());
    full.data_content_type = Some("application/json".into());
    full.data_schema = Some("https://example.com/schema".into());
    full.extensions = [("flag".to_owned(), json!(true)), ("count".to_owned(), json!(-3))].into_iter().collect();
    full.payload = Payload::Json(r#"{"b":1,"a":"\u0000"}"#.into());
    let mut text = plain("text");
    text.payload = Payload::Text("a\0b".into());
    let mut binary = plain("binary");
    binary.payload = Payload::Binary([0, 255, 0].into());
    let sent = [full, text, binary, plain("bare")];
    subject.add(&scope, &sent).await;
    let stored = subject.everything(&scope).await;
    for (stored, sent) in stored.iter().zip(&sent) {
        let facts = &stored.event;
        assert_eq!(stored.sender_id, sent.sender_id);
        assert_eq!((&facts.source, &facts.event_type), (&sent.source, &sent.event_type));
        assert_eq!((&facts.subject, &facts.actor, &facts.tool), (&sent.subject, &sent.actor, &sent.tool));
        assert_eq!((&facts.session, &facts.extension), (&sent.session, &sent.extension));
        assert_eq!(stored.data_content_type, sent.data_content_type);
        assert_eq!(stored.data_schema, sent.data_schema);
        assert_eq!(stored.extensions, sent.extensions);
        assert_eq!(stored.payload, sent.payload);
        match &sent.time {
            Some(time) => assert_eq!(&facts.time, time),
            None => assert!(facts.time.at >= now.trunc_subsecs(6), "an event without a time happened on receipt"),
        }
        assert!(facts.received_at >= now.trunc_subsecs(3));
    }
    assert_eq!(stored.len(), sent.len());
}

/// The same source and id in two workspaces are two events, and neither counts against the other's limit.
pub async fn workspaces_do_not_share_keys_or_limits(subject: &Subject) {
    let events = plains([1, 2]);
    let addition = subject.addition(&events, Some(2));
    for scope in [subject.scope(), subject.foreign()] {
        let outcome = subject.commit(&scope, &addition).await.expect("events are added");
        assert_eq!((outcome.head, outcome.outcomes), (Position(2), added([1, 2])));
    }
    let (ours, theirs) = (subject.everything(&subject.scope()).await, subject.everything(&subject.foreign()).await);
    assert_eq!((ours.len(), theirs.len()), (2, 2));
}

/// A limit of 0 refuses everything, and no limit refuses nothing.
pub async fn no_limit_and_a_limit_of_nothing(subject: &Subject) {
    let events = plains(1..=20);
    let mut addition = subject.addition(&events, Some(0));
    let refused = subject.commit(&subject.scope(), &addition).await.expect("events are refused").outcomes;
    assert_eq!(refused, [Outcome::OverLimit; 20]);
    addition.allowance = Allowance { limit: None, ..addition.allowance };
    let outcome = subject.commit(&subject.scope(), &addition).await.expect("events are added").outcomes;
    assert_eq!(outcome, added(1..=20));
}

/// Events of Tidegate itself are added whatever the limit is, and do not count against it; a duplicate changes nothing.
pub async fn uncounted_events_leave_the_limit_to_the_others(subject: &Subject) {
    let (own, others) = (plains([1]), plains([2, 3, 4]));
    for limit in [Some(0), None] {
        let mut tx = subject.events.begin(&subject.scope()).await.expect("a transaction begins");
        tx.events().add_uncounted(&subject.addition(&own, limit)).await.expect("it is added or known");
        tx.commit().await.expect("it commits");
    }
    let outcome = subject.commit(&subject.scope(), &subject.addition(&others, Some(2))).await.expect("an answer");
    assert_eq!((outcome.head, outcome.used), (Position(3), 2));
    assert_eq!(outcome.outcomes[..2], added([2, 3]));
    assert_eq!(outcome.outcomes[2], Outcome::OverLimit);
    assert_eq!(subject.everything(&subject.scope()).await.len(), 3);
    assert!(subject.everything(&subject.foreign()).await.is_empty());
}
