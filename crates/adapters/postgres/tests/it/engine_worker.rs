//! Workers on a real PostgreSQL: they share the work, take over from each other, and record every transition once.
#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use tidegate_engine::handlers::HandlerMap;
use tidegate_engine::ports::{StepHandler, StepTask};
use tidegate_engine::{Engine, EngineConfig, EngineHandle, EngineParts, OwnedShards, RunEndings};
use tidegate_kernel::{
    Environment, NoQuota, Quota, RunId, StoreError, UnitOfWork, WorkflowId, WorkspaceId, WorkspaceScope,
};
use tidegate_postgres::{PgEngineStore, PgStoreConfig};
use tidegate_testing::contract::Stage;
use tidegate_testing::contract::engine_store::new_run;
use tidegate_testing::scope::{system_scope, workspace_scope};
use tidegate_testing::{Silence, TestDatabase, step_type, step_types};
use tidegate_workflows::compiled::{CURRENT_SEMANTICS, CompiledStep, CompiledWorkflow, RetryPolicy, StepId, StepIndex};
use tidegate_workflows::expression::ValueTemplate;
use tidegate_workflows::input::InputSchema;
use tidegate_workflows::run::ports::RunsTx;
use tidegate_workflows::run::{CompiledWorkflows, NewRun, RunStatus, Runs, StepError};
use tidegate_workflows::step::StepClass;

/// The same compiled workflow for every workflow id.
struct OneWorkflow(Arc<CompiledWorkflow>);

#[async_trait]
impl CompiledWorkflows for OneWorkflow {
    async fn compiled(
        &self,
        _: &WorkspaceScope,
        _: WorkflowId,
        _: i32,
    ) -> Result<Option<Arc<CompiledWorkflow>>, StoreError> {
        Ok(Some(self.0.clone()))
    }
}

fn chain(types: &[&str]) -> Arc<CompiledWorkflow> {
    let index = |i: usize| StepIndex(u16::try_from(i).unwrap());
    let with = |uses| match uses {
        "delay" => json!({"for": "300ms"}),
        _ => json!({"n": "${{ inputs.n + 1 }}"}),
    };
    let steps = types
        .iter()
        .enumerate()
        .map(|(i, uses)| CompiledStep {
            id: StepId::new(&format!("s{i}")).unwrap(),
            uses: step_type(uses),
            with: ValueTemplate::compile(&with(*uses)).unwrap(),
            needs: i.checked_sub(1).map(index).into_iter().collect(),
            dependents: (i + 1 < types.len()).then(|| index(i + 1)).into_iter().collect(),
            condition: None,
            retry: RetryPolicy { initial: Duration::from_millis(50), ..RetryPolicy::default() },
            timeout: Duration::from_secs(30),
        })
        .collect();
    Arc::new(CompiledWorkflow {
        semantics: CURRENT_SEMANTICS,
        name: "chain".to_owned(),
        inputs: Arc::new(InputSchema::compile(&InputSchema::open()).unwrap()),
        steps,
        outputs: ValueTemplate::compile(&json!({"n": "${{ inputs.n }}"})).unwrap(),
        concurrency: None,
    })
}

/// A handler that counts its calls, records their keys, and measures how many run at once.
#[derive(Default)]
pub(crate) struct Counting {
    calls: AtomicUsize,
    now: AtomicUsize,
    most: AtomicUsize,
    keys: Mutex<BTreeMap<String, usize>>,
    stuck: bool,
    fails_first: bool,
}

impl Counting {
    /// How often it was called.
    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl StepHandler for Counting {
    async fn execute(&self, task: &StepTask) -> Result<Value, StepError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        *self.keys.lock().unwrap().entry(task.idempotency_key.clone()).or_default() += 1;
        if self.stuck {
            std::future::pending::<()>().await;
        }
        tokio::task::yield_now().await;
        self.now.fetch_sub(1, Ordering::SeqCst);
        if self.fails_first && task.attempt == 1 {
            return Err(StepError::transient("first", "the first attempt fails"));
        }
        Ok(json!({"status": 200}))
    }
}

pub(crate) struct Fixture {
    pub(crate) database: TestDatabase,
    pub(crate) stage: Stage,
    compiled: Arc<CompiledWorkflow>,
}

impl Fixture {
    pub(crate) async fn new(types: &[&str]) -> Self {
        let database = TestDatabase::new().await;
        let stage = Stage::on(&database).await;
        Self { database, stage, compiled: chain(types) }
    }

