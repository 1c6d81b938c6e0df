//! Durable background jobs: what was enqueued in some transaction is done after it has committed, at least once.
//!
//! A kind of job is a payload type, a handler and how it is tried, registered in [`JobKinds`]. [`run_jobs`] claims jobs in the
//! shards that the engine's worker of this process owns, under the same fence, and in turns between workspaces. What it needs
//! of a store is [`JobStore`]; what people do with jobs is [`JobQueue`].

mod kinds;
mod model;
mod ports;
mod queue;
mod runner;

pub use kinds::{JobError, JobHandler, JobKindError, JobKinds, JobOptions, JobTask};
pub use model::{
    ClaimedJob, EndedJob, INSTALLATION, Job, JobClaim, JobCount, JobFilter, JobKey, JobOutcome, JobOutlook, Lane,
    LaneClaim, MAX_ERROR_BYTES, ReadyLane, Recurrence,
};
pub use ports::{DeadJobs, InstallationJobsTx, InstallationLog, JobRepository, JobStore, JobsTx};
pub use queue::{JobAction, JobQueue, JobQueueError};
pub use runner::{JobRunnerConfig, JobRunnerParts, run_jobs};
