//! Looks for jobs, claims them and starts attempts.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::FutureExt;
use tidegate_kernel::StoreError;
use tidegate_kernel::trace::SPANS;
use tokio::time::{Instant, timeout};
use tracing::Instrument;
use tracing::field::Empty;

use super::super::kinds::{JobError, JobOptions, JobTask};
use super::super::model::{ClaimedJob, INSTALLATION, JobClaim, JobOutcome, JobOutlook};
use super::{InHand, Message, PAUSE, Runner};
use crate::panics::Panicked;

impl Runner {
    pub(super) fn start_look(&mut self, now: Instant) {
        let Some(worker) = self.worker else { return };
        if self.looking || self.tenures.is_empty() || (now < self.next_look && !self.look_wanted) {
            return;
        }
        self.looking = true;
        self.look_wanted = false;
        let poll = if self.is_quiet() { self.config.idle_poll } else { self.config.poll };
        self.next_look = now + self.jittered(poll);
        let (tenures, at) = (self.open_tenures(), self.env.now());
        let (store, scope) = (self.store.clone(), self.scope.clone());
        self.ask(async move { store.look(&scope, worker, &tenures, at).await }, Message::Looked);
    }

    pub(super) fn looked(&mut self, result: Result<JobOutlook, StoreError>) {
        self.looking = false;
        let outlook = match result {
            Ok(outlook) => outlook,
            Err(error) => {
                tracing::warn!(%error, "jobs could not be looked for; it is tried again");
                self.next_look = self.next_look.min(Instant::now() + self.config.poll);
                return;
            }
        };
        for ready in outlook.lanes {
            if !self.owns(ready.lane.shard) {
                continue;
            }
            match self.queues.get_mut(ready.lane.kind.as_str()) {
                Some(queue) => queue.has_work(&ready.lane, Some(ready.first), self.claiming),
                None => {
                    if self.unknown.insert(ready.lane.kind.clone()) {
                        tracing::warn!(kind = ready.lane.kind, "jobs of a kind that this release does not know wait");
                    }
                }
            }
        }
        self.queues.values_mut().for_each(super::KindQueue::tidy);
        if let Some(due) = outlook.next_due {
            let wait = (due - self.env.now()).to_std().unwrap_or(Duration::ZERO);
            self.next_look = self.next_look.min(Instant::now() + wait);
        }
    }

    pub(super) fn start_claim(&mut self) {
        let Some(worker) = self.worker else { return };
        if self.claiming || Instant::now() < self.next_claim {
            return;
        }
        if std::mem::take(&mut self.recover_wanted) {
            self.claiming = true;
            let (tenures, in_hand) = (self.open_tenures(), self.in_hand.keys().copied().collect::<Vec<_>>());
            let (store, scope) = (self.store.clone(), self.scope.clone());
            let question = async move { store.recover(&scope, worker, &tenures, &in_hand).await };
            self.ask(question, Message::Recovered);
            return;
        }
        let mut lanes = Vec::new();
        let mut room = self.config.batch;
        for queue in self.queues.values_mut() {
            let claims = queue.share(room);
            room = room.saturating_sub(claims.iter().map(|claim| claim.quantum as usize).sum());
            lanes.extend(claims);
        }
        lanes.retain(|claim| self.owns(claim.lane.shard));
        if lanes.is_empty() {
            return;
        }
        self.claiming = true;
        let claim = JobClaim { tenures: self.open_tenures(), lanes };
        let (store, scope, asked) = (self.store.clone(), self.scope.clone(), claim.clone());
        let question = async move { store.claim(&scope, worker, &asked).await };
        self.ask(question, move |result| Message::Claimed { claim, result });
    }

    pub(super) fn claimed(&mut self, claim: &JobClaim, result: Result<Vec<ClaimedJob>, StoreError>) {
        self.claiming = false;
        let jobs = match result {
            Ok(jobs) => jobs,
            Err(error) => {
                // It is unknown whether jobs were leased.
                tracing::warn!(%error, "a claim of jobs failed; it is tried again");
                self.recover_later();
                return;
            }
        };
        let mut taken = HashMap::new();
        for job in &jobs {
            let (count, last): &mut (u32, i64) = taken.entry(&job.lane).or_default();
            *count += 1;
            *last = job.seq.max(*last);
        }
        for lane in &claim.lanes {
            let (count, last) = taken.get(&lane.lane).copied().unwrap_or_default();
            if let Some(queue) = self.queues.get_mut(lane.lane.kind.as_str()) {
                queue.claimed(lane, count, last);
            }
        }
        if !jobs.is_empty() {
            self.last_work = Instant::now();
            self.next_count = self.next_count.min(self.last_work + self.config.count);
        }
        for job in jobs {
            if self.tenures.get(&job.tenure.shard) == Some(&job.tenure) {
                self.begin(job);
            }
        }
    }

    pub(super) fn recovered(&mut self, result: Result<(), StoreError>) {
        self.claiming = false;
        self.look_wanted = true;
        if let Err(error) = result {
            tracing::warn!(%error, "jobs whose claim was lost could not be made ready; it is tried again");
            self.recover_later();
        }
    }

