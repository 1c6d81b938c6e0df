//! Obligations of lists, of the feed and of its consumers.

use chrono::{DateTime, Utc};
use tidegate_events::cloud_event::NewEvent;
use tidegate_events::{ConsumerName, EventFilter, EventTime, Payload};
use tidegate_kernel::{EventId, PageSize, Position};

use super::{Subject, ids, plain, plains, sender_ids};
use crate::scope::system_scope;

const READER: ConsumerName = ConsumerName("contract_reader");

fn time(text: &str) -> DateTime<Utc> {
    text.parse().expect("a time")
}

fn event(id: &str, event_type: &str, source: &str, subject: &str, tool: &str, actor: &str, at: &str) -> NewEvent {
    let mut event = plain(id);
    event.event_type = event_type.into();
    event.source = source.into();
    event.subject = Some(subject.into());
    event.tool = Some(tool.into());
    event.actor = Some(actor.into());
    event.time = Some(EventTime { at: time(at), text: at.into() });
    event
}

/// A filter returns what matches; several values of one filter are alternatives; several filters must all match.
pub async fn a_list_has_what_matches(subject: &Subject) {
    let scope = subject.scope();
    subject
        .add(
            &scope,
            &[
                event("1", "made", "/a", "src/lib.rs", "git", "ann", "2026-01-01T00:00:00Z"),
                event("2", "changed", "/a", "src/main.rs", "vim", "bob", "2026-01-02T00:00:00Z"),
                event("3", "changed", "/b", "srcs", "git", "ann", "2026-01-03T00:00:00Z"),
                event("4", "gone", "/b", "SRC/lib.rs", "git", "cem", "2025-01-01T00:00:00Z"),
                plain("5"),
            ],
        )
        .await;
    let texts = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>();
    let all = EventFilter::default();
    for (filter, expected) in [
        (all.clone(), &["5", "4", "3", "2", "1"][..]),
        (EventFilter { types: texts(&["changed"]), ..all.clone() }, &["3", "2"]),
        (EventFilter { types: texts(&["gone", "made", "gone"]), ..all.clone() }, &["4", "1"]),
        (EventFilter { sources: texts(&["/a"]), ..all.clone() }, &["2", "1"]),
        (EventFilter { sources: texts(&["/a", "/b"]), ..all.clone() }, &["4", "3", "2", "1"]),
        (EventFilter { tools: texts(&["vim"]), ..all.clone() }, &["2"]),
        (EventFilter { actors: texts(&["ann"]), ..all.clone() }, &["3", "1"]),
        (
            EventFilter { actors: texts(&["ann", "bob"]), types: texts(&["changed", "gone"]), ..all.clone() },
            &["3", "2"],
        ),
        (EventFilter { subject_prefixes: texts(&["src/"]), ..all.clone() }, &["2", "1"]),
        (EventFilter { subject_prefixes: texts(&["src/m", "SRC"]), ..all.clone() }, &["4", "2"]),
        (EventFilter { subject_prefixes: texts(&["%", "_rc"]), ..all.clone() }, &[]),
        (EventFilter { subject_prefixes: texts(&[""]), ..all.clone() }, &["4", "3", "2", "1"]),
        (EventFilter { from: Some(time("2026-01-02T00:00:00Z")), ..all.clone() }, &["5", "3", "2"]),
        (EventFilter { to: Some(time("2026-01-02T00:00:00Z")), ..all.clone() }, &["4", "1"]),
        (
            EventFilter {
                from: Some(time("2026-01-01T00:00:00Z")),
                to: Some(time("2026-01-03T00:00:00Z")),
                tools: texts(&["git"]),
                ..all.clone()
            },
            &["1"],
        ),
        (EventFilter { types: texts(&["' or true --", "a\\", "\u{1F980}"]), ..all.clone() }, &[]),
        (EventFilter { types: (0..40).map(|n| n.to_string()).chain(texts(&["made"])).collect(), ..all }, &["1"]),
    ] {
        assert_eq!(sender_ids(&subject.list(&filter).await), expected, "{filter:?}");
    }
}

