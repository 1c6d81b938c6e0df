//! Workers start, crash and stop while runs are started and cancelled. Whatever happens, every run ends, every
//! transition is recorded once, and no limit is exceeded.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use rand::rngs::SmallRng;
use rand::seq::IteratorRandom;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use tidegate_engine::handlers::{HandlerMap, step_types};
use tidegate_engine::model::{Gate, RunKey, RunRequestKind};
use tidegate_engine::ports::{StepHandler, StepTask};
use tidegate_engine::{Engine, EngineConfig, EngineHandle, EngineParts, OwnedShards, RunEndings};
use tidegate_kernel::{
    Clock, Entropy, Environment, Received, RunId, ScopeIssuer, Signal, SignalBus, SignalStream, StoreError, Topic,
    WorkflowId, WorkspaceId, WorkspaceScope,
};
use tidegate_workflows::compiled::CompiledWorkflow;
use tidegate_workflows::definition::{Definition, Format};
use tidegate_workflows::run::{CompiledWorkflows, RunState, StepError, Transition};
use tidegate_workflows::step::StepClass;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::ration::Ration;
use crate::store::{MemoryStore, Weather};

/// A clock that shows simulated time.
struct Simulated(Instant);

impl Clock for Simulated {
    fn now(&self) -> DateTime<Utc> {
        let passed = TimeDelta::from_std(self.0.elapsed()).unwrap();
        DateTime::UNIX_EPOCH + TimeDelta::days(20_000) + passed
    }
}

struct Dice(std::sync::Mutex<SmallRng>);

impl Entropy for Dice {
    fn fill(&self, bytes: &mut [u8]) {
        self.0.lock().unwrap().fill(bytes);
    }
}

struct Silence;

impl SignalBus for Silence {
    fn publish(&self, _: Signal) {}
    fn subscribe(&self, _: &[Topic]) -> Box<dyn SignalStream> {
        Box::new(Silence)
    }
}

#[async_trait]
impl SignalStream for Silence {
    async fn next(&mut self) -> Option<Received> {
        std::future::pending().await
    }
}

struct CompiledVersions(HashMap<WorkflowId, Arc<CompiledWorkflow>>);

/// A workflow whose compilation panics.
pub(crate) const DEFECTIVE: WorkflowId = WorkflowId::from_uuid(Uuid::from_u128(666));

#[async_trait]
impl CompiledWorkflows for CompiledVersions {
    async fn compiled(
        &self,
        _: &WorkspaceScope,
        id: WorkflowId,
        _: i32,
    ) -> Result<Option<Arc<CompiledWorkflow>>, StoreError> {
        assert!(id != DEFECTIVE, "a defect of the compiler");
        Ok(self.0.get(&id).cloned())
    }
}

/// A handler with random latency and random failures.
struct Moody(std::sync::Mutex<SmallRng>);

#[async_trait]
impl StepHandler for Moody {
    async fn execute(&self, _: &StepTask) -> Result<Value, StepError> {
        let (millis, mood) = {
            let mut rng = self.0.lock().unwrap();
            (rng.random_range(0..400), rng.random_range(0..100))
        };
        sleep(Duration::from_millis(millis)).await;
        match mood {
            0..10 => Err(StepError::transient("moody", "not now")),
            10..12 => Err(StepError::permanent("moody", "never")),
            _ => Ok(json!({"status": 200})),
        }
    }
}

pub(crate) fn compiled(document: &[u8]) -> Arc<CompiledWorkflow> {
    Definition::compile(document, Format::Json, &step_types().unwrap()).expect("it is a workflow").compiled
}

fn random_plan(rng: &mut SmallRng) -> Arc<CompiledWorkflow> {
    let steps: Vec<Value> = (0..rng.random_range(1..8))
        .map(|i: usize| {
            let mut needs: Vec<String> = (0..i).filter(|_| rng.random_bool(0.4)).map(|n| format!("s{n}")).collect();
            needs.truncate(3);
            let (uses, with) = match rng.random_range(0..10) {
                0..4 => ("http.request", json!({"method": "GET", "url": "https://example.com/"})),
                4..6 => ("delay", json!({"for": format!("{}ms", rng.random_range(1..9_000))})),
                _ => ("transform", json!({"n": 1})),
            };
            let mut step = json!({"id": format!("s{i}"), "uses": uses, "needs": needs, "with": with});
            if uses == "http.request" {
                step["timeout"] = json!("300ms");
                step["retry"] = json!({"max_attempts": 3, "initial": "1s"});
            }
            step
        })
        .collect();
    let document = json!({"name": "random", "steps": steps}).to_string();
    compiled(document.as_bytes())
}

