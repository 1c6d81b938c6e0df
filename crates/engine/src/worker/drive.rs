//! Applies facts to runs and executes step attempts.

use std::sync::Arc;

use serde_json::Value;
use tidegate_kernel::trace::SPANS;
use tidegate_workflows::compiled::StepIndex;
use tidegate_workflows::run::{Allowance, Command, FactKind, QuarantineReason, StepError};
use tokio::time::{Instant, timeout};
use tracing::Instrument;
use tracing::field::Empty;

use super::{Message, Queued, Worker};
use crate::live::{Decided, Undrivable};
use crate::model::{RunKey, RunRequestKind, ShardId, Tenure, Timer};
use crate::ports::StepTask;

/// The step type has no handler in this process.
#[derive(Debug, thiserror::Error)]
#[error("this process has no handler for the step type `{0}`")]
struct NoHandler(String);

impl Worker {
    /// Applies a fact, because of which as many attempts may begin as the allowance says.
    pub(super) fn decide(&mut self, key: RunKey, kind: FactKind, allowance: Allowance) -> Decided {
        let now = self.env.now();
        let Some(run) = self.runs.get_mut(&key) else { return Decided::default() };
        match run.apply_fact(now, kind, allowance) {
            Ok(decided) => {
                if run.is_dirty() {
                    self.dirty.push_back(key);
                }
                return decided;
            }
            Err(why) if run.in_flight.is_some() => run.doomed = Some(why),
            Err(why) => self.give_up(key, why),
        }
        Decided::default()
    }

    /// Executes the commands of committed transitions.
    pub(super) fn execute(&mut self, key: RunKey, commands: Vec<Command>) {
        let Some(run) = self.runs.get_mut(&key) else { return };
        for command in commands {
            match command {
                Command::SetTimer { step, attempt, due } => {
                    self.timers.insert(Timer { due, key, shard: run.tenure.shard, step, attempt });
                }
                Command::Execute { step, attempt, input, timeout } => {
                    let Some(compiled) = run.compiled.step(step) else { continue };
                    let Some(handler) = self.handlers.get(&compiled.uses.name) else {
                        // A process of another release may have the step type.
                        let error = NoHandler(compiled.uses.name.clone());
                        self.give_up(key, Undrivable::new(QuarantineReason::Unsupported, &error));
                        return;
                    };
                    let id = compiled.id.to_string();
                    let task = StepTask {
                        scope: self.scope.enter(key.workspace, run.request_id.clone()),
                        key,
                        // The third part is 0: the engine never changes it. It is reserved for retries of a run by a
                        // person.
                        idempotency_key: format!("{}:{id}:0", key.run),
                        step: id,
                        attempt,
                        input,
                        depth: run.depth,
                        timeout,
                    };
                    run.queued += 1;
                    let queued = Queued {
                        key,
                        tenure: run.tenure,
                        step,
                        attempt,
                        uses: Arc::clone(&compiled.uses),
                        handler,
                        task,
                    };
                    self.queue.entry(key.workspace).or_default().push_back(queued);
                    self.queue_ring.insert(key.workspace, self.known.get(&key.workspace).map_or(1, |w| w.weight));
                }
            }
        }
    }

    /// Starts attempts in proportion to the weights of the workspaces, up to the maximum number of concurrent attempts.
    pub(super) fn start_attempts(&mut self) {
        if self.drain_until.is_some() {
            return;
        }
        while self.executing < self.config.max_attempts && !self.queue_ring.is_empty() {
            let free = u32::try_from(self.config.max_attempts - self.executing).unwrap_or(u32::MAX);
            for (workspace, share) in self.queue_ring.share(free) {
                for _ in 0..share {
                    let next = self.queue.get_mut(&workspace).and_then(std::collections::VecDeque::pop_front);
                    let Some(queued) = next else { break };
                    self.start_attempt(queued);
                }
                if self.queue.get(&workspace).is_none_or(std::collections::VecDeque::is_empty) {
                    self.queue.remove(&workspace);
                    self.queue_ring.remove(workspace);
                }
            }
        }
    }

