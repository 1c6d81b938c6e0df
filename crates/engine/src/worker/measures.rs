//! The metrics of a worker. Every handle is created once, so that nothing is looked up while runs are driven.

use std::collections::HashMap;
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram};
use tidegate_workflows::run::{RunStatus, StepError};

/// A query of the worker to its store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Question {
    Hold,
    Look,
    Claim,
    Commit,
    SetAside,
    EndQuarantined,
}

impl Question {
    const ALL: [Self; 6] = [Self::Hold, Self::Look, Self::Claim, Self::Commit, Self::SetAside, Self::EndQuarantined];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Hold => "hold",
            Self::Look => "look",
            Self::Claim => "claim",
            Self::Commit => "commit",
            Self::SetAside => "set_aside",
            Self::EndQuarantined => "end_quarantined",
        }
    }
}

/// The metrics of a worker.
#[derive(Debug)]
pub(super) struct Measures {
    shards: Gauge,
    shards_lost: Counter,
    runs: Gauge,
    attempts: Gauge,
    seconds: HashMap<Question, Histogram>,
    failures: HashMap<Question, Counter>,
    claimed: Counter,
    committed: Counter,
    start_delay: Histogram,
    ended: HashMap<RunStatus, Counter>,
    attempts_of: HashMap<String, AttemptMeasures>,
}

/// The final statuses of a run.
const ENDS: [RunStatus; 4] = [RunStatus::Completed, RunStatus::Failed, RunStatus::Cancelled, RunStatus::TimedOut];

impl Measures {
    pub(super) fn new() -> Self {
        let counter = |question: Question| {
            let failures = metrics::counter!("engine_store_failures_total", "operation" => question.as_str());
            failures.increment(0);
            (question, failures)
        };
        let histogram = |question: Question| {
            (question, metrics::histogram!("engine_store_duration_seconds", "operation" => question.as_str()))
        };
        let ended = |status: RunStatus| {
            let ended = metrics::counter!("engine_runs_ended_total", "status" => status.as_str());
            ended.increment(0);
            (status, ended)
        };
        let plain = |name: &'static str| {
            let counter = metrics::counter!(name);
            counter.increment(0);
            counter
        };
        Self {
            shards: metrics::gauge!("engine_shards"),
            shards_lost: plain("engine_shards_lost_total"),
            runs: metrics::gauge!("engine_runs_in_hand"),
            attempts: metrics::gauge!("engine_attempts_in_flight"),
            seconds: Question::ALL.map(histogram).into(),
            failures: Question::ALL.map(counter).into(),
            claimed: plain("engine_runs_claimed_total"),
            committed: plain("engine_run_commits_total"),
            start_delay: metrics::histogram!("engine_start_delay_seconds"),
            ended: ENDS.map(ended).into(),
            attempts_of: HashMap::new(),
        }
    }

    /// Records the number of shards, runs and attempts in memory.
    pub(super) fn in_hand(&self, shards: usize, runs: usize, attempts: usize) {
        let number = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
        self.shards.set(number(shards));
        self.runs.set(number(runs));
        self.attempts.set(number(attempts));
    }

    pub(super) fn lost_shard(&self) {
        self.shards_lost.increment(1);
    }

    /// The duration metric of a query.
    pub(super) fn seconds(&self, question: Question) -> Histogram {
        self.seconds.get(&question).cloned().unwrap_or_else(Histogram::noop)
    }

    pub(super) fn failed(&self, question: Question) {
        if let Some(failures) = self.failures.get(&question) {
            failures.increment(1);
        }
    }

    pub(super) fn claimed(&self, runs: usize) {
        self.claimed.increment(u64::try_from(runs).unwrap_or(0));
    }

    /// Records the time from the creation of a run to its first claim.
    pub(super) fn first_claim(&self, after: Duration) {
        self.start_delay.record(after.as_secs_f64());
    }

    pub(super) fn committed(&self, runs: usize) {
        self.committed.increment(u64::try_from(runs).unwrap_or(0));
    }

    pub(super) fn ended(&self, status: RunStatus) {
        if let Some(ended) = self.ended.get(&status) {
            ended.increment(1);
        }
    }

    /// The metrics of the attempts of a step type. Step types are registered at the start of the process, so they are
    /// few.
    pub(super) fn attempts_of(&mut self, uses: &str) -> AttemptMeasures {
        if let Some(known) = self.attempts_of.get(uses) {
            return known.clone();
        }
        self.attempts_of.entry(uses.to_owned()).or_insert_with(|| AttemptMeasures::of(uses)).clone()
    }
}

/// The metrics of the attempts of one step type.
#[derive(Debug, Clone)]
pub(super) struct AttemptMeasures {
    completed: Histogram,
    failed: Histogram,
}

impl AttemptMeasures {
    fn of(uses: &str) -> Self {
        let seconds = |outcome: &'static str| metrics::histogram!("engine_attempt_duration_seconds", "uses" => uses.to_owned(), "outcome" => outcome);
        Self { completed: seconds("completed"), failed: seconds("failed") }
    }

    pub(super) fn ended<T>(&self, outcome: &Result<T, StepError>, took: Duration) {
        let seconds = if outcome.is_ok() { &self.completed } else { &self.failed };
        seconds.record(took.as_secs_f64());
    }
}
