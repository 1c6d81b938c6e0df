//! What one transaction starts: as much of a chunk as the limits allow, in the order of events and then of workflows.

use std::time::Instant;

use tidegate_kernel::{Position, WorkflowId};
use tidegate_workflows::trigger::{DueRun, Listeners};

use super::{Chunk, FollowLimits};

/// An event and a workflow.
pub(super) type Place = (Position, WorkflowId);

/// Where a workspace stands beside its cursor.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Standing {
    /// The event whose first workflows are done, and the last of these.
    pub(super) within: Option<Place>,
    /// What the store refused last.
    pub(super) trouble: Option<Trouble>,
}

/// A run that the store refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) position: Position,
    pub(super) workflow: WorkflowId,
    /// How often in a row.
    pub(super) failures: u32,
}

impl Trouble {
    fn is_of(&self, due: &DueRun) -> bool {
        self.is_at((due.position, due.trigger.workflow))
    }

    pub(super) fn is_at(&self, place: Place) -> bool {
        (self.position, self.workflow) == place
    }
}

#[derive(Debug)]
pub(super) struct Batch {
    /// What is started.
    pub(super) due: Vec<DueRun>,
    /// How far the cursor moves.
    pub(super) to: Position,
    /// The event after `to` whose first workflows are done then, and the last of these.
    pub(super) within: Option<Place>,
}

impl Batch {
    /// Asks what the events of `chunk` start, from where the last step ended on, until a limit is reached.
    pub(super) fn of(chunk: &Chunk, listeners: &Listeners, standing: &Standing, limits: &FollowLimits) -> Self {
        let began = Instant::now();
        let mut batch = Self { due: Vec::new(), to: chunk.to, within: None };
        let mut bytes = 0;
        for occurrence in &chunk.occurrences {
            let done = standing.within.filter(|(position, _)| *position == occurrence.position);
            for workflow in listeners.workflows(done.map(|(_, workflow)| workflow)) {
                if let Some(due) = listeners.due(workflow, occurrence) {
                    bytes += due.bytes();
                    if bytes > limits.run_bytes && !batch.due.is_empty() {
                        batch.end_before((occurrence.position, workflow), listeners);
                        return batch;
                    }
                    batch.due.push(due);
                }
                if batch.due.len() >= limits.runs || began.elapsed() >= limits.matching {
                    batch.end_after((occurrence.position, workflow), listeners);
                    return batch;
                }
            }
        }
        batch
    }

    /// Lets what the store refused neither take its neighbours along nor be tried for ever: what comes before it is started
    /// without it, then it is tried alone, and after so many attempts it counts as what cannot be started.
    pub(super) fn isolate(&mut self, trouble: &Trouble, listeners: &Listeners, attempts: u32) {
        let Some(index) = self.due.iter().position(|due| trouble.is_of(due)) else { return };
        if index == 0 && trouble.failures >= attempts {
            self.due[0].start = Err(format!("the run could not be stored, in {attempts} attempts"));
        }
        let end = index.max(1);
        if let Some(next) = self.due.get(end) {
            let place = (next.position, next.trigger.workflow);
            self.due.truncate(end);
            self.end_before(place, listeners);
        }
    }

    fn end_before(&mut self, (position, workflow): Place, listeners: &Listeners) {
        self.to = Position(position.0 - 1);
        self.within = listeners.before(workflow).map(|before| (position, before));
    }

    fn end_after(&mut self, (position, workflow): Place, listeners: &Listeners) {
        let last = listeners.workflows(Some(workflow)).next().is_none();
        self.to = if last { position } else { Position(position.0 - 1) };
        self.within = (!last).then_some((position, workflow));
    }
}