/// The pages together have every match once, newest position first, whatever is added meanwhile.
pub async fn pages_have_every_event_once(subject: &Subject) {
    let scope = subject.scope();
    let size = PageSize::new(3).expect("a page may have 3 items");
    for first in [1, 6] {
        subject.add(&scope, &plains(first..first + 5)).await;
    }
    let (mut seen, mut before) = (Vec::new(), None);
    loop {
        let mut tx = subject.events.begin(&scope).await.expect("a transaction begins");
        let mut page = tx.events().list(&EventFilter::default(), before, size).await.expect("events are listed");
        drop(tx);
        let more = page.len() > 3;
        assert!(page.len() <= 4);
        page.truncate(3);
        before = page.last().map(|event| event.event.id);
        seen.extend(page.into_iter().map(|event| event.event.position.0));
        if !more {
            break;
        }
        subject.add(&scope, &plains([seen.len().try_into().unwrap_or(0) + 100])).await;
    }
    assert_eq!(seen, (1..=10).rev().collect::<Vec<_>>());
}

/// Events are found by their ids, in order of position; unknown ids are left out.
pub async fn events_are_found_by_id(subject: &Subject) {
    let scope = subject.scope();
    subject.add(&scope, &plains(1..=3)).await;
    let stored = subject.everything(&scope).await;
    let (first, last) = (stored[0].event.id, stored[2].event.id);
    let mut tx = subject.events.begin(&scope).await.expect("a transaction begins");
    let found = tx.events().find(&[last, EventId::generate(&subject.env), first]).await.expect("events are found");
    assert_eq!(found, [stored[0].clone(), stored[2].clone()]);
    assert_eq!(tx.events().find(&[]).await.expect("nothing is found"), []);
}

/// The feed returns exactly the requested range, in order, up to the limit.
pub async fn the_feed_has_the_range_in_order(subject: &Subject) {
    let scope = subject.scope();
    for id in 1..=4 {
        let mut events = plains([id * 10, id * 10 + 1, id * 10 + 2]);
        events[0].payload = Payload::Json("1".into());
        subject.add(&scope, &events).await;
    }
    let mut tx = subject.feed.begin(&scope).await.expect("a transaction begins");
    assert_eq!(tx.feed().head().await.expect("the head is read"), Position(12));
    for (after, up_to, limit, expected) in
        [(0, 12, 100, 1..=12), (4, 9, 100, 5..=9), (4, 9, 2, 5..=6), (11, 400, 5, 12..=12), (0, 1, 5, 1..=1)]
    {
        let read = tx.feed().read(Position(after), Position(up_to), limit).await.expect("events are read");
        let whole = tx.feed().read_whole(Position(after), Position(up_to), None, usize::MAX).await;
        let whole = whole.expect("events are read").events.into_iter().take(read.len());
        assert_eq!(read.iter().map(|event| event.position.0).collect::<Vec<_>>(), expected.collect::<Vec<_>>());
        assert_eq!(read, whole.map(|event| event.event).collect::<Vec<_>>());
    }
    let of_type = ["thing.happened", "nothing"].map(|of_type| vec![of_type.to_owned()]);
    for (types, expected) in of_type.iter().zip([5, 0]) {
        let whole = tx.feed().read_whole(Position(4), Position(9), Some(types), usize::MAX).await;
        let whole = whole.expect("events are read");
        assert_eq!((whole.events.len(), whole.up_to), (expected, Position(9)));
    }
    for (after, up_to) in [(12, 100), (5, 5), (7, 3)] {
        assert_eq!(tx.feed().read(Position(after), Position(up_to), 10).await.expect("events are read"), []);
    }
}

