//! Runs that cannot be written are set aside, other runs continue, and what an incorrect release has left is repaired.

use std::sync::Arc;
use std::time::Duration;

use tidegate_kernel::{RunId, WorkspaceId};
use tidegate_testing::scope::{issuer, request_id, system_scope};
use tidegate_testing::{Silence, step_types};
use tidegate_workflows::run::ports::QuarantineDirectory;
use tidegate_workflows::run::{Quarantine, QuarantineAction, QuarantineReason, QuarantinedRun, RunStatus, Runs};

use crate::engine_worker::{Counting, Fixture};

impl Fixture {
    async fn execute(&self, sql: String) -> u64 {
        let done = sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&mut self.database.admin().await).await;
        done.expect("the statement runs").rows_affected()
    }

    /// Makes the run's next transition fail: its sequence number in the history is already used.
    async fn spoil(&self, workspace: WorkspaceId, run: RunId) {
        self.execute(format!(
            "insert into step_event (workspace_id, run_id, seq, at, kind, body)
             values ('{}', '{}', 0, now(), 'spoilt', '{{}}')",
            workspace.as_uuid(),
            run.as_uuid()
        ))
        .await;
    }

    async fn in_quarantine(&self, run: RunId) -> QuarantinedRun {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
        loop {
            if let Some(found) = self.stage.store.find(&system_scope(), run).await.expect("it is looked for") {
                return found;
            }
            assert!(tokio::time::Instant::now() < deadline, "{run} is not set aside");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn ask(&self, run: RunId, action: QuarantineAction) {
        let (store, env) = (self.stage.store.clone(), self.stage.scene.env.clone());
        let quarantine = Quarantine::new(store.clone(), store, system_scope(), Arc::new(Silence), env.clone());
        let operator = issuer().operator(tidegate_kernel::UserId::generate(&env), request_id());
        quarantine.request(&operator, run, action).await.expect("the run is in quarantine");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_cannot_be_committed_does_not_hold_up_its_neighbours() {
    let fixture = Fixture::new(&["transform", "http.request"]).await;
    let (workspace, other) = (fixture.new_workspace().await, fixture.new_workspace().await);
    let runs = fixture.start(workspace, 9, Some(2)).await;
    let theirs = fixture.start(other, 3, None).await;
    fixture.spoil(workspace, runs[0]).await;
    fixture.spoil(workspace, runs[4]).await;
    let worker = fixture.worker(Arc::new(Counting::default())).await;
    let good: Vec<RunId> = runs.iter().copied().filter(|run| ![runs[0], runs[4]].contains(run)).collect();
    fixture.all_end_quietly(workspace, &good).await;
    fixture.all_end_quietly(other, &theirs).await;
    let found = fixture.in_quarantine(runs[0]).await;
    assert_eq!((found.reason, found.workspace), (QuarantineReason::Refused, workspace));
    assert!(found.error.contains("step_event"), "{}", found.error);
    fixture.in_quarantine(runs[4]).await;

    // Released before the repair, it returns to quarantine; released afterwards, it completes.
    fixture.ask(runs[0], QuarantineAction::Release).await;
    let mut again = fixture.in_quarantine(runs[0]).await;
    while again.at == found.at {
        tokio::time::sleep(Duration::from_millis(20)).await;
        again = fixture.in_quarantine(runs[0]).await;
    }
    fixture.execute(format!("delete from step_event where kind = 'spoilt' and run_id = '{}'", runs[0].as_uuid())).await;
    fixture.ask(runs[0], QuarantineAction::Release).await;
    fixture.all_end_quietly(workspace, &runs[..1]).await;
    fixture.ask(runs[4], QuarantineAction::End).await;
    fixture.all_end_quietly(workspace, &runs[4..5]).await;
    let ended = fixture.tx(workspace).await.runs().find(runs[4]).await.expect("it is read").expect("it is there");
    assert_eq!(
        (ended.status, ended.error.map(|error| error.code)),
        (RunStatus::Failed, Some("quarantined".to_owned()))
    );
    let good: Vec<RunId> = runs.iter().copied().filter(|run| *run != runs[4]).collect();
    fixture.all_end(workspace, &good, RunStatus::Completed).await;
    worker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_stored_of_a_run_and_cannot_be_read_does_not_hold_up_its_neighbours() {
    let fixture = Fixture::new(&["transform"]).await;
    let workspace = fixture.new_workspace().await;
    let runs = fixture.start(workspace, 3, None).await;
    fixture.execute(format!("update run set input = 'broken' where id = '{}'", runs[1].as_uuid())).await;
    let worker = fixture.worker(Arc::new(Counting::default())).await;
    fixture.all_end_quietly(workspace, &[runs[0], runs[2]]).await;
    assert_eq!(fixture.in_quarantine(runs[1]).await.reason, QuarantineReason::Unreadable);
    fixture.ask(runs[1], QuarantineAction::End).await;
    let status = format!("select count(*) from run where status = 'failed' and id = '{}'", runs[1].as_uuid());
    while fixture.database.count(status.clone()).await == 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    worker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_that_ended_and_still_stand_in_queues_are_cleared_away() {
    let fixture = Fixture::new(&["http.request"]).await;
    let workspace = fixture.new_workspace().await;
    let ended = fixture.start(workspace, 3, Some(1)).await;
    let service =
        Runs::new(fixture.stage.store.clone(), step_types(), Arc::new(Silence), fixture.stage.scene.env.clone());
    for run in &ended {
        service.cancel(&tidegate_testing::scope::workspace_scope(workspace), *run).await.expect("it is cancelled");
    }
    let worker = fixture.worker(Arc::new(Counting::default())).await;
    fixture.all_end(workspace, &ended, RunStatus::Cancelled).await;
    worker.shutdown().await;

    // The same rows as those of a release that let cancelled runs pass gates.
    let shard = format!("select shard from run where id = '{}'", ended[0].as_uuid());
    let columns = "workspace_id, run_id, shard";
    let ids = ended.map_ids(workspace);
    fixture
        .execute(format!("insert into ready ({columns}) select w, r, ({shard}) from ({}) as v (w, r)", ids[0]))
        .await;
    fixture
        .execute(format!(
            "insert into gate_hold ({columns}, gate) select w, r, ({shard}), '{}:k' from ({}) as v (w, r)",
            tidegate_kernel::WorkflowId::from_uuid(workspace.as_uuid()),
            ids[1]
        ))
        .await;
    fixture
        .execute(format!(
            "insert into timer ({columns}, step, attempt, due_at) select w, r, ({shard}), 0, 1, '2000-01-01' from ({}) as v (w, r)",
            ids[2]
        ))
        .await;

    let waiting = fixture.start(workspace, 2, Some(1)).await;
    let worker = fixture.worker(Arc::new(Counting::default())).await;
    fixture.all_end_quietly(workspace, &waiting).await;
    for table in ["ready", "timer"] {
        while fixture.database.count(format!("select count(*) from {table}")).await > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    fixture.all_end(workspace, &waiting, RunStatus::Completed).await;
    worker.shutdown().await;
}

trait Values {
    fn map_ids(&self, workspace: WorkspaceId) -> Vec<String>;
}

impl Values for Vec<RunId> {
    /// The workspace and the id of each run, as SQL rows.
    fn map_ids(&self, workspace: WorkspaceId) -> Vec<String> {
        let row = |run: &RunId| format!("values ('{}'::uuid, '{}'::uuid)", workspace.as_uuid(), run.as_uuid());
        self.iter().map(row).collect()
    }
}
