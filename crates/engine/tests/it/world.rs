//! The data of the store in memory, and the effect of each call on it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::DateTime;
use serde_json::{Value, json};
use tidegate_engine::model::{
    After, ClaimedRun, Departure, Gate, RunCommit, RunKey, RunRequest, SetAside, ShardId, Tenure, Timer, WorkerId,
};
use tidegate_kernel::{RequestId, TraceContext, WorkflowId, WorkspaceId};
use tidegate_workflows::compiled::StepIndex;
use tidegate_workflows::run::{QuarantineReason, QuarantinedRun, RunStatus, Transition, TransitionRecord};
use tokio::time::Instant;
use uuid::Uuid;

#[derive(Default)]
pub(super) struct Shard {
    pub(super) owner: Option<WorkerId>,
    pub(super) epoch: i64,
    pub(super) until: Option<Instant>,
}

pub(crate) struct Kept {
    pub(crate) workflow: WorkflowId,
    pub(crate) input: Value,
    pub(crate) trace: Option<TraceContext>,
    pub(crate) concurrency: Option<(Gate, u32)>,
    pub(crate) status: RunStatus,
    pub(crate) history: Vec<TransitionRecord>,
    pub(super) shard: ShardId,
}

pub(super) struct Lease {
    pub(super) tenure: Tenure,
    pub(super) next_seq: u32,
}

#[derive(Default)]
pub(crate) struct World {
    pub(super) shards: BTreeMap<ShardId, Shard>,
    pub(super) workers: HashMap<WorkerId, Instant>,
    pub(crate) runs: BTreeMap<RunKey, Kept>,
    pub(super) ready: BTreeMap<(ShardId, WorkspaceId, i64), RunKey>,
    pub(super) leases: BTreeMap<RunKey, Lease>,
    pub(super) timers: BTreeMap<(RunKey, StepIndex), Timer>,
    pub(super) journal: BTreeMap<RunKey, Vec<TransitionRecord>>,
    pub(super) holds: BTreeSet<(RunKey, Gate)>,
    pub(super) blocked: BTreeMap<(WorkspaceId, Gate, i64), RunKey>,
    pub(crate) requests: BTreeMap<Uuid, RunRequest>,
    pub(crate) quarantine: BTreeMap<RunKey, QuarantinedRun>,
    /// Runs that have ever been in quarantine.
    pub(crate) were_aside: BTreeSet<RunKey>,
    /// Runs whose writes are rejected.
    pub(crate) refused: BTreeSet<RunKey>,
    seq: i64,
}

impl World {
    pub(super) fn next(&mut self) -> i64 {
        self.seq += 1;
        self.seq
    }

    pub(super) fn make_ready(&mut self, key: RunKey) {
        let seq = self.next();
        let shard = self.runs[&key].shard;
        if !self.ready.values().any(|ready| *ready == key) {
            self.ready.insert((shard, key.workspace, seq), key);
        }
    }

    pub(super) fn holds(&self, worker: WorkerId, tenure: Tenure) -> bool {
        self.shards.get(&tenure.shard).is_some_and(|shard| shard.owner == Some(worker) && shard.epoch == tenure.epoch)
    }

    pub(super) fn recover(&mut self, shard: ShardId, below: i64) {
        let stale: Vec<RunKey> = self
            .leases
            .iter()
            .filter(|(_, lease)| lease.tenure.shard == shard && lease.tenure.epoch < below)
            .map(|(key, _)| *key)
            .collect();
        for key in stale {
            self.leases.remove(&key);
            self.make_ready(key);
        }
    }

    pub(super) fn lease(&mut self, key: RunKey, tenure: Tenure, ready_seq: Option<i64>) -> Option<ClaimedRun> {
        if self.leases.contains_key(&key) {
            return None;
        }
        if self.runs.get(&key)?.status.is_terminal() {
            self.forget(key);
            return None;
        }
        let journal = self.journal.get(&key).cloned().unwrap_or_default();
        let next_seq = journal.last().map_or(0, |record| record.seq + 1);
        self.leases.insert(key, Lease { tenure, next_seq });
        let run = &self.runs[&key];
        Some(ClaimedRun {
            tenure,
            key,
            ready_seq,
            workflow: run.workflow,
            version: 1,
            trigger: json!({"kind": "api"}),
            event: json!(null),
            input: run.input.clone(),
            depth: 0,
            request_id: RequestId::new("simulation").unwrap(),
            created_at: DateTime::UNIX_EPOCH,
            trace: run.trace.clone(),
            concurrency: run.concurrency.clone(),
            run_limit: None,
            released: self.quarantine.remove(&key).is_some(),
            holds: self.holds.iter().filter(|(of, _)| *of == key).map(|(_, gate)| gate.clone()).collect(),
            journal,
        })
    }

