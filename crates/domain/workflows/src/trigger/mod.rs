//! What starts a workflow by itself: times and events. Pure; the instants and the events come from outside.

mod event;
mod schedule;

pub use event::EventTrigger;
pub use schedule::{Schedule, ScheduleError};

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
