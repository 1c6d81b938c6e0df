//! Obligations of stores of quotas: levels, and budgets.

use std::sync::Arc;

use async_trait::async_trait;
use tidegate_billing::quota::{GrantRequest, Returned};
use tidegate_billing::{
    AlertRepository, BillingTx, BudgetLedger, CallCount, CallLedger, NotifyQuota, PlanLimits, PlanQuota,
};
use tidegate_events::cloud_event::NewEvent;
use tidegate_events::{Addition, Allowance, EventsTx};
use tidegate_kernel::{
    Limit, Meter, Period, Quota, QuotaError, QuotaLevels, Span, StoreError, UnitOfWork, WorkspaceId, WorkspaceScope,
};
use tidegate_tenancy::TenancyTx;
use tidegate_use_cases::NotifyQuotaTx;

use super::stage::subject;
use crate::scope::{system_scope, workspace_scope};

subject! {
    about {
        /// Budgets.
        budgets: dyn BudgetLedger = store,
        /// Levels.
        levels: dyn UnitOfWork<dyn TenancyTx> = store,
        /// Alerts.
        alerts: dyn UnitOfWork<dyn BillingTx> = store,
    }
    beside {
        /// Counts API calls that no budget granted.
        calls: dyn CallLedger = store,
        /// Adds events.
        events: dyn UnitOfWork<dyn EventsTx> = store,
        /// Tells of alerts.
        told: dyn UnitOfWork<dyn NotifyQuotaTx> = store,
    }
}

/// The same limit for every meter.
struct Same(i64);

#[async_trait]
impl PlanLimits for Same {
    async fn limit(&self, _: &WorkspaceScope, _: Meter) -> Result<Limit, StoreError> {
        Ok(Limit::AtMost(self.0))
    }
}

impl Subject {
    /// Changes a level in a transaction of its own.
    async fn take(&self, scope: &WorkspaceScope, amount: i64, limit: Limit) -> Result<i64, QuotaError> {
        let mut tx = self.levels.begin(scope).await?;
        let level = {
            let levels: &mut dyn QuotaLevels = &mut *tx.levels();
            levels.take(Meter::StorageBytes, amount, limit).await?
        };
        tx.commit().await?;
        Ok(level)
    }

    async fn level(&self, scope: &WorkspaceScope) -> i64 {
        let mut tx = self.levels.begin(scope).await.expect("a transaction begins");
        let levels: &mut dyn QuotaLevels = &mut *tx.levels();
        levels.level(Meter::StorageBytes).await.expect("the level is read")
    }

    fn today(&self) -> Period {
        Span::Day.period(self.env.now())
    }

    async fn grant(&self, workspace: WorkspaceId, needed: i64, wanted: i64, limit: i64) -> (i64, i64) {
        let request = GrantRequest { meter: Meter::ApiCalls, period: self.today(), needed, wanted, limit };
        let grant = self.budgets.grant(&workspace_scope(workspace), &request).await.expect("an answer");
        (grant.units, grant.used)
    }

    async fn give_back(&self, workspaces: &[(WorkspaceId, i64)]) {
        let period_start = self.today().start;
        let returned: Vec<_> = workspaces
            .iter()
            .map(|(workspace, units)| Returned {
                workspace: *workspace,
                meter: Meter::ApiCalls,
                period_start,
                units: *units,
            })
            .collect();
        self.budgets.give_back(&system_scope(), &returned).await.expect("the units are taken back");
    }

    /// A process with a budget of its own.
    fn process(&self, limit: i64) -> PlanQuota {
        PlanQuota::new(Arc::new(Same(limit)), self.budgets.clone(), self.env.clone())
    }
}

