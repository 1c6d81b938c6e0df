//! Types that the job runner and its store exchange, and jobs as people see them.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use tidegate_kernel::{JobId, JobPriority, JobStatus, RequestId, TraceContext, WorkspaceId};
use uuid::Uuid;

use crate::model::{ShardId, Tenure};

/// The workspace id of the installation's own jobs. No workspace has this id.
pub const INSTALLATION: WorkspaceId = WorkspaceId::from_uuid(Uuid::nil());

/// The maximum length of a stored error, in bytes.
pub const MAX_ERROR_BYTES: usize = 2_000;

/// A job and its workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobKey {
    /// The workspace, or [`INSTALLATION`].
    pub workspace: WorkspaceId,
    /// The job.
    pub job: JobId,
}

/// A lane: the jobs of one workspace, kind and priority. They run in the order in which they became ready.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lane {
    /// The shard of the jobs.
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

/// A text that is not a lane.
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

/// A lane with ready jobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadyLane {
    /// The lane.
    pub lane: Lane,
    /// The sequence number of its first ready job.
    pub first: i64,
}

/// The work that a look found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JobOutlook {
    /// Lanes with ready jobs, in no particular order.
    pub lanes: Vec<ReadyLane>,
    /// When the next scheduled job is due. It is in the past if more jobs were due than one look makes ready.
    pub next_due: Option<DateTime<Utc>>,
}

/// What to claim from a lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneClaim {
    /// The lane.
    pub lane: Lane,
    /// Claim only jobs after this sequence number.
    pub bound: i64,
    /// The maximum number of jobs.
    pub quantum: u32,
}

/// What to claim.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JobClaim {
    /// The shards that the worker owns.
    pub tenures: Vec<Tenure>,
    /// The lanes, with the share of each.
    pub lanes: Vec<LaneClaim>,
}

/// A claimed job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedJob {
    /// The job.
    pub key: JobKey,
    /// The tenure under which it is leased.
    pub tenure: Tenure,
    /// Its lane.
    pub lane: Lane,
    /// Its sequence number in the lane.
    pub seq: i64,
    /// Its payload, as JSON.
    pub payload: Vec<u8>,
    /// How many attempts have failed or were lost with their worker.
    pub attempts: u32,
    /// When it became ready.
    pub since: DateTime<Utc>,
    /// The request that enqueued it.
    pub request_id: RequestId,
    /// The trace in which it was enqueued.
    pub trace: Option<TraceContext>,
}

/// The result of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobOutcome {
    /// The job is done.
    Done,
    /// The attempt failed, and the job is retried.
    Retry {
        /// The time of the next attempt.
        at: DateTime<Utc>,
        /// The error.
        error: String,
    },
    /// The job failed for good.
    Dead {
        /// The error.
        error: String,
    },
}

/// A leased job whose attempt has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedJob {
    /// The job.
    pub key: JobKey,
    /// The tenure under which it is leased.
    pub tenure: Tenure,
    /// The result of the attempt.
    pub outcome: JobOutcome,
}

/// A recurring job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recurrence {
    /// Its kind.
    pub kind: &'static str,
    /// The cron pattern, in UTC.
    pub cron: String,
    /// The first time after now.
    pub next: DateTime<Utc>,
    /// Its payload, as JSON.
    pub payload: Vec<u8>,
}

/// The number of jobs of one kind and status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobCount {
    /// The kind.
    pub kind: String,
    /// Their status.
    pub status: JobStatus,
    /// The number of jobs.
    pub jobs: u64,
    /// Since when the oldest of them has had this status. For scheduled jobs: when the first is due.
    pub oldest: DateTime<Utc>,
}

/// A job as people see it. The payload is not included, because it may hold secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// The job.
    pub key: JobKey,
    /// Its kind.
    pub kind: String,
    /// Its status.
    pub status: JobStatus,
    /// Its priority.
    pub priority: JobPriority,
    /// The key of a unique job. While it waits to begin, no second job of its kind with this key is added.
    pub unique_key: Option<String>,
    /// How many attempts have failed.
    pub attempts: u32,
    /// The error of the last failed attempt.
    pub last_error: Option<String>,
    /// The earliest time to run, if one was set.
    pub run_at: Option<DateTime<Utc>>,
    /// When it was enqueued.
    pub created_at: DateTime<Utc>,
}

/// A filter for jobs. An empty list does not filter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JobFilter {
    /// Only these kinds.
    pub kinds: Vec<String>,
    /// Only jobs with one of these statuses.
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
