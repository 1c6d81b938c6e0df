//! Kinds of jobs: a payload, a handler, and the options for attempts.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tidegate_kernel::{JobId, JobPayload, RequestId, StoreError, WorkspaceScope};
use tidegate_workflows::compiled::RetryPolicy;
use tidegate_workflows::trigger::{Schedule, ScheduleError};

/// Why an attempt failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JobError {
    /// Another attempt may succeed.
    #[error("{0}")]
    Transient(String),
    /// No attempt can succeed: the job becomes a dead letter at once.
    #[error("{0}")]
    Permanent(String),
}

impl From<StoreError> for JobError {
    fn from(error: StoreError) -> Self {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
        Self::Transient(format!("{error}{cause}"))
    }
}

/// One attempt at a job.
#[derive(Debug)]
pub struct JobTask {
    /// The job's id, the same for every attempt: the idempotency key for external effects.
    pub id: JobId,
    /// The number of the attempt, starting at 1.
    pub attempt: u32,
    /// The scope of the job's workspace; `None` for a job of the installation.
    pub workspace: Option<WorkspaceScope>,
    /// The request that enqueued the job.
    pub request_id: RequestId,
}

impl JobTask {
    /// The scope of the job's workspace.
    ///
    /// # Errors
    /// [`JobError::Permanent`] if the job belongs to the installation, because it was enqueued in the wrong
    /// transaction.
    pub fn in_workspace(&self) -> Result<&WorkspaceScope, JobError> {
        self.workspace.as_ref().ok_or_else(|| JobError::Permanent("this job belongs to a workspace".to_owned()))
    }
}

/// Executes the jobs of one kind.
#[async_trait]
pub trait JobHandler<P: JobPayload>: Send + Sync {
    /// Executes one attempt. After a crash a job may be attempted again although it was done, so every external effect
    /// MUST carry the job's id. MUST be safe to drop at any await point.
    async fn run(&self, task: &JobTask, payload: P) -> Result<(), JobError>;
}

/// The options for the attempts at jobs of a kind.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct JobOptions {
    /// The number of attempts and the backoff between them. Jitter is added.
    pub retry: RetryPolicy,
    /// The timeout of one attempt.
    pub timeout: Duration,
    /// The maximum number of concurrent attempts in one process. One workspace gets at most three quarters of them, so
    /// that a flood of jobs in one workspace does not delay the single job of another.
    pub concurrency: usize,
}

impl Default for JobOptions {
    /// Ten attempts over about nine hours, with a timeout of 30 seconds each, and 16 concurrent attempts.
    fn default() -> Self {
        Self {
            retry: RetryPolicy {
                max_attempts: 10,
                initial: Duration::from_secs(5),
                factor: 3.0,
                max: Duration::from_secs(4 * 3_600),
            },
            timeout: Duration::from_secs(30),
            concurrency: 16,
        }
    }
}

impl JobOptions {
    /// The maximum number of concurrent attempts of one workspace.
    pub(super) fn per_workspace(&self) -> usize {
        (self.concurrency - self.concurrency / 4).max(1)
    }
}

/// A handler that takes the payload as bytes.
#[async_trait]
pub(super) trait RawHandler: Send + Sync {
    async fn run(&self, task: &JobTask, payload: &[u8]) -> Result<(), JobError>;
}

struct Typed<P, H> {
    handler: H,
    payload: PhantomData<fn() -> P>,
}

#[async_trait]
impl<P: JobPayload, H: JobHandler<P>> RawHandler for Typed<P, H> {
    async fn run(&self, task: &JobTask, payload: &[u8]) -> Result<(), JobError> {
        let payload = serde_json::from_slice(payload)
            .map_err(|error| JobError::Permanent(format!("the payload cannot be read: {error}")))?;
        self.handler.run(task, payload).await
    }
}

/// The schedule and the payload of a recurring job.
#[derive(Clone)]
pub(super) struct Recurring {
    pub(super) cron: String,
    pub(super) schedule: Schedule,
    pub(super) payload: Vec<u8>,
}

/// A registered kind.
#[derive(Clone)]
pub(super) struct Kind {
    pub(super) handler: Arc<dyn RawHandler>,
    pub(super) options: JobOptions,
    pub(super) recurring: Option<Recurring>,
}

/// The kinds of jobs that a process executes.
#[derive(Clone, Default)]
pub struct JobKinds {
    pub(super) kinds: BTreeMap<&'static str, Kind>,
}

impl fmt::Debug for JobKinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.kinds.keys()).finish()
    }
}

