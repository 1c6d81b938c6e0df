//! What every store of the engine has to hold.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use tidegate_engine::model::{
    After, ClaimRequest, ClaimedRun, Departure, Gate, Holdings, RunCommit, RunFace, RunKey, ShardId, Share, Tenure,
    Timer, WorkerId,
};
use tidegate_engine::ports::EngineStore;
use tidegate_kernel::{SystemScope, WorkspaceId};
use tidegate_workflows::plan::StepIndex;
use tidegate_workflows::run::{RunStatus, Transition, TransitionRecord};
use uuid::Uuid;

use crate::scope::system_scope;

/// What a suite needs beside the port itself.
#[async_trait]
pub trait EngineStoreHarness: Send + Sync {
    /// The store.
    fn store(&self) -> &dyn EngineStore;
    /// A new workspace.
    async fn workspace(&self) -> WorkspaceId;
    /// A new run, ready.
    async fn run(&self, workspace: WorkspaceId, concurrency: Option<(&str, u32)>) -> RunKey;
    /// Asks for the end of a run.
    async fn cancel(&self, key: RunKey);
    /// How callers see the run.
    async fn status(&self, key: RunKey) -> RunStatus;
    /// The names of its transitions.
    async fn history(&self, key: RunKey) -> Vec<String>;
    /// What a workspace has used of a meter.
    async fn used(&self, workspace: WorkspaceId, meter: &str) -> i64;
}

const TTL: Duration = Duration::from_secs(60);
/// A lease that ends with the moment in which it is given.
const INSTANT: Duration = Duration::ZERO;

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::seconds(1_700_000_000 + seconds)
}

fn worker(n: u128) -> WorkerId {
    WorkerId(Uuid::from_u128(n))
}

/// A worker of a test, with its shards.
struct Hand<'a> {
    harness: &'a dyn EngineStoreHarness,
    scope: SystemScope,
    id: WorkerId,
    tenures: Vec<Tenure>,
}

impl<'a> Hand<'a> {
    async fn holding(harness: &'a dyn EngineStoreHarness, n: u128, ttl: Duration) -> Self {
        let mut hand = Self { harness, scope: system_scope(), id: worker(n), tenures: Vec::new() };
        hand.hold(ttl).await;
        hand
    }

    async fn hold(&mut self, ttl: Duration) -> Holdings {
        let held = self.harness.store().hold(&self.scope, self.id, &self.tenures, ttl).await.expect("shards are held");
        self.tenures = held.tenures.clone();
        held
    }

    async fn shard_of(&self, workspace: WorkspaceId) -> ShardId {
        let shards: Vec<ShardId> = self.tenures.iter().map(|tenure| tenure.shard).collect();
        let outlook = self.harness.store().look(&self.scope, &shards, None, at(0)).await.expect("looks");
        outlook.ready.iter().find(|ready| ready.workspace == workspace).expect("the workspace has work").shard
    }

    async fn claim(&self, shares: Vec<Share>, runs: Vec<(ShardId, RunKey)>) -> Vec<ClaimedRun> {
        let request = ClaimRequest { tenures: self.tenures.clone(), shares, runs };
        self.harness.store().claim(&self.scope, self.id, &request).await.expect("claims")
    }

    /// Claims up to `quantum` ready runs of a workspace.
    async fn take(&self, workspace: WorkspaceId, quantum: u32) -> Vec<ClaimedRun> {
        let shard = self.shard_of(workspace).await;
        self.claim(vec![Share { shard, workspace, bound: 0, quantum }], Vec::new()).await
    }

    async fn commit(&self, batch: &[RunCommit]) -> Vec<RunKey> {
        self.harness.store().commit(&self.scope, self.id, batch).await.expect("commits").won
    }
}

fn record(seq: u32, transition: Transition) -> TransitionRecord {
    TransitionRecord { seq, at: at(i64::from(seq)), transition }
}

fn completed(seq: u32) -> TransitionRecord {
    record(seq, Transition::StepCompleted { step: StepIndex(0), attempt: 1, input: None, output: json!({"nul": "\0"}) })
}

fn ended(seq: u32) -> TransitionRecord {
    record(seq, Transition::RunEnded { status: RunStatus::Completed, outputs: json!({"a": 1}), error: None })
}

/// A commit of these transitions for a claimed run, which goes on.
fn step(run: &ClaimedRun, from_seq: u32, records: Vec<TransitionRecord>) -> RunCommit {
    RunCommit {
        tenure: run.tenure,
        key: run.key,
        from_seq,
        records,
        after: After::Keep,
        face: Some(face(RunStatus::Running)),
        timers: Vec::new(),
        cleared: Vec::new(),
        signals: Vec::new(),
        passed: Vec::new(),
        left: Vec::new(),
    }
}

