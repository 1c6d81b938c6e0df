//! Executes every statement of the engine, of ingest, of event consumers and of the lists, in one workspace.

mod detection;

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tidegate_engine::model::{
    After, ClaimRequest, ClaimedRun, Departure, Gate, RunCommit, RunKey, RunSummary, ShardId, Share, Tenure, Timer,
    WorkerId,
};
use tidegate_engine::ports::EngineStore;
use tidegate_events::cloud_event::NewEvent;
use tidegate_events::{Addition, Allowance, ConsumerName, EventBacklog, EventFilter, EventsTx, FeedTx};
use tidegate_kernel::{Actor, PageSize, Position, RunId, UnitOfWork, UserId, WorkflowId, WorkspaceId, WorkspaceScope};
use tidegate_tenancy::{AuditFilter, TenancyTx};
use tidegate_testing::contract::Stage;
use tidegate_testing::contract::engine_store::new_run;
use tidegate_testing::scope::{system_scope, workspace_scope};
use tidegate_workflows::compiled::StepIndex;
use tidegate_workflows::ports::WorkflowsTx;
use tidegate_workflows::run::ports::RunsTx;
use tidegate_workflows::run::{RunFilter, RunStatus, Transition, TransitionRecord};
use tidegate_workflows::trigger::ports::{DueTriggers, TriggersTx};
use uuid::Uuid;

use super::ROWS;

const WORKER: WorkerId = WorkerId(Uuid::from_u128(1));
const READER: ConsumerName = ConsumerName("reader");

/// Executes every statement of the engine, of ingest, of event consumers and of the lists.
pub struct Walk {
    stage: Stage,
    tenures: Vec<Tenure>,
    round: u32,
}

impl Walk {
    /// Begins before there are rows, because taking shards over reads what their last owner has left.
    pub async fn begin(stage: Stage) -> Self {
        let mut walk = Self { stage, tenures: Vec::new(), round: 0 };
        walk.hold().await;
        walk
    }

    /// The workspace that it uses.
    pub fn workspace(&self) -> WorkspaceId {
        self.stage.scene.ours
    }

    fn scope(&self) -> WorkspaceScope {
        workspace_scope(self.stage.scene.ours)
    }

    /// The shard of the runs that fill the database, which is not that of the runs it starts.
    pub fn filled(&self) -> ShardId {
        let slot = i16::try_from(self.stage.scene.ours.as_uuid().as_u128() % 16).unwrap();
        ShardId((slot + 1) % 16)
    }

    async fn hold(&mut self) {
        let held = self.stage.engine.hold(&system_scope(), WORKER, &self.tenures, Duration::from_secs(600)).await;
        self.tenures = held.unwrap().tenures;
    }

    /// Executes all statements once.
    pub async fn all(&mut self) {
        self.round += 1;
        self.hold().await;
        self.runs().await;
        self.engine().await;
        self.ingest().await;
        self.follow().await;
        self.detection().await;
        self.keys().await;
        self.lists().await;
    }

    /// Starts runs, finds them, lists them by every combination of filters, and cancels them.
    async fn runs(&self) {
        let mut tx: Box<dyn RunsTx> = UnitOfWork::<dyn RunsTx>::begin(&*self.stage.store, &self.scope()).await.unwrap();
        let env = &self.stage.scene.env;
        let workflow = WorkflowId::from_uuid(Uuid::from_u128(u128::from(self.round)));
        let mut ids = Vec::new();
        for n in 0..6 {
            let run = new_run(env, workflow);
            let key = format!("round {} {n}", self.round);
            for _ in 0..2 {
                tx.runs().claim_key(workflow, &key, run.id, [0; 32], env.now(), DateTime::UNIX_EPOCH).await.unwrap();
            }
            tx.runs().add(&run).await.unwrap();
            ids.push(run.id);
        }
        tx.runs().find(ids[0]).await.unwrap().unwrap();
        tx.runs().transitions(ids[0]).await.unwrap();
        tx.runs().request_cancel(ids[0], env.now()).await.unwrap();
        tx.workflows().find(workflow).await.unwrap();
        let rare = WorkflowId::from_uuid(event_id(1, 99, 1));
        let some = (0..3).map(|n| WorkflowId::from_uuid(event_id(1, n, 1))).collect::<Vec<_>>();
        for workflows in [vec![], vec![rare], some] {
            for statuses in [vec![], vec![RunStatus::Failed], vec![RunStatus::Failed, RunStatus::Running]] {
                for (from, to) in [(None, None), (None, Some(env.now() - TimeDelta::days(1)))] {
                    let filter = RunFilter { workflows: workflows.clone(), statuses: statuses.clone(), from, to };
                    for after in [None, Some(ids[1])] {
                        tx.runs().list(&filter, after, PageSize::default()).await.unwrap();
                    }
                }
            }
        }
        tx.commit().await.unwrap();
    }

