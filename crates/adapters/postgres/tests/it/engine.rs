//! The engine's store.
#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

use async_trait::async_trait;
use serde_json::{Value, json};
use tidegate_engine::model::RunKey;
use tidegate_engine::ports::EngineStore;
use tidegate_kernel::{Environment, RunId, UnitOfWork, WorkflowId, WorkspaceId};
use tidegate_postgres::{PgEngineStore, PgStore};
use tidegate_testing::contract::engine_store::{self as contract, EngineStoreHarness};
use tidegate_testing::scope::workspace_scope;
use tidegate_testing::{TestDatabase, test_environment};
use tidegate_workflows::run::ports::RunsTx;
use tidegate_workflows::run::{NewRun, RunStatus};

pub(crate) struct Harness {
    pub(crate) database: TestDatabase,
    pub(crate) pg: PgStore,
    engine: PgEngineStore,
    pub(crate) env: Environment,
}

impl Harness {
    pub(crate) async fn new() -> Self {
        let env = test_environment();
        let database = TestDatabase::new().await;
        let pg = database.store(env.clone()).await;
        Self { engine: PgEngineStore::new(pg.clone()), pg, database, env }
    }

    pub(crate) async fn add(&self, workspace: WorkspaceId, workflow: WorkflowId, gate: Option<(String, u32)>) -> RunId {
        let id = RunId::generate(&self.env);
        let run = NewRun {
            id,
            workflow,
            version: 1,
            trigger: json!({"kind": "api"}),
            event: Value::Null,
            input: json!({"n": 1}),
            dedupe_key: None,
            depth: 0,
            concurrency: gate,
            created_at: self.env.now(),
        };
        let mut tx = self.tx(workspace).await;
        tx.runs().add(&run).await.unwrap();
        tx.commit().await.unwrap();
        id
    }

    pub(crate) async fn tx(&self, workspace: WorkspaceId) -> Box<dyn RunsTx> {
        UnitOfWork::<dyn RunsTx>::begin(&self.pg, &workspace_scope(workspace)).await.unwrap()
    }

    pub(crate) async fn new_workspace(&self) -> WorkspaceId {
        let workspace = WorkspaceId::generate(&self.env);
        sqlx::query("insert into workspace (workspace_id, name, slug, created_at) values ($1, 'w', $2, now())")
            .bind(workspace.as_uuid())
            .bind(workspace.to_string())
            .execute(&mut self.database.admin().await)
            .await
            .unwrap();
        workspace
    }
}

#[async_trait]
impl EngineStoreHarness for Harness {
    fn store(&self) -> &dyn EngineStore {
        &self.engine
    }

    async fn workspace(&self) -> WorkspaceId {
        self.new_workspace().await
    }

    async fn run(&self, workspace: WorkspaceId, concurrency: Option<(&str, u32)>) -> RunKey {
        let workflow = WorkflowId::from_uuid(workspace.as_uuid());
        let gate = concurrency.map(|(key, limit)| (key.to_owned(), limit));
        RunKey { workspace, run: self.add(workspace, workflow, gate).await }
    }

    async fn cancel(&self, key: RunKey) {
        let mut tx = self.tx(key.workspace).await;
        tx.runs().request_cancel(key.run, self.env.now()).await.unwrap();
        tx.commit().await.unwrap();
    }

    async fn status(&self, key: RunKey) -> RunStatus {
        self.tx(key.workspace).await.runs().find(key.run).await.unwrap().unwrap().status
    }

    async fn history(&self, key: RunKey) -> Vec<String> {
        let transitions = self.tx(key.workspace).await.runs().transitions(key.run).await.unwrap();
        transitions.iter().map(|record| record.transition.kind().to_owned()).collect()
    }

    async fn used(&self, workspace: WorkspaceId, meter: &str) -> i64 {
        let used: Option<i64> =
            sqlx::query_scalar("select sum(used)::bigint from usage_counter where workspace_id = $1 and meter = $2")
                .bind(workspace.as_uuid())
                .bind(meter)
                .fetch_one(&mut self.database.admin().await)
                .await
                .unwrap();
        used.unwrap_or(0)
    }
}

macro_rules! contract {
    ($($name:ident),* $(,)?) => {$(
        #[tokio::test]
        async fn $name() {
            contract::$name(&Harness::new().await).await;
        }
    )*};
}

contract! {
    a_shard_has_one_owner,
    a_forgotten_shard_comes_back_under_a_new_epoch,
    a_worker_that_wakes_up_late_writes_nothing,
    a_run_is_claimed_once,
    a_repeated_commit_changes_nothing,
    a_parked_run_comes_back_when_its_time_has_come,
    a_gate_is_passed_in_order,
    a_signal_is_heeded_once,
    a_run_is_reached_through_its_own_workspace_alone,
    a_gate_with_any_text_reads_back,
}
