//! What starts a workflow by itself: times and events.
//!
//! Schedules and filters are pure; [`Triggers`] starts runs for what they say, in the transaction in which a tick or an
//! event is done with, so that neither is lost nor followed twice.

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
    /// Fires at times.
    Cron(CronTrigger),
    /// Fires for events.
    Event(EventTrigger),
}

/// Fires at times.
#[derive(Debug, Clone)]
pub struct CronTrigger {
    /// When.
    pub schedule: Schedule,
    /// The input of the run, over `trigger` (`{kind: "cron", scheduled_at}`) and `workflow`.
    pub input: ValueTemplate,
}
