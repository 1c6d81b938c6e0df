//! Metrics of the whole installation, for its operators.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tidegate_kernel::{StoreError, SystemScope};

/// The work that waits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueueFigures {
    /// Workspaces with ready runs. The count stops at [`MAX_READY_WORKSPACES`].
    pub ready_workspaces: u32,
    /// The creation time of the oldest run among the first ready run of each workspace.
    pub oldest_ready: Option<DateTime<Utc>>,
    /// When the first timer is due.
    pub first_timer: Option<DateTime<Utc>>,
    /// The backlog of each consumer of events.
    pub backlogs: Vec<Backlog>,
}

/// The maximum number of workspaces with ready runs that are counted.
pub const MAX_READY_WORKSPACES: u32 = 1_000;

/// The maximum number of workspaces whose backlogs are counted.
pub const MAX_BACKLOG_WORKSPACES: u32 = 20_000;

/// The backlog of one consumer of events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backlog {
    /// The consumer's name.
    pub consumer: &'static str,
    /// Workspaces with unread events.
    pub workspaces: u64,
    /// Unread events.
    pub events: u64,
}

/// The usage of the installation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UsageTotals {
    /// People who have an account.
    pub people: u64,
    /// Workspaces that are not deleted.
    pub workspaces: u64,
    /// Workspaces with an API call since the start of the day.
    pub active_workspaces: u64,
    /// Events ingested since each workspace was created.
    pub events: u64,
    /// Events ingested since the start of the month.
    pub events_this_month: u64,
    /// Runs started since the start of the month.
    pub runs_this_month: u64,
    /// Steps ended since the start of the month.
    pub steps_this_month: u64,
    /// API calls since the start of the day.
    pub api_calls_today: u64,
}

/// The start times of the counted periods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsagePeriods {
    /// The start of the day.
    pub day: DateTime<Utc>,
    /// The start of the month.
    pub month: DateTime<Utc>,
}

/// The source of these metrics.
#[async_trait]
pub trait InstallationFigures: Send + Sync {
    /// What waits now, including the backlog of each of `consumers`. MUST name every consumer. MUST read a bounded
    /// number of rows.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be read.
    async fn queues(&self, scope: &SystemScope, consumers: &[&'static str]) -> Result<QueueFigures, StoreError>;

    /// The total usage of all workspaces that are not deleted. MUST read page by page.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be read.
    async fn totals(&self, scope: &SystemScope, periods: UsagePeriods) -> Result<UsageTotals, StoreError>;
}
