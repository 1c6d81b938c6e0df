//! An engine store in memory with the same obligations as a real one, and with injected failures.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use tidegate_engine::model::{
    ClaimRequest, Claims, Committed, ForcedEnd, Gate, Holding, Holdings, Outlook, ReadyWorkspace, RunCommit, RunKey,
    RunRequest, RunRequestKind, SetAside, ShardId, Tenure, Timer, WorkerId,
};
use tidegate_engine::ports::{EngineStore, TIMERS_PER_LOOK};
use tidegate_kernel::{StoreError, SystemScope, TraceContext, WorkflowId, WorkspaceId};
use tidegate_workflows::run::{RunStatus, TransitionRecord};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::world::{Kept, Shard, World};

const SHARDS: i16 = 4;

/// The injected failures and latencies.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Weather {
    /// How many of a thousand calls fail before they do anything; equally many fail afterwards.
    pub(crate) failures: u32,
    /// How many of a thousand calls panic.
    pub(crate) panics: u32,
    /// The longest latency before and after the work of a call.
    pub(crate) slowest: Duration,
}

pub(crate) struct MemoryStore {
    pub(crate) world: Mutex<World>,
    rng: Mutex<SmallRng>,
    weather: Mutex<Weather>,
}

impl MemoryStore {
    pub(crate) fn new(seed: u64, weather: Weather) -> Self {
        let mut world = World::default();
        for shard in 0..SHARDS {
            world.shards.insert(ShardId(shard), Shard::default());
        }
        Self { world: Mutex::new(world), rng: Mutex::new(SmallRng::seed_from_u64(seed)), weather: Mutex::new(weather) }
    }

    pub(crate) fn clear_up(&self) {
        *self.weather.lock().unwrap() = Weather { failures: 0, panics: 0, slowest: Duration::from_millis(2) };
    }

    /// One call: it takes time, may panic, and may fail before or after its work.
    async fn call<T>(&self, work: impl FnOnce(&mut World) -> T) -> Result<T, StoreError> {
        let panics = self.weather.lock().unwrap().panics;
        let sound = self.rng.lock().unwrap().random_range(0..1000) >= panics;
        assert!(sound, "a defect of the store");
        self.call_without_defect(work).await
    }

    /// The same without panics.
    async fn call_without_defect<T>(&self, work: impl FnOnce(&mut World) -> T) -> Result<T, StoreError> {
        let weather = *self.weather.lock().unwrap();
        let (before, after, fails) = {
            let mut rng = self.rng.lock().unwrap();
            let slowest = weather.slowest.as_micros().try_into().unwrap_or(1);
            (rng.random_range(0..=slowest), rng.random_range(0..=slowest), rng.random_range(0..1000))
        };
        let gone = || StoreError::Unavailable("the connection is gone".into());
        sleep(Duration::from_micros(before)).await;
        if fails < weather.failures {
            return Err(gone());
        }
        let done = work(&mut self.world.lock().unwrap());
        sleep(Duration::from_micros(after)).await;
        if fails < 2 * weather.failures { Err(gone()) } else { Ok(done) }
    }

    pub(crate) fn add(&self, key: RunKey, workflow: WorkflowId, concurrency: Option<(Gate, u32)>) {
        self.add_with(key, workflow, concurrency, json!({}), None);
    }

    pub(crate) fn add_with(
        &self,
        key: RunKey,
        workflow: WorkflowId,
        concurrency: Option<(Gate, u32)>,
        input: Value,
        trace: Option<TraceContext>,
    ) {
        let world = &mut *self.world.lock().unwrap();
        let shard = ShardId(i16::try_from(key.workspace.as_uuid().as_u128() % 4).unwrap());
        let status = RunStatus::Pending;
        world.runs.insert(key, Kept { workflow, input, trace, concurrency, status, history: Vec::new(), shard });
        world.make_ready(key);
    }