    pub(crate) async fn tx(&self, workspace: WorkspaceId) -> Box<dyn RunsTx> {
        UnitOfWork::<dyn RunsTx>::begin(&*self.stage.store, &workspace_scope(workspace)).await.unwrap()
    }

    pub(crate) async fn new_workspace(&self) -> WorkspaceId {
        self.database.workspace(&self.stage.scene.env).await
    }

    pub(crate) async fn worker(&self, handler: Arc<Counting>) -> EngineHandle {
        self.worker_with(handler, self.stage.scene.env.clone(), Arc::new(NoQuota)).await
    }

    /// A worker that begins the attempts that the quota allows.
    pub(crate) async fn limited_worker(&self, handler: Arc<Counting>, quota: Arc<dyn Quota>) -> EngineHandle {
        self.worker_with(handler, self.stage.scene.env.clone(), quota).await
    }

    async fn worker_with(&self, handler: Arc<Counting>, env: Environment, quota: Arc<dyn Quota>) -> EngineHandle {
        let config = PgStoreConfig { max_connections: 3, ..PgStoreConfig::served(self.database.url()) };
        let store = tidegate_postgres::PgStore::connect(&config, env.clone()).await.unwrap();
        let handler: Arc<dyn StepHandler> = handler;
        let steps = step_types();
        let effects = steps.types().filter(|step| matches!(step.class, StepClass::Effect));
        let handlers = HandlerMap::bind(&steps, effects.map(|step| (step.name.clone(), handler.clone()))).unwrap();
        Engine::start(EngineParts {
            store: Arc::new(PgEngineStore::new(store)),
            workflows: Arc::new(OneWorkflow(self.compiled.clone())),
            handlers,
            bus: Arc::new(Silence),
            endings: RunEndings::default(),
            quota,
            shards: OwnedShards::default(),
            env,
            scope: system_scope(),
            config: EngineConfig {
                lease: Duration::from_millis(1500),
                heartbeat: Duration::from_millis(200),
                poll: Duration::from_millis(50),
                park_after: Duration::from_millis(100),
                drain: Duration::from_secs(5),
                ..EngineConfig::default()
            },
            continue_trace: |_, _| {},
        })
    }

    pub(crate) async fn start(&self, workspace: WorkspaceId, runs: usize, gate: Option<u32>) -> Vec<RunId> {
        let workflow = WorkflowId::from_uuid(workspace.as_uuid());
        let mut ids = Vec::new();
        for _ in 0..runs {
            let concurrency = gate.map(|limit| ("k".to_owned(), limit));
            let run = NewRun { concurrency, ..new_run(&self.stage.scene.env, workflow) };
            let mut tx = self.tx(workspace).await;
            tx.runs().add(&run).await.unwrap();
            tx.commit().await.unwrap();
            ids.push(run.id);
        }
        ids
    }