    /// Looks for work, claims by share and by name, and commits runs that continue, wait and end.
    async fn engine(&self) {
        let (engine, scope) = (&self.stage.engine, system_scope());
        let shards: Vec<_> = self.tenures.iter().map(|tenure| tenure.shard).collect();
        let now = self.stage.scene.env.now();
        engine.look(&scope, &shards, None, now).await.unwrap();
        let workspace = self.stage.scene.ours;
        let shares = shards.iter().map(|shard| Share { shard: *shard, workspace, bound: 0, quantum: 3 }).collect();
        let tenures = self.tenures.clone();
        let request = ClaimRequest { tenures: tenures.clone(), shares, runs: Vec::new() };
        let mut claimed = engine.claim(&scope, WORKER, &request).await.unwrap().runs;
        let named = self.pending().await.into_iter().map(|run| (self.filled(), RunKey { workspace, run })).collect();
        let request = ClaimRequest { tenures, shares: Vec::new(), runs: named };
        claimed.extend(engine.claim(&scope, WORKER, &request).await.unwrap().runs);
        assert!(claimed.len() > 1, "there is work in round {}: {claimed:?} of {shards:?}", self.round);
        let (blocked, others) = claimed.split_first().unwrap();
        let gate = Gate::workspace();
        let block = RunCommit { after: After::Block(gate.clone()), summary: None, ..commit(blocked, 0, Vec::new()) };
        let begin = others.iter().map(|run| {
            let timer = Timer { due: now, key: run.key, shard: run.tenure.shard, step: StepIndex(0), attempt: 1 };
            // A run that was promoted when another left the gate has already passed.
            let passed = if run.holds.contains(&gate) { Vec::new() } else { vec![gate.clone()] };
            let requests = vec![Uuid::nil()];
            let started = next(run);
            RunCommit { passed, timers: vec![timer], requests, ..commit(run, started, vec![Transition::RunStarted]) }
        });
        let won = engine.commit(&scope, WORKER, &begin.chain([block]).collect::<Vec<_>>()).await.unwrap().won;
        assert_eq!(won.len(), claimed.len());
        let end = others.iter().map(|run| {
            let ended =
                Transition::RunEnded { status: RunStatus::Completed, outputs: serde_json::Value::Null, error: None };
            let left = vec![Departure { gate: gate.clone(), places: 1 }];
            let cleared = vec![StepIndex(0)];
            RunCommit { after: After::End, left, cleared, ..commit(run, next(run) + 1, vec![ended]) }
        });
        let won = engine.commit(&scope, WORKER, &end.collect::<Vec<_>>()).await.unwrap().won;
        assert_eq!(won.len(), others.len());
    }

    /// Pending runs, most of them ready too.
    async fn pending(&self) -> Vec<RunId> {
        let mut tx: Box<dyn RunsTx> = UnitOfWork::<dyn RunsTx>::begin(&*self.stage.store, &self.scope()).await.unwrap();
        let filter = RunFilter { statuses: vec![RunStatus::Pending], ..RunFilter::default() };
        let page = tx.runs().list(&filter, None, PageSize::new(20).unwrap()).await.unwrap();
        page.items.into_iter().map(|run| run.id).collect()
    }

    async fn ingest(&self) {
        let env = &self.stage.scene.env;
        let events: Vec<_> = (0..20)
            .map(|n| {
                let event = NewEvent::emitted("/plans".into(), format!("{} {n}", self.round), "type 1".into(), 0);
                let some = |what: &str| Some(format!("{what} {}", n % 3));
                NewEvent { actor: some("actor"), session: some("session"), subject: some("subject"), ..event }
            })
            .collect();
        for _ in 0..2 {
            let mut tx: Box<dyn EventsTx> =
                UnitOfWork::<dyn EventsTx>::begin(&*self.stage.store, &self.scope()).await.unwrap();
            let allowance = Allowance { period_start: DateTime::UNIX_EPOCH, limit: None };
            let addition = Addition { received_at: env.now(), salt: 1, allowance, events: events.iter().collect() };
            tx.events().add(&addition).await.unwrap();
            tx.commit().await.unwrap();
        }
    }

    /// Consumers of the event feed, and the scheduler.
    async fn follow(&self) {
        let store = &*self.stage.store;
        store.behind(&system_scope(), READER, 20).await.unwrap();
        let now = self.stage.scene.env.now();
        store.due(&system_scope(), now, 256).await.unwrap();
        let mut tx: Box<dyn FeedTx> = UnitOfWork::<dyn FeedTx>::begin(store, &self.scope()).await.unwrap();
        let head = tx.feed().head().await.unwrap();
        let after = Position((head.0 - 20).max(0));
        let cursor = tx.consumers().cursor(READER).await.unwrap();
        tx.feed().read(after, head, 50).await.unwrap();
        tx.feed().read_whole(after, head, None, usize::MAX).await.unwrap();
        tx.feed().read_whole(after, head, Some(&["type 1".to_owned()]), usize::MAX).await.unwrap();
        assert!(tx.consumers().advance(READER, cursor, head).await.unwrap());
        tx.commit().await.unwrap();
        let mut tx: Box<dyn TriggersTx> = UnitOfWork::<dyn TriggersTx>::begin(store, &self.scope()).await.unwrap();
        tx.triggers().listening(&["type 7".to_owned()]).await.unwrap();
    }

