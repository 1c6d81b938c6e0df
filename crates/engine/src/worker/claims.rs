//! Looks for work and claims it.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use tidegate_kernel::StoreError;
use tidegate_kernel::trace::SPANS;
use tidegate_workflows::run::{FactKind, QuarantineReason, RunState};
use tokio::time::Instant;
use tracing::Span;
use tracing::field::Empty;

use super::measures::Question;
use super::quarantine::is_refusal;
use super::{Compiled, Known, Message, Worker};
use crate::live::{LiveRun, Undrivable, describe};
use crate::model::{
    ClaimRequest, ClaimedRun, Claims, Outlook, RunRequest, RunRequestKind, ShardId, Share, Tenure, UnreadRun,
};
use crate::panics::{catch, catch_store};
use crate::ports::TIMERS_PER_LOOK;

/// How often to look for ready rows below those that were claimed. A transaction that commits late leaves its row
/// there.
const REWIND: std::time::Duration = std::time::Duration::from_secs(2);

/// How often to read the timers from the first one again. Another transaction may have added a timer that is due before
/// those already read.
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
        let (store, scope) = (self.store.clone(), self.scope.clone());
        self.ask(Question::Look, async move { store.look(&scope, &shards, after, until).await }, move |result| {
            Message::Looked { until, result }
        });
    }

    pub(super) fn looked(&mut self, until: DateTime<Utc>, result: Result<Outlook, StoreError>) {
        self.looking = false;
        let outlook = match result {
            Ok(outlook) => outlook,
            Err(error) => {
                self.measures.failed(Question::Look);
                tracing::warn!(error = describe(&error), "the engine could not look for work");
                return;
            }
        };
        for ready in outlook.ready.iter().filter(|ready| self.tenures.contains_key(&ready.shard)) {
            let fresh = Known { shard: ready.shard, weight: ready.weight, bound: 0 };
            let known = self.known.entry(ready.workspace).or_insert(fresh);
            (known.shard, known.weight) = (ready.shard, ready.weight);
            if !self.ring.contains(ready.workspace) {
                // Everything above the bound was claimed, so the remaining row is below it and was committed late.
                known.bound = 0;
            }
            self.ring.insert(ready.workspace, ready.weight);
        }
        if std::mem::take(&mut self.reread_wanted) {
            // Shards were acquired during the look, so it does not include their work.
            self.look_wanted = true;
            self.timers_read = None;
            self.timers.extend(outlook.timers.into_iter().filter(|timer| self.tenures.contains_key(&timer.shard)));
            self.take_requests(outlook.requests);
            return;
        }
        // If the store limited the number of timers, the next look continues after the last one.
        self.timers_read = Some(
            outlook
                .timers
                .last()
                .map_or(until, |timer| if outlook.timers.len() < TIMERS_PER_LOOK { until } else { timer.due }),
        );
        self.timers.extend(outlook.timers.into_iter().filter(|timer| self.tenures.contains_key(&timer.shard)));
        self.take_requests(outlook.requests);
    }

    fn take_requests(&mut self, requests: Vec<RunRequest>) {
        for request in requests {
            if !self.tenures.contains_key(&request.shard) {
                continue;
            }
            let pending = self.requests.entry(request.key).or_default();
            if !pending.iter().any(|known| known.id == request.id) {
                pending.push(request);
            }
            self.apply_requests(request.key, request.shard);
        }
    }

    pub(super) fn start_claim(&mut self) {
        let free = self.config.max_runs.saturating_sub(self.runs.len()).min(self.config.batch);
        if self.claiming || self.committing || (self.named.is_empty() && (self.ring.is_empty() || free == 0)) {
            return;
        }
        let now = Instant::now();
        if now >= self.next_rewind {
            self.next_rewind = now + REWIND;
            self.known.values_mut().for_each(|known| known.bound = 0);
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
        let tenures = self.tenures.values().copied().collect();
        let request = Arc::new(ClaimRequest { tenures, shares, runs });
        let (store, scope, workflows, asked) =
            (self.store.clone(), self.scope.clone(), self.workflows.clone(), Arc::clone(&request));
        let worker = self.id;
        let claim = async move {
            let claims = store.claim(&scope, worker, &asked).await?;
            let mut compiled = Vec::with_capacity(claims.runs.len());
            for run in &claims.runs {
                let tenant = scope.enter(run.key.workspace, run.request_id.clone());
                compiled.push(catch_store(workflows.compiled(&tenant, run.workflow, run.version)).await);
            }
            Ok((claims, compiled))
        };
        self.ask(Question::Claim, claim, move |result| Message::Claimed { request, result });
    }

    pub(super) fn claimed(&mut self, request: &ClaimRequest, result: Result<(Claims, Vec<Compiled>), StoreError>) {
        self.claiming = false;
        let (claims, compiled) = match result {
            Ok(claimed) => claimed,
            Err(error) => {
                // It is unknown whether runs were leased, so the shards have to be taken over anew.
                self.measures.failed(Question::Claim);
                tracing::warn!(error = describe(&error), "a claim failed");
                self.forget_all(request.tenures.iter().copied());
                return;
            }
        };
        for share in &request.shares {
            let mut taken = 0;
            let mut highest = share.bound;
            for run in &claims.runs {
                if let (true, Some(seq)) = (run.key.workspace == share.workspace, run.ready_seq) {
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
        if !claims.runs.is_empty() {
            self.last_work = Instant::now();
            self.measures.claimed(claims.runs.len());
        }
        for (run, compiled) in claims.runs.into_iter().zip(compiled) {
            if self.tenures.get(&run.tenure.shard) == Some(&run.tenure) {
                self.take_up(run, compiled);
            }
        }
        for UnreadRun { key, tenure, holds, error } in claims.unreadable {
            if self.tenures.get(&tenure.shard) == Some(&tenure) {
                self.refuse_unread(key, tenure, holds, error);
            }
        }
        // A run that was claimed by name and is not in memory has ended, or the next look returns its request again.
        for (_, key) in &request.runs {
            if !self.runs.contains_key(key) {
                self.requests.remove(key);
            }
        }
    }

    /// Forgets the shards of these tenures, unless they are held under a newer tenure.
    pub(super) fn forget_all(&mut self, tenures: impl Iterator<Item = Tenure>) {
        for tenure in tenures {
            if self.tenures.get(&tenure.shard) == Some(&tenure) {
                self.forget(tenure.shard);
            }
        }
    }

    /// The span for the time in which a run is in memory. It joins the trace in which the run was started.
    fn span_of(&self, run: &ClaimedRun) -> Span {
        let span = tracing::trace_span!(
            target: SPANS, parent: None, "run", run = %run.key.run, workspace_id = %run.key.workspace,
            workflow_id = %run.workflow, request_id = run.request_id.as_str(), status = Empty, otel.status_code = Empty,
        );
        if let (false, Some(trace)) = (span.is_disabled(), &run.trace) {
            (self.continue_trace)(&span, trace);
        }
        span
    }

    fn take_up(&mut self, run: ClaimedRun, compiled: Compiled) {
        let (key, tenure, released) = (run.key, run.tenure, run.released);
        if run.journal.is_empty() {
            self.measures.first_claim((self.env.now() - run.created_at).to_std().unwrap_or_default());
        }
        let compiled = match compiled {
            Ok(Some(compiled)) => compiled,
            Ok(None) => {
                let message = "the version of the workflow that this run is pinned to is gone".to_owned();
                let left = self.departures_of(&run);
                self.unreadable.push(LiveRun::unreadable(&run, self.env.now(), message, left));
                return;
            }
            // To forget the shard would not help: the run would be claimed again at once, and fail again.
            Err(error) if is_refusal(&error) => {
                self.refuse_claimed(&run, Undrivable::new(QuarantineReason::Unsupported, &error));
                return;
            }
            Err(error) => {
                tracing::warn!(error = describe(&error), run = %key.run, "the compiled workflow of a run could not be read");
                self.forget_all(std::iter::once(tenure));
                return;
            }
        };
        let replayed = catch(|| RunState::replay(&compiled, &run.journal)).map_err(Undrivable::from);
        let mut live = match replayed.and_then(|replayed| replayed.map_err(Undrivable::from)) {
            Ok(state) => {
                let span = self.span_of(&run);
                LiveRun::new(run, compiled, state, span)
            }
            Err(why) => {
                self.refuse_claimed(&run, why);
                return;
            }
        };
        let requests = self.requests.remove(&key).unwrap_or_default();
        let cancelled = requests.iter().any(|request| request.kind != RunRequestKind::Release);
        for request in requests {
            live.acknowledge(request.id);
        }
        let begun = live.has_begun();
        if (!begun || released) && !cancelled {
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
        let resumes = begun && (released || live.only_waits());
        if resumes && !blocked && !cancelled {
            live.resume();
        }
        let outstanding = live.outstanding();
        self.runs.insert(key, live);
        if cancelled {
            self.apply_fact(key, FactKind::CancelRequested);
        } else if blocked || resumes {
            self.dirty.push_back(key);
        } else if begun {
            self.execute(key, outstanding);
        } else {
            self.apply_fact(key, FactKind::Admitted);
        }
    }
}
