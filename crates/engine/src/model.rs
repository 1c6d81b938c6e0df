//! Types that the engine and its store exchange.

use std::fmt;

use chrono::{DateTime, Utc};
use serde_json::Value;
use tidegate_kernel::{RequestId, RunId, TraceContext, WorkflowId, WorkspaceId};
use tidegate_workflows::compiled::StepIndex;
use tidegate_workflows::run::{QuarantineReason, RunError, RunStatus, Transition, TransitionRecord};
use uuid::Uuid;

/// The id of one running engine. A restarted process is a new worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WorkerId(pub Uuid);

/// A shard: the unit of ownership.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShardId(pub i16);

/// An owned shard with its fencing epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tenure {
    /// The shard.
    pub shard: ShardId,
    /// Increases with every change of owner. A worker with an older epoch cannot write.
    pub epoch: i64,
}

/// A run and its workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunKey {
    /// The workspace.
    pub workspace: WorkspaceId,
    /// The run.
    pub run: RunId,
}

/// A concurrency limit that runs have to pass before they begin.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Gate(String);

impl Gate {
    /// The gate for all active runs of a workspace.
    #[must_use]
    pub fn workspace() -> Self {
        Self("workspace".to_owned())
    }

    /// The gate for the active runs of a workflow with the same concurrency key.
    #[must_use]
    pub fn workflow(workflow: WorkflowId, key: &str) -> Self {
        Self(format!("{workflow}:{key}"))
    }

    /// A gate as read from a store.
    #[must_use]
    pub fn from_text(text: String) -> Self {
        Self(text)
    }

    /// The gate as written to a store.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How many runs of a workspace have passed a gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holding {
    /// The workspace's shard.
    pub shard: ShardId,
    /// The workspace.
    pub workspace: WorkspaceId,
    /// The gate.
    pub gate: Gate,
    /// The number of runs.
    pub runs: u32,
}

/// The result of a heartbeat.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holdings {
    /// Every shard that the worker owns now.
    pub tenures: Vec<Tenure>,
    /// The runs behind gates in newly owned shards.
    pub gates: Vec<Holding>,
    /// How many shards the worker owns beyond its fair share.
    pub surplus: usize,
}

/// A workspace with runs that are ready to be claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadyWorkspace {
    /// The workspace's shard.
    pub shard: ShardId,
    /// The workspace.
    pub workspace: WorkspaceId,
    /// Its weight in fair scheduling.
    pub weight: u32,
}

/// A timer of a waiting step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timer {
    /// When it is due.
    pub due: DateTime<Utc>,
    /// The run.
    pub key: RunKey,
    /// The run's shard.
    pub shard: ShardId,
    /// The step that waits.
    pub step: StepIndex,
    /// The attempt that set the timer.
    pub attempt: u32,
}

/// A request about a run from outside the engine. Only the worker that owns the run's shard may execute it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunRequest {
    /// The request's id.
    pub id: Uuid,
    /// The run.
    pub key: RunKey,
    /// The run's shard.
    pub shard: ShardId,
    /// The requested action.
    pub kind: RunRequestKind,
}

/// The action that is requested for a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunRequestKind {
    /// Cancel it.
    Cancel,
    /// Release it from quarantine and continue it.
    Release,
    /// Release it from quarantine and end it as failed, even if its earlier transitions could not be written.
    End,
}

/// The work that a look found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outlook {
    /// Workspaces with runs that are ready to be claimed.
    pub ready: Vec<ReadyWorkspace>,
    /// The first timers, ordered by due time.
    pub timers: Vec<Timer>,
    /// Requests about runs.
    pub requests: Vec<RunRequest>,
}

/// How much of a workspace's ready work to claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// The shard.
    pub shard: ShardId,
    /// The workspace.
    pub workspace: WorkspaceId,
    /// Ready rows up to this sequence number were claimed before.
    pub bound: i64,
    /// The maximum number of runs.
    pub quantum: u32,
}

/// What to claim.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClaimRequest {
    /// The tenures of the claiming worker.
    pub tenures: Vec<Tenure>,
    /// Shares of ready work.
    pub shares: Vec<Share>,
    /// Runs to claim by name, because of a due timer or a request.
    pub runs: Vec<(ShardId, RunKey)>,
}

