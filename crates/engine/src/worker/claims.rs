//! Finding work and taking it.

use chrono::{DateTime, TimeDelta, Utc};
use tidegate_kernel::StoreError;
use tidegate_workflows::run::FactKind;
use tokio::time::Instant;

use super::{Claimed, Known, Message, Worker};
use crate::live::LiveRun;
use crate::model::{CancelSignal, ClaimRequest, ClaimedRun, Outlook, ShardId, Share, Tenure};
use crate::ports::TIMERS_PER_LOOK;

/// How often everything is read again from the start, in case something was overlooked.
const REREAD: std::time::Duration = std::time::Duration::from_secs(30);

impl Worker {
    pub(super) fn start_look(&mut self, now: Instant) {
        if self.looking || self.tenures.is_empty() || (now < self.next_look && !self.look_wanted) {
            return;
        }
        self.looking = true;
        self.look_wanted = false;
        let poll = self.poll();
        self.next_look = now + self.jittered(poll);
        if now >= self.next_reread {
            self.next_reread = now + REREAD;
            self.timers_read = None;
        }
        let shards: Vec<ShardId> =
            self.tenures.keys().filter(|shard| !self.leaving.contains(*shard)).copied().collect();
        let after = self.timers_read;
        let until = self.env.now() + TimeDelta::from_std(poll * 2).unwrap_or(TimeDelta::seconds(2));
        let (store, scope, sender) = (self.store.clone(), self.scope.clone(), self.sender.clone());
        tokio::spawn(async move {
            let result = store.look(&scope, &shards, after, until).await;
            let _ = sender.send(Message::Looked { until, result });
        });
    }

    pub(super) fn looked(&mut self, until: DateTime<Utc>, result: Result<Outlook, StoreError>) {
        self.looking = false;
        let outlook = match result {
            Ok(outlook) => outlook,
            Err(error) => {
                tracing::warn!(%error, "the engine could not look for work");
                return;
            }
        };
        for ready in outlook.ready.iter().filter(|ready| self.tenures.contains_key(&ready.shard)) {
            let fresh = Known { shard: ready.shard, weight: ready.weight, bound: 0 };
            let known = self.known.entry(ready.workspace).or_insert(fresh);
            (known.shard, known.weight) = (ready.shard, ready.weight);
            if !self.ring.contains(ready.workspace) {
                // Something is there although everything above the bound was claimed: it is below, having come late.
                known.bound = 0;
            }
            self.ring.insert(ready.workspace, ready.weight);
        }
        if std::mem::take(&mut self.reread_wanted) {
            // Shards came while the look was on its way, and it has not seen theirs.
            self.look_wanted = true;
            self.timers_read = None;
            self.timers.extend(outlook.timers.into_iter().filter(|timer| self.tenures.contains_key(&timer.shard)));
            self.take_signals(outlook.signals);
            return;
        }
        // Where the store cut the list short, the next look goes on from there.
        self.timers_read = Some(
            outlook
                .timers
                .last()
                .map_or(until, |timer| if outlook.timers.len() < TIMERS_PER_LOOK { until } else { timer.due }),
        );
        self.timers.extend(outlook.timers.into_iter().filter(|timer| self.tenures.contains_key(&timer.shard)));
        self.take_signals(outlook.signals);
    }

    fn take_signals(&mut self, signals: Vec<CancelSignal>) {
        for signal in signals {
            if !self.tenures.contains_key(&signal.shard) {
                continue;
            }
            let pending = self.signals.entry(signal.key).or_default();
            if !pending.iter().any(|known| known.id == signal.id) {
                pending.push(signal);
            }
            self.heed_signals(signal.key, signal.shard);
        }
    }

