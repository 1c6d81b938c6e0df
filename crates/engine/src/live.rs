//! A run in the hands of a worker.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::Value;
use tidegate_kernel::RequestId;
use tidegate_workflows::compiled::{CompiledWorkflow, StepIndex};
use tidegate_workflows::run::{
    Command, Corrupt, DecideError, Fact, FactKind, QuarantineReason, RunContext, RunError, RunOrigin, RunState,
    RunStatus, StepStatus, Transition, TransitionRecord, decide,
};
use tokio::task::AbortHandle;
use tracing::Span;
use uuid::Uuid;

use crate::gates::GateBook;
use crate::model::{After, ClaimedRun, Departure, Gate, RunCommit, RunKey, RunSummary, Tenure, Timer};
use crate::panics::{Panicked, catch};

/// A run in hand: its state, and what of it is not committed.
#[derive(Debug)]
pub(crate) struct LiveRun {
    pub(crate) key: RunKey,
    pub(crate) tenure: Tenure,
    pub(crate) compiled: Arc<CompiledWorkflow>,
    pub(crate) depth: u8,
    pub(crate) request_id: RequestId,
    context: RunContext,
    state: RunState,
    /// Transitions up to here are committed.
    committed: u32,
    pending: Vec<TransitionRecord>,
    /// Commands of pending transitions: obeyed once those are committed.
    commands: Vec<Command>,
    cleared: Vec<StepIndex>,
    requests: Vec<Uuid>,
    /// Gates passed, and not committed.
    passed: Vec<Gate>,
    /// Gates passed, in all.
    holds: Vec<Gate>,
    /// The gates before it, with their limits.
    pub(crate) gates: Vec<(Gate, u32)>,
    blocked: Option<Gate>,
    started_at: Option<DateTime<Utc>>,
    shown: RunStatus,
    /// The commit that is on its way.
    pub(crate) in_flight: Option<InFlight>,
    /// Attempts being made.
    pub(crate) attempts: HashMap<(StepIndex, u32), AbortHandle>,
    /// Attempts in the queue.
    pub(crate) queued: usize,
    /// Whether it has just been taken up and has to be written down as it is.
    resumed: bool,
    /// Why it is given up as soon as the commit on its way has arrived.
    pub(crate) doomed: Option<Undrivable>,
    /// Lasts as long as the run is in hand.
    pub(crate) span: Span,
}

/// Why a run cannot be driven on; it is set aside.
#[derive(Debug)]
pub(crate) struct Undrivable {
    pub(crate) reason: QuarantineReason,
    /// The error and what caused it, for operators.
    pub(crate) error: String,
}

