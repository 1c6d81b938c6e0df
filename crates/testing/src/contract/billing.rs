//! Obligations of stores of plans and usage.

mod catalogue;
mod credit_notes;
mod payments;
mod promo_codes;
mod subscriptions;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use tidegate_billing::correction::UsageCorrection;
use tidegate_billing::payment::PaymentEvents;
use tidegate_billing::{BillingTx, CallCount, CallLedger, CatalogueTx, DayCount, OverdueSubscriptions, PlanVersion};
use tidegate_events::cloud_event::NewEvent;
use tidegate_events::{Addition, Allowance, EventsTx};
use tidegate_kernel::{Limit, Meter, Period, Span, SystemScope, UnitOfWork, WorkspaceId, WorkspaceScope};

use super::stage::subject;
use crate::scope::{system_scope, workspace_scope};

pub use catalogue::*;
pub use credit_notes::*;
pub use payments::*;
pub use promo_codes::*;
pub use subscriptions::*;

subject! {
    about {
        /// Plans and usage.
        billing: dyn UnitOfWork<dyn BillingTx> = store,
        /// The catalogue of plans.
        catalogue: dyn UnitOfWork<dyn CatalogueTx, SystemScope> = store,
        /// Counts API calls.
        ledger: dyn CallLedger = store,
        /// Notifications of payment providers.
        notifications: dyn PaymentEvents = store,
        /// Finds subscriptions that were not woken.
        overdue: dyn OverdueSubscriptions = store,
    }
    beside {
        /// Counts events.
        events: dyn UnitOfWork<dyn EventsTx> = store,
    }
}

impl Subject {
    async fn plan(&self, workspace: WorkspaceId, default: &str) -> String {
        let mut tx = self.billing.begin(&workspace_scope(workspace)).await.expect("a transaction begins");
        let default = PlanVersion { name: default.into(), version: 1 };
        let plan = tx.plan().plan_or(&default, self.env.now()).await.expect("the plan is told");
        tx.commit().await.expect("it commits");
        plan.name
    }

    async fn calls(&self, workspace: WorkspaceId, day: DateTime<Utc>) -> i64 {
        let mut tx = self.billing.begin(&workspace_scope(workspace)).await.expect("a transaction begins");
        let day = Span::Day.period(day);
        let periods = [Meter::Events, Meter::ApiCalls, Meter::Runs, Meter::Steps].map(|meter| (meter, day));
        let used = tx.usage().used(&periods).await.expect("usage is read");
        assert_eq!([used[0], used[2], used[3]], [0, 0, 0], "the other meters were not touched");
        used[1]
    }
}

