//! The usage of all workspaces together, for operators.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use tidegate_engine::monitoring::{InstallationFigures, UsagePeriods, UsageTotals};
use tidegate_kernel::{Environment, Span, StoreError, SystemScope};

/// Adds up the usage of all workspaces.
#[derive(Clone)]
pub(crate) struct UsageReport {
    figures: Arc<dyn InstallationFigures>,
    scope: Arc<SystemScope>,
    env: Environment,
}

/// The usage up to a moment.
pub(crate) struct UsageTotalsAt {
    /// When it was counted.
    pub(crate) at: DateTime<Utc>,
    /// The day and the month that it covers.
    pub(crate) periods: UsagePeriods,
    /// The totals.
    pub(crate) totals: UsageTotals,
}

impl UsageReport {
    /// A report that reads `figures` with `scope`.
    pub(super) fn new(figures: Arc<dyn InstallationFigures>, scope: SystemScope, env: Environment) -> Self {
        Self { figures, scope: Arc::new(scope), env }
    }

    /// The usage in the current day and month.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    pub(crate) async fn now(&self) -> Result<UsageTotalsAt, StoreError> {
        let at = self.env.now();
        let periods = UsagePeriods { day: Span::Day.period(at).start, month: Span::Month.period(at).start };
        let totals = self.figures.totals(&self.scope, periods).await?;
        Ok(UsageTotalsAt { at, periods, totals })
    }
}
