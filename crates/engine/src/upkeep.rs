//! Recurring jobs of the installation: what is old is removed, and partitions are made ahead.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use tidegate_kernel::{Environment, JobPayload, StoreError, SystemScope};
use tidegate_workflows::compiled::RetryPolicy;

use crate::jobs::{JobError, JobHandler, JobKindError, JobKinds, JobOptions, JobTask};

/// How many rows are removed in one transaction.
const BATCH: u32 = 2_000;

/// Records that are removed once they are old.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Expired {
    /// Log-ins that have ended, with their refresh tokens.
    Sessions,
    /// What people did to their own accounts.
    AccountEvents,
    /// What was used in periods long ago, and which batches were recorded.
    UsageRecords,
    /// Keys by which runs were started.
    DedupeKeys,
    /// Mails that were kept instead of sent.
    KeptMails,
    /// Answers to requests that callers named by a key. They say themselves until when they are kept.
    IdempotencyKeys,
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
    ];
}

/// What upkeep needs of a store. Every method is one transaction.
#[async_trait]
pub trait Upkeep: Send + Sync {
    /// Removes up to `limit` records that ended before `before`, and says how many.
    ///
    /// MUST remove nothing else, and MUST find them by an index.
    async fn remove_expired(
        &self,
        scope: &SystemScope,
        what: Expired,
        before: DateTime<Utc>,
        limit: u32,
    ) -> Result<u64, StoreError>;

    /// Makes the partitions that the coming weeks need, and says how many it made.
    async fn ensure_partitions(&self, scope: &SystemScope) -> Result<u32, StoreError>;
}

/// How long records are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Log-ins, from their end on.
    pub sessions: TimeDelta,
    /// What people did to their own accounts.
    pub account_events: TimeDelta,
    /// Usage, from the beginning of its period on.
    pub usage: TimeDelta,
    /// Keys by which runs were started.
    pub dedupe_keys: TimeDelta,
    /// Mails that were kept instead of sent.
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
    /// Removes ended log-ins.
    RemoveSessions = "sessions.remove";
    /// Removes old account events.
    RemoveAccountEvents = "account_events.remove";
    /// Removes old usage.
    RemoveUsage = "usage.remove";
    /// Removes old dedupe keys.
    RemoveDedupeKeys = "dedupe_keys.remove";
    /// Removes mails that were kept.
    RemoveKeptMails = "kept_mails.remove";
    /// Removes answers that are not kept any more.
    RemoveIdempotencyKeys = "idempotency_keys.remove";
    /// Makes partitions ahead.
    MakePartitions = "partitions.make";
}

/// Does the jobs of upkeep.
#[derive(Clone)]
pub struct UpkeepParts {
    /// The store.
    pub store: Arc<dyn Upkeep>,
    /// How long records are kept.
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

/// Registers the jobs of upkeep: removals once a day or an hour, partitions every six hours.
///
/// # Errors
/// [`JobKindError`] where a name is taken.
pub fn register(kinds: JobKinds, parts: &UpkeepParts) -> Result<JobKinds, JobKindError> {
    // Tried soon again, since what was removed is removed; and given up long before its next time.
    let retry =
        RetryPolicy { max_attempts: 8, initial: Duration::from_secs(10), factor: 2.0, max: Duration::from_secs(600) };
    let options = JobOptions { retry, timeout: Duration::from_secs(1_800), concurrency: 1 };
    let remove = |what| Remove { parts: parts.clone(), what };
    kinds
        .register_recurring("17 3 * * *", &RemoveSessions {}, options, remove(Expired::Sessions))?
        .register_recurring("27 3 * * *", &RemoveAccountEvents {}, options, remove(Expired::AccountEvents))?
        .register_recurring("37 3 * * *", &RemoveUsage {}, options, remove(Expired::UsageRecords))?
        .register_recurring("42 3 * * *", &RemoveKeptMails {}, options, remove(Expired::KeptMails))?
        .register_recurring("47 * * * *", &RemoveDedupeKeys {}, options, remove(Expired::DedupeKeys))?
        .register_recurring("57 * * * *", &RemoveIdempotencyKeys {}, options, remove(Expired::IdempotencyKeys))?
        .register_recurring("7 */6 * * *", &MakePartitions {}, options, parts.clone())
}
