//! What passes between the runner of jobs and its store, and jobs as people see them.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use tidegate_kernel::{JobId, JobPriority, JobStatus, RequestId, TraceContext, WorkspaceId};
use uuid::Uuid;

use crate::model::{ShardId, Tenure};

/// The workspace of the installation's own jobs, which does not exist.
pub const INSTALLATION: WorkspaceId = WorkspaceId::from_uuid(Uuid::nil());

/// The most bytes of an error that are kept.
pub const MAX_ERROR_BYTES: usize = 2_000;

/// A job, with the workspace that it belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobKey {
    /// The workspace, or [`INSTALLATION`].
    pub workspace: WorkspaceId,
    /// The job.
    pub job: JobId,
}

/// The jobs of one workspace, kind and priority: they are done in the order in which they became ready.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lane {
    /// The shard in which they are.
    pub shard: ShardId,
    /// The workspace.
    pub workspace: WorkspaceId,
    /// The kind.
    pub kind: String,
    /// The priority.
    pub priority: JobPriority,
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}/{}", self.shard.0, self.priority.rank(), self.workspace, self.kind)
    }
}

/// A text that is no lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is not a lane of jobs")]
pub struct UnknownLane;

impl FromStr for Lane {
    type Err = UnknownLane;
    fn from_str(text: &str) -> Result<Self, UnknownLane> {
        let mut parts = text.splitn(4, '/');
        let mut next = || parts.next().ok_or(UnknownLane);
        let shard = ShardId(next()?.parse().map_err(|_| UnknownLane)?);
        let rank = next()?.parse().map_err(|_| UnknownLane)?;
        let workspace = next()?.parse().map_err(|_| UnknownLane)?;
        let kind = next()?.to_owned();
        Ok(Self { shard, workspace, kind, priority: JobPriority::from_rank(rank).ok_or(UnknownLane)? })
    }
}

/// A lane with jobs that can be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadyLane {
    /// The lane.
    pub lane: Lane,
    /// The place of its first job.
    pub first: i64,
}

/// What there is to do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JobOutlook {
    /// Lanes that have something, in no order.
    pub lanes: Vec<ReadyLane>,
    /// When the next scheduled job is due; in the past where there were more than one look makes ready.
    pub next_due: Option<DateTime<Utc>>,
}

/// How much is wanted from a lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneClaim {
    /// The lane.
    pub lane: Lane,
    /// Only jobs after this place.
    pub bound: i64,
    /// The most jobs.
    pub quantum: u32,
}

/// A claim.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JobClaim {
    /// The shards that the worker owns.
    pub tenures: Vec<Tenure>,
    /// What is wanted.
    pub lanes: Vec<LaneClaim>,
}

/// A job that was claimed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedJob {
    /// The job.
    pub key: JobKey,
    /// Under which tenure it is leased.
    pub tenure: Tenure,
    /// Its lane.
    pub lane: Lane,
    /// Its place in the lane.
    pub seq: i64,
    /// Its payload, JSON.
    pub payload: Vec<u8>,
    /// How many attempts have failed, or were lost with their worker.
    pub attempts: u32,
    /// Since when it could be done.
    pub since: DateTime<Utc>,
    /// The request that enqueued it.
    pub request_id: RequestId,
    /// The trace in which it was enqueued.
    pub trace: Option<TraceContext>,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobOutcome {
    /// The job is done.
    Done,
    /// It failed, and is tried again.
    Retry {
        /// When.
        at: DateTime<Utc>,
        /// What went wrong.
        error: String,
    },
    /// It failed for good.
    Dead {
        /// What went wrong.
        error: String,
    },
}

/// A leased job whose attempt has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedJob {
    /// The job.
    pub key: JobKey,
    /// Under which tenure it is leased.
    pub tenure: Tenure,
    /// How it ended.
    pub outcome: JobOutcome,
}

/// A job that comes again and again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recurrence {
    /// Its kind.
    pub kind: &'static str,
    /// When it comes, as cron pattern in UTC.
    pub cron: String,
    /// The first time after now.
    pub next: DateTime<Utc>,
    /// Its payload, JSON.
    pub payload: Vec<u8>,
}

/// How many jobs of a kind there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobCount {
    /// The kind.
    pub kind: String,
    /// Where they are.
    pub status: JobStatus,
    /// How many.
    pub jobs: u64,
    /// Since when the oldest of them has been there; of those that are scheduled, when the first is due.
    pub oldest: DateTime<Utc>,
}

/// A job as people see it. Its payload may hold secrets and is not shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// The job.
    pub key: JobKey,
    /// Its kind.
    pub kind: String,
    /// Where it is.
    pub status: JobStatus,
    /// Which goes first.
    pub priority: JobPriority,
    /// While it waits to begin, no second job of its kind with this key is added.
    pub unique_key: Option<String>,
    /// How many attempts have failed.
    pub attempts: u32,
    /// What went wrong in the last of them.
    pub last_error: Option<String>,
    /// Not before this time, where one was set.
    pub run_at: Option<DateTime<Utc>>,
    /// When it was enqueued.
    pub created_at: DateTime<Utc>,
}

/// Which jobs are wanted; an empty filter wants all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JobFilter {
    /// Only these kinds.
    pub kinds: Vec<String>,
    /// Only where they are so.
    pub statuses: Vec<JobStatus>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_reads_back_from_a_signal() {
        let lane = Lane {
            shard: ShardId(7),
            workspace: WorkspaceId::from_uuid(Uuid::from_u128(9)),
            kind: "mail.send".to_owned(),
            priority: JobPriority::Low,
        };
        assert_eq!(lane.to_string().parse(), Ok(lane.clone()));
        assert!(tidegate_kernel::Payload::new(&lane.to_string()).is_some());
        for text in ["", "7", "7/2", "7/2/ws", "7/9/ws_00000000000000000000000009/mail.send"] {
            assert_eq!(text.parse::<Lane>(), Err(UnknownLane), "{text}");
        }
    }
}
