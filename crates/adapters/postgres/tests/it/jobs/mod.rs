//! The job runner on a real PostgreSQL, beside the engine's worker, which owns the shards.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a helper that fails is a test that fails")]

mod refusing;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use tidegate_engine::handlers::HandlerMap;
use tidegate_engine::jobs::{
    JobError, JobHandler, JobKinds, JobOptions, JobRunnerConfig, JobRunnerParts, JobStore, JobTask, JobsTx, run_jobs,
};
use tidegate_engine::{Engine, EngineConfig, EngineHandle, EngineParts, OwnedShards, RunEndings};
use tidegate_in_process::InProcessSignalBus;
use tidegate_kernel::{JobId, JobPayload, JobStatus, NewJob, NoQuota, TraceContext, UnitOfWork, WorkspaceId};
use tidegate_postgres::{PgEngineStore, PgStore, PgStoreConfig};
use tidegate_testing::TestDatabase;
use tidegate_testing::contract::Stage;
use tidegate_testing::scope::{system_scope, workspace_scope};
use tidegate_workflows::compiled::RetryPolicy;
use tidegate_workflows::run::NoWorkflows;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// What a job does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Deed {
    Succeed,
    FailOnce,
    Refuse,
    Panic,
    /// Waits for a permit.
    Wait,
    Hang,
}

impl JobPayload for Deed {
    const KIND: &'static str = "test.deed";
}

#[derive(Debug, Serialize, Deserialize)]
struct Tick {}

impl JobPayload for Tick {
    const KIND: &'static str = "test.tick";
}

#[derive(Debug, Serialize, Deserialize)]
struct Unknown {}

impl JobPayload for Unknown {
    const KIND: &'static str = "test.unknown";
}

/// Executes jobs and records them.
#[derive(Clone)]
struct Doer {
    permits: Arc<Semaphore>,
    attempts: Arc<Mutex<BTreeMap<JobId, Vec<u32>>>>,
    now: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

impl Default for Doer {
    fn default() -> Self {
        let permits = Arc::new(Semaphore::new(0));
        Self { permits, attempts: Arc::default(), now: Arc::default(), most: Arc::default() }
    }
}

impl Doer {
    fn attempts(&self, job: JobId) -> Vec<u32> {
        self.attempts.lock().unwrap().get(&job).cloned().unwrap_or_default()
    }

    async fn act(&self, task: &JobTask, deed: Deed) -> Result<(), JobError> {
        match deed {
            Deed::FailOnce if task.attempt == 1 => Err(JobError::Transient("the first attempt fails\0".to_owned())),
            Deed::Succeed | Deed::FailOnce => Ok(()),
            Deed::Refuse => Err(JobError::Permanent("never".to_owned())),
            Deed::Panic => panic!("a defect"),
            Deed::Wait => self
                .permits
                .acquire()
                .await
                .map(SemaphorePermit::forget)
                .map_err(|error| JobError::Permanent(error.to_string())),
            Deed::Hang => std::future::pending().await,
        }
    }
}

#[async_trait]
impl JobHandler<Deed> for Doer {
    async fn run(&self, task: &JobTask, deed: Deed) -> Result<(), JobError> {
        self.attempts.lock().unwrap().entry(task.id).or_default().push(task.attempt);
        self.most.fetch_max(self.now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        let result = self.act(task, deed).await;
        self.now.fetch_sub(1, Ordering::SeqCst);
        result
    }
}

#[async_trait]
impl JobHandler<Tick> for Doer {
    async fn run(&self, task: &JobTask, _: Tick) -> Result<(), JobError> {
        assert!(task.workspace.is_none(), "it is the installation's");
        self.attempts.lock().unwrap().entry(task.id).or_default().push(task.attempt);
        Ok(())
    }
}

fn options(concurrency: usize) -> JobOptions {
    let retry = RetryPolicy { initial: Duration::from_millis(20), ..RetryPolicy::default() };
    JobOptions { retry, timeout: Duration::from_secs(60), concurrency }
}

fn kinds(doer: &Doer, options: JobOptions) -> JobKinds {
    JobKinds::default().register::<Deed>(options, doer.clone()).unwrap()
}

struct Fixture {
    database: TestDatabase,
    stage: Stage,
    bus: Arc<InProcessSignalBus>,
    store: PgStore,
}

/// A process that runs jobs.
struct Process {
    engine: EngineHandle,
    stop: CancellationToken,
    runner: JoinHandle<()>,
}

impl Process {
    async fn shutdown(self) {
        self.stop.cancel();
        self.engine.shutdown().await;
        self.runner.await.unwrap();
    }

    fn kill(self) {
        self.engine.kill();
        self.runner.abort();
    }
}

impl Fixture {
    async fn new() -> Self {
        let database = TestDatabase::new().await;
        let stage = Stage::on(&database).await;
        let bus = Arc::new(InProcessSignalBus::new());
        let store = database.store(stage.scene.env.clone()).await.announcing(bus.clone());
        Self { database, stage, bus, store }
    }