    pub(super) fn write(&mut self, commit: &RunCommit) {
        let key = commit.key;
        let run = self.runs.get_mut(&key).unwrap();
        for record in &commit.records {
            assert_eq!(usize::try_from(record.seq).unwrap(), run.history.len(), "a transition was recorded twice");
            assert!(!run.status.is_terminal(), "an ended run went on");
            run.history.push(record.clone());
            if let Transition::RunEnded { status, .. } = record.transition {
                run.status = status;
            }
        }
        if let Some(summary) = &commit.summary {
            assert!(run.status == summary.status || !run.status.is_terminal());
            run.status = summary.status;
        }
        self.journal.entry(key).or_default().extend(commit.records.iter().cloned());
        for step in &commit.cleared {
            self.timers.remove(&(key, *step));
        }
        for timer in &commit.timers {
            self.timers.insert((key, timer.step), *timer);
        }
        for request in &commit.requests {
            self.requests.remove(request);
        }
        self.holds.extend(commit.passed.iter().map(|gate| (key, gate.clone())));
        match &commit.after {
            After::Keep => {}
            After::Park => drop(self.leases.remove(&key)),
            After::Block(gate) => {
                self.leases.remove(&key);
                let seq = self.next();
                self.blocked.insert((key.workspace, gate.clone(), seq), key);
                self.journal.retain(|_, records| !records.is_empty());
            }
            After::End => self.forget(key),
        }
    }

    /// Deletes what is left of an ended run.
    pub(super) fn forget(&mut self, key: RunKey) {
        self.leases.remove(&key);
        self.journal.remove(&key);
        self.quarantine.remove(&key);
        self.timers.retain(|(of, _), _| *of != key);
        self.holds.retain(|(of, _)| *of != key);
        self.ready.retain(|_, ready| *ready != key);
        self.blocked.retain(|_, blocked| *blocked != key);
        self.requests.retain(|_, request| request.key != key);
    }

    pub(super) fn promote_for(
        &mut self,
        workspace: WorkspaceId,
        left: &[Departure],
        promoted: &mut Vec<(ShardId, RunKey, Gate)>,
    ) {
        for departure in left {
            for _ in 0..departure.places {
                self.promote(workspace, &departure.gate, promoted);
            }
        }
    }

    /// Quarantines the run: it leaves its gates and loses its timers.
    pub(super) fn put_aside(&mut self, run: &SetAside) {
        self.leases.remove(&run.key);
        self.timers.retain(|(of, _), _| *of != run.key);
        self.holds.retain(|(of, _)| *of != run.key);
        self.requests.retain(|id, _| !run.requests.contains(id));
        let aside = QuarantinedRun {
            workspace: run.key.workspace,
            run: run.key.run,
            reason: run.reason,
            error: run.error.replace('\0', "\u{fffd}"),
            at: run.at,
        };
        self.quarantine.insert(run.key, aside);
        self.were_aside.insert(run.key);
    }

    /// Makes runs ready again that were quarantined until another release.
    pub(super) fn retry_unsupported(&mut self, shard: ShardId) {
        let unsupported = |(_, run): &(&RunKey, &QuarantinedRun)| run.reason == QuarantineReason::Unsupported;
        let all: Vec<RunKey> = self.quarantine.iter().filter(unsupported).map(|(key, _)| *key).collect();
        for key in all.into_iter().filter(|key| self.runs[key].shard == shard).collect::<Vec<_>>() {
            self.quarantine.remove(&key);
            self.make_ready(key);
        }
    }

    /// If no run is behind a gate, makes the first waiting run ready.
    pub(super) fn unblock(&mut self, shard: ShardId) {
        let mut heads: BTreeMap<(WorkspaceId, Gate), (i64, RunKey)> = BTreeMap::new();
        for ((workspace, gate, seq), key) in &self.blocked {
            let held = self.holds.iter().any(|(of, held)| of.workspace == *workspace && held == gate);
            if !held && self.runs[key].shard == shard {
                heads.entry((*workspace, gate.clone())).or_insert((*seq, *key));
            }
        }
        for ((workspace, gate), (seq, key)) in heads {
            self.blocked.remove(&(workspace, gate, seq));
            self.make_ready(key);
        }
    }

    pub(super) fn promote(&mut self, workspace: WorkspaceId, gate: &Gate, promoted: &mut Vec<(ShardId, RunKey, Gate)>) {
        let first = self.blocked.keys().find(|(of, before, _)| *of == workspace && before == gate).cloned();
        if let Some(key) = first.and_then(|first| self.blocked.remove(&first)) {
            self.holds.insert((key, gate.clone()));
            self.make_ready(key);
            promoted.push((self.runs[&key].shard, key, gate.clone()));
        }
    }
}
