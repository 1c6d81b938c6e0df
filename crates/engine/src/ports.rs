//! What the engine needs from outside.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde_json::Value;
use tidegate_kernel::{StoreError, SystemScope, TraceContext, WorkspaceScope};
use tidegate_workflows::run::StepError;

use crate::model::{
    ClaimRequest, Claims, Committed, ForcedEnd, Holdings, Outlook, RunCommit, RunKey, SetAside, ShardId, Tenure,
    WorkerId,
};

/// The most timers in one [`Outlook`].
pub const TIMERS_PER_LOOK: usize = 1_000;

/// Where runs are kept.
///
/// Every method is one transaction. None may be called while another unit of work is open in the same task.
#[async_trait]
pub trait EngineStore: Send + Sync {
    /// Says that `worker` lives for another `ttl`, keeps the shards of `keep`, and takes over its fair share of those that
    /// nobody holds.
    ///
    /// MUST raise the epoch of every shard that it takes over, before it looks at what the last owner had leased, and
    /// MUST make that ready again, and what was set aside for another release. MUST free the places of runs that have ended. MUST count time on the database's clock alone. MUST treat a shard that `worker` owns
    /// but did not name in `keep` as one to be taken over: the worker has forgotten what it knew of it.
    async fn hold(
        &self,
        scope: &SystemScope,
        worker: WorkerId,
        keep: &[Tenure],
        ttl: Duration,
    ) -> Result<Holdings, StoreError>;

    /// Gives shards back, so that others need not wait for them. What is still leased under them is made ready.
    async fn release(&self, scope: &SystemScope, worker: WorkerId, tenures: &[Tenure]) -> Result<(), StoreError>;

    /// What there is to do in `shards`: all workspaces with ready runs, the first
    /// [`TIMERS_PER_LOOK`] timers due before `until` and not before `timers_after`, by their time, and requests.
    async fn look(
        &self,
        scope: &SystemScope,
        shards: &[ShardId],
        timers_after: Option<DateTime<Utc>>,
        until: DateTime<Utc>,
    ) -> Result<Outlook, StoreError>;

    /// Leases runs.
    ///
    /// MUST lease nothing in a shard whose owner or epoch is not that of the tenure. MUST NOT lease a run that is leased,
    /// ended or, by its ready row, claimed by somebody else. MUST NOT lease a run in quarantine unless a request asks for
    /// something of it, and MUST end the quarantine of one that it leases. MUST drop what is left of runs that have ended:
    /// requests, timers, places before and behind gates. One run that cannot be read MUST NOT keep the others from being claimed.
    async fn claim(&self, scope: &SystemScope, worker: WorkerId, request: &ClaimRequest) -> Result<Claims, StoreError>;

    /// Writes what happened.
    ///
    /// MUST write nothing at all of a run whose lease is not held under the tenure and at `from_seq`; MUST write of the
    /// others everything: history, what callers read, timers, gates, successors, and what the meters count. MUST let no run
    /// through a gate that has ended, and MUST let the next one through where another transaction is taking the first.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] and [`StoreError::Internal`] say that nothing was written and that the same batch cannot be;
    /// [`StoreError::Unavailable`] leaves open whether it was.
    async fn commit(&self, scope: &SystemScope, worker: WorkerId, batch: &[RunCommit])
    -> Result<Committed, StoreError>;

    /// Puts leased runs that cannot be driven into quarantine, so that nobody claims them again.
    ///
    /// MUST do nothing for a run whose lease is not held under the tenure. MUST let go of its gates, and let those pass who
    /// wait before them.
    async fn set_aside(
        &self,
        scope: &SystemScope,
        worker: WorkerId,
        runs: &[SetAside],
    ) -> Result<Committed, StoreError>;

