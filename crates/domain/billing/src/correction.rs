//! Corrections of usage: what an operator adds to the count of a day, or takes off.

use std::sync::Arc;

use chrono::{DateTime, Datelike, SubsecRound, Utc};
use serde_json::json;
use tidegate_kernel::{
    AuditEntry, Environment, Forbidden, Meter, OperatorScope, Page, PageSize, Permission, Span, StoreError, UnitOfWork,
    WorkspaceId, WorkspaceScope,
};
use uuid::Uuid;

use crate::ports::BillingTx;

/// The meters that can be corrected: those that add up over a period. A level is what is there.
pub const CORRECTED: [Meter; 4] = [Meter::ApiCalls, Meter::Events, Meter::Runs, Meter::Steps];

/// A correction to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCorrection {
    /// A name for it, such as that of an incident. A workspace has one correction of this name.
    pub reference: String,
    /// The meter.
    pub meter: Meter,
    /// An instant of the day in UTC that is corrected.
    pub day: DateTime<Utc>,
    /// The units to add; negative to take off.
    pub amount: i64,
    /// Why, for the people of the workspace.
    pub reason: String,
}

/// A correction that was made. It is never changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageCorrection {
    /// The id.
    pub id: Uuid,
    /// The name that the operator gave it.
    pub reference: String,
    /// The meter.
    pub meter: Meter,
    /// The first instant of the day.
    pub day: DateTime<Utc>,
    /// The units that were to be added, or taken off if it is negative.
    pub asked: i64,
    /// The units that were added or taken off: no more than were counted on that day.
    pub amount: i64,
    /// Why.
    pub reason: String,
    /// When it was made.
    pub at: DateTime<Utc>,
}

/// Why usage was not corrected.
#[derive(Debug, thiserror::Error)]
pub enum CorrectionError {
    /// The caller lacks the permission.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    /// There is no such workspace.
    #[error("there is no such workspace")]
    NotFound,
    /// The meter is a level, or no meter.
    #[error("`api_calls`, `events`, `runs` and `steps` can be corrected; levels are what is there")]
    Meter,
    /// The day has not begun, or is too long ago.
    #[error("the day must have begun, and be after 1999")]
    Day,
    /// It corrects nothing.
    #[error("a correction adds or takes off at least one unit")]
    Nothing,
    /// The workspace has a correction of this name.
    #[error("the workspace has a correction with this reference; it was not made twice")]
    Exists,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The corrections of the usage of workspaces.
#[derive(Clone)]
pub struct UsageCorrections {
    store: Arc<dyn UnitOfWork<dyn BillingTx>>,
    env: Environment,
}

impl std::fmt::Debug for UsageCorrections {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UsageCorrections").finish_non_exhaustive()
    }
}

impl UsageCorrections {
    /// The use cases over a store.
    #[must_use]
    pub fn new(store: Arc<dyn UnitOfWork<dyn BillingTx>>, env: Environment) -> Self {
        Self { store, env }
    }

    /// Corrects the usage of a day. What is taken off is cut to what was counted.
    ///
    /// # Errors
    /// [`CorrectionError`] if there is no such workspace, it has a correction of this name, or the correction makes no
    /// sense.
    pub async fn correct(
        &self,
        operator: &OperatorScope,
        workspace: WorkspaceId,
        new: NewCorrection,
    ) -> Result<UsageCorrection, CorrectionError> {
        let at = self.env.now().trunc_subsecs(6);
        let day = Span::Day.period(new.day).start;
        if !CORRECTED.contains(&new.meter) {
            return Err(CorrectionError::Meter);
        } else if day > at || day.year() < 2000 {
            return Err(CorrectionError::Day);
        } else if new.amount == 0 {
            return Err(CorrectionError::Nothing);
        }
        let NewCorrection { reference, meter, amount, reason, .. } = new;
        let id = self.env.uuid_v7();
        let mut correction = UsageCorrection { id, reference, meter, day, asked: amount, amount, reason, at };
        let mut tx = self.store.begin(&operator.enter(workspace)).await?;
        if !tx.usage().lock().await? {
            return Err(CorrectionError::NotFound);
        }
        let counts = tx.usage().by_day(Span::Day.period(day)).await?;
        let counted = counts.iter().find(|count| count.meter == meter).map_or(0, |count| count.used);
        correction.amount = amount.max(counted.saturating_neg());
        if !tx.usage().correct(&correction).await? {
            return Err(CorrectionError::Exists);
        }
        let details = json!({
            "reference": correction.reference, "meter": meter.as_str(), "day": day.date_naive(),
            "asked": correction.asked, "amount": correction.amount,
        });
        tx.audit().record(AuditEntry::new("usage.corrected", workspace).with(details)).await?;
        tx.commit().await?;
        Ok(correction)
    }

    /// The corrections of a workspace, newest first.
    ///
    /// # Errors
    /// [`CorrectionError`] without `usage:read`, or if they could not be read.
    pub async fn list(
        &self,
        scope: &WorkspaceScope,
        before: Option<Uuid>,
        size: PageSize,
    ) -> Result<Page<UsageCorrection, Uuid>, CorrectionError> {
        scope.require(Permission::UsageRead)?;
        let rows = self.store.begin(scope).await?.usage().corrections(before, size.get() + 1).await?;
        Ok(Page::from_overfetch(rows, size, |correction| correction.id))
    }
}