/// The times at which runs passed a gate (+1) or left it (-1).
type Changes = Vec<(DateTime<Utc>, i32)>;

pub(crate) struct Simulation {
    pub(crate) store: Arc<MemoryStore>,
    workflows: Arc<CompiledVersions>,
    rng: SmallRng,
    env: Environment,
    endings: RunEndings,
    ration: Arc<Ration>,
}

impl Simulation {
    fn new(seed: u64) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        let weather = Weather {
            failures: rng.random_range(0..40),
            panics: rng.random_range(0..20),
            slowest: Duration::from_millis(rng.random_range(1..400)),
        };
        let workflows = (1..6)
            .map(|n| (WorkflowId::from_uuid(Uuid::from_u128(n)), random_plan(&mut rng)))
            .collect::<HashMap<_, _>>();
        let dice = Dice(std::sync::Mutex::new(SmallRng::seed_from_u64(seed)));
        Self {
            store: Arc::new(MemoryStore::new(seed, weather)),
            workflows: Arc::new(CompiledVersions(workflows)),
            env: Environment::new(Arc::new(Simulated(Instant::now())), Arc::new(dice)),
            endings: RunEndings::default(),
            ration: Arc::new(Ration::new(seed)),
            rng,
        }
    }

    /// A simulation without failures, and with one workflow.
    pub(crate) fn calm(workflow: WorkflowId, compiled: Arc<CompiledWorkflow>) -> Self {
        let simulation = Self::new(7);
        simulation.store.clear_up();
        simulation.ration.clear_up();
        Self { workflows: Arc::new(CompiledVersions(HashMap::from([(workflow, compiled)]))), ..simulation }
    }

    /// Adds one more workflow.
    pub(crate) fn with(self, workflow: WorkflowId, compiled: Arc<CompiledWorkflow>) -> Self {
        let mut workflows = self.workflows.0.clone();
        workflows.insert(workflow, compiled);
        Self { workflows: Arc::new(CompiledVersions(workflows)), ..self }
    }

    fn worker(&mut self) -> EngineHandle {
        let config = EngineConfig { max_runs: 40, max_attempts: 10, batch: 15, ..EngineConfig::default() };
        self.worker_with(Arc::new(Silence), config)
    }

    #[expect(clippy::disallowed_methods, reason = "a test stands in for the composition root")]
    pub(crate) fn worker_with(&mut self, bus: Arc<dyn SignalBus>, config: EngineConfig) -> EngineHandle {
        let moods = SmallRng::seed_from_u64(self.rng.random());
        let moody: Arc<dyn StepHandler> = Arc::new(Moody(std::sync::Mutex::new(moods)));
        let steps = step_types().unwrap();
        let effects = steps.types().filter(|step| matches!(step.class, StepClass::Effect));
        let handlers = HandlerMap::bind(&steps, effects.map(|step| (step.name.clone(), moody.clone()))).unwrap();
        Engine::start(EngineParts {
            store: self.store.clone(),
            workflows: self.workflows.clone(),
            handlers,
            bus,
            endings: self.endings.clone(),
            quota: self.ration.clone(),
            shards: OwnedShards::default(),
            env: self.env.clone(),
            scope: ScopeIssuer::root().system("simulation"),
            config,
            continue_trace: |_, _| {},
        })
    }

    fn start_run(&mut self, n: u128) -> RunKey {
        let key = RunKey {
            workspace: WorkspaceId::from_uuid(Uuid::from_u128(self.rng.random_range(1..7))),
            run: RunId::from_uuid(Uuid::from_u128(n)),
        };
        let workflow = WorkflowId::from_uuid(Uuid::from_u128(self.rng.random_range(1..6)));
        let limit = (workflow.as_uuid().as_u128() <= 2).then(|| (Gate::workflow(workflow, "k"), 2));
        self.store.add(key, workflow, limit);
        key
    }

    /// Starts, crashes and stops workers while work arrives.
    async fn storm(&mut self, runs: u128) -> Vec<EngineHandle> {
        let mut workers = vec![self.worker()];
        let mut keys = Vec::new();
        let mut n = 0;
        while n < runs {
            match self.rng.random_range(0..100) {
                0..60 => {
                    n += 1;
                    keys.push(self.start_run(n));
                }
                60..66 => {
                    if let Some(key) = keys.iter().choose(&mut self.rng) {
                        self.store.cancel(*key);
                    }
                }
                66..68 => {
                    let gated = self.store.waiting_at_one_gate(&mut self.rng);
                    gated.iter().for_each(|key| self.store.cancel(*key));
                }
                68..69 => {
                    if let Some(key) = keys.iter().choose(&mut self.rng) {
                        self.store.refuse(*key);
                    }
                }
                69..72 if workers.len() < 3 => workers.push(self.worker()),
                72..75 => {
                    if let Some(worker) = workers.pop() {
                        worker.kill();
                    }
                }
                75..76 => {
                    if let Some(worker) = workers.pop() {
                        worker.shutdown().await;
                    }
                }
                _ => sleep(Duration::from_millis(self.rng.random_range(0..500))).await,
            }
        }
        workers
    }

    /// Waits until every run has ended or is in quarantine, and every request was answered.
    async fn settle(&self, seed: u64) {
        let deadline = Instant::now() + Duration::from_secs(600);
        while self.store.live() > 0 || !self.store.world.lock().unwrap().requests.is_empty() {
            assert!(Instant::now() < deadline, "seed {seed}: {}", self.store.describe());
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// Checks the invariants at the end.
    fn check(&self, seed: u64) {
        assert_eq!(self.store.leftovers(), 0, "seed {seed}: something is left of runs that have ended");
        let world = self.store.world.lock().unwrap();
        let mut moments: BTreeMap<(WorkspaceId, Gate), Changes> = BTreeMap::new();
        let mut begun: HashMap<WorkspaceId, i64> = HashMap::new();
        for (key, run) in &world.runs {
            let attempts = run.history.iter().filter(|record| record.transition.begins_attempt()).count();
            *begun.entry(key.workspace).or_default() += i64::try_from(attempts).unwrap();
            let compiled = &self.workflows.0[&run.workflow];
            let state = RunState::replay(compiled, &run.history).unwrap();
            assert_eq!(state.status(), run.status, "seed {seed}");
            // A run in quarantine has left its gate, but its history does not contain the time.
            if let Some((gate, _)) = run.concurrency.as_ref().filter(|_| !world.were_aside.contains(key)) {
                let changes = moments.entry((key.workspace, gate.clone())).or_default();
                if run.history[0].transition == Transition::RunStarted {
                    changes.push((run.history[0].at, 1));
                    changes.push((run.history.last().unwrap().at, -1));
                }
            }
        }
        for (workspace, begun) in begun {
            let reserved = self.ration.used(workspace);
            assert!(begun <= reserved, "seed {seed}: {begun} attempts began, and {reserved} were reserved");
        }
        for changes in moments.values_mut() {
            // At the same time, departures count before arrivals.
            changes.sort_unstable();
            let mut inside = 0;
            for (_, change) in changes {
                inside += *change;
                assert!(inside <= 2, "seed {seed}: {inside} runs behind a gate for 2");
            }
        }
    }
}

async fn simulate(seed: u64) {
    let mut simulation = Simulation::new(seed);
    let mut workers = simulation.storm(60).await;
    simulation.store.clear_up();
    simulation.ration.clear_up();
    workers.push(simulation.worker());
    simulation.settle(seed).await;
    let mut n = 0;
    simulation.store.release_all(|_| {
        n += 1;
        [RunRequestKind::Release, RunRequestKind::End, RunRequestKind::Cancel][n % 3]
    });
    simulation.settle(seed).await;
    for worker in workers {
        worker.shutdown().await;
    }
    simulation.check(seed);
}

#[tokio::test(start_paused = true)]
async fn whatever_happens_every_run_ends_once() {
    for seed in 0..40 {
        simulate(seed).await;
    }
}

/// Under load the owner claims rows above the last claimed one, but a transaction that commits late leaves its row
/// below.
#[tokio::test(start_paused = true)]
async fn a_ready_run_that_commits_late_is_claimed_under_load_too() {
    let workflow = WorkflowId::from_uuid(Uuid::from_u128(9));
    let document = br#"{"name": "short", "steps": [{"id": "a", "uses": "transform"}]}"#;
    let compiled = compiled(document);
    let mut simulation = Simulation::calm(workflow, compiled);
    let worker = simulation.worker();
    let workspace = WorkspaceId::from_uuid(Uuid::from_u128(1));
    let key = |n: u128| RunKey { workspace, run: RunId::from_uuid(Uuid::from_u128(n)) };
    let early = simulation.store.reserve();
    let (late, start, mut n) = (key(1), Instant::now(), 1);
    while start.elapsed() < Duration::from_secs(6) {
        while simulation.store.ready() < 200 {
            n += 1;
            simulation.store.add(key(n), workflow, None);
        }
        if start.elapsed() > Duration::from_secs(1) && !simulation.store.knows(late) {
            simulation.store.add_at(late, workflow, early);
        }
        sleep(Duration::from_millis(2)).await;
    }
    assert!(n > 2_000, "there was load: {n}");
    assert!(simulation.store.world.lock().unwrap().runs[&late].status.is_terminal(), "it starves");
    worker.shutdown().await;
}
