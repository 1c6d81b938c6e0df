//! Kinds of jobs: a payload, a handler, and how it is tried.

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
    /// No attempt will: the job is dead at once.
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
    /// The same for every attempt: the idempotency key of what is done outside.
    pub id: JobId,
    /// 1 for the first.
    pub attempt: u32,
    /// The workspace whose job it is; `None` for the installation's.
    pub workspace: Option<WorkspaceScope>,
    /// The request that enqueued it.
    pub request_id: RequestId,
}

impl JobTask {
    /// The workspace.
    ///
    /// # Errors
    /// [`JobError::Permanent`] where the job is the installation's: whoever enqueued it used the wrong transaction.
    pub fn in_workspace(&self) -> Result<&WorkspaceScope, JobError> {
        self.workspace.as_ref().ok_or_else(|| JobError::Permanent("this job belongs to a workspace".to_owned()))
    }
}

/// Does the jobs of one kind.
#[async_trait]
pub trait JobHandler<P: JobPayload>: Send + Sync {
    /// Makes one attempt. A job may be attempted again although it was done, after a crash; so what is done outside MUST carry
    /// the id. MUST be safe to drop at any await point.
    async fn run(&self, task: &JobTask, payload: P) -> Result<(), JobError>;
}

/// How jobs of a kind are tried.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct JobOptions {
    /// How often, and how far apart. Jitter is added.
    pub retry: RetryPolicy,
    /// How long one attempt may take.
    pub timeout: Duration,
    /// The most attempts at once in one process. One workspace gets at most three quarters of them, so that another one's
    /// single job need not wait for a flood.
    pub concurrency: usize,
}

impl Default for JobOptions {
    /// Ten attempts over some nine hours, half a minute each, 16 at once.
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
    /// The most attempts at once for one workspace.
    pub(super) fn per_workspace(&self) -> usize {
        (self.concurrency - self.concurrency / 4).max(1)
    }
}

/// A handler whose payload is not read yet.
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

/// When jobs of a kind come by themselves.
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

/// The kinds of jobs that a process does.
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
    /// The name does not fit.
    #[error("the kind of job {0:?} is not 1 to 64 lower-case letters, digits, `.`, `-` and `_`")]
    Name(&'static str),
    /// Nothing of the kind could be done.
    #[error("the kind of job {0:?} needs a concurrency and a number of attempts of at least 1")]
    Options(&'static str),
    /// The cron pattern cannot be used.
    #[error("the kind of job {0:?} cannot recur: {1}")]
    Schedule(&'static str, #[source] ScheduleError),
    /// The payload cannot be written as JSON.
    #[error(transparent)]
    Payload(#[from] StoreError),
}

impl JobKinds {
    /// The same kinds and one more.
    ///
    /// # Errors
    /// [`JobKindError`] where the name is taken or does not fit, or the options leave nothing to do.
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

    /// The same kinds and one more, of which the installation enqueues a job with `payload` whenever `cron` (UTC) fires.
    ///
    /// # Errors
    /// [`JobKindError`] as for [`JobKinds::register`], and where the pattern cannot be used.
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