/// A claimed run with everything that is needed to drive it.
#[derive(Debug, Clone, PartialEq)]
pub struct ClaimedRun {
    /// The tenure under which it is leased.
    pub tenure: Tenure,
    /// The run.
    pub key: RunKey,
    /// The sequence number of its ready row; `None` if it was claimed by name.
    pub ready_seq: Option<i64>,
    /// The workflow.
    pub workflow: WorkflowId,
    /// The workflow version that it is pinned to.
    pub version: i32,
    /// What started it.
    pub trigger: Value,
    /// The event that started it, or null.
    pub event: Value,
    /// Its input.
    pub input: Value,
    /// The length of the chain of events, emitted by other runs, that led to it.
    pub depth: u8,
    /// The request that started it.
    pub request_id: RequestId,
    /// When the run was created.
    pub created_at: DateTime<Utc>,
    /// The trace in which it was created.
    pub trace: Option<TraceContext>,
    /// The workflow's concurrency gate with its limit.
    pub concurrency: Option<(Gate, u32)>,
    /// The workspace's limit of active runs.
    pub run_limit: Option<u32>,
    /// The gates that it has passed.
    pub holds: Vec<Gate>,
    /// Whether a request released it from quarantine. Such a run has left its gates and has no timers.
    pub released: bool,
    /// Its committed transitions.
    pub journal: Vec<TransitionRecord>,
}

/// The result of a claim.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Claims {
    /// Runs that are leased now and can be read.
    pub runs: Vec<ClaimedRun>,
    /// Runs that are leased now but whose rows cannot be read.
    pub unreadable: Vec<UnreadRun>,
}

/// A leased run whose rows cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreadRun {
    /// The run.
    pub key: RunKey,
    /// The tenure under which it is leased.
    pub tenure: Tenure,
    /// The gates that it has passed, as far as they can be read.
    pub holds: Vec<Gate>,
    /// The error.
    pub error: String,
}

/// A leased run that cannot be driven and goes into quarantine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAside {
    /// The tenure under which it is leased.
    pub tenure: Tenure,
    /// The run.
    pub key: RunKey,
    /// The reason, for programs.
    pub reason: QuarantineReason,
    /// The error, for operators.
    pub error: String,
    /// When the error was found.
    pub at: DateTime<Utc>,
    /// Requests that are deleted with it, because they cannot be executed.
    pub requests: Vec<Uuid>,
    /// The gates that it leaves.
    pub left: Vec<Departure>,
}

/// A quarantined run that an operator ends.
#[derive(Debug, Clone, PartialEq)]
pub struct ForcedEnd {
    /// The tenure of the run's shard.
    pub tenure: Tenure,
    /// The run.
    pub key: RunKey,
    /// The operator's request.
    pub request: Uuid,
    /// When it ends.
    pub at: DateTime<Utc>,
    /// The last transition. Its sequence number follows from the stored transitions.
    pub transition: Transition,
    /// Why the run did not complete.
    pub error: RunError,
}

/// What happens to the lease of a run after a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum After {
    /// The worker keeps the run.
    Keep,
    /// The run waits for a timer. The owner of the shard claims it again when the timer is due.
    Park,
    /// The run ended.
    End,
    /// The run waits before a full gate.
    Block(Gate),
}

/// The part of a run that the API shows.
#[derive(Debug, Clone, PartialEq)]
pub struct RunSummary {
    /// The status.
    pub status: RunStatus,
    /// When it began.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// The outputs of a completed run.
    pub outputs: Option<Value>,
    /// The error of a run that did not complete.
    pub error: Option<RunError>,
}

/// Everything that happened to one run since its last commit.
#[derive(Debug, Clone, PartialEq)]
pub struct RunCommit {
    /// The tenure under which it is leased.
    pub tenure: Tenure,
    /// The run.
    pub key: RunKey,
    /// The sequence number up to which the run was committed. The commit succeeds only if it still matches.
    pub from_seq: u32,
    /// Its new transitions.
    pub records: Vec<TransitionRecord>,
    /// What happens to its lease.
    pub after: After,
    /// The part that the API shows; `None` if it did not change.
    pub summary: Option<RunSummary>,
    /// Timers to set.
    pub timers: Vec<Timer>,
    /// Steps whose timers are deleted.
    pub cleared: Vec<StepIndex>,
    /// Requests that were acknowledged.
    pub requests: Vec<Uuid>,
    /// Gates that it passed.
    pub passed: Vec<Gate>,
    /// Gates that it leaves; only at its end.
    pub left: Vec<Departure>,
}

/// A gate that a run leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Departure {
    /// The gate.
    pub gate: Gate,
    /// How many of the waiting runs may pass now. The owner counts, because only it knows which runs are about to pass.
    pub places: u32,
}

/// The result of a commit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Committed {
    /// The runs whose lease was still held. Nothing was written for the others.
    pub won: Vec<RunKey>,
    /// Runs that passed a gate after ended runs had left it, and are ready now.
    pub promoted: Vec<(ShardId, RunKey, Gate)>,
}
