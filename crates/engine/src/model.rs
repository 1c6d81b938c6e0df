//! What passes between the engine and its store.

use std::fmt;

use chrono::{DateTime, Utc};
use serde_json::Value;
use tidegate_kernel::{RequestId, RunId, TraceContext, WorkflowId, WorkspaceId};
use tidegate_workflows::compiled::StepIndex;
use tidegate_workflows::run::{QuarantineReason, RunError, RunStatus, Transition, TransitionRecord};
use uuid::Uuid;

/// One running engine. A process that starts again is another worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WorkerId(pub Uuid);

/// A shard: the unit in which work is owned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShardId(pub i16);

/// A shard that is owned, and the fencing epoch under which it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tenure {
    /// The shard.
    pub shard: ShardId,
    /// Grows with every change of owner; an older one writes nothing.
    pub epoch: i64,
}

/// A run, with the workspace that it belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunKey {
    /// The workspace.
    pub workspace: WorkspaceId,
    /// The run.
    pub run: RunId,
}

/// A limit that runs have to pass before they begin.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Gate(String);

impl Gate {
    /// All active runs of a workspace.
    #[must_use]
    pub fn workspace() -> Self {
        Self("workspace".to_owned())
    }

    /// The active runs of a workflow that have the same concurrency key.
    #[must_use]
    pub fn workflow(workflow: WorkflowId, key: &str) -> Self {
        Self(format!("{workflow}:{key}"))
    }

    /// A gate as it was read from a store.
    #[must_use]
    pub fn from_text(text: String) -> Self {
        Self(text)
    }

    /// The gate as it is written to a store.
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
    /// The shard that the workspace is in.
    pub shard: ShardId,
    /// The workspace.
    pub workspace: WorkspaceId,
    /// The gate.
    pub gate: Gate,
    /// How many.
    pub runs: u32,
}

/// The shards of a worker after a heartbeat.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holdings {
    /// Every shard that it owns now.
    pub tenures: Vec<Tenure>,
    /// What gates the runs of newly owned shards hold.
    pub gates: Vec<Holding>,
    /// How many shards it owns beyond its fair share.
    pub surplus: usize,
}

/// A workspace that has runs to be claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadyWorkspace {
    /// The shard that it is in.
    pub shard: ShardId,
    /// The workspace.
    pub workspace: WorkspaceId,
    /// Its share of service beside others.
    pub weight: u32,
}

/// A time that has come, or that comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timer {
    /// When.
    pub due: DateTime<Utc>,
    /// Whose.
    pub key: RunKey,
    /// The shard that it is in.
    pub shard: ShardId,
    /// The step that waits.
    pub step: StepIndex,
    /// The attempt that asked.
    pub attempt: u32,
}

/// A request that somebody made about a run: only the worker that owns its shard may change it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunRequest {
    /// The request itself.
    pub id: Uuid,
    /// The run.
    pub key: RunKey,
    /// The shard that it is in.
    pub shard: ShardId,
    /// What is wanted.
    pub kind: RunRequestKind,
}

/// What is requested of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunRequestKind {
    /// Cancel it.
    Cancel,
    /// Release it from quarantine and continue it.
    Release,
    /// Release it from quarantine and end it as failed, whatever could not be written before.
    End,
}

/// What there is to do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outlook {
    /// Workspaces with runs to be claimed.
    pub ready: Vec<ReadyWorkspace>,
    /// Timers by their time, the first ones.
    pub timers: Vec<Timer>,
    /// Requests about runs.
    pub requests: Vec<RunRequest>,
}

/// How much of a workspace's ready work to claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// Where.
    pub shard: ShardId,
    /// Whose.
    pub workspace: WorkspaceId,
    /// Rows up to this one have been claimed before.
    pub bound: i64,
    /// At most so many.
    pub quantum: u32,
}

/// What to claim.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClaimRequest {
    /// The tenures under which.
    pub tenures: Vec<Tenure>,
    /// Ready work.
    pub shares: Vec<Share>,
    /// Runs by name, because a timer is due or there is a request for them.
    pub runs: Vec<(ShardId, RunKey)>,
}