    /// Reserves a sequence number for a ready row that is added later.
    pub(crate) fn reserve(&self) -> i64 {
        self.world.lock().unwrap().next()
    }

    pub(crate) fn add_at(&self, key: RunKey, workflow: WorkflowId, place: i64) {
        self.add(key, workflow, None);
        let world = &mut *self.world.lock().unwrap();
        world.ready.retain(|_, ready| *ready != key);
        let shard = world.runs[&key].shard;
        world.ready.insert((shard, key.workspace, place), key);
    }

    /// The number of ready runs.
    pub(crate) fn ready(&self) -> usize {
        self.world.lock().unwrap().ready.len()
    }

    pub(crate) fn knows(&self, key: RunKey) -> bool {
        self.world.lock().unwrap().runs.contains_key(&key)
    }

    /// A run that has passed some gate, and the first run that waits before the same gate.
    pub(crate) fn waiting_at_one_gate(&self, rng: &mut SmallRng) -> Vec<RunKey> {
        let world = self.world.lock().unwrap();
        let held: Vec<_> = world.holds.iter().collect();
        let Some((inside, gate)) = held.get(rng.random_range(0..held.len().max(1))) else { return Vec::new() };
        let next = world.blocked.iter().find(|((workspace, of, _), _)| *workspace == inside.workspace && of == gate);
        std::iter::once(*inside).chain(next.map(|(_, key)| *key)).collect()
    }

    pub(crate) fn cancel(&self, key: RunKey) {
        self.request(key, RunRequestKind::Cancel);
    }

    /// Rejects all further writes of the run.
    pub(crate) fn refuse(&self, key: RunKey) {
        self.world.lock().unwrap().refused.insert(key);
    }

    /// Accepts all writes again, and makes a request for every quarantined run.
    pub(crate) fn release_all(&self, mut kind: impl FnMut(RunKey) -> RunRequestKind) {
        let set_aside = {
            let world = &mut *self.world.lock().unwrap();
            world.refused.clear();
            world.quarantine.clone()
        };
        for key in set_aside.into_keys() {
            self.request(key, kind(key));
        }
    }

    pub(crate) fn request(&self, key: RunKey, kind: RunRequestKind) {
        let world = &mut *self.world.lock().unwrap();
        let id = Uuid::from_u128(u128::try_from(world.next()).unwrap());
        let shard = world.runs[&key].shard;
        world.requests.insert(id, RunRequest { id, key, shard, kind });
    }

    /// The number of runs that have neither ended nor are in quarantine.
    pub(crate) fn live(&self) -> usize {
        let world = self.world.lock().unwrap();
        world.runs.iter().filter(|(key, run)| !run.status.is_terminal() && !world.quarantine.contains_key(*key)).count()
    }

    /// The state of the runs that have not ended, for messages.
    pub(crate) fn describe(&self) -> String {
        let world = self.world.lock().unwrap();
        let live = world.runs.iter().filter(|(_, run)| !run.status.is_terminal());
        let describe = |(key, run): (&RunKey, &Kept)| {
            let lease = world.leases.get(key).map(|lease| (lease.tenure, lease.next_seq));
            let owner = world.shards[&run.shard].owner;
            let epoch = world.shards[&run.shard].epoch;
            let ready = world.ready.values().any(|ready| ready == key);
            let blocked = world.blocked.iter().find(|(_, blocked)| *blocked == key).map(|(place, _)| place);
            let timers: Vec<_> = world.timers.values().filter(|timer| timer.key == *key).collect();
            format!(
                "{} {lease:?} {owner:?} {epoch} ready {ready} blocked {blocked:?} {timers:?} {:?}\n",
                run.status,
                run.history.last()
            )
        };
        live.map(describe).collect()
    }

    /// The number of rows that are left although all runs have ended.
    pub(crate) fn leftovers(&self) -> usize {
        let world = self.world.lock().unwrap();
        world.ready.len()
            + world.leases.len()
            + world.timers.len()
            + world.journal.len()
            + world.holds.len()
            + world.blocked.len()
            + world.quarantine.len()
            + world.requests.len()
    }
}

