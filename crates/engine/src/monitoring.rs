//! Figures of the whole installation, for those who operate it.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tidegate_kernel::{StoreError, SystemScope};

/// What waits to be done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueueFigures {
    /// Workspaces with ready runs; counting stops at [`MAX_READY_WORKSPACES`].
    pub ready_workspaces: u32,
    /// When the oldest run was started of those that are first in line in their workspaces.
    pub oldest_ready: Option<DateTime<Utc>>,
    /// When the first timer is due.
    pub first_timer: Option<DateTime<Utc>>,
    /// How far each consumer of events is behind.
    pub backlogs: Vec<Backlog>,
}

/// The most workspaces with ready runs that are looked at.
pub const MAX_READY_WORKSPACES: u32 = 1_000;

/// The most workspaces whose consumers are looked at.
pub const MAX_BACKLOG_WORKSPACES: u32 = 20_000;

/// How far a consumer of events is behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backlog {
    /// The consumer.
    pub consumer: &'static str,
    /// Workspaces with events that it has not read.
    pub workspaces: u64,
    /// Events that it has not read.
    pub events: u64,
}

/// How much the installation is used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UsageTotals {
    /// People who have an account.
    pub people: u64,
    /// Workspaces that are not deleted.
    pub workspaces: u64,
    /// Workspaces with an API call since the beginning of the day.
    pub active_workspaces: u64,
    /// Events taken in since each workspace was made.
    pub events: u64,
    /// Events taken in since the beginning of the month.
    pub events_this_month: u64,
    /// Runs started since the beginning of the month.
    pub runs_this_month: u64,
    /// Steps ended since the beginning of the month.
    pub steps_this_month: u64,
    /// API calls since the beginning of the day.
    pub api_calls_today: u64,
}

/// The beginnings of the periods that are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsagePeriods {
    /// Of the day.
    pub day: DateTime<Utc>,
    /// Of the month.
    pub month: DateTime<Utc>,
}

/// Where the figures come from.
#[async_trait]
pub trait InstallationFigures: Send + Sync {
    /// What waits now, for each of `consumers` too. MUST name every consumer, and MUST read a bounded number of rows.
    ///
    /// # Errors
    /// [`StoreError`] when it could not be read.
    async fn queues(&self, scope: &SystemScope, consumers: &[&'static str]) -> Result<QueueFigures, StoreError>;

    /// How much is used, in all workspaces that are not deleted. MUST read page by page.
    ///
    /// # Errors
    /// [`StoreError`] when it could not be read.
    async fn totals(&self, scope: &SystemScope, periods: UsagePeriods) -> Result<UsageTotals, StoreError>;
}
