//! Writing what happened, many runs at a time.

use chrono::TimeDelta;
use tidegate_kernel::StoreError;

use super::{Message, Worker};
use crate::model::{After, Committed, RunCommit, RunKey, Tenure};

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
            // A run may stand in the queue twice; the second time there is nothing left.
            batch.extend(self.runs.get_mut(&key).and_then(|run| run.prepare(park_after, &mut self.gates)));
        }
        if batch.is_empty() {
            return;
        }
        self.committing = true;
        let (store, scope, sender, worker) = (self.store.clone(), self.scope.clone(), self.sender.clone(), self.id);
        tokio::spawn(async move {
            let result = store.commit(&scope, worker, &batch).await;
            let batch = batch.iter().map(|commit| (commit.key, commit.tenure)).collect();
            let _ = sender.send(Message::Committed { batch, result });
        });
    }

    pub(super) fn committed(&mut self, batch: &[(RunKey, Tenure)], result: Result<Committed, StoreError>) {
        self.committing = false;
        let committed = match result {
            Ok(committed) => committed,
            Err(error) => {
                // Whether it was written is unknown, so what is in hand is forgotten and read again under a new epoch.
                tracing::warn!(%error, "a commit failed");
                self.forget_all(batch.iter().map(|(_, tenure)| *tenure));
                return;
            }
        };
        let won: std::collections::HashSet<RunKey> = committed.won.iter().copied().collect();
        for (key, tenure) in batch {
            if !won.contains(key) {
                tracing::warn!(run = %key.run, shard = tenure.shard.0, "a run was taken over by another worker");
                self.forget_all(std::iter::once(*tenure));
            } else {
                self.written(*key, *tenure);
            }
        }
        for (shard, key, gate) in committed.promoted {
            self.gates.promote(shard, key.workspace, &gate);
            self.has_work(key.workspace);
        }
    }

    fn written(&mut self, key: RunKey, tenure: Tenure) {
        let Some(run) = self.runs.get_mut(&key).filter(|run| run.tenure == tenure) else {
            self.endings.tell(key.run);
            return;
        };
        let Some((after, left, commands)) = run.arrived() else { return };
        match after {
            After::Keep => {
                let dirty = run.is_dirty();
                self.obey(key, commands);
                if dirty {
                    self.dirty.push_back(key);
                }
            }
            After::Park => {
                // Its timers are remembered as the store's are, so that it is claimed by name when the first has come.
                self.obey(key, commands);
                self.runs.remove(&key);
            }
            After::Block(gate) => {
                // Whoever left while this was on its way did not see it wait.
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
                self.endings.tell(key.run);
            }
        }
        if self.signals.contains_key(&key) {
            self.heed_signals(key, tenure.shard);
        }
    }
}
