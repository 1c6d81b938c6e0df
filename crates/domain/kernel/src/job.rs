//! Durable background work: enqueued in the transaction of its cause, and done if and only if that committed.
//!
//! A job is done at least once. Its [`JobId`] is the same for every attempt, so that a handler can tell a repeated attempt and
//! give the id on as an idempotency key.

use std::fmt;
use std::str::FromStr;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::StoreError;
use crate::id::JobId;

/// What a job of one kind is given.
pub trait JobPayload: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The kind's name, as `resource.verb`. It is stored with every job, so it MUST never change.
    const KIND: &'static str;
}

/// Which of a workspace's jobs of one kind goes first. Between workspaces there is no priority.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum JobPriority {
    /// Before all others: somebody waits for it.
    High,
    /// What is not said otherwise.
    #[default]
    Normal,
    /// After all others.
    Low,
}

impl JobPriority {
    /// Every priority, the first to be served first.
    pub const ALL: &'static [Self] = &[Self::High, Self::Normal, Self::Low];

    /// The text that callers see.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Normal => "normal",
            Self::Low => "low",
        }
    }

    /// The place in [`JobPriority::ALL`], as stores keep it.
    #[must_use]
    pub const fn rank(self) -> i16 {
        self as i16
    }

    /// The priority of this rank.
    #[must_use]
    pub fn from_rank(rank: i16) -> Option<Self> {
        Self::ALL.iter().copied().find(|priority| priority.rank() == rank)
    }
}

/// Where a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum JobStatus {
    /// Waits for its time.
    Scheduled,
    /// Can be done now.
    Ready,
    /// Is being done.
    Running,
    /// Failed for good, and waits for a person.
    Dead,
}

impl JobStatus {
    /// Every status.
    pub const ALL: &'static [Self] = &[Self::Scheduled, Self::Ready, Self::Running, Self::Dead];

    /// The text that callers see.
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

/// A text that is no status of a job.
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

/// A job that is to be enqueued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewJob {
    /// The name of its kind.
    pub kind: &'static str,
    /// The payload, as JSON.
    pub payload: Vec<u8>,
    /// While a job of the same workspace, kind and key waits to begin, no second one is added.
    pub unique_key: Option<String>,
    /// Not before this time; `None` for at once.
    pub run_at: Option<DateTime<Utc>>,
    /// Which goes first.
    pub priority: JobPriority,
}

impl NewJob {
    /// A job to be done at once.
    ///
    /// # Errors
    /// [`StoreError::Internal`] where the payload cannot be written as JSON: a defect of its type.
    pub fn new<P: JobPayload>(payload: &P) -> Result<Self, StoreError> {
        let payload = serde_json::to_vec(payload).map_err(|error| StoreError::Internal(Box::new(error)))?;
        Ok(Self { kind: P::KIND, payload, unique_key: None, run_at: None, priority: JobPriority::default() })
    }

    /// The same job, added only where none with this key waits to begin. The one that waits keeps its payload and its time, and
    /// begins only after the transaction that found it has ended, so that it sees what that has changed.
    #[must_use]
    pub fn unique(self, key: impl Into<String>) -> Self {
        Self { unique_key: Some(key.into()), ..self }
    }

    /// The same job, not before `time`.
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

/// What came of enqueueing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enqueued {
    /// The job was added.
    Added(JobId),
    /// A job with the same key waits to begin; nothing was added.
    Waiting(JobId),
}

impl Enqueued {
    /// The job that will be done.
    #[must_use]
    pub const fn id(self) -> JobId {
        match self {
            Self::Added(id) | Self::Waiting(id) => id,
        }
    }
}

/// The queue of background work, in the open transaction.
///
/// In a workspace's transaction the jobs are the workspace's. In any other they are the installation's.
#[async_trait]
pub trait Jobs: Send {
    /// Adds a job.
    ///
    /// MUST add it if and only if the transaction commits. MUST add no second one where one with the same key waits to begin,
    /// and MUST keep that one from beginning before the transaction ends.
    async fn enqueue(&mut self, job: &NewJob) -> Result<Enqueued, StoreError>;

    /// Takes a job back. One that has not begun is gone; one that is being done is not tried again.
    ///
    /// MUST change nothing of a job that is dead, or not this workspace's, and answer `false`.
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
