//! Recurring maintenance jobs of the installation: they delete expired records and create partitions in advance.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use tidegate_kernel::{Environment, JobPayload, StoreError, SystemScope};
use tidegate_workflows::compiled::RetryPolicy;

use crate::jobs::{JobError, JobHandler, JobKindError, JobKinds, JobOptions, JobTask};

/// The maximum number of rows that one transaction deletes.
const BATCH: u32 = 2_000;

/// The retention of the ids of notifications. Providers send a notification again for some days.
const PAYMENT_EVENTS: TimeDelta = TimeDelta::days(30);

/// Records that are deleted when their retention period is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Expired {
    /// Log-in sessions that have ended, with their refresh tokens.
    Sessions,
    /// The account events of people.
    AccountEvents,
    /// Usage of old periods, and the record of which batches were counted.
    UsageRecords,
    /// The deduplication keys of run starts.
    DedupeKeys,
    /// Mails that were stored instead of sent.
    KeptMails,
    /// Stored answers to requests with an idempotency key. Each has its own expiry time.
    IdempotencyKeys,
    /// The ids of notifications of payment providers.
    PaymentEvents,
}

impl Expired {
    /// All kinds of records.
    pub const ALL: &'static [Self] = &[
        Self::Sessions,
        Self::AccountEvents,
        Self::UsageRecords,
        Self::DedupeKeys,
        Self::KeptMails,
        Self::IdempotencyKeys,
        Self::PaymentEvents,
    ];
}

/// The store of maintenance jobs. Every method is one transaction.
#[async_trait]
pub trait Upkeep: Send + Sync {
    /// Deletes up to `limit` records that ended before `before`, and returns how many.
    ///
    /// MUST NOT delete any other record. MUST find the records by an index.
    async fn remove_expired(
        &self,
        scope: &SystemScope,
        what: Expired,
        before: DateTime<Utc>,
        limit: u32,
    ) -> Result<u64, StoreError>;

    /// Creates the partitions for the coming weeks, and returns how many it created.
    async fn ensure_partitions(&self, scope: &SystemScope) -> Result<u32, StoreError>;
}

/// The retention periods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Of log-in sessions, from their end.
    pub sessions: TimeDelta,
    /// Of account events.
    pub account_events: TimeDelta,
    /// Of usage, from the start of its period.
    pub usage: TimeDelta,
    /// Of deduplication keys.
    pub dedupe_keys: TimeDelta,
    /// Of mails that were stored instead of sent.
    pub kept_mails: TimeDelta,
}

impl Retention {
    fn of(&self, what: Expired) -> TimeDelta {
        match what {
            Expired::Sessions => self.sessions,
            Expired::AccountEvents => self.account_events,
            Expired::UsageRecords => self.usage,
            Expired::DedupeKeys => self.dedupe_keys,
            Expired::KeptMails => self.kept_mails,
            Expired::IdempotencyKeys => TimeDelta::zero(),
            Expired::PaymentEvents => PAYMENT_EVENTS,
        }
    }
}

macro_rules! payloads {
    ($($(#[$about:meta])* $name:ident = $kind:literal;)*) => {$(
        $(#[$about])*
        #[derive(Debug, Serialize, Deserialize)]
        pub struct $name {}

        impl JobPayload for $name {
            const KIND: &'static str = $kind;
        }
    )*};
}

payloads! {
    /// Deletes ended log-in sessions.
    RemoveSessions = "sessions.remove";
    /// Deletes old account events.
    RemoveAccountEvents = "account_events.remove";
    /// Deletes old usage.
    RemoveUsage = "usage.remove";
    /// Deletes old deduplication keys.
    RemoveDedupeKeys = "dedupe_keys.remove";
    /// Deletes mails that were stored instead of sent.
    RemoveKeptMails = "kept_mails.remove";
    /// Deletes expired idempotency keys with their answers.
    RemoveIdempotencyKeys = "idempotency_keys.remove";
    /// Deletes the ids of old notifications of payment providers.
    RemovePaymentEvents = "payment_events.remove";
    /// Creates partitions in advance.
    MakePartitions = "partitions.make";
}

/// The dependencies of the maintenance jobs.
#[derive(Clone)]
pub struct UpkeepParts {
    /// The store.
    pub store: Arc<dyn Upkeep>,
    /// The retention periods.
    pub retention: Retention,
    /// The proof that this may work across tenants.
    pub scope: Arc<SystemScope>,
    /// Time.
    pub env: Environment,
}

impl std::fmt::Debug for UpkeepParts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UpkeepParts").field("retention", &self.retention).finish_non_exhaustive()
    }
}

struct Remove {
    parts: UpkeepParts,
    what: Expired,
}

#[async_trait]
impl<P: JobPayload> JobHandler<P> for Remove {
    async fn run(&self, _task: &JobTask, _payload: P) -> Result<(), JobError> {
        let parts = &self.parts;
        let before = parts.env.now() - parts.retention.of(self.what);
        let mut removed = 0;
        loop {
            let batch = parts.store.remove_expired(&parts.scope, self.what, before, BATCH).await?;
            removed += batch;
            if batch < u64::from(BATCH) {
                break;
            }
        }
        if removed > 0 {
            tracing::info!(what = ?self.what, removed, "removed what is old");
        }
        Ok(())
    }
}

#[async_trait]
impl JobHandler<MakePartitions> for UpkeepParts {
    async fn run(&self, _task: &JobTask, _payload: MakePartitions) -> Result<(), JobError> {
        match self.store.ensure_partitions(&self.scope).await? {
            0 => {}
            made => tracing::info!(made, "made partitions ahead"),
        }
        Ok(())
    }
}

/// Registers the maintenance jobs. Deletions recur once a day or once an hour, partitions every six hours.
///
/// # Errors
/// [`JobKindError`] if a name is taken.
pub fn register(kinds: JobKinds, parts: &UpkeepParts) -> Result<JobKinds, JobKindError> {
    // Retries begin soon, because deleted rows stay deleted, and end long before the job recurs.
    let retry =
        RetryPolicy { max_attempts: 8, initial: Duration::from_secs(10), factor: 2.0, max: Duration::from_secs(600) };
    let options = JobOptions { retry, timeout: Duration::from_secs(1_800), concurrency: 1 };
    let remove = |what| Remove { parts: parts.clone(), what };
    kinds
        .register_recurring("17 3 * * *", &RemoveSessions {}, options, remove(Expired::Sessions))?
        .register_recurring("27 3 * * *", &RemoveAccountEvents {}, options, remove(Expired::AccountEvents))?
        .register_recurring("37 3 * * *", &RemoveUsage {}, options, remove(Expired::UsageRecords))?
        .register_recurring("42 3 * * *", &RemoveKeptMails {}, options, remove(Expired::KeptMails))?
        .register_recurring("52 3 * * *", &RemovePaymentEvents {}, options, remove(Expired::PaymentEvents))?
        .register_recurring("47 * * * *", &RemoveDedupeKeys {}, options, remove(Expired::DedupeKeys))?
        .register_recurring("57 * * * *", &RemoveIdempotencyKeys {}, options, remove(Expired::IdempotencyKeys))?
        .register_recurring("7 */6 * * *", &MakePartitions {}, options, parts.clone())
}