    fn recover_later(&mut self) {
        self.recover_wanted = true;
        self.next_claim = Instant::now() + self.jittered(PAUSE);
    }

    /// Starts an attempt.
    fn begin(&mut self, job: ClaimedJob) {
        let (key, tenure) = (job.key, job.tenure);
        let Some((name, queue)) = self.queues.get_key_value(job.lane.kind.as_str()) else { return };
        let (name, handler, options) = (*name, Arc::clone(&queue.kind.handler), queue.kind.options);
        let delay = (self.env.now() - job.since).to_std().unwrap_or_default();
        queue.measures.began(delay);
        let workspace =
            (key.workspace != INSTALLATION).then(|| self.scope.enter(key.workspace, job.request_id.clone()));
        let task = JobTask { id: key.job, attempt: job.attempts + 1, workspace, request_id: job.request_id };
        // Every log line of the attempt carries these fields.
        let span = tracing::error_span!(
            "job", kind = name, job = %key.job, workspace_id = %key.workspace, attempt = task.attempt,
            request_id = task.request_id.as_str(),
        );
        let traced = tracing::trace_span!(
            target: SPANS, parent: None, "job", otel.name = name, job = %key.job, workspace_id = %key.workspace,
            attempt = task.attempt, error.type = Empty, otel.status_code = Empty,
        );
        if let (false, Some(trace)) = (traced.is_disabled(), &job.trace) {
            (self.continue_trace)(&traced, trace);
        }
        let outcome_of = traced.clone();
        let (sender, env) = (self.sender.clone(), self.env.clone());
        let work = async move {
            let result = if job.attempts >= options.retry.max_attempts {
                Err(JobError::Permanent("the process ended during every attempt".to_owned()))
            } else {
                // The call is inside the caught block, because a handler may panic before its first await.
                let attempt = AssertUnwindSafe(async { handler.run(&task, &job.payload).await }).catch_unwind();
                match timeout(options.timeout, attempt).await {
                    Ok(Ok(result)) => result,
                    Ok(Err(payload)) => Err(JobError::Permanent(Panicked::new(&*payload).to_string())),
                    Err(_) => Err(JobError::Transient(format!("the attempt took longer than {:?}", options.timeout))),
                }
            };
            let [jitter] = env.random::<1>();
            let outcome = outcome(&options, task.attempt, result, env.now(), f64::from(jitter) / 255.0);
            if let JobOutcome::Retry { error, .. } | JobOutcome::Dead { error } = &outcome {
                outcome_of.record("error.type", "job");
                outcome_of.record("otel.status_code", "ERROR");
                tracing::warn!(error, dead = matches!(outcome, JobOutcome::Dead { .. }), "a job failed");
            }
            // Sending fails only if the runner has ended.
            let _ = sender.send(Message::Ended { key, tenure, outcome });
        };
        let attempt = Some(tokio::spawn(work.instrument(span).instrument(traced)).abort_handle());
        self.in_hand.insert(key, InHand { tenure, kind: name, attempt, begun: Instant::now() });
        if let Some(queue) = self.queues.get_mut(name) {
            queue.began(key.workspace);
        }
    }
}

/// The result of an attempt for the job. The backoff has "equal jitter": between half of the policy's delay and all of
/// it (Brooker, *Exponential Backoff And Jitter*, AWS Architecture Blog, 2015). `jitter` is in `0.0..=1.0`.
fn outcome(
    options: &JobOptions,
    attempt: u32,
    result: Result<(), JobError>,
    now: DateTime<Utc>,
    jitter: f64,
) -> JobOutcome {
    match result {
        Ok(()) => JobOutcome::Done,
        Err(JobError::Permanent(error)) => JobOutcome::Dead { error },
        Err(JobError::Transient(error)) => match options.retry.delay_after(attempt) {
            Some(delay) => JobOutcome::Retry { at: now + delay.mul_f64(0.5 + 0.5 * jitter), error },
            None => JobOutcome::Dead { error },
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_job_is_tried_as_often_as_its_policy_says(attempts in 1u32..20, jitter in 0.0..=1.0) {
            let mut options = JobOptions::default();
            options.retry.max_attempts = attempts;
            let now = DateTime::UNIX_EPOCH;
            for attempt in 1..=attempts {
                let failed = Err(JobError::Transient("no".to_owned()));
                match outcome(&options, attempt, failed, now, jitter) {
                    JobOutcome::Retry { at, .. } => {
                        prop_assert!(attempt < attempts);
                        let delay = options.retry.delay_after(attempt).unwrap();
                        prop_assert!(at - now >= chrono::TimeDelta::from_std(delay / 2).unwrap());
                        prop_assert!(at - now <= chrono::TimeDelta::from_std(delay).unwrap());
                    }
                    JobOutcome::Dead { .. } => prop_assert_eq!(attempt, attempts),
                    JobOutcome::Done => prop_assert!(false),
                }
            }
        }
    }
}
