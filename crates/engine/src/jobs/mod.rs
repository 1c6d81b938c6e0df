//! Durable background jobs: a job that a transaction enqueues runs at least once after the commit.
//!
//! A kind of job has a payload type, a handler and options, registered in [`JobKinds`]. [`run_jobs`] claims jobs in the
//! shards that this process's worker owns, under the same fencing epochs, and takes turns between workspaces. The store
//! is [`JobStore`]. [`JobQueue`] has the use cases of people.

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
