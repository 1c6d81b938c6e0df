//! Background jobs in a program that embeds the engine: how many empty jobs are drained a second, and how soon a single
//! one begins after its transaction has committed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use sqlx::{Executor, PgConnection};
use tidegate_engine::handlers::HandlerMap;
use tidegate_engine::jobs::{
    JobError, JobHandler, JobKinds, JobOptions, JobRunnerConfig, JobRunnerParts, JobTask, JobsTx, run_jobs,
};
use tidegate_engine::{Engine, EngineConfig, EngineHandle, EngineParts, OwnedShards, RunEndings};
use tidegate_kernel::{JobPayload, NewJob, NoQuota, UnitOfWork};
use tidegate_postgres::PgEngineStore;
use tidegate_workflows::run::NoWorkflows;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::embedding::Embedding;
use crate::failure::Failure;
use crate::measure::{Latencies, Metric, Report, per_second};
use crate::{Setting, prepare};

/// Workspaces that have jobs.
const WORKSPACES: u128 = 20;
/// Jobs that are enqueued one at a time in each round.
const SINGLE: usize = 200;
/// Jobs that are enqueued in one transaction.
const ENQUEUED: usize = 500;

#[derive(Serialize, Deserialize)]
struct Nothing {}

impl JobPayload for Nothing {
    const KIND: &'static str = "bench.nothing";
}

/// A handler that counts jobs, and sends the time at which each began.
#[derive(Clone)]
struct Counting {
    done: Arc<AtomicUsize>,
    begun: mpsc::UnboundedSender<Instant>,
}

#[async_trait]
impl JobHandler<Nothing> for Counting {
    async fn run(&self, _: &JobTask, _: Nothing) -> Result<(), JobError> {
        // There is no receiver while many are drained.
        let _ = self.begun.send(Instant::now());
        self.done.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

struct Working {
    engine: EngineHandle,
    stop: CancellationToken,
    runner: JoinHandle<()>,
}

impl Embedding {
    /// Starts an engine that owns all shards and does jobs.
    fn work(&self, handler: Counting) -> Result<Working, Failure> {
        let options = JobOptions { concurrency: 1_000, ..JobOptions::default() };
        let kinds = JobKinds::default().register::<Nothing>(options, handler)?;
        let (store, shards) = (Arc::new(PgEngineStore::new(self.store.clone())), OwnedShards::default());
        let engine = Engine::start(EngineParts {
            store: store.clone(),
            workflows: Arc::new(NoWorkflows),
            handlers: HandlerMap::default(),
            bus: self.bus.clone(),
            endings: RunEndings::default(),
            quota: Arc::new(NoQuota),
            shards: shards.clone(),
            continue_trace: |_, _| {},
            env: self.env.clone(),
            scope: self.issuer.system("a benchmark"),
            config: EngineConfig::default(),
        });
        let stop = CancellationToken::new();
        let parts = JobRunnerParts {
            store,
            kinds,
            shards,
            bus: self.bus.clone(),
            continue_trace: |_, _| {},
            env: self.env.clone(),
            scope: self.issuer.system("a benchmark"),
            config: JobRunnerConfig::default(),
        };
        Ok(Working { engine, runner: tokio::spawn(run_jobs(parts, stop.clone())), stop })
    }

    async fn enqueue(&self, workspace: u128, jobs: usize) -> Result<(), Failure> {
        let scope = self.scope(workspace)?;
        let mut tx = UnitOfWork::<dyn JobsTx>::begin(&self.store, &scope).await?;
        let job = NewJob::new(&Nothing {})?;
        for _ in 0..jobs {
            tx.jobs().enqueue(&job).await?;
        }
        Ok(tx.commit().await?)
    }
}

/// Runs the benchmark.
pub(crate) async fn run(setting: &Setting, login: &str, jobs: usize) -> Result<Report, Failure> {
    let fixture = Embedding::open(login).await?;
    let mut admin = prepare::admin(setting).await?;
    let (mut rates, mut bare, mut p50, mut p99) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..setting.rounds {
        for batch in 0..jobs / ENQUEUED {
            fixture.enqueue(batch as u128 % WORKSPACES, ENQUEUED).await?;
        }
        let (begun, mut heard) = mpsc::unbounded_channel();
        let counting = Counting { done: Arc::default(), begun };
        let working = fixture.work(counting.clone())?;
        let first = heard.recv().await.ok_or_else(|| Failure::new("no job began"))?;
        let last = drained(&mut admin).await?;
        if counting.done.load(Ordering::Relaxed) != jobs / ENQUEUED * ENQUEUED {
            return Err(Failure::new("a job was not done, or more than once"));
        }
        rates.push(per_second(jobs, last - first));
        while heard.try_recv().is_ok() {}
        let mut latencies = Latencies::default();
        for n in 0..SINGLE {
            fixture.enqueue(n as u128 % WORKSPACES, 1).await?;
            let committed = Instant::now();
            let begun = heard.recv().await.ok_or_else(|| Failure::new("no job began"))?;
            latencies.add(begun.saturating_duration_since(committed));
            // The next job begins while everything is idle.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        p50.push(latencies.percentile(50));
        p99.push(latencies.percentile(99));
        working.stop.cancel();
        working.engine.shutdown().await;
        working.runner.await?;
        bare.push(bare_rate(&mut admin, jobs).await?);
    }
    Ok(Report {
        bench: "jobs",
        setting: format!("{jobs} jobs of {WORKSPACES} workspaces that do nothing, then {SINGLE} one at a time"),
        metrics: vec![
            Metric::share("jobs, share", &rates, &bare),
            Metric::new("jobs", "/s", rates).beside(&bare).at_least(10_000.0),
            Metric::new("start, p50", "ms", p50).below(3.0),
            Metric::new("start, p99", "ms", p99),
        ],
    })
}

/// Waits until no job is left.
async fn drained(admin: &mut PgConnection) -> Result<Instant, Failure> {
    let began = Instant::now();
    loop {
        let left: bool = sqlx::query_scalar("select exists (select from job)").fetch_one(&mut *admin).await?;
        if !left {
            return Ok(Instant::now());
        }
        if began.elapsed() > Duration::from_secs(600) {
            return Err(Failure::new("not every job was done"));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The usual queue in one table: each transaction deletes the oldest 500 rows that are not locked.
async fn bare_rate(admin: &mut PgConnection, jobs: usize) -> Result<f64, Failure> {
    admin
        .execute(
            "drop schema if exists bare cascade; create schema bare;
             create table bare.queue (id bigint generated always as identity primary key, kind text, payload bytea)",
        )
        .await?;
    sqlx::query("insert into bare.queue (kind, payload) select 'bench.nothing', '{}' from generate_series(1, $1)")
        .bind(i64::try_from(jobs)?)
        .execute(&mut *admin)
        .await?;
    let statement = "delete from bare.queue where id = any (array(
        select id from bare.queue order by id limit 500 for update skip locked)) returning payload";
    let began = Instant::now();
    while !sqlx::query(statement).fetch_all(&mut *admin).await?.is_empty() {}
    Ok(per_second(jobs, began.elapsed()))
}