/// The first default becomes the plan, also for concurrent callers; a later default changes nothing.
pub async fn the_first_default_stays(subject: &Subject) {
    let asked: Vec<_> = (0..8)
        .map(|n| {
            let subject = subject.clone();
            tokio::spawn(async move { subject.plan(subject.ours, if n % 2 == 0 { "free" } else { "unlimited" }).await })
        })
        .collect();
    let mut answers = Vec::new();
    for answer in asked {
        answers.push(answer.await.expect("no one fails"));
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert_eq!(subject.plan(subject.ours, "another").await, answers[0]);
    assert_eq!(subject.plan(subject.theirs, "another").await, "another");
}

/// The limit of concurrent runs is unlimited until it is set, and belongs to one workspace.
pub async fn the_run_limit_is_what_was_set(subject: &Subject) {
    let limit = async |scope: &WorkspaceScope| {
        subject.billing.begin(scope).await.expect("a transaction begins").plan().run_limit().await.expect("it is read")
    };
    let (scope, foreign) = (subject.scope(), subject.foreign());
    assert_eq!(limit(&scope).await, Limit::Unlimited);
    for wanted in [Limit::AtMost(3), Limit::AtMost(i64::MAX), Limit::Unlimited, Limit::AtMost(1)] {
        let mut tx = subject.billing.begin(&scope).await.expect("a transaction begins");
        tx.plan().set_run_limit(wanted).await.expect("it is stored");
        tx.commit().await.expect("it commits");
        let stored = limit(&scope).await;
        assert!(stored == wanted || wanted == Limit::AtMost(i64::MAX) && stored == Limit::AtMost(i32::MAX.into()));
    }
    assert_eq!(limit(&foreign).await, Limit::Unlimited);
}

/// MUST count what was committed, and nothing that was rolled back, refused or there before. The runs and steps of an
/// engine are in the suite of its store.
pub async fn usage_is_what_was_committed(subject: &Subject) {
    let (scope, foreign) = (subject.scope(), subject.foreign());
    let events = [1, 2, 3, 4].map(|n| NewEvent::emitted("/contract".into(), n.to_string(), "used".into(), 0));
    let addition = subject.addition(&events, Some(3));
    let month = Span::Month.period(addition.allowance.period_start);
    let before = Period { start: month.start - TimeDelta::days(31), end: month.start };
    let mut lost = subject.events.begin(&scope).await.expect("a transaction begins");
    lost.events().add(&addition).await.expect("events are added");
    drop(lost);
    for _ in 0..2 {
        let mut tx = subject.events.begin(&scope).await.expect("a transaction begins");
        tx.events().add(&addition).await.expect("events are added, known or refused");
        tx.commit().await.expect("it commits");
    }
    for (scope, used) in [(&scope, vec![0, 3, 0]), (&foreign, vec![0, 0, 0])] {
        let mut tx = subject.billing.begin(scope).await.expect("a transaction begins");
        let periods = [(Meter::Events, before), (Meter::Events, month), (Meter::Runs, month)];
        assert_eq!(tx.usage().used(&periods).await.expect("usage is read"), used);
    }
}

/// MUST count the same by day as in a month: events on the days on which they came, and everything in the month that has
/// these days. Days without usage are left out.
pub async fn days_add_up_to_their_month(subject: &Subject) {
    let month = Span::Month.period(subject.env.now());
    let days = [month.start, month.start + TimeDelta::days(1), month.start + TimeDelta::days(27)];
    for (index, day) in days.iter().enumerate() {
        for hour in [0, 23] {
            let at = *day + TimeDelta::hours(hour);
            subject.scene.clock.set(at);
            let name = format!("{index} {hour}");
            let events = [NewEvent::emitted("/contract".into(), name, "used".into(), 0)];
            let allowance = Allowance { period_start: month.start, limit: None };
            let addition = Addition { allowance, ..subject.addition(&events, None) };
            let mut tx = subject.events.begin(&subject.scope()).await.expect("a transaction begins");
            let added = tx.events().add(&addition).await.expect("the event is added");
            assert_eq!(added.used, i64::try_from(index).unwrap_or(0) * 2 + 1 + hour / 23);
            tx.commit().await.expect("it commits");
        }
    }
    let counts = [CallCount { workspace: subject.ours, day: days[1], calls: 7 }];
    subject.ledger.record(&system_scope(), subject.env.uuid_v7(), 1, &counts).await.expect("the batch is written");
    let by_day = async |scope: &WorkspaceScope| {
        let mut tx = subject.billing.begin(scope).await.expect("a transaction begins");
        tx.usage().by_day(month).await.expect("usage is read")
    };
    let count = |meter, day, used| DayCount { meter, day, used };
    let expected = [
        count(Meter::ApiCalls, days[1], 7),
        count(Meter::Events, days[0], 2),
        count(Meter::Events, days[1], 2),
        count(Meter::Events, days[2], 2),
    ];
    assert_eq!(by_day(&subject.scope()).await, expected);
    assert_eq!(by_day(&subject.foreign()).await, []);
    let mut tx = subject.billing.begin(&subject.scope()).await.expect("a transaction begins");
    let periods = [(Meter::Events, month), (Meter::ApiCalls, month), (Meter::ApiCalls, Span::Day.period(days[0]))];
    assert_eq!(tx.usage().used(&periods).await.expect("usage is read"), [6, 7, 0]);
    // A month that is over is read from its days.
    let next = Span::Month.period(month.end);
    drop(tx);
    subject.scene.clock.set(next.start);
    let events = [NewEvent::emitted("/contract".into(), "next".into(), "used".into(), 0)];
    let allowance = Allowance { period_start: next.start, limit: None };
    let addition = Addition { allowance, ..subject.addition(&events, None) };
    let mut tx = subject.events.begin(&subject.scope()).await.expect("a transaction begins");
    assert_eq!(tx.events().add(&addition).await.expect("the event is added").used, 1);
    tx.commit().await.expect("it commits");
    let mut tx = subject.billing.begin(&subject.scope()).await.expect("a transaction begins");
    let periods = [(Meter::Events, month), (Meter::Events, next)];
    assert_eq!(tx.usage().used(&periods).await.expect("usage is read"), [6, 1]);
    drop(tx);
    assert_eq!(by_day(&subject.scope()).await, expected);
}

/// A batch counts once however often it is written, and an older batch does not count after a newer one; recorders are
/// independent.
pub async fn a_batch_of_calls_counts_once(subject: &Subject) {
    let day = Meter::ApiCalls.period(subject.env.now()).start;
    let tomorrow = day + TimeDelta::days(1);
    let (one, another) = (subject.env.uuid_v7(), subject.env.uuid_v7());
    let gone = WorkspaceId::generate(&subject.env);
    let counts = |calls| {
        [
            CallCount { workspace: subject.ours, day, calls },
            CallCount { workspace: gone, day, calls: 1 },
            CallCount { workspace: subject.theirs, day, calls: calls * 10 },
            CallCount { workspace: subject.ours, day: tomorrow, calls: 100 },
        ]
    };
    for (recorder, batch, calls, written) in
        [(one, 1, 2, true), (one, 1, 2, false), (another, 1, 3, true), (one, 2, 4, true), (one, 1, 2, false)]
    {
        let done = subject.ledger.record(&system_scope(), recorder, batch, &counts(calls)).await;
        assert_eq!(done.expect("the batch is written"), written, "{recorder} {batch}");
    }
    assert_eq!(subject.calls(subject.ours, day).await, 9);
    assert_eq!(subject.calls(subject.theirs, day).await, 90);
    assert_eq!(subject.calls(subject.ours, tomorrow).await, 300);
    assert_eq!(subject.calls(subject.theirs, tomorrow).await, 0);
}

/// A correction is added to its day and to the periods with that day, once for each reference and for one workspace.
pub async fn a_correction_counts_once_and_on_its_day(subject: &Subject) {
    let month = Span::Month.period(subject.env.now());
    let (first, last) = (month.start, month.end - TimeDelta::days(1));
    let counts = [CallCount { workspace: subject.ours, day: first, calls: 7 }];
    subject.ledger.record(&system_scope(), subject.env.uuid_v7(), 1, &counts).await.expect("the batch is written");
    let correct = async |scope: &WorkspaceScope, reference: &str, meter, day, amount| {
        let (id, at) = (subject.env.uuid_v7(), subject.env.now().trunc_subsecs(6));
        let (reference, reason) = (reference.to_owned(), "because".to_owned());
        let correction = UsageCorrection { id, reference, meter, day, asked: amount - 1, amount, reason, at };
        let mut tx = subject.billing.begin(scope).await.expect("a transaction begins");
        assert!(tx.usage().lock().await.expect("it is locked"));
        let made = tx.usage().correct(&correction).await.expect("an answer");
        tx.commit().await.expect("it commits");
        made.then_some(correction)
    };
    let (ours, theirs) = (subject.scope(), subject.foreign());
    let one = correct(&ours, "one", Meter::ApiCalls, first, -3).await.expect("it is new");
    let two = correct(&ours, "two", Meter::Events, last, -1).await.expect("it is new");
    assert_eq!(correct(&ours, "one", Meter::ApiCalls, first, -3).await, None, "it was made before");
    correct(&theirs, "one", Meter::Runs, first, -1).await.expect("it is another workspace");

    let mut tx = subject.billing.begin(&ours).await.expect("a transaction begins");
    let periods = [(Meter::ApiCalls, month), (Meter::ApiCalls, Span::Day.period(last)), (Meter::Events, month)];
    assert_eq!(tx.usage().used(&periods).await.expect("usage is read"), [4, 0, 0], "never below zero");
    let by_day = tx.usage().by_day(month).await.expect("usage is read");
    assert_eq!(by_day, [DayCount { meter: Meter::ApiCalls, day: first, used: 4 }]);
    let listed = async |tx: &mut Box<dyn BillingTx>, before, limit| {
        tx.usage().corrections(before, limit).await.expect("they are read")
    };
    assert_eq!(listed(&mut tx, None, 10).await, [two.clone(), one.clone()]);
    assert_eq!(listed(&mut tx, None, 1).await, std::slice::from_ref(&two));
    assert_eq!(listed(&mut tx, Some(two.id), 10).await, [one]);
}

/// A workspace that does not exist has no usage to correct.
pub async fn usage_of_no_workspace_is_not_corrected(subject: &Subject) {
    let nobody = workspace_scope(WorkspaceId::generate(&subject.env));
    let mut tx = subject.billing.begin(&nobody).await.expect("a transaction begins");
    assert!(!tx.usage().lock().await.expect("an answer"));
}
