//! Obligations of the engine's store.

mod claiming;
mod committing;
mod owning;
mod quarantine;
mod world;

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use tidegate_engine::model::{
    After, ClaimRequest, ClaimedRun, Holdings, Outlook, RunCommit, RunKey, RunSummary, ShardId, Share, Tenure, WorkerId,
};
use tidegate_engine::ports::EngineStore;
use tidegate_kernel::{Environment, RunId, SystemScope, WorkflowId, WorkspaceId};
use tidegate_workflows::compiled::StepIndex;
use tidegate_workflows::run::ports::QuarantineDirectory;
use tidegate_workflows::run::{NewRun, RunStatus, Transition, TransitionRecord};
use uuid::Uuid;

use super::stage::subject;
use crate::scope::{system_scope, workspace_scope};

pub use claiming::*;
pub use committing::*;
pub use owning::*;
pub use quarantine::*;
pub use world::EngineWorld;

subject! {
    about {
        /// The store.
        engine: dyn EngineStore = engine,
        /// Lists the runs in quarantine for operators.
        quarantine: dyn QuarantineDirectory = store,
    }
    beside {
        /// Starts runs, and reads and requests what callers do.
        world: dyn EngineWorld = store,
    }
}

impl Subject {
    /// Adds a run, which is ready.
    async fn run(&self, workspace: WorkspaceId, concurrency: Option<(&str, u32)>) -> RunKey {
        let workflow = WorkflowId::from_uuid(workspace.as_uuid());
        let concurrency = concurrency.map(|(key, limit)| (key.to_owned(), limit));
        let run = NewRun { concurrency, ..new_run(&self.env, workflow) };
        self.world.add(&workspace_scope(workspace), &run).await;
        RunKey { workspace, run: run.id }
    }

    /// Requests the cancellation of a run.
    async fn cancel(&self, key: RunKey) {
        self.world.cancel(key, self.env.now()).await;
    }

    /// The status of the run for callers.
    async fn status(&self, key: RunKey) -> RunStatus {
        self.world.status(key).await
    }

    /// The names of the transitions of a run.
    async fn history(&self, key: RunKey) -> Vec<String> {
        self.world.history(key).await.iter().map(|record| record.transition.kind().to_owned()).collect()
    }

    /// The number of runs and steps that a workspace has used in the month of [`at`].
    async fn used(&self, workspace: WorkspaceId) -> [i64; 2] {
        self.world.used(workspace, at(0)).await
    }
}

/// A new run that waits for the engine.
#[must_use]
pub fn new_run(env: &Environment, workflow: WorkflowId) -> NewRun {
    NewRun {
        id: RunId::generate(env),
        workflow,
        version: 1,
        trigger: json!({"kind": "api"}),
        event: Value::Null,
        input: json!({"n": 1}),
        dedupe_key: None,
        depth: 0,
        concurrency: None,
        created_at: env.now(),
    }
}

const TTL: Duration = Duration::from_secs(60);
/// The duration of a lease that expires at once.
const INSTANT: Duration = Duration::ZERO;

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::seconds(1_700_000_000 + seconds)
}

fn worker(n: u128) -> WorkerId {
    WorkerId(Uuid::from_u128(n))
}

/// A worker in a test, with its shards.
struct TestWorker<'a> {
    subject: &'a Subject,
    scope: SystemScope,
    id: WorkerId,
    tenures: Vec<Tenure>,
}

impl<'a> TestWorker<'a> {
    async fn holding(subject: &'a Subject, n: u128, ttl: Duration) -> Self {
        let mut this = Self { subject, scope: system_scope(), id: worker(n), tenures: Vec::new() };
        this.hold(ttl).await;
        this
    }

    async fn hold(&mut self, ttl: Duration) -> Holdings {
        let held = self.subject.engine.hold(&self.scope, self.id, &self.tenures, ttl).await.expect("shards are held");
        self.tenures = held.tenures.clone();
        held
    }

    /// The work in all its shards for the two workspaces, with timers from `timers_after` on and before `until`.
    async fn look(&self, timers_after: Option<DateTime<Utc>>, until: DateTime<Utc>) -> Outlook {
        let shards: Vec<ShardId> = self.tenures.iter().map(|tenure| tenure.shard).collect();
        let mut outlook = self.subject.engine.look(&self.scope, &shards, timers_after, until).await.expect("looks");
        outlook.ready.retain(|ready| self.subject.knows(ready.workspace));
        outlook.timers.retain(|timer| self.subject.knows(timer.key.workspace));
        outlook.requests.retain(|request| self.subject.knows(request.key.workspace));
        outlook
    }

    async fn shard_of(&self, workspace: WorkspaceId) -> ShardId {
        let outlook = self.look(None, at(0)).await;
        outlook.ready.iter().find(|ready| ready.workspace == workspace).expect("the workspace has work").shard
    }

    async fn claim(&self, shares: Vec<Share>, runs: Vec<(ShardId, RunKey)>) -> Vec<ClaimedRun> {
        let request = ClaimRequest { tenures: self.tenures.clone(), shares, runs };
        self.subject.engine.claim(&self.scope, self.id, &request).await.expect("claims").runs
    }

    /// Claims up to `quantum` ready runs of a workspace.
    async fn take(&self, workspace: WorkspaceId, quantum: u32) -> Vec<ClaimedRun> {
        let shard = self.shard_of(workspace).await;
        self.claim(vec![Share { shard, workspace, bound: 0, quantum }], Vec::new()).await
    }

    async fn commit(&self, batch: &[RunCommit]) -> Vec<RunKey> {
        self.subject.engine.commit(&self.scope, self.id, batch).await.expect("commits").won
    }
}

fn record(seq: u32, transition: Transition) -> TransitionRecord {
    TransitionRecord { seq, at: at(i64::from(seq)), transition }
}

fn completed(seq: u32) -> TransitionRecord {
    let output = json!({"nul": "\0"});
    record(seq, Transition::StepCompleted { step: StepIndex(0), attempt: 1, input: None, output, at_once: true })
}

fn ended(seq: u32) -> TransitionRecord {
    record(seq, Transition::RunEnded { status: RunStatus::Completed, outputs: json!({"a": 1}), error: None })
}

/// A commit of these transitions for a claimed run, which continues.
fn step(run: &ClaimedRun, from_seq: u32, records: Vec<TransitionRecord>) -> RunCommit {
    RunCommit {
        tenure: run.tenure,
        key: run.key,
        from_seq,
        records,
        after: After::Keep,
        summary: Some(summary(RunStatus::Running)),
        timers: Vec::new(),
        cleared: Vec::new(),
        requests: Vec::new(),
        passed: Vec::new(),
        left: Vec::new(),
    }
}

fn summary(status: RunStatus) -> RunSummary {
    let finished_at = status.is_terminal().then(|| at(9));
    RunSummary { status, started_at: Some(at(0)), finished_at, outputs: None, error: None }
}

/// A commit that ends a run whose history has `from_seq` transitions.
fn end(run: &ClaimedRun, from_seq: u32) -> RunCommit {
    let summary = Some(summary(RunStatus::Completed));
    RunCommit { after: After::End, summary, ..step(run, from_seq, vec![ended(from_seq)]) }
}

/// A commit that begins and ends a run.
fn whole(run: &ClaimedRun) -> RunCommit {
    let records = vec![record(0, Transition::RunStarted), completed(1), ended(2)];
    RunCommit { after: After::End, summary: Some(summary(RunStatus::Completed)), ..step(run, 0, records) }
}