/// A page of whole events ends before it exceeds its limit of bytes, and has at least one event.
pub async fn a_reading_of_whole_events_is_bounded_by_bytes(subject: &Subject) {
    let scope = subject.scope();
    let mut events = plains(1..=6);
    for (event, bytes) in events.iter_mut().zip([1_000, 2_000, 5_000, 10, 10, 10]) {
        event.payload = Payload::Text("x".repeat(bytes).into());
    }
    subject.add(&scope, &events).await;
    let mut tx = subject.feed.begin(&scope).await.expect("a transaction begins");
    for (after, max_bytes, expected, up_to) in [
        (0, 3_500, &[1, 2][..], 2),
        (0, 100, &[1], 1),
        (2, 100, &[3], 3),
        (2, 5_200, &[3, 4, 5, 6], 400),
        (3, 5_200, &[4, 5, 6], 400),
        (6, 100, &[], 400),
    ] {
        let whole =
            tx.feed().read_whole(Position(after), Position(400), None, max_bytes).await.expect("events are read");
        let positions: Vec<_> = whole.events.iter().map(|stored| stored.event.position.0).collect();
        assert_eq!((&*positions, whole.up_to), (expected, Position(up_to)), "{after} {max_bytes}");
        assert_eq!(whole.damaged, []);
    }
}

/// A consumer that follows the head while others write sees every event once, in order.
pub async fn a_reader_behind_writers_misses_nothing(subject: &Subject) {
    const EACH: i64 = 40;
    const WRITERS: i64 = 8;
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let subject = subject.clone();
            tokio::spawn(async move {
                for n in 0..EACH / 2 {
                    subject.add(&subject.scope(), &plains([writer * 1_000 + n * 2, writer * 1_000 + n * 2 + 1])).await;
                }
            })
        })
        .collect();
    let scope = subject.scope();
    let mut seen = Vec::new();
    while seen.len() < usize::try_from(EACH * WRITERS).unwrap_or(0) {
        let mut tx = subject.feed.begin(&scope).await.expect("a transaction begins");
        let after = seen.last().copied().unwrap_or(0);
        let head = tx.feed().head().await.expect("the head is read");
        let read = tx.feed().read(Position(after), head, 1_000).await.expect("events are read");
        seen.extend(read.iter().map(|event| event.position.0));
        assert_eq!(seen.last().copied().unwrap_or(0), head.0, "what the head shows is complete");
    }
    for writer in writers {
        writer.await.expect("no writer fails");
    }
    assert_eq!(seen, (1..=EACH * WRITERS).collect::<Vec<_>>());
}

/// A cursor moves only from its current position, and of two concurrent attempts one succeeds.
pub async fn a_cursor_moves_once(subject: &Subject) {
    let scope = subject.scope();
    let step = async |from: i64, to: i64| {
        let mut tx = subject.feed.begin(&scope).await.expect("a transaction begins");
        let moved = tx.consumers().advance(READER, Position(from), Position(to)).await.expect("the store answers");
        tx.commit().await.expect("it commits");
        moved
    };
    assert!(!step(3, 4).await, "it begins at 0");
    assert!(step(0, 5).await);
    assert!(!step(0, 6).await);
    assert!(step(5, 7).await);
    let mut tx = subject.feed.begin(&scope).await.expect("a transaction begins");
    assert_eq!(tx.consumers().cursor(READER).await.expect("the cursor is read"), Position(7));
    assert_eq!(tx.consumers().cursor(ConsumerName("another")).await.expect("the cursor is read"), Position::START);
    drop(tx);
    let attempts: Vec<_> = (0..8)
        .map(|_| {
            let subject = subject.clone();
            tokio::spawn(async move {
                let mut tx = subject.feed.begin(&subject.scope()).await.expect("a transaction begins");
                let moved = tx.consumers().advance(READER, Position(7), Position(9)).await.expect("the store answers");
                tx.commit().await.expect("it commits");
                moved
            })
        })
        .collect();
    let mut moved = 0;
    for attempt in attempts {
        moved += u32::from(attempt.await.expect("no attempt fails"));
    }
    assert_eq!(moved, 1);
}

