//! Ownership of shards: heartbeats, takeovers, giving shards up.

use tidegate_kernel::StoreError;
use tokio::time::Instant;

use super::measures::Question;
use super::{Message, Worker};
use crate::live::describe;
use crate::model::{Holdings, ShardId, Tenure};

impl Worker {
    pub(super) fn start_hold(&mut self, now: Instant) {
        if self.holding || now < self.next_hold {
            return;
        }
        self.holding = true;
        self.forgotten.clear();
        self.next_hold = now + self.jittered(self.config.heartbeat);
        let keep: Vec<Tenure> = self.tenures.values().copied().collect();
        let (store, scope) = (self.store.clone(), self.scope.clone());
        let (worker, lease) = (self.id, self.config.lease);
        self.ask(Question::Hold, async move { store.hold(&scope, worker, &keep, lease).await }, Message::Held);
    }

    pub(super) fn held(&mut self, result: Result<Holdings, StoreError>) {
        self.holding = false;
        let holdings = match result {
            Ok(holdings) => holdings,
            Err(error) => {
                self.measures.failed(Question::Hold);
                tracing::warn!(error = describe(&error), "the engine could not renew its shards");
                return;
            }
        };
        let lost: Vec<ShardId> =
            self.tenures.values().filter(|held| !holdings.tenures.contains(held)).map(|held| held.shard).collect();
        for shard in lost {
            self.measures.lost_shard();
            tracing::warn!(shard = shard.0, "a shard was lost");
            self.forget(shard);
        }
        for tenure in holdings.tenures {
            // This shard was forgotten during the heartbeat. It is owned, but its state is lost; the next heartbeat
            // takes it over.
            if self.forgotten.contains(&tenure) {
                continue;
            }
            let is_new = self.tenures.insert(tenure.shard, tenure) != Some(tenure);
            if is_new {
                self.timers_read = None;
                self.reread_wanted = self.looking;
                self.look_wanted = true;
            }
        }
        self.gates.load(holdings.gates);
        self.shed(holdings.surplus);
    }

    /// Gives up shards beyond the fair share: first the worker stops claiming in them, then their runs leave memory,
    /// then the shards are released.
    fn shed(&mut self, surplus: usize) {
        // Only shards that began to leave at an earlier heartbeat, so that the job runner already knows about them.
        let idle: Vec<Tenure> = self
            .leaving
            .iter()
            .filter(|shard| !self.claiming && self.runs.values().all(|run| run.tenure.shard != **shard))
            .filter(|shard| !self.busy.borrow().contains(*shard))
            .filter_map(|shard| self.tenures.get(shard).copied())
            .collect();
        let mut candidates: Vec<ShardId> =
            self.tenures.keys().filter(|shard| !self.leaving.contains(*shard)).copied().collect();
        candidates.sort_unstable();
        let wanted = surplus.saturating_sub(self.leaving.len());
        self.leaving.extend(candidates.into_iter().rev().take(wanted));
        if idle.is_empty() {
            return;
        }
        for tenure in &idle {
            self.forget(tenure.shard);
        }
        let (store, scope, worker) = (self.store.clone(), self.scope.clone(), self.id);
        tokio::spawn(async move {
            if let Err(error) = store.release(&scope, worker, &idle).await {
                tracing::warn!(
                    error = describe(&error),
                    "shards could not be given back; they are free when their lease ends"
                );
            }
        });
    }

    /// Drops all state of a shard. If the worker still owns it, the next heartbeat takes it over again under a new
    /// epoch, which makes its runs ready again.
    pub(super) fn forget(&mut self, shard: ShardId) {
        self.forgotten.extend(self.tenures.remove(&shard));
        self.leaving.remove(&shard);
        self.gates.forget(shard);
        self.timers.retain(|timer| timer.shard != shard);
        self.named.retain(|(of, _)| *of != shard);
        self.requests.retain(|_, requests| requests.iter().all(|request| request.shard != shard));
        for (_, mut run) in self.runs.extract_if(|_, run| run.tenure.shard == shard) {
            run.abort();
        }
        let gone: Vec<_> = self.known.iter().filter(|(_, known)| known.shard == shard).map(|(w, _)| *w).collect();
        for workspace in gone {
            self.known.remove(&workspace);
            self.ring.remove(workspace);
        }
        self.next_hold = Instant::now();
    }

    /// Gives up all shards. This is the last thing that a worker does.
    pub(super) async fn leave(mut self) {
        let tenures: Vec<Tenure> = self.tenures.values().copied().collect();
        self.abort_attempts();
        if tenures.is_empty() {
            return;
        }
        if let Err(error) = self.store.release(&self.scope, self.id, &tenures).await {
            tracing::warn!(
                error = describe(&error),
                "shards could not be given back; they are free when their lease ends"
            );
        }
    }
}