    async fn process(&self, kinds: JobKinds) -> Process {
        let store = Arc::new(self.engine_store().await);
        self.process_on(store.clone(), store, kinds, Duration::from_millis(20))
    }

    async fn engine_store(&self) -> PgEngineStore {
        let config = PgStoreConfig { max_connections: 3, ..PgStoreConfig::served(self.database.url()) };
        PgEngineStore::new(PgStore::connect(&config, self.stage.scene.env.clone()).await.unwrap())
    }

    fn process_on(
        &self,
        engine: Arc<PgEngineStore>,
        store: Arc<dyn JobStore>,
        kinds: JobKinds,
        poll: Duration,
    ) -> Process {
        let (env, shards) = (self.stage.scene.env.clone(), OwnedShards::default());
        let engine = Engine::start(EngineParts {
            store: engine,
            workflows: Arc::new(NoWorkflows),
            handlers: HandlerMap::default(),
            bus: self.bus.clone(),
            endings: RunEndings::default(),
            quota: Arc::new(NoQuota),
            shards: shards.clone(),
            continue_trace: |_, _| {},
            env: env.clone(),
            scope: system_scope(),
            config: EngineConfig {
                lease: Duration::from_millis(1500),
                heartbeat: Duration::from_millis(200),
                ..EngineConfig::default()
            },
        });
        let config = JobRunnerConfig { poll, idle_poll: poll, ..JobRunnerConfig::default() };
        let stop = CancellationToken::new();
        let bus = self.bus.clone();
        let continue_trace = |_: &tracing::Span, _: &TraceContext| {};
        let scope = system_scope();
        let parts = JobRunnerParts { store, kinds, shards, bus, continue_trace, env, scope, config };
        let runner = tokio::spawn(run_jobs(parts, stop.clone()));
        Process { engine, stop, runner }
    }

    async fn enqueue(&self, workspace: WorkspaceId, job: NewJob) -> JobId {
        let mut tx = self.tx(workspace).await;
        let id = tx.jobs().enqueue(&job).await.unwrap().id();
        tx.commit().await.unwrap();
        id
    }

    async fn deed(&self, workspace: WorkspaceId, deed: Deed) -> JobId {
        self.enqueue(workspace, NewJob::new(&deed).unwrap()).await
    }

    async fn tx(&self, workspace: WorkspaceId) -> Box<dyn JobsTx> {
        UnitOfWork::<dyn JobsTx>::begin(&self.store, &workspace_scope(workspace)).await.unwrap()
    }

    async fn status(&self, workspace: WorkspaceId, job: JobId) -> Option<JobStatus> {
        self.tx(workspace).await.queue().find(job).await.unwrap().map(|job| job.status)
    }