/// A run that was claimed, with all that it takes to drive it.
#[derive(Debug, Clone, PartialEq)]
pub struct ClaimedRun {
    /// The tenure under which it is leased.
    pub tenure: Tenure,
    /// The run.
    pub key: RunKey,
    /// Its place among the ready ones; `None` when it was claimed by name.
    pub ready_seq: Option<i64>,
    /// The workflow.
    pub workflow: WorkflowId,
    /// The version that it is pinned to.
    pub version: i32,
    /// What started it.
    pub trigger: Value,
    /// The event that started it, or null.
    pub event: Value,
    /// Its input.
    pub input: Value,
    /// How many events of other runs led to it.
    pub depth: u8,
    /// The request that started it.
    pub request_id: RequestId,
    /// When it was started.
    pub created_at: DateTime<Utc>,
    /// The trace in which it was started.
    pub trace: Option<TraceContext>,
    /// The workflow's gate with its limit.
    pub concurrency: Option<(Gate, u32)>,
    /// The workspace's limit of active runs.
    pub run_limit: Option<u32>,
    /// The gates that it has passed.
    pub holds: Vec<Gate>,
    /// Whether it comes from the quarantine: it has left its gates and its timers, and the request that asked.
    pub released: bool,
    /// What was committed of it.
    pub journal: Vec<TransitionRecord>,
}

/// What a claim brought.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Claims {
    /// Runs that are leased now.
    pub runs: Vec<ClaimedRun>,
    /// Runs that are leased now too, whose rows cannot be read.
    pub unreadable: Vec<UnreadRun>,
}

/// A leased run whose rows cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreadRun {
    /// The run.
    pub key: RunKey,
    /// The tenure under which it is leased.
    pub tenure: Tenure,
    /// The gates that it has passed, as far as they could be read.
    pub holds: Vec<Gate>,
    /// What is wrong.
    pub error: String,
}

/// A leased run that cannot be driven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAside {
    /// The tenure under which it is leased.
    pub tenure: Tenure,
    /// The run.
    pub key: RunKey,
    /// Why, for programs.
    pub reason: QuarantineReason,
    /// Why, for operators.
    pub error: String,
    /// When it was found.
    pub at: DateTime<Utc>,
    /// Signals that end with it: they asked for something that cannot be done.
    pub requests: Vec<Uuid>,
    /// The gates that it leaves.
    pub left: Vec<Departure>,
}

/// A run in quarantine that an operator ends.
#[derive(Debug, Clone, PartialEq)]
pub struct ForcedEnd {
    /// The tenure of its shard.
    pub tenure: Tenure,
    /// The run.
    pub key: RunKey,
    /// The request that asked.
    pub request: Uuid,
    /// When.
    pub at: DateTime<Utc>,
    /// The last transition; its sequence number follows from what is stored.
    pub transition: Transition,
    /// Why the run did not complete.
    pub error: RunError,
}

/// What becomes of the lease of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum After {
    /// The worker goes on with it.
    Keep,
    /// It waits for a time; whoever owns the shard then takes it up.
    Park,
    /// It ended.
    End,
    /// It waits before a gate that is full.
    Block(Gate),
}

/// What callers read of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct RunSummary {
    /// Where it is.
    pub status: RunStatus,
    /// When it began.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// What it answers.
    pub outputs: Option<Value>,
    /// Why it did not complete.
    pub error: Option<RunError>,
}

/// What happened to one run since its last commit.
#[derive(Debug, Clone, PartialEq)]
pub struct RunCommit {
    /// The tenure under which it is leased.
    pub tenure: Tenure,
    /// The run.
    pub key: RunKey,
    /// The sequence number up to which it was committed: the guard.
    pub from_seq: u32,
    /// Its new transitions.
    pub records: Vec<TransitionRecord>,
    /// What becomes of its lease.
    pub after: After,
    /// What callers read of it; `None` when that did not change.
    pub summary: Option<RunSummary>,
    /// Times that it waits for.
    pub timers: Vec<Timer>,
    /// Steps that wait for a time no more.
    pub cleared: Vec<StepIndex>,
    /// Signals that were acknowledged.
    pub requests: Vec<Uuid>,
    /// Gates that it passed.
    pub passed: Vec<Gate>,
    /// Gates that it leaves; only with its end.
    pub left: Vec<Departure>,
}

/// A gate that a run leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Departure {
    /// The gate.
    pub gate: Gate,
    /// How many of those who wait before it may pass now. The owner counts, because it alone knows who is about to pass.
    pub places: u32,
}

/// What a commit changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Committed {
    /// The runs whose lease held. Of the others nothing was written.
    pub won: Vec<RunKey>,
    /// Runs that passed a gate because ended ones had left it, and are ready.
    pub promoted: Vec<(ShardId, RunKey, Gate)>,
}