/// Why a kind cannot be registered.
#[derive(Debug, thiserror::Error)]
pub enum JobKindError {
    /// The name is taken.
    #[error("there is another kind of job {0:?}")]
    Taken(&'static str),
    /// The name is malformed.
    #[error("the kind of job {0:?} is not 1 to 64 lower-case letters, digits, `.`, `-` and `_`")]
    Name(&'static str),
    /// The options do not allow any attempt.
    #[error("the kind of job {0:?} needs a concurrency and a number of attempts of at least 1")]
    Options(&'static str),
    /// The cron pattern is invalid.
    #[error("the kind of job {0:?} cannot recur: {1}")]
    Schedule(&'static str, #[source] ScheduleError),
    /// The payload cannot be serialized as JSON.
    #[error(transparent)]
    Payload(#[from] StoreError),
}

impl JobKinds {
    /// Adds a kind.
    ///
    /// # Errors
    /// [`JobKindError`] if the name is taken or malformed, or the options do not allow any attempt.
    pub fn register<P: JobPayload>(
        mut self,
        options: JobOptions,
        handler: impl JobHandler<P> + 'static,
    ) -> Result<Self, JobKindError> {
        let name = P::KIND;
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-_".contains(&byte);
        if !(1..=64).contains(&name.len()) || !name.bytes().all(fits) {
            return Err(JobKindError::Name(name));
        }
        if options.concurrency == 0 || options.retry.max_attempts == 0 {
            return Err(JobKindError::Options(name));
        }
        let handler = Arc::new(Typed { handler, payload: PhantomData });
        if self.kinds.insert(name, Kind { handler, options, recurring: None }).is_some() {
            return Err(JobKindError::Taken(name));
        }
        Ok(self)
    }

    /// Adds a kind for which the installation enqueues a job with `payload` whenever `cron` (in UTC) fires.
    ///
    /// # Errors
    /// [`JobKindError`] as for [`JobKinds::register`], and if the cron pattern or the payload is invalid.
    pub fn register_recurring<P: JobPayload>(
        self,
        cron: &str,
        payload: &P,
        options: JobOptions,
        handler: impl JobHandler<P> + 'static,
    ) -> Result<Self, JobKindError> {
        let schedule = Schedule::new(cron, "UTC").map_err(|error| JobKindError::Schedule(P::KIND, error))?;
        let payload = tidegate_kernel::NewJob::new(payload)?.payload;
        let mut kinds = self.register(options, handler)?;
        if let Some(kind) = kinds.kinds.get_mut(P::KIND) {
            kind.recurring = Some(Recurring { cron: cron.to_owned(), schedule, payload });
        }
        Ok(kinds)
    }

    /// The names of the kinds.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.kinds.keys().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::{Deserialize, Serialize};

    #[derive(Serialize, Deserialize)]
    struct Nothing;

    impl JobPayload for Nothing {
        const KIND: &'static str = "test.nothing";
    }

    #[derive(Serialize, Deserialize)]
    struct Shouted;

    impl JobPayload for Shouted {
        const KIND: &'static str = "TEST";
    }

    struct Handler;

    #[async_trait]
    impl<P: JobPayload> JobHandler<P> for Handler {
        async fn run(&self, _task: &JobTask, _payload: P) -> Result<(), JobError> {
            Ok(())
        }
    }

    #[test]
    fn a_kind_has_a_name_of_its_own_and_something_to_do() {
        let options = JobOptions::default();
        let kinds = JobKinds::default().register::<Nothing>(options, Handler).unwrap();
        assert_eq!(kinds.names().collect::<Vec<_>>(), ["test.nothing"]);
        assert!(matches!(kinds.register::<Nothing>(options, Handler), Err(JobKindError::Taken("test.nothing"))));
        assert!(matches!(JobKinds::default().register::<Shouted>(options, Handler), Err(JobKindError::Name("TEST"))));
        let idle = JobOptions { concurrency: 0, ..options };
        assert!(matches!(JobKinds::default().register::<Nothing>(idle, Handler), Err(JobKindError::Options(_))));
        let never = JobKinds::default().register_recurring("0 0 30 2 *", &Nothing, options, Handler);
        assert!(matches!(never, Err(JobKindError::Schedule("test.nothing", _))));
    }

    #[test]
    fn one_workspace_leaves_room_for_others_where_there_is_any() {
        let cap = |concurrency| JobOptions { concurrency, ..JobOptions::default() }.per_workspace();
        assert_eq!([1, 2, 3, 4, 16, 100].map(cap), [1, 2, 3, 3, 12, 75]);
    }
}
