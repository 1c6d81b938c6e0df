//! Commits the transitions of many runs in one batch.

use std::collections::HashSet;

use chrono::TimeDelta;
use tidegate_kernel::{StoreError, SystemScope};
use tidegate_workflows::run::{QuarantineReason, RunStatus};
use tokio::time::Instant;

use super::measures::Question;
use super::quarantine::is_refusal;
use super::{Message, Worker};
use crate::live::{Undrivable, describe};
use crate::model::{After, Committed, Departure, Gate, RunCommit, RunKey, ShardId, Tenure, WorkerId};
use crate::panics::catch_store;
use crate::ports::EngineStore;

/// A commit of one run that was sent to the store.
pub(super) struct Sent {
    key: RunKey,
    tenure: Tenure,
    left: Vec<Departure>,
    /// The final status of the run, if this commit ends it.
    ended: Option<RunStatus>,
}

impl Sent {
    fn of(batch: &[RunCommit]) -> Vec<Self> {
        let ended = |commit: &RunCommit| match (&commit.after, &commit.summary) {
            (After::End, Some(summary)) => Some(summary.status),
            _ => None,
        };
        let sent = |commit: &RunCommit| Self {
            key: commit.key,
            tenure: commit.tenure,
            left: commit.left.clone(),
            ended: ended(commit),
        };
        batch.iter().map(sent).collect()
    }
}

/// The result for a part of a batch.
pub(super) enum Written {
    /// The store wrote the part, except for runs whose lease was lost.
    Answered { sent: Vec<Sent>, committed: Committed },
    /// The store can never write this commit.
    Refused { sent: Sent, error: StoreError },
    /// It is unknown whether the part was written.
    Unknown { sent: Vec<Sent>, error: StoreError },
}

/// Commits a batch. If the store rejects it, the halves are committed separately, down to the single runs that it
/// rejects. For a batch of n with one such run, that takes about 2·log2 n more transactions.
async fn write(store: &dyn EngineStore, scope: &SystemScope, worker: WorkerId, batch: Vec<RunCommit>) -> Vec<Written> {
    let mut parts = vec![batch];
    let mut written = Vec::new();
    while let Some(mut part) = parts.pop() {
        match catch_store(store.commit(scope, worker, &part)).await {
            Ok(committed) => written.push(Written::Answered { sent: Sent::of(&part), committed }),
            Err(error) if is_refusal(&error) && part.len() > 1 => {
                let second = part.split_off(part.len() / 2);
                parts.extend([second, part]);
            }
            Err(error) if is_refusal(&error) => {
                written.extend(Sent::of(&part).pop().map(|sent| Written::Refused { sent, error }));
            }
            Err(error) => {
                let sent =
                    Sent::of(&part).into_iter().chain(parts.drain(..).flat_map(|part| Sent::of(&part))).collect();
                written.push(Written::Unknown { sent, error });
            }
        }
    }
    written
}

impl Worker {
    pub(super) fn start_commit(&mut self) {
        if self.committing || (self.dirty.is_empty() && self.unreadable.is_empty()) {
            return;
        }
        let park_after = self.env.now() + TimeDelta::from_std(self.config.park_after).unwrap_or(TimeDelta::MAX);
        let mut batch: Vec<RunCommit> = Vec::new();
        batch.append(&mut self.unreadable);
        while batch.len() < self.config.batch
            && let Some(key) = self.dirty.pop_front()
        {
            // A run can be in the queue twice. The second time it has nothing to commit.
            batch.extend(self.runs.get_mut(&key).and_then(|run| run.prepare(park_after, &mut self.gates)));
        }
        if batch.is_empty() {
            return;
        }
        self.committing = true;
        let (store, scope, sender, worker) = (self.store.clone(), self.scope.clone(), self.sender.clone(), self.id);
        let seconds = self.measures.seconds(Question::Commit);
        tokio::spawn(async move {
            let began = Instant::now();
            let written = write(&*store, &scope, worker, batch).await;
            seconds.record(began.elapsed().as_secs_f64());
            // Sending fails only if the worker has ended.
            let _ = sender.send(Message::Written(written));
        });
    }

