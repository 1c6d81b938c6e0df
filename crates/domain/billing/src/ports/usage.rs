//! Usage, its limits, and the alerts about them.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tidegate_kernel::{Limit, Meter, Period, StoreError, SystemScope, WorkspaceId, WorkspaceScope};
use uuid::Uuid;

use crate::alert::{NotifyQuota, QuotaAlert};
use crate::correction::UsageCorrection;
use crate::quota::{Grant, GrantRequest, Returned};

/// The usage of one workspace.
#[async_trait]
pub trait UsageRepository: Send {
    /// The count of each meter in each period, in the order of `periods`; 0 if nothing was counted. A level has one
    /// count, whatever the period. MUST NOT be asked for events of a part of a month.
    ///
    /// MUST count committed facts only: nothing that was rolled back, rejected or a duplicate. Corrections are added.
    ///
    /// # Errors
    /// [`StoreError`] if the counts could not be read.
    async fn used(&mut self, periods: &[(Meter, Period)]) -> Result<Vec<i64>, StoreError>;

    /// The count of each meter on each day of `period`, by meter and day. A day without usage, and a level, is left out.
    ///
    /// MUST count the same facts as [`UsageRepository::used`].
    ///
    /// # Errors
    /// [`StoreError`] if the counts could not be read.
    async fn by_day(&mut self, period: Period) -> Result<Vec<DayCount>, StoreError>;

    /// Waits until no other transaction corrects the usage of the workspace. Returns false if the workspace does not
    /// exist.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be locked.
    async fn lock(&mut self) -> Result<bool, StoreError>;

    /// Stores a correction. Returns false, and stores nothing, if the workspace has one with this reference.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be stored.
    async fn correct(&mut self, correction: &UsageCorrection) -> Result<bool, StoreError>;

    /// At most `limit` corrections that were made before `before`, newest first.
    ///
    /// # Errors
    /// [`StoreError`] if they could not be read.
    async fn corrections(&mut self, before: Option<Uuid>, limit: u32) -> Result<Vec<UsageCorrection>, StoreError>;
}

/// The alerts of one workspace. The adapters raise them in the transaction that passes a threshold.
#[async_trait]
pub trait AlertRepository: Send {
    /// The alert, unless people were told of it before.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be read.
    async fn find(&mut self, key: &NotifyQuota) -> Result<Option<QuotaAlert>, StoreError>;

    /// From the commit on, people were told of the alert. Returns false, and changes nothing, if they were before.
    ///
    /// MUST return true to one transaction that commits: a second transaction waits until the first has ended. To add
    /// events raises alerts, so a transaction that adds events MUST add them before it calls this.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be stored.
    async fn mark_notified(&mut self, key: &NotifyQuota, now: DateTime<Utc>) -> Result<bool, StoreError>;
}

/// The usage of one meter on one day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayCount {
    /// The meter.
    pub meter: Meter,
    /// The first instant of the day.
    pub day: DateTime<Utc>,
    /// The count.
    pub used: i64,
}

/// The API calls of one workspace on one day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallCount {
    /// The workspace.
    pub workspace: WorkspaceId,
    /// The first instant of the day.
    pub day: DateTime<Utc>,
    /// The number of calls.
    pub calls: i64,
}

/// Stores counted API calls.
#[async_trait]
pub trait CallLedger: Send + Sync {
    /// Adds a batch of counts. Returns false if this `recorder` has already written this `batch` or a later one.
    ///
    /// MUST add a batch once, however often it is written. A workspace that does not exist any more MUST NOT prevent
    /// the counts of the others from being added.
    ///
    /// # Errors
    /// [`StoreError`] if it is unknown whether the batch was written; writing it again is safe.
    async fn record(
        &self,
        scope: &SystemScope,
        recorder: Uuid,
        batch: i64,
        counts: &[CallCount],
    ) -> Result<bool, StoreError>;
}

/// The limits of plans.
#[async_trait]
pub trait PlanLimits: Send + Sync {
    /// The limit of the workspace's plan. MAY be some seconds old.
    ///
    /// # Errors
    /// [`StoreError`] if the plan could not be read.
    async fn limit(&self, scope: &WorkspaceScope, meter: Meter) -> Result<Limit, StoreError>;
}

/// Grants units of a period to processes.
#[async_trait]
pub trait BudgetLedger: Send + Sync {
    /// Grants units to this process, as many as [`granted_units`](crate::quota::granted_units) says.
    ///
    /// MUST NOT let the sum of all grants that were not given back exceed the limit, under any concurrency. MUST count
    /// usage that was never granted, because the plan had no limit then, as granted. MUST raise an alert when a threshold
    /// is passed, in the same transaction and once in a period.
    ///
    /// # Errors
    /// [`StoreError`] if nothing was granted, or it is unknown whether something was.
    async fn grant(&self, scope: &WorkspaceScope, request: &GrantRequest) -> Result<Grant, StoreError>;

    /// Takes units back that their process did not use. A workspace that does not exist any more MUST NOT prevent the
    /// units of the others from being taken back.
    ///
    /// # Errors
    /// [`StoreError`] if it is unknown whether the units were taken back. The caller MUST NOT try again.
    async fn give_back(&self, scope: &SystemScope, units: &[Returned]) -> Result<(), StoreError>;
}