/// A workspace counts as behind until its consumer has read up to the head.
pub async fn the_backlog_names_who_is_behind(subject: &Subject) {
    let behind = async || {
        let found = subject.backlog.behind(&system_scope(), READER, 1_000).await.expect("the backlog is read");
        [subject.ours, subject.theirs].map(|workspace| found.contains(&workspace))
    };
    assert_eq!(behind().await, [false, false]);
    subject.add(&subject.scope(), &plains([1, 2])).await;
    subject.add(&subject.foreign(), &plains([1])).await;
    assert_eq!(behind().await, [true, true]);
    for (from, to, expected) in [(0, 1, [true, true]), (1, 2, [false, true])] {
        let mut tx = subject.feed.begin(&subject.scope()).await.expect("a transaction begins");
        assert!(tx.consumers().advance(READER, Position(from), Position(to)).await.expect("the store answers"));
        tx.commit().await.expect("it commits");
        assert_eq!(behind().await, expected);
    }
    let one = subject.backlog.behind(&system_scope(), ConsumerName("another"), 1).await.expect("the backlog is read");
    assert_eq!(one.len(), 1);
}

/// A workspace that never catches up does not starve the others: successive looks visit workspaces in turn.
pub async fn the_backlog_goes_round(subject: &Subject) {
    subject.add(&subject.scope(), &plains([1, 2])).await;
    subject.add(&subject.foreign(), &plains([1])).await;
    let mut seen = Vec::new();
    // If others share the database, their workspaces are visited in between.
    for _ in 0..1_000 {
        let reader = ConsumerName("a slow reader");
        let found = subject.backlog.behind(&system_scope(), reader, 1).await.expect("the backlog is read");
        seen.extend(found.into_iter().filter(|workspace| subject.knows(*workspace)));
        if seen.len() == 2 {
            break;
        }
    }
    seen.sort_unstable();
    let mut everybody = vec![subject.ours, subject.theirs];
    everybody.sort_unstable();
    assert_eq!(seen, everybody);
}

/// No method shows another tenant's events, head or cursors.
pub async fn another_tenant_sees_nothing(subject: &Subject) {
    subject.add(&subject.foreign(), &plains(1..=3)).await;
    let theirs = subject.everything(&subject.foreign()).await;
    let mut tx = subject.feed.begin(&subject.foreign()).await.expect("a transaction begins");
    assert!(tx.consumers().advance(READER, Position(0), Position(2)).await.expect("the store answers"));
    tx.commit().await.expect("it commits");

    let scope = subject.scope();
    let mut tx = subject.events.begin(&scope).await.expect("a transaction begins");
    assert_eq!(tx.events().head().await.expect("the head is read"), Position::START);
    assert_eq!(tx.events().find(&ids(&theirs)).await.expect("nothing is found"), []);
    drop(tx);
    assert_eq!(subject.list(&EventFilter::default()).await, []);
    assert_eq!(subject.list(&EventFilter { types: vec!["thing.happened".into()], ..Default::default() }).await, []);
    assert_eq!(subject.everything(&scope).await, []);
    let mut tx = subject.feed.begin(&scope).await.expect("a transaction begins");
    assert_eq!(tx.feed().head().await.expect("the head is read"), Position::START);
    assert_eq!(tx.feed().read(Position::START, Position(9), 9).await.expect("nothing is read"), []);
    assert_eq!(tx.consumers().cursor(READER).await.expect("the cursor is read"), Position::START);
    assert!(tx.consumers().advance(READER, Position(0), Position(1)).await.expect("the store answers"));
    tx.commit().await.expect("it commits");
    let mut tx = subject.feed.begin(&subject.foreign()).await.expect("a transaction begins");
    assert_eq!(tx.consumers().cursor(READER).await.expect("the cursor is read"), Position(2));
}