    pub(super) fn written(&mut self, parts: Vec<Written>) {
        self.committing = false;
        for part in parts {
            match part {
                Written::Answered { sent, committed } => self.answered(sent, committed),
                Written::Refused { sent: Sent { key, tenure, left, .. }, error } => {
                    self.measures.failed(Question::Commit);
                    let why = Undrivable::new(QuarantineReason::Refused, &error);
                    if self.runs.get(&key).is_some_and(|run| run.tenure == tenure) {
                        self.give_up(key, why);
                    } else if self.tenures.get(&tenure.shard) == Some(&tenure) {
                        self.refuse_leased(key, tenure, left, why);
                    }
                }
                Written::Unknown { sent, error } => {
                    // The runs are dropped from memory and claimed again under a new epoch.
                    self.measures.failed(Question::Commit);
                    tracing::warn!(error = describe(&error), "a commit failed");
                    self.forget_all(sent.iter().map(|sent| sent.tenure));
                }
            }
        }
    }

    fn answered(&mut self, sent: Vec<Sent>, committed: Committed) {
        let won: HashSet<RunKey> = committed.won.iter().copied().collect();
        self.measures.committed(won.len());
        for Sent { key, tenure, left, ended } in sent {
            if let Some(status) = ended.filter(|_| won.contains(&key)) {
                self.measures.ended(status);
                if let Some(run) = self.runs.get(&key) {
                    run.span.record("status", status.as_str());
                    let failed = matches!(status, RunStatus::Failed | RunStatus::TimedOut);
                    run.span.record("otel.status_code", if failed { "ERROR" } else { "OK" });
                }
            }
            if !won.contains(&key) {
                tracing::warn!(run = %key.run, shard = tenure.shard.0, "a run was taken over by another worker");
                self.forget_all(std::iter::once(tenure));
            } else if self.runs.get(&key).is_some_and(|run| run.tenure == tenure) {
                self.arrived(key, tenure);
            } else {
                // The run was never in memory: it ended because its workflow version does not exist.
                if self.tenures.get(&tenure.shard) == Some(&tenure) {
                    for departure in &left {
                        self.gates.leave(key.workspace, departure);
                    }
                }
                self.endings.notify(key.run);
            }
        }
        self.let_through(committed.promoted);
    }

    /// Counts the runs that passed a gate after other runs had left it.
    pub(super) fn let_through(&mut self, promoted: Vec<(ShardId, RunKey, Gate)>) {
        for (shard, key, gate) in promoted {
            if self.tenures.contains_key(&shard) {
                self.gates.promote(shard, key.workspace, &gate);
                self.has_work(key.workspace);
            }
        }
    }

    fn arrived(&mut self, key: RunKey, tenure: Tenure) {
        let Some(run) = self.runs.get_mut(&key) else { return };
        let Some((after, left, commands)) = run.arrived() else { return };
        match after {
            After::Keep => {
                if let Some(why) = run.doomed.take() {
                    self.give_up(key, why);
                    return;
                }
                let dirty = run.is_dirty();
                self.execute(key, commands);
                if dirty {
                    self.dirty.push_back(key);
                }
            }
            After::Park => {
                // Its timers stay in memory, so that the run is claimed by name when the first one is due.
                self.execute(key, commands);
                self.runs.remove(&key);
            }
            After::Block(gate) => {
                // A run that left the gate during this commit did not know that this run waits.
                let limit = run.limit(&gate).unwrap_or(0);
                self.runs.remove(&key);
                if self.gates.has_room(key.workspace, &gate, limit) {
                    self.named.insert((tenure.shard, key));
                }
            }
            After::End => {
                self.runs.remove(&key);
                self.timers.retain(|timer| timer.key != key);
                for departure in left {
                    self.gates.leave(key.workspace, &departure);
                }
                self.endings.notify(key.run);
            }
        }
        if self.requests.contains_key(&key) {
            self.apply_requests(key, tenure.shard);
        }
    }
}