    /// Waits until every run has ended with `status`, and checks its history.
    pub(crate) async fn all_end(&self, workspace: WorkspaceId, runs: &[RunId], status: RunStatus) {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
        for id in runs {
            loop {
                let run = self.tx(workspace).await.runs().find(*id).await.unwrap().unwrap();
                if run.status.is_terminal() {
                    assert_eq!(run.status, status, "{:?}", run.error);
                    break;
                }
                assert!(tokio::time::Instant::now() < deadline, "{id} is still {}", run.status);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            let transitions = self.tx(workspace).await.runs().transitions(*id).await.unwrap();
            let mut seen = HashSet::new();
            for (n, record) in transitions.iter().enumerate() {
                assert_eq!(usize::try_from(record.seq).unwrap(), n);
                let transition = &record.transition;
                assert!(seen.insert((transition.kind(), transition.step(), transition.attempt())), "{transition:?}");
            }
        }
        for table in ["ready", "lease", "timer", "blocked", "gate_hold", "run_journal", "run_request", "run_quarantine"]
        {
            let sql = sqlx::AssertSqlSafe(format!("select count(*) from {table}"));
            let left: i64 = sqlx::query_scalar(sql).fetch_one(&mut self.database.admin().await).await.unwrap();
            assert_eq!(left, 0, "{table} keeps something of runs that have ended");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_of_several_workspaces_end() {
    let fixture = Fixture::new(&["transform", "http.request", "delay", "transform"]).await;
    let handler = Arc::new(Counting { fails_first: true, ..Counting::default() });
    let worker = fixture.worker(handler.clone()).await;
    let (a, b) = (fixture.new_workspace().await, fixture.new_workspace().await);
    let (of_a, of_b) = (fixture.start(a, 20, None).await, fixture.start(b, 5, None).await);
    // Waits for both before checking what is left of either.
    fixture.all_end_quietly(a, &of_a).await;
    fixture.all_end_quietly(b, &of_b).await;
    fixture.all_end(a, &of_a, RunStatus::Completed).await;
    fixture.all_end(b, &of_b, RunStatus::Completed).await;
    assert_eq!(handler.calls.load(Ordering::SeqCst), 50, "each step twice");
    let keys: HashSet<String> = handler.keys.lock().unwrap().keys().cloned().collect();
    assert_eq!(keys.len(), 25, "both attempts under one key");
    let run = fixture.tx(a).await.runs().find(of_a[0]).await.unwrap().unwrap();
    assert_eq!(run.outputs, json!({"n": 1}));
    worker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_is_never_exceeded() {
    let fixture = Fixture::new(&["http.request"]).await;
    let handler = Arc::new(Counting::default());
    let worker = fixture.worker(handler.clone()).await;
    let workspace = fixture.new_workspace().await;
    let runs = fixture.start(workspace, 40, Some(3)).await;
    fixture.all_end(workspace, &runs, RunStatus::Completed).await;
    let most = handler.most.load(Ordering::SeqCst);
    assert!((1..=3).contains(&most), "{most} at once");
    worker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_worker_finishes_what_a_dead_one_had_in_hand() {
    let fixture = Fixture::new(&["transform", "http.request", "delay", "http.request"]).await;
    let stuck = Arc::new(Counting { stuck: true, ..Counting::default() });
    let dead = fixture.worker(stuck.clone()).await;
    let workspace = fixture.new_workspace().await;
    let runs = fixture.start(workspace, 30, None).await;
    while stuck.calls.load(Ordering::SeqCst) < 30 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    dead.kill();
    let handler = Arc::new(Counting::default());
    let alive = fixture.worker(handler.clone()).await;
    fixture.all_end(workspace, &runs, RunStatus::Completed).await;
    let again: HashSet<String> = handler.keys.lock().unwrap().keys().cloned().collect();
    assert!(stuck.keys.lock().unwrap().keys().all(|key| again.contains(key)), "made again under the same key");
    alive.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_workers_share_and_one_hands_over_when_it_stops() {
    let fixture = Fixture::new(&["http.request", "http.request", "transform"]).await;
    let handler = Arc::new(Counting::default());
    let (first, second) = (fixture.worker(handler.clone()).await, fixture.worker(handler.clone()).await);
    let mut all = Vec::new();
    for _ in 0..8 {
        let workspace = fixture.new_workspace().await;
        all.push((workspace, fixture.start(workspace, 25, None).await));
    }
    first.shutdown().await;
    for (workspace, runs) in &all {
        fixture.all_end_quietly(*workspace, runs).await;
    }
    fixture.all_end(all[0].0, &all[0].1, RunStatus::Completed).await;
    assert_eq!(handler.calls.load(Ordering::SeqCst), 400, "a worker that stops finishes what it had begun");
    second.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_cancelled_wherever_it_is() {
    let fixture = Fixture::new(&["http.request"]).await;
    let stuck = Arc::new(Counting { stuck: true, ..Counting::default() });
    let worker = fixture.worker(stuck.clone()).await;
    let workspace = fixture.new_workspace().await;
    // One run that is being worked on, and two that wait for a gate.
    let runs = fixture.start(workspace, 3, Some(1)).await;
    while stuck.calls.load(Ordering::SeqCst) < 1 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let service =
        Runs::new(fixture.stage.store.clone(), step_types(), Arc::new(Silence), fixture.stage.scene.env.clone());
    for run in runs.iter().rev() {
        service.cancel(&workspace_scope(workspace), *run).await.unwrap();
    }
    fixture.all_end(workspace, &runs, RunStatus::Cancelled).await;
    worker.shutdown().await;
}

impl Fixture {
    pub(crate) async fn all_end_quietly(&self, workspace: WorkspaceId, runs: &[RunId]) {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
        for id in runs {
            while !self.tx(workspace).await.runs().find(*id).await.unwrap().unwrap().status.is_terminal() {
                assert!(tokio::time::Instant::now() < deadline, "{id} does not end");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
}