/// MUST add nothing above the limit, and tell what is used; a level of another workspace and a transaction that was
/// rolled back do not count.
pub async fn a_level_stays_within_its_limit(subject: &Subject) {
    let (scope, foreign, limit) = (subject.scope(), subject.foreign(), Limit::AtMost(10));
    assert!(matches!(subject.take(&scope, 11, limit).await, Err(QuotaError::Exceeded(refused)) if refused.used == 0));
    assert_eq!(subject.take(&scope, 7, limit).await.expect("7 of 10"), 7);
    assert_eq!(subject.take(&foreign, 9, limit).await.expect("theirs is another"), 9);
    let refused = match subject.take(&scope, 4, limit).await {
        Err(QuotaError::Exceeded(refused)) => refused,
        other => panic!("{other:?}"),
    };
    assert_eq!((refused.meter, refused.limit, refused.used), (Meter::StorageBytes, 10, 7));
    let mut lost = subject.levels.begin(&scope).await.expect("a transaction begins");
    assert_eq!(lost.levels().take(Meter::StorageBytes, 3, limit).await.expect("10 of 10"), 10);
    drop(lost);
    assert_eq!(subject.take(&scope, 3, limit).await.expect("10 of 10"), 10);
    assert_eq!(subject.take(&scope, 5, Limit::Unlimited).await.expect("there is no limit"), 15);
    assert!(subject.take(&scope, 1, limit).await.is_err(), "the level is above the new limit");
    assert_eq!((subject.level(&scope).await, subject.level(&foreign).await), (15, 9));
}

/// MUST NOT let concurrent transactions exceed the limit together.
pub async fn concurrent_takers_share_a_limit(subject: &Subject) {
    let taking: Vec<_> = (0..8)
        .map(|_| {
            let subject = subject.clone();
            tokio::spawn(async move { subject.take(&subject.scope(), 3, Limit::AtMost(10)).await.is_ok() })
        })
        .collect();
    let mut taken = 0;
    for task in taking {
        taken += i64::from(task.await.expect("no one fails"));
    }
    assert_eq!((taken, subject.level(&subject.scope()).await), (3, 9));
}

/// What is given back can be taken again; more than was taken cannot be given back.
pub async fn a_level_is_given_back_once(subject: &Subject) {
    let scope = subject.scope();
    subject.take(&scope, 10, Limit::AtMost(10)).await.expect("10 of 10");
    let give_back = async |amount: i64| {
        let mut tx = subject.levels.begin(&scope).await.expect("a transaction begins");
        let levels: Result<(), StoreError> = {
            let levels: &mut dyn QuotaLevels = &mut *tx.levels();
            levels.give_back(Meter::StorageBytes, amount).await
        };
        levels?;
        tx.commit().await
    };
    give_back(4).await.expect("4 of 10");
    assert!(matches!(give_back(7).await, Err(StoreError::Internal(_))), "only 6 are left");
    assert_eq!(subject.level(&scope).await, 6);
    assert_eq!(subject.take(&scope, 4, Limit::AtMost(10)).await.expect("10 of 10"), 10);
}

/// MUST NOT grant more than the limit. A grant shrinks near the limit, and what is given back can be granted again.
pub async fn grants_stay_within_the_limit(subject: &Subject) {
    let (ours, theirs) = (subject.ours, subject.theirs);
    assert_eq!(subject.grant(ours, 1, 1_000, 6_400).await, (100, 100), "1/64 of what remains");
    assert_eq!(subject.grant(ours, 1, 5, 6_400).await, (5, 105), "no more than is wanted");
    assert_eq!(subject.grant(ours, 6_290, 6_290, 6_400).await, (6_290, 6_395), "what is needed");
    assert_eq!(subject.grant(ours, 6, 10, 6_400).await, (0, 6_395), "5 are left");
    assert_eq!(subject.grant(ours, 5, 10, 6_400).await, (5, 6_400));
    assert_eq!(subject.grant(ours, 1, 1, 6_400).await, (0, 6_400));
    assert_eq!(subject.grant(theirs, 1, 1, 1).await, (1, 1));
    assert_eq!(subject.grant(theirs, 1, 1, 0).await, (0, 1), "the limit became smaller");
    let gone = WorkspaceId::generate(&subject.env);
    subject.give_back(&[(ours, 30), (gone, 5), (theirs, 1)]).await;
    assert_eq!(subject.grant(ours, 30, 30, 6_400).await, (30, 6_400));
    assert_eq!(subject.grant(theirs, 1, 1, 1).await, (1, 1));
}

