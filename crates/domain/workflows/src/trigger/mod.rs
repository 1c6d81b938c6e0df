//! Triggers: times and events that start a workflow.
//!
//! Schedules and filters are pure. [`Triggers`] starts runs in the transaction that also marks the tick or the event as
//! handled, so that neither is lost or handled twice.

mod event;
mod listeners;
pub mod ports;
mod schedule;
mod service;

pub use event::EventTrigger;
pub use listeners::{DueRun, Listeners, Occurrence};
pub use schedule::{PatternError, Schedule, ScheduleError};
pub use service::{CheckedRun, Triggers};

use crate::expression::ValueTemplate;

/// One trigger of a workflow.
#[derive(Debug, Clone)]
pub enum Trigger {
    /// Fires at the times of a schedule.
    Cron(CronTrigger),
    /// Fires for events of a type.
    Event(EventTrigger),
}

/// A trigger with a schedule.
#[derive(Debug, Clone)]
pub struct CronTrigger {
    /// The schedule.
    pub schedule: Schedule,
    /// The input of the run. It may read `trigger` (`{kind: "cron", scheduled_at}`) and `workflow`.
    pub input: ValueTemplate,
}
