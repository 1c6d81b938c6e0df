//! What all workspaces together have used, for operators.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use tidegate_billing::Meter;
use tidegate_engine::monitoring::{InstallationFigures, UsagePeriods, UsageTotals};
use tidegate_kernel::{Environment, StoreError, SystemScope};

/// Counts what all workspaces have used.
#[derive(Clone)]
pub(crate) struct UsageReport {
    figures: Arc<dyn InstallationFigures>,
    scope: Arc<SystemScope>,
    env: Environment,
}

/// What was used up to a moment.
pub(crate) struct UsageTotalsAt {
    /// When it was counted.
    pub(crate) at: DateTime<Utc>,
    /// The day and the month that it was counted for.
    pub(crate) periods: UsagePeriods,
    /// What was used.
    pub(crate) totals: UsageTotals,
}

impl UsageReport {
    /// A report on `figures`, which `scope` opens.
    pub(super) fn new(figures: Arc<dyn InstallationFigures>, scope: SystemScope, env: Environment) -> Self {
        Self { figures, scope: Arc::new(scope), env }
    }

    /// What was used in the current day and month.
    ///
    /// # Errors
    /// [`StoreError`] when it could not be read.
    pub(crate) async fn now(&self) -> Result<UsageTotalsAt, StoreError> {
        let at = self.env.now();
        let periods = UsagePeriods { day: Meter::ApiCalls.period(at).start, month: Meter::Runs.period(at).start };
        let totals = self.figures.totals(&self.scope, periods).await?;
        Ok(UsageTotalsAt { at, periods, totals })
    }
}