fn face(status: RunStatus) -> RunFace {
    let finished_at = status.is_terminal().then(|| at(9));
    RunFace { status, started_at: Some(at(0)), finished_at, outputs: None, error: None }
}

/// A commit that begins and ends a run.
fn whole(run: &ClaimedRun) -> RunCommit {
    let records = vec![record(0, Transition::RunStarted), completed(1), ended(2)];
    RunCommit { after: After::End, face: Some(face(RunStatus::Completed)), ..step(run, 0, records) }
}

/// A shard has one owner, and every change of owner raises its epoch.
pub async fn a_shard_has_one_owner(harness: &dyn EngineStoreHarness) {
    let mut first = Hand::holding(harness, 1, TTL).await;
    let all = first.tenures.len();
    assert!(all > 0);
    let second = Hand::holding(harness, 2, TTL).await;
    assert_eq!(second.tenures, [], "nothing is free");
    let before = first.tenures.clone();
    let surplus = first.hold(TTL).await.surplus;
    assert_eq!(first.tenures, before, "a heartbeat changes nothing");
    assert_eq!(surplus, all / 2, "two workers share");
    harness.store().release(&first.scope, first.id, &first.tenures).await.expect("releases");
    let third = Hand::holding(harness, 3, TTL).await;
    for tenure in &third.tenures {
        assert!(before.iter().any(|old| old.shard == tenure.shard && old.epoch < tenure.epoch));
    }
}

/// A worker that forgot a shard which it owns gets it with a new epoch, and what it had leased is ready.
pub async fn a_forgotten_shard_comes_back_under_a_new_epoch(harness: &dyn EngineStoreHarness) {
    let mut hand = Hand::holding(harness, 1, TTL).await;
    let workspace = harness.workspace().await;
    let key = harness.run(workspace, None).await;
    let lost = hand.take(workspace, 10).await;
    let before = std::mem::take(&mut hand.tenures);
    hand.hold(TTL).await;
    assert_eq!(hand.tenures.len(), before.len());
    assert!(hand.tenures.iter().all(|tenure| !before.contains(tenure)));
    assert_eq!(hand.commit(&[whole(&lost[0])]).await, [], "the old epoch writes nothing");
    assert_eq!(hand.take(workspace, 10).await.iter().map(|run| run.key).collect::<Vec<_>>(), [key]);
}

/// A worker whose lease is over, and whose shards another one took, claims and writes nothing; the other goes on with its runs.
pub async fn a_worker_that_wakes_up_late_writes_nothing(harness: &dyn EngineStoreHarness) {
    let workspace = harness.workspace().await;
    let (key, late) = (harness.run(workspace, None).await, harness.run(workspace, None).await);
    let asleep = Hand::holding(harness, 1, INSTANT).await;
    let shard = asleep.shard_of(workspace).await;
    let held = asleep.take(workspace, 1).await;
    assert_eq!(held[0].key, key);
    let awake = Hand::holding(harness, 2, TTL).await;
    let share = Share { shard, workspace, bound: 0, quantum: 10 };
    assert_eq!(asleep.claim(vec![share], vec![(shard, late)]).await, []);
    assert_eq!(asleep.commit(&[whole(&held[0])]).await, []);
    assert_eq!(harness.history(key).await, Vec::<String>::new());
    let resumed = awake.take(workspace, 10).await;
    assert_eq!(resumed.len(), 2);
    let resumed = resumed.iter().find(|run| run.key == key).expect("the run is ready again");
    assert_eq!(awake.commit(&[whole(resumed)]).await, [key]);
    assert_eq!(asleep.commit(&[whole(&held[0])]).await, []);
    assert_eq!(harness.history(key).await, ["run_started", "step_completed", "run_ended"]);
}

/// A run is leased once, in the order of its workspace's queue, and never more than asked for.
pub async fn a_run_is_claimed_once(harness: &dyn EngineStoreHarness) {
    let hand = Hand::holding(harness, 1, TTL).await;
    let workspace = harness.workspace().await;
    let mut keys = Vec::new();
    for _ in 0..3 {
        keys.push(harness.run(workspace, None).await);
    }
    let shard = hand.shard_of(workspace).await;
    let first = hand.take(workspace, 2).await;
    assert_eq!(first.iter().map(|run| run.key).collect::<Vec<_>>(), keys[..2]);
    assert_eq!(first[0].input, json!({"n": 1}));
    let bound = first.iter().filter_map(|run| run.ready_seq).max().expect("ready runs have a place");
    let share = Share { shard, workspace, bound, quantum: 10 };
    let rest = hand.claim(vec![share], Vec::new()).await;
    assert_eq!(rest.iter().map(|run| run.key).collect::<Vec<_>>(), keys[2..]);
    assert_eq!(hand.claim(vec![Share { bound: 0, ..share }], vec![(shard, keys[0])]).await, []);
}