#[async_trait]
impl EngineStore for MemoryStore {
    async fn hold(
        &self,
        _: &SystemScope,
        worker: WorkerId,
        keep: &[Tenure],
        ttl: Duration,
    ) -> Result<Holdings, StoreError> {
        self.call(|world| {
            let now = Instant::now();
            world.workers.retain(|_, until| *until > now);
            world.workers.insert(worker, now + ttl);
            let share = world.shards.len().div_ceil(world.workers.len());
            let mut holdings = Holdings::default();
            for tenure in keep {
                if world.holds(worker, *tenure) {
                    world.shards.get_mut(&tenure.shard).unwrap().until = Some(now + ttl);
                    holdings.tenures.push(*tenure);
                }
            }
            holdings.surplus = holdings.tenures.len().saturating_sub(share);
            let ids: Vec<ShardId> = world.shards.keys().copied().collect();
            for id in ids {
                let shard = world.shards.get_mut(&id).unwrap();
                let kept = holdings.tenures.iter().any(|tenure| tenure.shard == id);
                let free = shard.owner == Some(worker) || shard.until.is_none_or(|until| until <= now);
                if kept || !free || holdings.tenures.len() >= share {
                    continue;
                }
                (shard.owner, shard.until) = (Some(worker), Some(now + ttl));
                shard.epoch += 1;
                let epoch = shard.epoch;
                world.recover(id, epoch);
                world.retry_unsupported(id);
                world.unblock(id);
                holdings.tenures.push(Tenure { shard: id, epoch });
                let mut counts: BTreeMap<(WorkspaceId, Gate), u32> = BTreeMap::new();
                for (key, gate) in world.holds.iter().filter(|(key, _)| world.runs[key].shard == id) {
                    *counts.entry((key.workspace, gate.clone())).or_default() += 1;
                }
                let holding = |((workspace, gate), runs)| Holding { shard: id, workspace, gate, runs };
                holdings.gates.extend(counts.into_iter().map(holding));
            }
            holdings
        })
        .await
    }

    async fn release(&self, _: &SystemScope, worker: WorkerId, tenures: &[Tenure]) -> Result<(), StoreError> {
        self.call(|world| {
            for tenure in tenures {
                if world.holds(worker, *tenure) {
                    let shard = world.shards.get_mut(&tenure.shard).unwrap();
                    (shard.owner, shard.until) = (None, None);
                    world.recover(tenure.shard, tenure.epoch + 1);
                }
            }
        })
        .await
    }

    async fn look(
        &self,
        _: &SystemScope,
        shards: &[ShardId],
        timers_after: Option<DateTime<Utc>>,
        until: DateTime<Utc>,
    ) -> Result<Outlook, StoreError> {
        self.call(|world| {
            let seen: BTreeSet<(ShardId, WorkspaceId)> =
                world.ready.keys().filter(|(shard, _, _)| shards.contains(shard)).map(|(s, w, _)| (*s, *w)).collect();
            let mut timers: Vec<Timer> = world.timers.values().copied().collect();
            timers.retain(|timer| {
                shards.contains(&timer.shard)
                    && timers_after.is_none_or(|after| timer.due >= after)
                    && timer.due < until
            });
            timers.sort_unstable();
            timers.truncate(TIMERS_PER_LOOK);
            let ready = |(shard, workspace)| ReadyWorkspace { shard, workspace, weight: 1 };
            Outlook {
                ready: seen.into_iter().map(ready).collect(),
                timers,
                requests: world.requests.values().filter(|request| shards.contains(&request.shard)).copied().collect(),
            }
        })
        .await
    }