    async fn becomes(&self, workspace: WorkspaceId, job: JobId, status: Option<JobStatus>) {
        until(async || self.status(workspace, job).await == status).await;
    }
}

async fn until(is_so: impl AsyncFn() -> bool) {
    let waiting = async {
        while !is_so().await {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(60), waiting).await.expect("what is waited for comes");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_job_ends_as_it_should_and_holds_up_no_other() {
    let fixture = Fixture::new().await;
    let (ours, doer) = (fixture.stage.scene.ours, Doer::default());
    let mut jobs = Vec::new();
    for deed in [Deed::Panic, Deed::Refuse, Deed::Hang, Deed::FailOnce, Deed::Succeed] {
        jobs.push(fixture.deed(ours, deed).await);
    }
    let garbled = NewJob { payload: b"\"Fly\"".to_vec(), ..NewJob::new(&Deed::Succeed).unwrap() };
    let garbled = fixture.enqueue(ours, garbled).await;
    let unknown = fixture.enqueue(ours, NewJob::new(&Unknown {}).unwrap()).await;
    let mut options = JobOptions { timeout: Duration::from_millis(200), ..options(8) };
    options.retry.max_attempts = 2;
    let process = fixture.process(kinds(&doer, options)).await;
    for (job, status) in jobs.iter().zip([Some(JobStatus::Dead); 3].into_iter().chain([None, None])) {
        fixture.becomes(ours, *job, status).await;
    }
    fixture.becomes(ours, garbled, Some(JobStatus::Dead)).await;
    assert_eq!(fixture.status(ours, unknown).await, Some(JobStatus::Ready), "it waits for who knows it");
    let attempts: Vec<_> = jobs.iter().map(|job| doer.attempts(*job)).collect();
    assert_eq!(attempts, [vec![1], vec![1], vec![1, 2], vec![1, 2], vec![1]]);
    let mut errors = Vec::new();
    for job in [jobs[0], jobs[1], jobs[2], garbled] {
        errors.push(fixture.tx(ours).await.queue().find(job).await.unwrap().unwrap().last_error.unwrap());
    }
    for (error, expected) in errors.iter().zip(["a defect", "never", "longer than 200ms", "the payload cannot be read"])
    {
        assert!(error.contains(expected), "{error}");
    }
    process.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_leaves_room_for_another_workspaces_single_job() {
    let fixture = Fixture::new().await;
    let doer = Doer::default();
    let (flooded, other) = (fixture.stage.scene.ours, fixture.stage.scene.theirs);
    let mut flood = Vec::new();
    for _ in 0..12 {
        flood.push(fixture.deed(flooded, Deed::Wait).await);
    }
    let process = fixture.process(kinds(&doer, options(4))).await;
    until(async || doer.now.load(Ordering::SeqCst) == 3).await;
    let single = fixture.deed(other, Deed::Succeed).await;
    fixture.becomes(other, single, None).await;
    doer.permits.add_permits(12);
    for job in flood {
        fixture.becomes(flooded, job, None).await;
    }
    assert!(doer.most.load(Ordering::SeqCst) <= 4);
    process.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_starts_when_its_cause_commits_and_not_at_the_next_look() {
    let fixture = Fixture::new().await;
    let (ours, doer) = (fixture.stage.scene.ours, Doer::default());
    let store = Arc::new(fixture.engine_store().await);
    let process = fixture.process_on(store.clone(), store, kinds(&doer, options(4)), Duration::from_secs(3_600));
    let mut owned: i64 = 0;
    while owned == 0 {
        let sql = "select count(*) from shard where owner is not null";
        owned = sqlx::query_scalar(sql).fetch_one(&mut fixture.database.admin().await).await.unwrap();
        sleep(Duration::from_millis(10)).await;
    }
    for _ in 0..3 {
        let job = fixture.deed(ours, Deed::Succeed).await;
        fixture.becomes(ours, job, None).await;
    }
    let soon = fixture.stage.scene.env.now() + TimeDelta::milliseconds(300);
    let later = fixture.enqueue(ours, NewJob::new(&Deed::Succeed).unwrap().at(soon)).await;
    fixture.becomes(ours, later, None).await;
    assert!(fixture.stage.scene.env.now() >= soon, "not before its time");
    process.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_hand_ends_before_the_shards_are_given_back() {
    let fixture = Fixture::new().await;
    let (ours, doer) = (fixture.stage.scene.ours, Doer::default());
    let job = fixture.deed(ours, Deed::Wait).await;
    let process = fixture.process(kinds(&doer, options(4))).await;
    until(async || !doer.attempts(job).is_empty()).await;
    let late = fixture.deed(ours, Deed::Succeed).await;
    fixture.becomes(ours, late, None).await;
    let stopping = tokio::spawn(process.shutdown());
    doer.permits.add_permits(1);
    stopping.await.unwrap();
    assert_eq!(fixture.status(ours, job).await, None);
    assert_eq!(doer.attempts(job), [1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_process_does_what_a_dead_one_had_in_hand() {
    let fixture = Fixture::new().await;
    let (ours, doer) = (fixture.stage.scene.ours, Doer::default());
    let job = fixture.deed(ours, Deed::Wait).await;
    let process = fixture.process(kinds(&doer, options(4))).await;
    until(async || !doer.attempts(job).is_empty()).await;
    process.kill();
    let next = fixture.process(kinds(&doer, options(4))).await;
    until(async || doer.attempts(job).len() == 2).await;
    doer.permits.add_permits(2);
    fixture.becomes(ours, job, None).await;
    assert_eq!(doer.attempts(job), [1, 2], "the lost attempt counts");
    next.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_ends_every_process_is_given_up() {
    let fixture = Fixture::new().await;
    let (ours, doer) = (fixture.stage.scene.ours, Doer::default());
    let job = fixture.deed(ours, Deed::Hang).await;
    let mut options = options(4);
    options.retry.max_attempts = 2;
    for n in 1..=2 {
        let process = fixture.process(kinds(&doer, options)).await;
        until(async || doer.attempts(job).len() == n).await;
        process.kill();
    }
    let process = fixture.process(kinds(&doer, options)).await;
    fixture.becomes(ours, job, Some(JobStatus::Dead)).await;
    assert_eq!(doer.attempts(job), [1, 2]);
    process.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recurring_job_comes_once_for_all_processes() {
    let fixture = Fixture::new().await;
    let doer = Doer::default();
    let recurring = || JobKinds::default().register_recurring("0 * * * *", &Tick {}, options(2), doer.clone()).unwrap();
    let (one, other) = (fixture.process(recurring()).await, fixture.process(recurring()).await);
    let ticks = async || doer.attempts.lock().unwrap().len();
    let planned = async || {
        let sql = "select next_at from job_schedule";
        let next = sqlx::query_scalar(sql).fetch_optional(&mut fixture.database.admin().await).await;
        next.unwrap().unwrap_or(DateTime::<Utc>::MIN_UTC)
    };
    for n in 1..=2 {
        // Both processes look for work when a process starts, since that moves shards.
        let now = fixture.stage.scene.env.now();
        until(async || planned().await > now).await;
        fixture.stage.scene.clock.advance(TimeDelta::hours(1));
        let third = fixture.process(recurring()).await;
        until(async || ticks().await == n).await;
        third.shutdown().await;
    }
    assert_eq!(ticks().await, 2);
    one.shutdown().await;
    other.shutdown().await;
}
