//! Alerts: the usage of a meter has passed a share of its limit. Each is raised once in a period.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tidegate_kernel::{JobPayload, Meter};

/// An alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaAlert {
    /// The meter.
    pub meter: Meter,
    /// The first instant of its period.
    pub period_start: DateTime<Utc>,
    /// The share of the limit that was passed, in percent.
    pub percent: i16,
    /// What was used then.
    pub used: i64,
    /// The limit then.
    pub limit: i64,
}

/// The payload of the job that tells people of an alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotifyQuota {
    /// The name of the meter.
    pub meter: String,
    /// The first instant of its period.
    pub period_start: DateTime<Utc>,
    /// The share of the limit that was passed, in percent.
    pub percent: i16,
}

impl JobPayload for NotifyQuota {
    const KIND: &'static str = "quota.notify";
}

impl From<&QuotaAlert> for NotifyQuota {
    fn from(alert: &QuotaAlert) -> Self {
        Self { meter: alert.meter.as_str().to_owned(), period_start: alert.period_start, percent: alert.percent }
    }
}