    fn start_attempt(&mut self, queued: Queued) {
        let Queued { key, tenure, step, attempt, uses, handler, task } = queued;
        let Some(run) = self.runs.get_mut(&key).filter(|run| run.tenure == tenure) else { return };
        run.queued = run.queued.saturating_sub(1);
        if !run.awaits(step, attempt) {
            return;
        }
        let measures = self.measures.attempts_of(&uses.name);
        let guard = AttemptGuard { sender: Some(self.sender.clone()), key, tenure, step, attempt };
        // Every log line of the attempt carries these fields.
        let span = tracing::error_span!(
            "attempt", workspace_id = %key.workspace, run = %key.run, step = %task.step, attempt,
            request_id = task.scope.request_id().as_str(),
        );
        let traced = tracing::trace_span!(
            target: SPANS, parent: run.span.id(), "attempt", otel.name = uses.name, run = %key.run,
            workspace_id = %key.workspace, step = task.step, attempt, error.type = Empty, otel.status_code = Empty,
        );
        let outcome_of = traced.clone();
        let work = async move {
            let began = Instant::now();
            let outcome = timeout(task.timeout, handler.execute(&task)).await;
            let outcome = outcome.unwrap_or_else(|_| Err(StepError::timed_out(task.timeout)));
            measures.ended(&outcome, began.elapsed());
            if let Err(error) = &outcome {
                outcome_of.record("error.type", error.code.as_str());
                outcome_of.record("otel.status_code", "ERROR");
            }
            guard.report(outcome);
        };
        let work = tokio::spawn(work.instrument(span).instrument(traced));
        run.attempts.insert((step, attempt), work.abort_handle());
        self.executing += 1;
    }

    pub(super) fn attempt_ended(
        &mut self,
        key: RunKey,
        tenure: Tenure,
        step: StepIndex,
        attempt: u32,
        outcome: Result<Value, StepError>,
    ) {
        self.executing = self.executing.saturating_sub(1);
        if let Some(run) = self.runs.get_mut(&key).filter(|run| run.tenure == tenure) {
            run.attempts.remove(&(step, attempt));
            self.apply_fact(key, FactKind::AttemptEnded { step, attempt, outcome });
        }
    }

    pub(super) fn fire_timers(&mut self) {
        let now = self.env.now();
        while let Some(timer) = self.timers.first().copied().filter(|timer| timer.due <= now) {
            self.timers.pop_first();
            match self.runs.get(&timer.key) {
                // The run is about to leave. The timer is tried again, or read from the store.
                Some(run) if run.is_leaving() => self.named_later(timer),
                Some(_) => self.apply_fact(timer.key, FactKind::TimeCame { step: timer.step, attempt: timer.attempt }),
                None => {
                    self.named.insert((timer.shard, timer.key));
                }
            }
        }
    }

    fn named_later(&mut self, timer: Timer) {
        self.timers.insert(Timer { due: timer.due.max(self.env.now()) + chrono::TimeDelta::milliseconds(20), ..timer });
    }

    /// Applies the requests about a run in memory, or claims the run.
    pub(super) fn apply_requests(&mut self, key: RunKey, shard: ShardId) {
        match self.runs.get_mut(&key) {
            // The requests are applied after the run has left.
            Some(run) if run.is_leaving() => {}
            Some(run) => {
                let requests = self.requests.remove(&key).unwrap_or_default();
                for request in &requests {
                    run.acknowledge(request.id);
                }
                if requests.iter().any(|request| request.kind != RunRequestKind::Release) {
                    self.apply_fact(key, FactKind::CancelRequested);
                } else {
                    self.dirty.push_back(key);
                }
            }
            None => {
                let mut requests = self.requests.remove(&key).unwrap_or_default();
                for request in requests.extract_if(.., |request| request.kind == RunRequestKind::End) {
                    self.end_quarantined(request);
                }
                if !requests.is_empty() {
                    self.requests.insert(key, requests);
                    self.named.insert((shard, key));
                }
            }
        }
    }
}

/// Reports the outcome of an attempt, also if the attempt was aborted or panicked.
struct AttemptGuard {
    sender: Option<tokio::sync::mpsc::UnboundedSender<Message>>,
    key: RunKey,
    tenure: Tenure,
    step: StepIndex,
    attempt: u32,
}

impl AttemptGuard {
    fn report(mut self, outcome: Result<Value, StepError>) {
        self.send(outcome);
    }

    fn send(&mut self, outcome: Result<Value, StepError>) {
        if let Some(sender) = self.sender.take() {
            let (key, tenure, step, attempt) = (self.key, self.tenure, self.step, self.attempt);
            // Sending fails only if the worker has ended.
            let _ = sender.send(Message::AttemptEnded { key, tenure, step, attempt, outcome });
        }
    }
}

impl Drop for AttemptGuard {
    fn drop(&mut self) {
        self.send(Err(StepError::transient("interrupted", "the attempt was interrupted")));
    }
}
