//! Durable background jobs. A job is enqueued in the transaction that causes it, and runs if and only if that
//! transaction commits.
//!
//! A job runs at least once. Its [`JobId`] is the same for every attempt, so a handler can detect a repeated attempt
//! and pass the id on as an idempotency key.

use std::fmt;
use std::str::FromStr;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::StoreError;
use crate::id::JobId;

/// The payload of one kind of job.
pub trait JobPayload: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The kind's name, as `resource.verb`. It is stored with every job, so it MUST never change.
    const KIND: &'static str;
}

/// The order of a workspace's jobs of one kind. Priorities do not apply between workspaces.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum JobPriority {
    /// Before all others, because somebody waits for the result.
    High,
    /// The default.
    #[default]
    Normal,
    /// After all others.
    Low,
}

impl JobPriority {
    /// Every priority, in the order in which jobs are served.
    pub const ALL: &'static [Self] = &[Self::High, Self::Normal, Self::Low];

    /// The name in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Normal => "normal",
            Self::Low => "low",
        }
    }

    /// The index in [`JobPriority::ALL`], as stores keep it.
    #[must_use]
    pub const fn rank(self) -> i16 {
        self as i16
    }

    /// The priority with this rank; `None` if the rank is unknown.
    #[must_use]
    pub fn from_rank(rank: i16) -> Option<Self> {
        Self::ALL.iter().copied().find(|priority| priority.rank() == rank)
    }
}

/// The status of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum JobStatus {
    /// Waits until its time.
    Scheduled,
    /// Can run now.
    Ready,
    /// Is running.
    Running,
    /// A dead letter: failed for good, and waits for a person to retry or discard it.
    Dead,
}

impl JobStatus {
    /// Every status.
    pub const ALL: &'static [Self] = &[Self::Scheduled, Self::Ready, Self::Running, Self::Dead];

    /// The name in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Ready => "ready",
            Self::Running => "running",
            Self::Dead => "dead",
        }
    }
}

impl fmt::Display for JobStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that is not the status of a job.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a status of a job")]
pub struct UnknownJobStatus(pub String);

impl FromStr for JobStatus {
    type Err = UnknownJobStatus;
    fn from_str(text: &str) -> Result<Self, UnknownJobStatus> {
        let found = Self::ALL.iter().copied().find(|status| status.as_str() == text);
        found.ok_or_else(|| UnknownJobStatus(text.to_owned()))
    }
}

/// A job to enqueue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewJob {
    /// The name of its kind.
    pub kind: &'static str,
    /// The payload, as JSON.
    pub payload: Vec<u8>,
    /// The key of a unique job. While a job with the same workspace, kind and key waits to begin, no second one is
    /// added.
    pub unique_key: Option<String>,
    /// The earliest time to run; `None` means at once.
    pub run_at: Option<DateTime<Utc>>,
    /// The job's priority.
    pub priority: JobPriority,
}

impl NewJob {
    /// A job that runs at once.
    ///
    /// # Errors
    /// [`StoreError::Internal`] if the payload cannot be serialized as JSON, which is a defect of the payload's type.
    pub fn new<P: JobPayload>(payload: &P) -> Result<Self, StoreError> {
        let payload = serde_json::to_vec(payload).map_err(|error| StoreError::Internal(Box::new(error)))?;
        Ok(Self { kind: P::KIND, payload, unique_key: None, run_at: None, priority: JobPriority::default() })
    }

    /// The same job, added only if no job with this key waits to begin. A job that already waits keeps its payload and
    /// its time. It begins only after the transaction that found it has ended, so it sees that transaction's changes.
    #[must_use]
    pub fn unique(self, key: impl Into<String>) -> Self {
        Self { unique_key: Some(key.into()), ..self }
    }

    /// The same job, to run no earlier than `time`.
    #[must_use]
    pub fn at(self, time: DateTime<Utc>) -> Self {
        Self { run_at: Some(time), ..self }
    }

    /// The same job with a priority.
    #[must_use]
    pub fn with_priority(self, priority: JobPriority) -> Self {
        Self { priority, ..self }
    }
}

/// The result of [`Jobs::enqueue`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enqueued {
    /// The job was added.
    Added(JobId),
    /// A job with the same key already waits to begin, so nothing was added.
    Waiting(JobId),
}

impl Enqueued {
    /// The id of the job that will run.
    #[must_use]
    pub const fn id(self) -> JobId {
        match self {
            Self::Added(id) | Self::Waiting(id) => id,
        }
    }
}

/// The queue of background jobs, in the open transaction.
///
/// In a workspace's transaction, jobs belong to the workspace. In any other transaction they belong to the
/// installation.
#[async_trait]
pub trait Jobs: Send {
    /// Adds a job.
    ///
    /// MUST add the job if and only if the transaction commits. MUST NOT add a second job if one with the same key
    /// waits to begin, and MUST keep that one from beginning before the transaction ends.
    async fn enqueue(&mut self, job: &NewJob) -> Result<Enqueued, StoreError>;

    /// Cancels a job. A job that has not begun is deleted. A job that is running is not retried.
    ///
    /// MUST change nothing and return `false` if the job is dead or belongs to another workspace.
    async fn cancel(&mut self, job: JobId) -> Result<bool, StoreError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_and_texts_read_back() {
        for priority in JobPriority::ALL {
            assert_eq!(JobPriority::from_rank(priority.rank()), Some(*priority));
        }
        assert_eq!(JobPriority::from_rank(3), None);
        for status in JobStatus::ALL {
            assert_eq!(status.as_str().parse(), Ok(*status));
        }
        assert!("gone".parse::<JobStatus>().is_err());
    }
}
