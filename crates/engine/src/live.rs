//! A run in the memory of a worker.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::Value;
use tidegate_kernel::RequestId;
use tidegate_workflows::compiled::{CompiledWorkflow, StepIndex};
use tidegate_workflows::run::{
    Allowance, Command, Corrupt, DecideError, Fact, FactKind, QuarantineReason, RunContext, RunError, RunOrigin,
    RunState, RunStatus, StepStatus, Transition, TransitionRecord, decide,
};
use tokio::task::AbortHandle;
use tracing::Span;
use uuid::Uuid;

use crate::gates::GateBook;
use crate::model::{After, ClaimedRun, Departure, Gate, RunCommit, RunKey, RunSummary, Tenure, Timer};
use crate::panics::{Panicked, catch};

/// A run in memory: its state, and the part of it that is not committed.
#[derive(Debug)]
pub(crate) struct LiveRun {
    pub(crate) key: RunKey,
    pub(crate) tenure: Tenure,
    pub(crate) compiled: Arc<CompiledWorkflow>,
    pub(crate) depth: u8,
    pub(crate) request_id: RequestId,
    context: RunContext,
    state: RunState,
    /// The sequence number up to which transitions are committed.
    committed: u32,
    pending: Vec<TransitionRecord>,
    /// Commands of pending transitions. They are executed after the commit.
    commands: Vec<Command>,
    cleared: Vec<StepIndex>,
    requests: Vec<Uuid>,
    /// Gates that the run has passed, not committed yet.
    passed: Vec<Gate>,
    /// All gates that the run has passed.
    holds: Vec<Gate>,
    /// The gates that apply to the run, with their limits.
    pub(crate) gates: Vec<(Gate, u32)>,
    blocked: Option<Gate>,
    started_at: Option<DateTime<Utc>>,
    shown: RunStatus,
    /// The commit in progress.
    pub(crate) in_flight: Option<InFlight>,
    /// Attempts that are running.
    pub(crate) attempts: HashMap<(StepIndex, u32), AbortHandle>,
    /// The number of attempts in the queue.
    pub(crate) queued: usize,
    /// Whether the run was just claimed again and its current state has to be committed.
    resumed: bool,
    /// Why the run is to be quarantined once the commit in progress has ended.
    pub(crate) doomed: Option<Undrivable>,
    /// The trace span for the time in which the run is in memory.
    pub(crate) span: Span,
}

/// Why a run cannot be driven and has to be quarantined.
#[derive(Debug)]
pub(crate) struct Undrivable {
    pub(crate) reason: QuarantineReason,
    /// The error and its causes, for operators.
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

/// A panic is unsupported, not unreadable: another release may not have the defect.
impl From<Panicked> for Undrivable {
    fn from(error: Panicked) -> Self {
        Self::new(QuarantineReason::Unsupported, &error)
    }
}

/// The text of an error and of its causes.
pub(crate) fn describe(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// What a fact did to attempts of steps.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Decided {
    /// How many began.
    pub(crate) begun: u32,
    /// Whether one was held.
    pub(crate) held: bool,
}

/// A commit in progress.
#[derive(Debug)]
pub(crate) struct InFlight {
    up_to: u32,
    commands: Vec<Command>,
    pub(crate) after: After,
    pub(crate) left: Vec<Departure>,
    requests: Vec<Uuid>,
}

impl LiveRun {
    /// Loads a claimed run whose journal was replayed to `state`.
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

    /// The commit that ends a claimed run as failed because its workflow version does not exist any more.
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

    /// Whether this attempt is still wanted.
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

    /// The limit of one of the run's gates; `None` if the limit does not exist any more.
    pub(crate) fn limit(&self, gate: &Gate) -> Option<u32> {
        self.gates.iter().find(|(of, _)| of == gate).map(|(_, limit)| *limit)
    }

    pub(crate) fn block(&mut self, gate: Gate) {
        self.blocked = Some(gate);
    }

    /// Requests a commit of the current state before outstanding work is done. A run that only waits then gives up its
    /// lease, and a run from quarantine gets its gates and timers back.
    pub(crate) fn resume(&mut self) {
        self.commands.extend(self.state.outstanding(&self.compiled));
        self.resumed = true;
    }

    /// Whether a started run only waits.
    pub(crate) fn only_waits(&self) -> bool {
        self.state.status() == RunStatus::Waiting
    }

    /// The outstanding work of a run that was just claimed. All of it is based on committed transitions.
    pub(crate) fn outstanding(&self) -> Vec<Command> {
        self.state.outstanding(&self.compiled)
    }

    /// Whether the run is about to leave this worker. A new fact then has to wait for the next claim.
    pub(crate) fn is_leaving(&self) -> bool {
        self.blocked.is_some() || self.in_flight.as_ref().is_some_and(|commit| commit.after != After::Keep)
    }

    /// The most attempts that can begin because of a fact.
    pub(crate) fn could_begin(&self, kind: &FactKind) -> u32 {
        self.state.could_begin(&self.compiled, kind)
    }

    /// Applies a fact to the run.
    pub(crate) fn apply_fact(
        &mut self,
        at: DateTime<Utc>,
        kind: FactKind,
        allowance: Allowance,
    ) -> Result<Decided, Undrivable> {
        if let FactKind::TimeCame { step, .. } = kind {
            self.cleared.push(step);
        }
        let fact = Fact { at, kind, allowance };
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
        let mut decided = Decided::default();
        for TransitionRecord { transition, .. } in &decision.transitions {
            decided.begun += u32::from(transition.begins_attempt());
            decided.held |= matches!(transition, Transition::StepHeld { .. });
        }
        self.commands.extend(decision.commands);
        self.pending.extend(decision.transitions);
        Ok(decided)
    }

    pub(crate) fn acknowledge(&mut self, request: Uuid) {
        self.requests.push(request);
    }

    pub(crate) fn is_dirty(&self) -> bool {
        !self.pending.is_empty() || !self.requests.is_empty() || self.blocked.is_some() || self.resumed
    }

    /// Prepares the next commit. Returns `None` if there is nothing to commit or a commit is in progress.
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
        // The next owner of a parked run reads its timers only from here, so all of them are written.
        let timers = if after == After::Park { self.timers(&self.outstanding()) } else { self.timers(&self.commands) };
        let left = if after == After::End { self.leave(book) } else { Vec::new() };
        // A step whose timer is set again keeps it.
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

    /// The gates that a quarantined run leaves. If its last commit was refused and would have ended the run, they are
    /// those of that commit.
    pub(crate) fn departures(&self, book: &mut GateBook) -> Vec<Departure> {
        match &self.in_flight {
            Some(commit) if commit.after == After::End => commit.left.clone(),
            _ => self.leave(book),
        }
    }

    /// Requests that the run has acknowledged and that are not deleted yet.
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

    /// The commit in progress has succeeded. Returns what happens to the lease, and the commands to execute now.
    pub(crate) fn arrived(&mut self) -> Option<(After, Vec<Departure>, Vec<Command>)> {
        let commit = self.in_flight.take()?;
        self.committed = commit.up_to;
        Some((commit.after, commit.left, commit.commands))
    }

    /// Aborts the running attempts.
    pub(crate) fn abort(&mut self) {
        for (_, attempt) in self.attempts.drain() {
            attempt.abort();
        }
    }
}