/// A repeated or stale commit changes nothing, however often it comes.
pub async fn a_repeated_commit_changes_nothing(harness: &dyn EngineStoreHarness) {
    let hand = Hand::holding(harness, 1, TTL).await;
    let workspace = harness.workspace().await;
    let key = harness.run(workspace, None).await;
    let run = hand.take(workspace, 1).await.remove(0);
    let begin = step(&run, 0, vec![record(0, Transition::RunStarted), completed(1)]);
    assert_eq!(hand.commit(std::slice::from_ref(&begin)).await, [key]);
    assert_eq!(hand.commit(std::slice::from_ref(&begin)).await, []);
    assert_eq!(harness.status(key).await, RunStatus::Running);
    let end = RunCommit { after: After::End, face: Some(face(RunStatus::Completed)), ..step(&run, 2, vec![ended(2)]) };
    let stale = RunCommit { from_seq: 1, ..end.clone() };
    assert_eq!(hand.commit(&[stale]).await, []);
    assert_eq!(hand.commit(std::slice::from_ref(&end)).await, [key]);
    assert_eq!(hand.commit(&[end]).await, []);
    assert_eq!(harness.history(key).await, ["run_started", "step_completed", "run_ended"]);
    assert_eq!(harness.status(key).await, RunStatus::Completed);
    assert_eq!((harness.used(workspace, "runs").await, harness.used(workspace, "steps").await), (1, 1));
}

/// A parked run is found by its time and comes back with all that was committed.
pub async fn a_parked_run_comes_back_when_its_time_has_come(harness: &dyn EngineStoreHarness) {
    let hand = Hand::holding(harness, 1, TTL).await;
    let workspace = harness.workspace().await;
    let key = harness.run(workspace, None).await;
    let run = hand.take(workspace, 1).await.remove(0);
    let shard = run.tenure.shard;
    let waiting = Transition::StepWaiting { step: StepIndex(0), input: json!({"for": "5m"}), until: at(300) };
    let records = vec![record(0, Transition::RunStarted), record(1, waiting)];
    let timer = Timer { due: at(300), key, shard, step: StepIndex(0), attempt: 1 };
    let park = RunCommit { after: After::Park, timers: vec![timer], ..step(&run, 0, records.clone()) };
    assert_eq!(hand.commit(&[park]).await, [key]);
    let look = |after, until| harness.store().look(&hand.scope, std::slice::from_ref(&shard), after, until);
    assert_eq!(look(None, at(300)).await.expect("looks").timers, []);
    assert_eq!(look(None, at(301)).await.expect("looks").timers, [timer]);
    assert_eq!(look(Some(at(301)), at(999)).await.expect("looks").timers, []);
    assert_eq!(look(None, at(301)).await.expect("looks").ready, [], "what waits is not ready");
    let back = hand.claim(Vec::new(), vec![(shard, key)]).await.remove(0);
    assert_eq!(back.journal, records);
    let end = vec![completed(2), ended(3)];
    let end = RunCommit { after: After::End, face: Some(face(RunStatus::Completed)), ..step(&back, 2, end) };
    assert_eq!(hand.commit(&[end]).await, [key]);
    assert_eq!(look(None, at(301)).await.expect("looks").timers, [], "nothing is left of an ended run");
    assert_eq!(hand.claim(Vec::new(), vec![(shard, key)]).await, [], "nor can it be claimed");
}