/// MUST count usage that was never granted, because the plan had no limit then.
pub async fn usage_without_a_grant_counts(subject: &Subject) {
    let day = subject.today().start;
    let counts = [CallCount { workspace: subject.ours, day, calls: 40 }];
    subject.calls.record(&system_scope(), subject.env.uuid_v7(), 1, &counts).await.expect("the batch is written");
    assert_eq!(subject.grant(subject.ours, 11, 11, 50).await, (0, 40));
    assert_eq!(subject.grant(subject.ours, 10, 10, 50).await, (10, 50));
    assert_eq!(subject.grant(subject.theirs, 50, 50, 50).await, (50, 50));
}

/// Many processes, of which some are killed: together they never use more than the limit, and what the others did not
/// use can be used in the end.
pub async fn processes_share_a_limit_whatever_is_killed(subject: &Subject) {
    const LIMIT: i64 = 500;
    let scope = subject.scope();
    let next = |n: u8| {
        let [byte] = subject.env.random::<1>();
        byte % n
    };
    let mut processes: Vec<PlanQuota> = (0..4).map(|_| subject.process(LIMIT)).collect();
    let (mut used, mut refused) = (0_i64, 0);
    for _ in 0..400 {
        let which = usize::from(next(4));
        let process = &processes[which];
        match next(16) {
            0 => processes[which] = subject.process(LIMIT),
            1 => process.end_second(&system_scope()).await.expect("the units are given back"),
            2 => drop(process.reserve(&scope, Meter::Runs, 3).await),
            n => {
                let amount = i64::from(1 + n % 3);
                match process.reserve(&scope, Meter::Runs, amount).await {
                    Ok(reservation) => {
                        reservation.commit();
                        used += amount;
                    }
                    Err(QuotaError::Exceeded(exceeded)) => {
                        assert!(exceeded.used <= LIMIT && exceeded.limit == LIMIT);
                        refused += 1;
                    }
                    Err(QuotaError::Store(error)) => panic!("{error}"),
                }
            }
        }
        assert!(used <= LIMIT, "{used} of {LIMIT} were used");
    }
    assert!(refused > 0 || used < LIMIT, "{refused} refusals, {used} used");
    for process in &processes {
        process.close(&system_scope()).await.expect("the units are given back");
    }
    // What killed processes held stays granted, and all the rest is free: each unit is granted once more, and no other.
    let fresh = subject.process(LIMIT);
    while let Ok(reservation) = fresh.reserve(&scope, Meter::Runs, 1).await {
        reservation.commit();
        used += 1;
        assert!(used <= LIMIT, "{used} of {LIMIT} were used");
    }
    let period = Span::Month.period(subject.env.now());
    let request = GrantRequest { meter: Meter::Runs, period, needed: 1, wanted: 1, limit: LIMIT };
    let grant = subject.budgets.grant(&scope, &request).await.expect("an answer");
    assert_eq!((grant.units, grant.used), (0, LIMIT), "everything is used or lost with a killed process");
}

