//! The contract of a store of plans and usage, kept by PostgreSQL; and that what is counted is what was committed.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use tidegate_billing::{Billing, CallMeter, Catalogue, Meter};
use tidegate_testing::contract::billing::{self, Subject};
use tidegate_testing::scope::{system_scope, workspace_scope};
use tidegate_testing::{TestDatabase, test_environment};

async fn subject(database: &TestDatabase) -> Subject {
    let env = test_environment();
    let store = Arc::new(database.store(env.clone()).await);
    Subject {
        billing: store.clone(),
        ledger: store,
        ours: database.workspace(&env).await,
        theirs: database.workspace(&env).await,
        env,
    }
}

macro_rules! contract {
    ($($obligation:ident)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $obligation() {
            let database = TestDatabase::new().await;
            billing::$obligation(subject(&database).await).await;
        }
    )*};
}

contract! {
    the_first_default_stays
    a_batch_of_calls_counts_once
}

#[tokio::test]
async fn usage_tells_what_was_counted_and_what_the_plan_allows() {
    let database = TestDatabase::new().await;
    let subject = subject(&database).await;
    let catalogue = Catalogue::built_in().unwrap();
    let service = Billing::new(subject.billing.clone(), catalogue, "free", subject.env.clone()).unwrap();
    let calls = CallMeter::new(subject.ledger.clone(), subject.env.clone());
    for _ in 0..3 {
        calls.count(subject.ours);
    }
    calls.flush(&system_scope()).await.unwrap();
    calls.flush(&system_scope()).await.unwrap();
    let mut admin = database.admin().await;
    let month: DateTime<Utc> = Meter::Events.period(subject.env.now()).start;
    for (sql, used) in [
        ("insert into workspace_head (workspace_id, period_start, position, used) values ($1, $2, 90, $3)", 42_i64),
        ("insert into usage_counter (workspace_id, meter, period_start, used) values ($1, 'runs', $2, $3)", 7),
    ] {
        sqlx::query(sql).bind(subject.ours.as_uuid()).bind(month).bind(used).execute(&mut admin).await.unwrap();
    }
    let lines = |usage: Vec<tidegate_billing::Usage>| {
        usage.iter().map(|line| (line.meter.as_str(), line.used, line.limit)).collect::<Vec<_>>()
    };
    let ours = service.usage(&workspace_scope(subject.ours)).await.unwrap();
    let expected = [("api_calls", 3, None), ("events", 42, Some(1000)), ("runs", 7, None), ("steps", 0, None)];
    assert_eq!(lines(ours), expected);
    let theirs = service.usage(&workspace_scope(subject.theirs)).await.unwrap();
    assert!(lines(theirs).iter().all(|(_, used, _)| *used == 0));
}
