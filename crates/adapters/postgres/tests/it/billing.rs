//! The usage that a person is shown.

use chrono::{DateTime, Utc};
use tidegate_billing::{Billing, CallMeter, Catalogue, UsageQuery};
use tidegate_kernel::{Limit, Meter};
use tidegate_testing::TestDatabase;
use tidegate_testing::contract::Stage;
use tidegate_testing::scope::{system_scope, workspace_scope};

#[tokio::test]
async fn usage_tells_what_was_counted_and_what_the_plan_allows() {
    let database = TestDatabase::new().await;
    let stage = Stage::on(&database).await;
    let catalogue = Catalogue::built_in().unwrap();
    let service = Billing::new(stage.store.clone(), system_scope(), catalogue.clone(), "free", stage.scene.env.clone());
    service.open(&catalogue).await.unwrap();
    let calls = CallMeter::new(stage.store.clone(), stage.scene.env.clone());
    for _ in 0..3 {
        calls.count(stage.scene.ours);
    }
    calls.flush(&system_scope()).await.unwrap();
    calls.flush(&system_scope()).await.unwrap();
    let mut admin = database.admin().await;
    let month: DateTime<Utc> = Meter::Events.period(stage.scene.env.now()).start;
    for (sql, used) in [
        ("insert into workspace_head (workspace_id, period_start, position, used) values ($1, $2, 90, $3)", 42_i64),
        ("insert into usage_counter (workspace_id, meter, period_start, used) values ($1, 'runs', $2, $3)", 7),
    ] {
        sqlx::query(sql).bind(stage.scene.ours.as_uuid()).bind(month).bind(used).execute(&mut admin).await.unwrap();
    }
    let lines = |usage: Vec<tidegate_billing::Usage>| {
        usage.iter().map(|line| (line.meter.as_str(), line.used, line.limit)).collect::<Vec<_>>()
    };
    let ours = service.usage(&workspace_scope(stage.scene.ours), &UsageQuery::default()).await.unwrap();
    let expected = [
        ("api_calls", 3, Limit::Unlimited),
        ("events", 42, Limit::AtMost(1000)),
        ("runs", 7, Limit::Unlimited),
        ("steps", 0, Limit::Unlimited),
        ("storage_bytes", 0, Limit::AtMost(1_000_000_000)),
        ("workflows", 0, Limit::AtMost(3)),
        ("members", 0, Limit::Unlimited),
    ];
    assert_eq!(lines(ours), expected);
    let theirs = service.usage(&workspace_scope(stage.scene.theirs), &UsageQuery::default()).await.unwrap();
    assert!(lines(theirs).iter().all(|(_, used, _)| *used == 0));
}