/// MUST raise an alert once in a period when a threshold is passed, by a level, a grant or an event; MUST give each alert to
/// one transaction that commits.
pub async fn an_alert_is_raised_and_taken_once(subject: &Subject) {
    let (scope, foreign, now) = (subject.scope(), subject.foreign(), subject.env.now());
    let take = async |scope: &WorkspaceScope, meter: Meter, percent: i16, commit: bool| {
        let key = NotifyQuota { meter: meter.to_string(), period_start: meter.period(now).start, percent };
        let mut tx = subject.alerts.begin(scope).await.expect("a transaction begins");
        let taken = {
            let alerts: &mut dyn AlertRepository = &mut *tx.alerts();
            let found = alerts.find(&key).await.expect("an answer");
            assert_eq!(alerts.mark_notified(&key, now).await.expect("an answer"), found.is_some());
            found
        };
        if commit {
            tx.commit().await.expect("it commits");
        }
        taken.map(|alert| (alert.used, alert.limit))
    };
    subject.take(&scope, 7, Limit::AtMost(10)).await.expect("7 of 10");
    assert_eq!(take(&scope, Meter::StorageBytes, 80, true).await, None);
    subject.take(&scope, 1, Limit::AtMost(10)).await.expect("8 of 10");
    subject.take(&scope, 1, Limit::AtMost(10)).await.expect("9 of 10");
    assert_eq!(take(&foreign, Meter::StorageBytes, 80, true).await, None);
    assert_eq!(take(&scope, Meter::StorageBytes, 80, false).await, Some((8, 10)), "of the moment when it was passed");
    assert_eq!(take(&scope, Meter::StorageBytes, 80, true).await, Some((8, 10)), "it was rolled back");
    assert_eq!(take(&scope, Meter::StorageBytes, 80, true).await, None);
    assert_eq!(take(&scope, Meter::StorageBytes, 100, true).await, None);
    assert_eq!(subject.grant(subject.ours, 10, 10, 10).await, (10, 10));
    assert_eq!(take(&scope, Meter::ApiCalls, 80, true).await, Some((10, 10)));
    assert_eq!(take(&scope, Meter::ApiCalls, 100, true).await, Some((10, 10)));

    let period_start = Meter::Events.period(now).start;
    for n in 0..3 {
        let events = [NewEvent::emitted("/contract".into(), format!("{n}"), "used".into(), 0)];
        let allowance = Allowance { period_start, limit: Some(2) };
        let addition = Addition { allowance, ..subject.addition(&events, None) };
        let mut tx = subject.events.begin(&scope).await.expect("a transaction begins");
        tx.events().add(&addition).await.expect("an answer");
        tx.commit().await.expect("it commits");
    }
    assert_eq!(take(&scope, Meter::Events, 100, true).await, Some((2, 2)));
}

/// A reservation that a transaction holds is released if it is rolled back, and used once it commits.
pub async fn a_reservation_shares_the_fate_of_its_transaction(subject: &Subject) {
    let scope = subject.scope();
    let process = subject.process(1);
    let reserve = async || process.reserve(&scope, Meter::Runs, 1).await;
    let reservation = reserve().await.expect("1 of 1");
    let mut lost = subject.levels.begin(&scope).await.expect("a transaction begins");
    lost.hold(reservation);
    drop(lost);
    let reservation = reserve().await.expect("it was rolled back");
    let mut tx = subject.levels.begin(&scope).await.expect("a transaction begins");
    tx.hold(reservation);
    tx.commit().await.expect("it commits");
    assert!(matches!(reserve().await, Err(QuotaError::Exceeded(refused)) if refused.used == 1));
}

/// Telling of an alert and adding events never deadlock.
pub async fn alerts_are_told_while_events_are_added(subject: &Subject) {
    let (scope, now) = (subject.scope(), subject.env.now());
    let period_start = Meter::Events.period(now).start;
    let allowance = Allowance { period_start, limit: Some(10) };
    let add = async |n: usize| {
        let events = [NewEvent::emitted("/contract".into(), n.to_string(), "used".into(), 0)];
        let mut tx = subject.events.begin(&scope).await.expect("a transaction begins");
        let addition = Addition { allowance, ..subject.addition(&events, None) };
        tx.events().add(&addition).await.expect("the event is added");
        tx.commit().await.expect("it commits");
    };
    for n in 0..8 {
        add(n).await;
    }
    let key = NotifyQuota { meter: Meter::Events.to_string(), period_start, percent: 80 };
    let told = async {
        let own = [NewEvent::emitted("/contract".into(), "own".into(), "told".into(), 0)];
        let mut tx = subject.told.begin(&scope).await.expect("a transaction begins");
        assert!(tx.alerts().find(&key).await.expect("an answer").is_some());
        tx.events().add_uncounted(&subject.addition(&own, None)).await.expect("the event is added");
        assert!(tx.alerts().mark_notified(&key, now).await.expect("an answer"));
        tx.commit().await.expect("it commits");
    };
    futures::future::join(told, add(9)).await;
}