    pub(super) fn start_claim(&mut self) {
        let free = self.config.max_runs.saturating_sub(self.runs.len()).min(self.config.batch);
        if self.claiming || (self.named.is_empty() && (self.ring.is_empty() || free == 0)) {
            return;
        }
        let shares: Vec<Share> = self
            .ring
            .share(u32::try_from(free).unwrap_or(u32::MAX))
            .into_iter()
            .filter_map(|(workspace, quantum)| {
                let known = self.known.get(&workspace)?;
                let open = self.tenures.contains_key(&known.shard) && !self.leaving.contains(&known.shard);
                open.then_some(Share { shard: known.shard, workspace, bound: known.bound, quantum })
            })
            .collect();
        let mut runs = Vec::new();
        while runs.len() < self.config.batch
            && let Some(next) = self.named.pop_first()
        {
            runs.push(next);
        }
        if shares.is_empty() && runs.is_empty() {
            return;
        }
        self.claiming = true;
        let request = ClaimRequest { tenures: self.tenures.values().copied().collect(), shares, runs };
        let (store, scope, sender, plans) =
            (self.store.clone(), self.scope.clone(), self.sender.clone(), self.plans.clone());
        let worker = self.id;
        tokio::spawn(async move {
            let result = match store.claim(&scope, worker, &request).await {
                Ok(runs) => {
                    let mut claimed = Vec::with_capacity(runs.len());
                    for run in runs {
                        let tenant = scope.enter(run.key.workspace, run.request_id.clone());
                        let plan = plans.plan(&tenant, run.workflow, run.version).await;
                        claimed.push(Claimed { run, plan });
                    }
                    Ok(claimed)
                }
                Err(error) => Err(error),
            };
            let _ = sender.send(Message::Claimed { request, result });
        });
    }

    pub(super) fn claimed(&mut self, request: &ClaimRequest, result: Result<Vec<Claimed>, StoreError>) {
        self.claiming = false;
        let claimed = match result {
            Ok(claimed) => claimed,
            Err(error) => {
                // Whether anything was leased is unknown, so the shards are taken over anew.
                tracing::warn!(%error, "a claim failed");
                self.forget_all(request.tenures.iter().copied());
                return;
            }
        };
        for share in &request.shares {
            let mut taken = 0;
            let mut highest = share.bound;
            for run in &claimed {
                if let (true, Some(seq)) = (run.run.key.workspace == share.workspace, run.run.ready_seq) {
                    taken += 1;
                    highest = highest.max(seq);
                }
            }
            if let Some(known) = self.known.get_mut(&share.workspace) {
                known.bound = known.bound.max(highest);
            }
            if taken < share.quantum && !self.nudged.contains(&share.workspace) {
                self.ring.remove(share.workspace);
            }
        }
        self.nudged.clear();
        if !claimed.is_empty() {
            self.last_work = Instant::now();
        }
        for Claimed { run, plan } in claimed {
            if self.tenures.get(&run.tenure.shard) == Some(&run.tenure) {
                self.take_up(run, plan);
            }
        }
    }

    /// Forgets the shards of these tenures, as far as they are still held under them.
    pub(super) fn forget_all(&mut self, tenures: impl Iterator<Item = Tenure>) {
        for tenure in tenures {
            if self.tenures.get(&tenure.shard) == Some(&tenure) {
                self.forget(tenure.shard);
            }
        }
    }

    fn take_up(
        &mut self,
        run: ClaimedRun,
        plan: Result<Option<std::sync::Arc<tidegate_workflows::plan::Plan>>, StoreError>,
    ) {
        let (key, tenure) = (run.key, run.tenure);
        let plan = match plan {
            Ok(Some(plan)) => plan,
            Ok(None) => {
                let message = "the version of the workflow that this run is pinned to is gone".to_owned();
                self.unreadable.push(LiveRun::unreadable(&run, self.env.now(), message));
                return;
            }
            // Forgotten, it would come back at once and take its whole shard along, again and again.
            Err(StoreError::Internal(cause)) => {
                tracing::error!(%cause, run = %key.run, "this release cannot read the plan of a run; it is left as it is");
                return;
            }
            Err(error) => {
                tracing::warn!(%error, run = %key.run, "the plan of a run could not be read");
                self.forget_all(std::iter::once(tenure));
                return;
            }
        };
        let mut live = match LiveRun::new(run, plan) {
            Ok(live) => live,
            Err(error) => {
                tracing::error!(%error, run = %key.run, "a run could not be rebuilt; it is left as it is");
                return;
            }
        };
        let begun = live.has_begun();
        let cancelled = self.signals.contains_key(&key);
        if !begun && !cancelled {
            for (gate, limit) in live.gates.clone() {
                if live.holds(&gate) {
                    continue;
                }
                if self.gates.pass(tenure.shard, key.workspace, &gate, limit) {
                    live.pass(gate);
                } else {
                    live.block(gate);
                    break;
                }
            }
        }
        let blocked = live.is_leaving();
        let outstanding = live.outstanding();
        self.runs.insert(key, live);
        if blocked {
            self.dirty.push_back(key);
        } else if cancelled {
            self.heed_signals(key, tenure.shard);
        } else if begun {
            self.obey(key, outstanding);
        } else {
            self.tell(key, FactKind::Admitted);
        }
    }
}