    async fn claim(&self, _: &SystemScope, worker: WorkerId, request: &ClaimRequest) -> Result<Claims, StoreError> {
        self.call(|world| {
            let held: HashMap<ShardId, Tenure> = request
                .tenures
                .iter()
                .filter(|tenure| world.holds(worker, **tenure))
                .map(|tenure| (tenure.shard, *tenure))
                .collect();
            let mut claimed = Vec::new();
            for share in &request.shares {
                let Some(tenure) = held.get(&share.shard) else { continue };
                let from = (share.shard, share.workspace, share.bound + 1);
                let to = (share.shard, share.workspace, i64::MAX);
                let rows: Vec<_> = world.ready.range(from..=to).take(share.quantum.try_into().unwrap()).collect();
                let rows: Vec<_> = rows.into_iter().map(|(place, key)| (*place, *key)).collect();
                for (place, key) in rows {
                    world.ready.remove(&place);
                    claimed.extend(world.lease(key, *tenure, Some(place.2)));
                }
            }
            for (shard, key) in &request.runs {
                let asked = world.requests.values().any(|s| s.key == *key && s.kind != RunRequestKind::End);
                if let Some(tenure) = held.get(shard).filter(|_| asked || !world.quarantine.contains_key(key)) {
                    world.ready.retain(|_, ready| ready != key);
                    world.blocked.retain(|_, blocked| blocked != key);
                    claimed.extend(world.lease(*key, *tenure, None));
                }
            }
            Claims { runs: claimed, unreadable: Vec::new() }
        })
        .await
    }

    async fn commit(&self, _: &SystemScope, worker: WorkerId, batch: &[RunCommit]) -> Result<Committed, StoreError> {
        let commit = |world: &mut World| {
            if let Some(refused) = batch.iter().find(|commit| world.refused.contains(&commit.key)) {
                return Err(StoreError::Conflict(refused.key.run.to_string()));
            }
            let mut committed = Committed::default();
            for commit in batch {
                let next = commit.records.last().map_or(commit.from_seq, |record| record.seq + 1);
                let held = world.holds(worker, commit.tenure);
                let lease = world
                    .leases
                    .get_mut(&commit.key)
                    .filter(|lease| held && lease.tenure == commit.tenure && lease.next_seq == commit.from_seq);
                if let Some(lease) = lease {
                    lease.next_seq = next;
                    world.write(commit);
                    committed.won.push(commit.key);
                }
            }
            for commit in batch.iter().filter(|commit| committed.won.contains(&commit.key)) {
                world.promote_for(commit.key.workspace, &commit.left, &mut committed.promoted);
            }
            Ok(committed)
        };
        self.call(commit).await?
    }

    async fn set_aside(&self, _: &SystemScope, worker: WorkerId, runs: &[SetAside]) -> Result<Committed, StoreError> {
        // If this failed because of a defect too, the run would stay leased until its shard changed owners.
        self.call_without_defect(|world| {
            let mut committed = Committed::default();
            for run in runs {
                let leased = world.leases.get(&run.key).is_some_and(|lease| lease.tenure == run.tenure);
                if leased && world.holds(worker, run.tenure) {
                    world.put_aside(run);
                    committed.won.push(run.key);
                    world.promote_for(run.key.workspace, &run.left, &mut committed.promoted);
                }
            }
            committed
        })
        .await
    }

    async fn end_quarantined(
        &self,
        _: &SystemScope,
        worker: WorkerId,
        runs: &[ForcedEnd],
    ) -> Result<Vec<RunKey>, StoreError> {
        self.call(|world| {
            let mut ended = Vec::new();
            for end in runs.iter().filter(|end| world.holds(worker, end.tenure)).collect::<Vec<_>>() {
                world.requests.remove(&end.request);
                if world.quarantine.remove(&end.key).is_some() {
                    let run = world.runs.get_mut(&end.key).unwrap();
                    let seq = u32::try_from(run.history.len()).unwrap();
                    run.history.push(TransitionRecord { seq, at: end.at, transition: end.transition.clone() });
                    run.status = RunStatus::Failed;
                    world.forget(end.key);
                    ended.push(end.key);
                }
            }
            ended
        })
        .await
    }
}
