//! The runs that one transaction starts: as many as the limits allow, ordered by event and then by workflow.

use std::time::Instant;

use tidegate_kernel::{Position, WorkflowId};
use tidegate_workflows::trigger::{DueRun, Listeners};

use super::{Chunk, FollowLimits};

/// An event and a workflow.
pub(super) type Place = (Position, WorkflowId);

/// Progress of a workspace that the cursor does not record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Standing {
    /// The event that is partly done, and the last workflow that was done for it.
    pub(super) within: Option<Place>,
    /// The run that the store rejected last.
    pub(super) trouble: Option<Trouble>,
}

/// A run that the store rejected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) position: Position,
    pub(super) workflow: WorkflowId,
    /// How often in a row it was rejected.
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
    /// The runs to start.
    pub(super) due: Vec<DueRun>,
    /// The new cursor.
    pub(super) to: Position,
    /// The event after `to` that is then partly done, and the last workflow that was done for it.
    pub(super) within: Option<Place>,
}

impl Batch {
    /// Matches the events of `chunk` with the triggers, from where the last step ended, until a limit is reached.
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

    /// Isolates the run that the store rejected last, so that it neither fails other runs nor is tried for ever. First
    /// the runs before it are started without it. Then it is tried alone. After `attempts` attempts it counts as a run
    /// that cannot be started.
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