impl Undrivable {
    pub(crate) fn new(reason: QuarantineReason, error: &(dyn std::error::Error + 'static)) -> Self {
        Self { reason, error: describe(error) }
    }
}

impl From<DecideError> for Undrivable {
    fn from(error: DecideError) -> Self {
        let reason = match &error {
            DecideError::UnknownSemantics(_) => QuarantineReason::Unsupported,
            DecideError::Corrupt(_) => QuarantineReason::Unreadable,
        };
        Self::new(reason, &error)
    }
}

impl From<Corrupt> for Undrivable {
    fn from(error: Corrupt) -> Self {
        DecideError::from(error).into()
    }
}

/// Another release may not have the defect.
impl From<Panicked> for Undrivable {
    fn from(error: Panicked) -> Self {
        Self::new(QuarantineReason::Unsupported, &error)
    }
}

/// An error and what caused it.
pub(crate) fn describe(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// A commit that is on its way.
#[derive(Debug)]
pub(crate) struct InFlight {
    up_to: u32,
    commands: Vec<Command>,
    pub(crate) after: After,
    pub(crate) left: Vec<Departure>,
    requests: Vec<Uuid>,
}

impl LiveRun {
    /// Takes a claimed run into hand, whose journal led to `state`.
    pub(crate) fn new(claimed: ClaimedRun, compiled: Arc<CompiledWorkflow>, state: RunState, span: Span) -> Self {
        let origin = RunOrigin {
            run: claimed.key.run,
            created_at: claimed.created_at,
            workflow: claimed.workflow,
            version: claimed.version,
            trigger: claimed.trigger,
            event: claimed.event,
            inputs: claimed.input,
        };
        let mut gates: Vec<(Gate, u32)> = claimed.concurrency.into_iter().collect();
        gates.extend(claimed.run_limit.map(|limit| (Gate::workspace(), limit)));
        let began = claimed.journal.iter().find(|record| record.transition == Transition::RunStarted);
        Self {
            key: claimed.key,
            tenure: claimed.tenure,
            context: origin.context(&compiled.name),
            committed: state.next_seq(),
            started_at: began.map(|record| record.at),
            shown: state.status(),
            state,
            compiled,
            depth: claimed.depth,
            request_id: claimed.request_id,
            pending: Vec::new(),
            commands: Vec::new(),
            cleared: Vec::new(),
            requests: Vec::new(),
            passed: Vec::new(),
            holds: claimed.holds,
            gates,
            blocked: None,
            in_flight: None,
            attempts: HashMap::new(),
            queued: 0,
            resumed: false,
            doomed: None,
            span,
        }
    }

    /// The first transition of a run that cannot be driven: it ends.
    pub(crate) fn unreadable(
        claimed: &ClaimedRun,
        at: DateTime<Utc>,
        message: String,
        left: Vec<Departure>,
    ) -> RunCommit {
        let error = RunError { code: "version".to_owned(), message, step: None };
        let ended =
            Transition::RunEnded { status: RunStatus::Failed, outputs: Value::Null, error: Some(error.clone()) };
        let seq = claimed.journal.last().map_or(0, |record| record.seq.saturating_add(1));
        RunCommit {
            tenure: claimed.tenure,
            key: claimed.key,
            from_seq: seq,
            records: vec![TransitionRecord { seq, at, transition: ended }],
            after: After::End,
            summary: Some(RunSummary {
                status: RunStatus::Failed,
                started_at: None,
                finished_at: Some(at),
                outputs: None,
                error: Some(error),
            }),
            timers: Vec::new(),
            cleared: Vec::new(),
            requests: Vec::new(),
            passed: Vec::new(),
            left,
        }
    }

    /// Whether this attempt is still to be made.
    pub(crate) fn awaits(&self, step: StepIndex, attempt: u32) -> bool {
        self.state
            .steps()
            .get(step.get())
            .is_some_and(|state| state.status == StepStatus::Running && state.attempt == attempt)
    }

    pub(crate) fn has_begun(&self) -> bool {
        self.state.next_seq() > 0
    }

    pub(crate) fn holds(&self, gate: &Gate) -> bool {
        self.holds.contains(gate)
    }

    pub(crate) fn pass(&mut self, gate: Gate) {
        self.passed.push(gate.clone());
        self.holds.push(gate);
    }

    /// How many may be behind a gate of this run's; unknown where the limit is not there any more.
    pub(crate) fn limit(&self, gate: &Gate) -> Option<u32> {
        self.gates.iter().find(|(of, _)| of == gate).map(|(_, limit)| *limit)
    }

    pub(crate) fn block(&mut self, gate: Gate) {
        self.blocked = Some(gate);
    }

    /// Has the run written down as it is before its outstanding work is done: one that only waits then gives its lease up, and
    /// one from the quarantine gets its gates and timers back.
    pub(crate) fn resume(&mut self) {
        self.commands.extend(self.state.outstanding(&self.compiled));
        self.resumed = true;
    }

    /// Whether a begun run has nothing to do but wait.
    pub(crate) fn only_waits(&self) -> bool {
        self.state.status() == RunStatus::Waiting
    }

    /// What a worker that takes the run over has to do; all of it is committed.
    pub(crate) fn outstanding(&self) -> Vec<Command> {
        self.state.outstanding(&self.compiled)
    }

    /// Whether the worker has already said goodbye to the run, and a fact has to wait for whoever takes it up next.
    pub(crate) fn is_leaving(&self) -> bool {
        self.blocked.is_some() || self.in_flight.as_ref().is_some_and(|commit| commit.after != After::Keep)
    }

    /// Tells the run what happened. True when there is something to commit.
    pub(crate) fn apply_fact(&mut self, at: DateTime<Utc>, kind: FactKind) -> Result<bool, Undrivable> {
        if let FactKind::TimeCame { step, .. } = kind {
            self.cleared.push(step);
        }
        let fact = Fact { at, kind };
        let decision = catch(|| decide(&self.compiled, &self.context, &mut self.state, &fact))??;
        if decision.transitions.first().is_some_and(|record| record.transition == Transition::RunStarted) {
            self.started_at = Some(at);
        }
        if decision.transitions.iter().any(|record| matches!(record.transition, Transition::RunEnded { .. })) {
            for (_, attempt) in self.attempts.drain() {
                attempt.abort();
            }
            self.commands.clear();
        }
        self.commands.extend(decision.commands);
        self.pending.extend(decision.transitions);
        Ok(self.is_dirty())
    }

    pub(crate) fn acknowledge(&mut self, request: Uuid) {
        self.requests.push(request);
    }

    pub(crate) fn is_dirty(&self) -> bool {
        !self.pending.is_empty() || !self.requests.is_empty() || self.blocked.is_some() || self.resumed
    }

    /// What is to be committed, or `None` where nothing is or a commit is on its way.
    pub(crate) fn prepare(&mut self, park_after: DateTime<Utc>, book: &mut GateBook) -> Option<RunCommit> {
        if self.in_flight.is_some() || !self.is_dirty() {
            return None;
        }
        let status = self.state.status();
        self.resumed = false;
        let executes = !self.attempts.is_empty()
            || self.queued > 0
            || self.commands.iter().any(|command| matches!(command, Command::Execute { .. }));
        let first_due = self.state.steps().iter().filter_map(|step| step.until).min();
        let after = if let Some(gate) = self.blocked.clone() {
            After::Block(gate)
        } else if status.is_terminal() {
            After::End
        } else if !executes && status == RunStatus::Waiting && first_due.is_some_and(|due| due > park_after) {
            After::Park
        } else {
            After::Keep
        };
        // Whoever takes a parked run up finds its times here and nowhere else, so all of them are written.
        let timers = if after == After::Park { self.timers(&self.outstanding()) } else { self.timers(&self.commands) };
        let left = if after == After::End { self.leave(book) } else { Vec::new() };
        // A step whose timer is set anew keeps it.
        let cleared = std::mem::take(&mut self.cleared);
        let cleared = cleared.into_iter().filter(|step| timers.iter().all(|timer| timer.step != *step)).collect();
        let summary = (status != self.shown).then(|| self.summary(status));
        self.shown = status;
        let commit = RunCommit {
            tenure: self.tenure,
            key: self.key,
            from_seq: self.committed,
            records: std::mem::take(&mut self.pending),
            after: after.clone(),
            summary,
            timers,
            cleared,
            requests: std::mem::take(&mut self.requests),
            passed: std::mem::take(&mut self.passed),
            left: left.clone(),
        };
        let commands = std::mem::take(&mut self.commands);
        let requests = commit.requests.clone();
        self.in_flight = Some(InFlight { up_to: self.state.next_seq(), commands, after, left, requests });
        Some(commit)
    }

    fn timers(&self, commands: &[Command]) -> Vec<Timer> {
        let timer = |command: &Command| match command {
            Command::SetTimer { step, attempt, due } => {
                Some(Timer { due: *due, key: self.key, shard: self.tenure.shard, step: *step, attempt: *attempt })
            }
            Command::Execute { .. } => None,
        };
        commands.iter().filter_map(timer).collect()
    }

    fn leave(&self, book: &mut GateBook) -> Vec<Departure> {
        let leave = |gate: &Gate| Departure {
            places: book.depart(self.tenure.shard, self.key.workspace, gate, self.limit(gate)),
            gate: gate.clone(),
        };
        self.holds.iter().map(leave).collect()
    }

    /// The gates that a run leaves which is given up: as its last commit would have, where that was refused.
    pub(crate) fn departures(&self, book: &mut GateBook) -> Vec<Departure> {
        match &self.in_flight {
            Some(commit) if commit.after == After::End => commit.left.clone(),
            _ => self.leave(book),
        }
    }

    /// Signals that the run has answered, and that are not deleted yet.
    pub(crate) fn answered(&self) -> Vec<Uuid> {
        let in_flight = self.in_flight.iter().flat_map(|commit| &commit.requests);
        in_flight.chain(&self.requests).copied().collect()
    }

    fn summary(&self, status: RunStatus) -> RunSummary {
        let ended = self.pending.iter().rev().find_map(|record| match &record.transition {
            Transition::RunEnded { outputs, error, .. } => Some((record.at, outputs.clone(), error.clone())),
            _ => None,
        });
        let (finished_at, outputs, error) = match ended {
            Some((at, outputs, error)) => (Some(at), (status == RunStatus::Completed).then_some(outputs), error),
            None => (None, None, None),
        };
        RunSummary { status, started_at: self.started_at, finished_at, outputs, error }
    }

    /// The commit on its way has arrived. Says what became of the run and what may be done now.
    pub(crate) fn arrived(&mut self) -> Option<(After, Vec<Departure>, Vec<Command>)> {
        let commit = self.in_flight.take()?;
        self.committed = commit.up_to;
        Some((commit.after, commit.left, commit.commands))
    }

    /// Abandons whatever is being done.
    pub(crate) fn abort(&mut self) {
        for (_, attempt) in self.attempts.drain() {
            attempt.abort();
        }
    }
}
