//! The ports of the engine.

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

/// The maximum number of timers in one [`Outlook`].
pub const TIMERS_PER_LOOK: usize = 1_000;

/// The store of runs.
///
/// Every method is one transaction. A caller MUST NOT have another unit of work open in the same task.
#[async_trait]
pub trait EngineStore: Send + Sync {
    /// Renews the lease of `worker` for another `ttl`, keeps the shards of `keep`, and takes over the worker's fair
    /// share of the shards without an owner.
    ///
    /// MUST raise the epoch of every shard that it takes over before it reads what the last owner had leased. MUST make
    /// those runs ready again, and also the runs that were quarantined until another release. MUST free the places of
    /// ended runs. MUST use only the database's clock. If `worker` owns a shard that is not in `keep`, it has lost its
    /// state for that shard: MUST take that shard over anew.
    async fn hold(
        &self,
        scope: &SystemScope,
        worker: WorkerId,
        keep: &[Tenure],
        ttl: Duration,
    ) -> Result<Holdings, StoreError>;

    /// Gives shards up, so that other workers need not wait for the lease to end. Runs that are still leased become
    /// ready.
    async fn release(&self, scope: &SystemScope, worker: WorkerId, tenures: &[Tenure]) -> Result<(), StoreError>;

    /// Returns the work in `shards`: all workspaces with ready runs, requests, and the first [`TIMERS_PER_LOOK`] timers
    /// in due order, from `timers_after` on and before `until`.
    async fn look(
        &self,
        scope: &SystemScope,
        shards: &[ShardId],
        timers_after: Option<DateTime<Utc>>,
        until: DateTime<Utc>,
    ) -> Result<Outlook, StoreError>;

    /// Leases runs.
    ///
    /// MUST NOT lease a run in a shard whose owner or epoch differs from the tenure's. MUST NOT lease a run that is
    /// leased, has ended, or whose ready row another worker has claimed. MUST NOT lease a quarantined run unless there
    /// is a request for it, and MUST end the quarantine of a run that it leases. MUST delete what is left of ended
    /// runs: requests, timers, places before and behind gates. One unreadable run MUST NOT prevent the claim of the
    /// others.
    async fn claim(&self, scope: &SystemScope, worker: WorkerId, request: &ClaimRequest) -> Result<Claims, StoreError>;

    /// Commits a batch of runs.
    ///
    /// MUST write nothing for a run whose lease is not held under the tenure at `from_seq`. MUST write everything for
    /// the other runs: history, summary, timers, gates, successors and metered usage. MUST NOT let an ended run pass a
    /// gate; if another transaction is taking the first waiting run, MUST let the next one pass.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] and [`StoreError::Internal`] if nothing was written and the same batch can never be
    /// written. [`StoreError::Unavailable`] if it is unknown whether the batch was written.
    async fn commit(&self, scope: &SystemScope, worker: WorkerId, batch: &[RunCommit])
    -> Result<Committed, StoreError>;

    /// Puts leased runs that cannot be driven into quarantine, so that no worker claims them again.
    ///
    /// MUST do nothing for a run whose lease is not held under the tenure. MUST free its places behind gates and let
    /// waiting runs pass.
    async fn set_aside(
        &self,
        scope: &SystemScope,
        worker: WorkerId,
        runs: &[SetAside],
    ) -> Result<Committed, StoreError>;

    /// Ends quarantined runs and returns which ones. Deletes what is left of each run, and the request.
    ///
    /// MUST do nothing in a shard that is not held under the tenure. For a run that is not in quarantine, MUST delete
    /// the request and change nothing else.
    async fn end_quarantined(
        &self,
        scope: &SystemScope,
        worker: WorkerId,
        runs: &[ForcedEnd],
    ) -> Result<Vec<RunKey>, StoreError>;
}

/// A step attempt to execute.
#[derive(Debug)]
pub struct StepTask {
    /// The scope of the run's workspace.
    pub scope: WorkspaceScope,
    /// The run.
    pub key: RunKey,
    /// The step's id.
    pub step: String,
    /// The number of the attempt, starting at 1.
    pub attempt: u32,
    /// The step's input.
    pub input: Value,
    /// The idempotency key: the same for every attempt of this step in this run, also after a crash.
    pub idempotency_key: String,
    /// The length of the chain of events, emitted by other runs, that led to this run.
    pub depth: u8,
    /// The timeout of the attempt; the engine enforces it.
    pub timeout: Duration,
}

/// Executes the steps of one type.
#[async_trait]
pub trait StepHandler: Send + Sync {
    /// Executes one attempt. After a crash it may be executed again, so every external effect MUST carry the
    /// idempotency key. MUST be safe to drop at any await point.
    async fn execute(&self, task: &StepTask) -> Result<Value, StepError>;
}

/// An event that a run emits.
#[derive(Debug, Clone, PartialEq)]
pub struct EmittedEvent {
    /// Its CloudEvents id: the idempotency key, so that the event of a second attempt is a duplicate.
    pub id: String,
    /// Its CloudEvents source.
    pub source: String,
    /// Its CloudEvents type.
    pub kind: String,
    /// Its CloudEvents subject.
    pub subject: Option<String>,
    /// Its data; null for none.
    pub data: Value,
    /// How many runs led to it, including the run that emits it.
    pub depth: u8,
}

/// Emits the events of runs.
#[async_trait]
pub trait EventEmitter: Send + Sync {
    /// Emits one event into the workspace of `scope`. MUST succeed if it already has an event with this id.
    async fn emit(&self, scope: &WorkspaceScope, event: EmittedEvent) -> Result<(), StepError>;
}

/// An outbound HTTP request.
#[derive(Debug, Clone, PartialEq)]
pub struct OutboundRequest {
    /// The method.
    pub method: String,
    /// The absolute URL.
    pub url: String,
    /// Headers, with lower-case names.
    pub headers: BTreeMap<String, String>,
    /// The body, if any.
    pub body: Option<Vec<u8>>,
    /// The timeout for the whole call.
    pub timeout: Duration,
}

/// The response to an outbound HTTP request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboundResponse {
    /// The status.
    pub status: u16,
    /// Headers, with lower-case names. The values of a repeated header are joined by a comma.
    pub headers: BTreeMap<String, String>,
    /// The decompressed body.
    pub body: Vec<u8>,
}

/// Why an outbound call failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OutboundError {
    /// The request itself cannot be sent.
    #[error("{0}")]
    Invalid(String),
    /// The address is not allowed.
    #[error("{0}")]
    Refused(String),
    /// The response is a redirect. Redirects are not followed.
    #[error("the server answered with a redirect ({0}), which is not followed; call its target")]
    Redirect(u16),
    /// The response is larger than this number of bytes.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
    /// The body is compressed in an unsupported way.
    #[error("{0}")]
    Undecodable(String),
    /// The call timed out.
    #[error("the call took longer than {0:?}")]
    TimedOut(Duration),
    /// The server could not be reached, or it closed the connection.
    #[error("{0}")]
    Unreachable(String),
}

/// Makes outbound HTTP calls.
#[async_trait]
pub trait OutboundHttp: Send + Sync {
    /// Makes one call.
    ///
    /// MUST NOT connect to a private address that is not explicitly allowed, whatever a host name resolves to at any
    /// time. MUST NOT follow redirects or use a proxy from the environment. MUST limit the time and the size of the
    /// response, also the size after decompression.
    async fn call(&self, request: OutboundRequest) -> Result<OutboundResponse, OutboundError>;
}

/// Joins a span that was not entered yet to a trace that began elsewhere.
pub type ContinueTrace = fn(&tracing::Span, &TraceContext);
