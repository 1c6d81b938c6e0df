//! What a store of plans and usage must do.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tidegate_kernel::{StoreError, SystemScope, Transaction, WorkspaceId};
use uuid::Uuid;

use crate::meter::Meter;
use crate::plan::PlanVersion;

/// The slice of a store that plans and usage need.
pub trait BillingTx: Transaction {
    /// The workspace's plan.
    fn plan(&mut self) -> Box<dyn PlanRepository + '_>;
    /// What the workspace has used.
    fn usage(&mut self) -> Box<dyn UsageRepository + '_>;
}

/// The plan of one workspace.
#[async_trait]
pub trait PlanRepository: Send {
    /// The workspace's plan; where it has none, `default` becomes it.
    ///
    /// MUST give two who ask for the first time at once the same answer.
    ///
    /// # Errors
    /// [`StoreError`] when it could not be told.
    async fn plan_or(&mut self, default: &PlanVersion, now: DateTime<Utc>) -> Result<PlanVersion, StoreError>;
}

/// What one workspace has used.
#[async_trait]
pub trait UsageRepository: Send {
    /// The count of each meter in the period that begins so, 0 where nothing was counted, in the order of `periods`.
    ///
    /// MUST be the count of committed facts: what was rolled back, refused or a repetition is not in it.
    ///
    /// # Errors
    /// [`StoreError`] when it could not be read.
    async fn used(&mut self, periods: &[(Meter, DateTime<Utc>)]) -> Result<Vec<i64>, StoreError>;
}

/// API calls of one workspace in one day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallCount {
    /// The workspace.
    pub workspace: WorkspaceId,
    /// The first instant of the day.
    pub day: DateTime<Utc>,
    /// How many.
    pub calls: i64,
}

/// Where counted API calls go.
#[async_trait]
pub trait CallLedger: Send + Sync {
    /// Adds a batch of counts; false where this `recorder` has written this `batch`, or a later one, before.
    ///
    /// MUST add a batch once, however often it is written. A workspace that does not exist any more MUST NOT keep the
    /// others from being counted.
    ///
    /// # Errors
    /// [`StoreError`] when it is not known whether it was written; writing it again is safe.
    async fn record(
        &self,
        scope: &SystemScope,
        recorder: Uuid,
        batch: i64,
        counts: &[CallCount],
    ) -> Result<bool, StoreError>;
}
