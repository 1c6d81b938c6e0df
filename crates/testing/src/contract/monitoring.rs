//! Obligations of the metrics of the whole installation.

use chrono::{DateTime, TimeDelta};
use tidegate_billing::{CallCount, CallLedger};
use tidegate_engine::monitoring::{InstallationFigures, QueueFigures, UsagePeriods, UsageTotals};
use tidegate_events::cloud_event::NewEvent;
use tidegate_events::{ConsumerName, EventsTx, FeedTx};
use tidegate_kernel::{Position, UnitOfWork, WorkflowId};
use tidegate_workflows::run::ports::RunsTx;

use super::engine_store::new_run;
use super::stage::subject;
use crate::scope::system_scope;

subject! {
    about {
        /// The port.
        figures: dyn InstallationFigures = store,
    }
    beside {
        /// Adds runs.
        runs: dyn UnitOfWork<dyn RunsTx> = store,
        /// Adds events.
        events: dyn UnitOfWork<dyn EventsTx> = store,
        /// Moves cursors of consumers.
        feed: dyn UnitOfWork<dyn FeedTx> = store,
        /// Counts API calls.
        ledger: dyn CallLedger = store,
    }
}

const CONSUMERS: [&str; 2] = ["fast", "slow"];

impl Subject {
    async fn queues(&self) -> QueueFigures {
        self.figures.queues(&system_scope(), &CONSUMERS).await.expect("figures are read")
    }

    async fn totals(&self) -> UsageTotals {
        let periods = UsagePeriods { day: self.midnight, month: DateTime::UNIX_EPOCH };
        self.figures.totals(&system_scope(), periods).await.expect("figures are read")
    }
}

fn three_events() -> [NewEvent; 3] {
    [1, 2, 3].map(|n| NewEvent::emitted("/contract".into(), n.to_string(), "counted".into(), 0))
}

/// MUST count for each consumer the events that it has not read, and include a consumer that has read everything.
pub async fn a_backlog_is_what_a_consumer_has_not_read(subject: &Subject) {
    let before = subject.queues().await;
    assert_eq!(before.backlogs.iter().map(|backlog| backlog.consumer).collect::<Vec<_>>(), CONSUMERS);
    subject.add_to(&*subject.events, &subject.scope(), &three_events()).await;
    let mut tx = subject.feed.begin(&subject.scope()).await.expect("a transaction begins");
    let (from, head) = (Position::START, tx.feed().head().await.expect("a head"));
    assert!(tx.consumers().advance(ConsumerName("fast"), from, head).await.expect("the cursor moves"));
    tx.commit().await.expect("it commits");
    let after = subject.queues().await;
    let more = |n: usize| {
        let (before, after) = (&before.backlogs[n], &after.backlogs[n]);
        (after.workspaces - before.workspaces, after.events - before.events)
    };
    assert_eq!((more(0), more(1)), ((0, 0), (1, 3)));
}

/// A run that has not been claimed is in the queue, with the time at which it was started.
pub async fn a_ready_run_has_its_age(subject: &Subject) {
    let before = subject.queues().await;
    let run = new_run(&subject.env, WorkflowId::generate(&subject.env));
    let (seconds, nanos) = run.id.as_uuid().get_timestamp().expect("a time is in the id").to_unix();
    let started = DateTime::from_timestamp(seconds.try_into().expect("a time"), nanos).expect("a time");
    let mut tx = subject.runs.begin(&subject.scope()).await.expect("a transaction begins");
    tx.runs().add(&run).await.expect("a run is added");
    tx.commit().await.expect("it commits");
    let after = subject.queues().await;
    assert_eq!(after.ready_workspaces, before.ready_workspaces + 1);
    assert_eq!(after.oldest_ready, Some(before.oldest_ready.map_or(started, |oldest| oldest.min(started))));
}

/// MUST add up the usage of the workspaces in their periods.
pub async fn usage_adds_up(subject: &Subject) {
    let before = subject.totals().await;
    assert!(before.workspaces >= 2, "{before:?}");
    subject.add_to(&*subject.events, &subject.scope(), &three_events()).await;
    let calls = [
        CallCount { workspace: subject.ours, day: subject.midnight, calls: 4 },
        CallCount { workspace: subject.theirs, day: subject.midnight - TimeDelta::days(1), calls: 9 },
    ];
    let recorder = subject.env.uuid_v7();
    assert!(subject.ledger.record(&system_scope(), recorder, 1, &calls).await.expect("calls are counted"));
    let after = subject.totals().await;
    let expected = UsageTotals {
        active_workspaces: before.active_workspaces + 1,
        events: before.events + 3,
        events_this_month: before.events_this_month + 3,
        api_calls_today: before.api_calls_today + 4,
        ..before
    };
    assert_eq!(after, expected);
}