    async fn lists(&self) {
        let store = &*self.stage.store;
        let mut tx: Box<dyn EventsTx> = UnitOfWork::<dyn EventsTx>::begin(store, &self.scope()).await.unwrap();
        let text = |value: &str| vec![value.to_owned()];
        let filters = [
            EventFilter::default(),
            EventFilter { types: text("type 1"), ..EventFilter::default() },
            EventFilter { actors: text("rare"), ..EventFilter::default() },
            EventFilter { types: text("type 7"), actors: text("rare"), ..EventFilter::default() },
            EventFilter { types: vec!["type 1".to_owned(), "type 2".to_owned()], ..EventFilter::default() },
        ];
        for filter in &filters {
            let first = tx.events().list(filter, None, PageSize::default()).await.unwrap();
            let before = first.last().map(|event| event.event.id);
            tx.events().list(filter, before, PageSize::default()).await.unwrap();
            tx.events().find(&before.into_iter().collect::<Vec<_>>()).await.unwrap();
        }
        drop(tx);
        let mut tx: Box<dyn WorkflowsTx> = UnitOfWork::<dyn WorkflowsTx>::begin(store, &self.scope()).await.unwrap();
        let mut after = None;
        for _ in 0..2 {
            after = tx.workflows().list(after, PageSize::default()).await.unwrap().next.or(after);
            let middle = event_id(self.stage.scene.env.now().timestamp_millis(), 1, 0);
            tx.workflows().list(Some(WorkflowId::from_uuid(middle)), PageSize::default()).await.unwrap();
            if let Some(workflow) = after {
                tx.workflows().find(workflow).await.unwrap();
                tx.workflows().document(workflow, 1).await.unwrap();
                tx.workflows().versions(workflow, i32::try_from(ROWS / 2).ok(), PageSize::default()).await.unwrap();
            }
        }
        drop(tx);
        let mut tx: Box<dyn TenancyTx> = UnitOfWork::<dyn TenancyTx>::begin(store, &self.scope()).await.unwrap();
        let members = tx.members().list(None, 50).await.unwrap();
        tx.members().list(members.last().map(|member| (member.joined_at, member.user)), 50).await.unwrap();
        tx.api_keys().list(None, 50).await.unwrap();
        let rare = Actor::Person(UserId::from_uuid(event_id(1, 99, 2)));
        let filters = [
            AuditFilter::default(),
            AuditFilter { actors: vec![rare], ..AuditFilter::default() },
            AuditFilter { actors: vec![Actor::System], ..AuditFilter::default() },
            AuditFilter { actions: text("rare"), ..AuditFilter::default() },
            AuditFilter { resources: text("rare"), ..AuditFilter::default() },
            AuditFilter {
                resources: text("rare"),
                actions: text("usual"),
                actors: vec![rare],
                ..AuditFilter::default()
            },
            AuditFilter { to: Some(self.stage.scene.env.now() - TimeDelta::days(1)), ..AuditFilter::default() },
        ];
        for filter in &filters {
            let first = tx.audit_trail().list(filter, None, 50).await.unwrap();
            tx.audit_trail().list(filter, first.last().map(|entry| entry.id), 50).await.unwrap();
        }
    }
}

/// An id like those of the database function `event_id`.
fn event_id(ms: i64, place: u128, salt: u128) -> Uuid {
    let ms = u128::try_from(ms).unwrap();
    Uuid::from_u128(
        (ms << 80) | (7 << 76) | ((place >> 28) & 0xFFF) << 64 | 1 << 63 | (place & 0xFFF_FFFF) << 34 | salt,
    )
}

/// The first sequence number that the run's journal does not have.
fn next(run: &ClaimedRun) -> u32 {
    u32::try_from(run.journal.len()).unwrap()
}

fn commit(run: &ClaimedRun, from_seq: u32, transitions: Vec<Transition>) -> RunCommit {
    let at: DateTime<Utc> = run.created_at;
    let records =
        (from_seq..).zip(transitions).map(|(seq, transition)| TransitionRecord { seq, at, transition }).collect();
    let summary =
        RunSummary { status: RunStatus::Running, started_at: Some(at), finished_at: None, outputs: None, error: None };
    RunCommit {
        tenure: run.tenure,
        key: run.key,
        from_seq: if from_seq == 0 { next(run) } else { from_seq },
        records,
        after: After::Keep,
        summary: Some(summary),
        timers: Vec::new(),
        cleared: Vec::new(),
        requests: Vec::new(),
        passed: Vec::new(),
        left: Vec::new(),
    }
}
