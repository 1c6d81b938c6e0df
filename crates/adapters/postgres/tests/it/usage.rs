//! What is metered equals a recount of what is stored, and stays within the plan, whatever is killed.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::TimeDelta;
use tidegate_billing::{PlanLimits, PlanQuota};
use tidegate_kernel::{Limit, Meter, StoreError, WorkspaceId, WorkspaceScope};
use tokio::time::{Instant, sleep};

use crate::engine_worker::{Counting, Fixture};

/// More than a budget, and less than the runs need.
const STEPS: i64 = 150;
const RUNS: usize = 100;

struct SomeSteps;

#[async_trait]
impl PlanLimits for SomeSteps {
    async fn limit(&self, _: &WorkspaceScope, meter: Meter) -> Result<Limit, StoreError> {
        Ok(if meter == Meter::Steps { Limit::AtMost(STEPS) } else { Limit::Unlimited })
    }
}

async fn number(fixture: &Fixture, workspace: WorkspaceId, sql: &str) -> i64 {
    let sql = sql.replace("$ws", &format!("'{}'", workspace.as_uuid()));
    fixture.database.count(sql).await
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_are_counted_once_and_within_the_plan_whoever_is_killed() {
    let fixture = Fixture::new(&["transform", "http.request", "delay", "http.request"]).await;
    let workspace = fixture.new_workspace().await;
    fixture.start(workspace, RUNS, None).await;
    let handler = Arc::new(Counting::default());
    let env = &fixture.stage.scene.env;
    // Each process has budgets of its own, which die with it.
    let worker = async || {
        let quota = PlanQuota::new(Arc::new(SomeSteps), fixture.stage.store.clone(), env.clone());
        fixture.limited_worker(handler.clone(), Arc::new(quota)).await
    };
    for calls in [5, 15, 30] {
        let dies = worker().await;
        while handler.calls() < calls {
            sleep(Duration::from_millis(2)).await;
        }
        dies.kill();
    }
    let lives = worker().await;
    let deadline = Instant::now() + Duration::from_secs(60);
    // In the end every run has ended or waits, and none has anything to do now.
    let busy = "select count(*) from run where workspace_id = $ws and status in ('pending', 'running')";
    let early = || {
        let soon = (env.now() + TimeDelta::seconds(20)).to_rfc3339();
        format!("select count(*) from timer where workspace_id = $ws and due_at < '{soon}'")
    };
    while number(&fixture, workspace, busy).await + number(&fixture, workspace, &early()).await > 0 {
        assert!(Instant::now() < deadline, "the runs do not come to rest");
        sleep(Duration::from_millis(20)).await;
    }
    lives.shutdown().await;

    let counted =
        |meter| format!("select sum(used)::bigint from usage_counter where workspace_id = $ws and meter = '{meter}'");
    let steps = number(&fixture, workspace, &counted("steps")).await;
    let recount = "select count(distinct (run_id, step, coalesce(attempt, 1))) from step_event
        where workspace_id = $ws and kind in ('step_started', 'step_waiting', 'step_completed', 'step_failed')";
    assert_eq!(steps, number(&fixture, workspace, recount).await);
    let granted = "select granted from quota_grant where workspace_id = $ws and meter = 'steps'";
    let granted = number(&fixture, workspace, granted).await;
    assert!(steps <= granted && granted == STEPS, "{steps} began, {granted} were granted");
    assert!(steps > STEPS - 30, "{steps}: a process that dies loses little near the limit");
    let begun = "select count(*) from step_event where workspace_id = $ws and kind = 'run_started'";
    assert_eq!(number(&fixture, workspace, &counted("runs")).await, number(&fixture, workspace, begun).await);
    let held = "select count(*) from step_event where workspace_id = $ws and kind = 'step_held'";
    assert!(number(&fixture, workspace, held).await > 0, "the plan does not allow all of them");
}