/// A gate lets through as many as it was told; when one leaves, the next in the queue passes and is ready.
pub async fn a_gate_is_passed_in_order(harness: &dyn EngineStoreHarness) {
    let mut hand = Hand::holding(harness, 1, TTL).await;
    let workspace = harness.workspace().await;
    let mut keys = Vec::new();
    for _ in 0..3 {
        keys.push(harness.run(workspace, Some(("k", 1))).await);
    }
    let runs = hand.take(workspace, 10).await;
    let (gate, limit) = runs[0].concurrency.clone().expect("the run has a gate");
    assert_eq!(limit, 1);
    let pass = RunCommit { passed: vec![gate.clone()], ..step(&runs[0], 0, vec![record(0, Transition::RunStarted)]) };
    let block = |run| RunCommit { after: After::Block(gate.clone()), face: None, ..step(run, 0, Vec::new()) };
    assert_eq!(hand.commit(&[pass, block(&runs[1]), block(&runs[2])]).await.len(), 3);
    hand.tenures.clear();
    let gates = hand.hold(TTL).await.gates;
    let held: Vec<_> = gates.iter().map(|held| (held.workspace, held.gate.clone(), held.runs)).collect();
    assert_eq!(held, [(workspace, gate.clone(), 1)], "a new owner knows who is behind the gate");
    let first = hand.take(workspace, 10).await;
    assert_eq!(first.iter().map(|run| run.key).collect::<Vec<_>>(), [keys[0]], "what is blocked is not ready");
    assert_eq!(first[0].holds, std::slice::from_ref(&gate));
    let end = RunCommit {
        after: After::End,
        left: vec![Departure { gate: gate.clone(), places: 1 }],
        ..step(&first[0], 1, vec![ended(1)])
    };
    let committed = harness.store().commit(&hand.scope, hand.id, &[end]).await.expect("commits");
    assert_eq!(committed.promoted, [(first[0].tenure.shard, keys[1], gate.clone())]);
    let next = hand.take(workspace, 10).await;
    assert_eq!(next.iter().map(|run| (run.key, run.holds.clone())).collect::<Vec<_>>(), [(keys[1], vec![gate])]);
}

/// A signal is seen until it was heeded, takes a blocked or ready run out of its queue, and goes with an ended run.
pub async fn a_signal_is_heeded_once(harness: &dyn EngineStoreHarness) {
    let hand = Hand::holding(harness, 1, TTL).await;
    let workspace = harness.workspace().await;
    let key = harness.run(workspace, None).await;
    let shard = hand.shard_of(workspace).await;
    harness.cancel(key).await;
    let look = || harness.store().look(&hand.scope, std::slice::from_ref(&shard), None, at(0));
    let signals = look().await.expect("looks").signals;
    assert_eq!(signals.iter().map(|signal| signal.key).collect::<Vec<_>>(), [key]);
    let run = hand.claim(Vec::new(), vec![(shard, key)]).await.remove(0);
    assert_eq!(look().await.expect("looks").ready, []);
    let cancelled = Transition::RunEnded { status: RunStatus::Cancelled, outputs: Value::Null, error: None };
    let end = RunCommit {
        after: After::End,
        face: Some(face(RunStatus::Cancelled)),
        signals: vec![signals[0].id],
        ..step(&run, 0, vec![record(0, cancelled)])
    };
    assert_eq!(hand.commit(&[end]).await, [key]);
    assert_eq!(look().await.expect("looks").signals, []);
    harness.cancel(key).await;
    assert_eq!(hand.claim(Vec::new(), vec![(shard, key)]).await, []);
    assert_eq!(look().await.expect("looks").signals, [], "nobody can heed it any more");
}

/// Two tenants: a commit that names a run together with another workspace than its own writes nothing.
pub async fn a_run_is_reached_through_its_own_workspace_alone(harness: &dyn EngineStoreHarness) {
    let hand = Hand::holding(harness, 1, TTL).await;
    let (mine, other) = (harness.workspace().await, harness.workspace().await);
    let (key, theirs) = (harness.run(mine, None).await, harness.run(other, None).await);
    let run = hand.take(mine, 10).await.remove(0);
    assert_eq!(run.key, key);
    let forged = RunKey { workspace: other, run: key.run };
    assert_eq!(hand.commit(&[RunCommit { key: forged, ..whole(&run) }]).await, []);
    assert_eq!(hand.claim(Vec::new(), vec![(run.tenure.shard, forged)]).await, []);
    assert_eq!(harness.status(theirs).await, RunStatus::Pending);
    assert_eq!(hand.commit(&[whole(&run)]).await, [key]);
    assert_eq!(harness.used(other, "runs").await, 0);
}

/// A gate's name survives the store.
pub async fn a_gate_with_any_text_reads_back(harness: &dyn EngineStoreHarness) {
    let hand = Hand::holding(harness, 1, TTL).await;
    let workspace = harness.workspace().await;
    harness.run(workspace, Some(("a ' \" ü \u{1f600} %", 3))).await;
    let run = hand.take(workspace, 1).await.remove(0);
    let gate = run.concurrency.clone().expect("the run has a gate").0;
    assert_eq!(gate, Gate::workflow(run.workflow, "a ' \" ü \u{1f600} %"));
    let pass = RunCommit { passed: vec![gate], ..step(&run, 0, vec![record(0, Transition::RunStarted)]) };
    assert_eq!(hand.commit(&[pass]).await, [run.key]);
}