    /// Ends runs in quarantine, and says which. What is left of each goes, and so does the request.
    ///
    /// MUST do nothing in a shard that is not held under the tenure, nor for a run that is not in quarantine, except that the
    /// request goes.
    async fn end_quarantined(
        &self,
        scope: &SystemScope,
        worker: WorkerId,
        runs: &[ForcedEnd],
    ) -> Result<Vec<RunKey>, StoreError>;
}

/// One attempt to be made.
#[derive(Debug)]
pub struct StepTask {
    /// The workspace in which it happens.
    pub scope: WorkspaceScope,
    /// The run.
    pub key: RunKey,
    /// The id of the step.
    pub step: String,
    /// 1 for the first.
    pub attempt: u32,
    /// What the step is given.
    pub input: Value,
    /// The same for every attempt of this step in this run, after a crash too.
    pub idempotency_key: String,
    /// How many events of other runs led to this one.
    pub depth: u8,
    /// How long the attempt may take; the engine ends it then.
    pub timeout: Duration,
}

/// Does the steps of one type.
#[async_trait]
pub trait StepHandler: Send + Sync {
    /// Makes one attempt. It may be made more than once after a crash, so what it does outside MUST carry the
    /// idempotency key. MUST be safe to drop at any await point.
    async fn execute(&self, task: &StepTask) -> Result<Value, StepError>;
}

/// An event that a run sends.
#[derive(Debug, Clone, PartialEq)]
pub struct EmittedEvent {
    /// Its CloudEvents id: the idempotency key, so that a second attempt is a duplicate.
    pub id: String,
    /// Its CloudEvents source.
    pub source: String,
    /// Its type.
    pub kind: String,
    /// What it is about.
    pub subject: Option<String>,
    /// Its data; null for none.
    pub data: Value,
    /// How many runs led to it, the sender included.
    pub depth: u8,
}

/// Where the events of runs go.
#[async_trait]
pub trait EventEmitter: Send + Sync {
    /// Sends one event into the workspace of `scope`. MUST take an id that it has had before as a success.
    async fn emit(&self, scope: &WorkspaceScope, event: EmittedEvent) -> Result<(), StepError>;
}

/// A call to somewhere else.
#[derive(Debug, Clone, PartialEq)]
pub struct OutboundRequest {
    /// The method.
    pub method: String,
    /// The whole address.
    pub url: String,
    /// Headers, in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body, if any.
    pub body: Option<Vec<u8>>,
    /// How long all of it may take.
    pub timeout: Duration,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboundResponse {
    /// The status.
    pub status: u16,
    /// Headers, in lower case; of a repeated one the values joined by a comma.
    pub headers: BTreeMap<String, String>,
    /// The body, unpacked.
    pub body: Vec<u8>,
}

/// Why a call did not come back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OutboundError {
    /// The request itself cannot be sent.
    #[error("{0}")]
    Invalid(String),
    /// The address may not be called.
    #[error("{0}")]
    Refused(String),
    /// The answer is a redirect; those are not followed.
    #[error("the server answered with a redirect ({0}), which is not followed; call its target")]
    Redirect(u16),
    /// The answer has more bytes than allowed.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
    /// The body came packed in a way that cannot be undone.
    #[error("{0}")]
    Undecodable(String),
    /// It took too long.
    #[error("the call took longer than {0:?}")]
    TimedOut(Duration),
    /// The server could not be reached, or hung up.
    #[error("{0}")]
    Unreachable(String),
}

/// Calls out.
#[async_trait]
pub trait OutboundHttp: Send + Sync {
    /// Makes one call.
    ///
    /// MUST NOT reach a private address that was not allowed by name, whatever a name resolves to and when. MUST NOT follow
    /// redirects, nor take a proxy from the environment. MUST bound the time and the size of the answer, the
    /// size of what a packed answer holds too.
    async fn call(&self, request: OutboundRequest) -> Result<OutboundResponse, OutboundError>;
}

/// Makes a span that was not entered yet a part of a trace that began elsewhere.
pub type ContinueTrace = fn(&tracing::Span, &TraceContext);
