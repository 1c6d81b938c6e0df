//! Which workflows an event starts: for each workflow, the first trigger in document order that the event matches.
//!
//! The lookups are pure once loaded: nothing here waits or holds a connection, so filters may take long.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};
use tidegate_kernel::{EventId, Position, WorkflowId};

use super::Trigger;
use super::ports::ListeningTrigger;
use crate::expression::{Bindings, ValueTemplate, json_bytes};
use crate::run::StartRun;

/// An event that may fire triggers.
#[derive(Debug, Clone)]
pub struct Occurrence {
    /// Tidegate's id of the event.
    pub id: EventId,
    /// Its position in the workspace.
    pub position: Position,
    /// The length of the chain of runs that led to it.
    pub depth: u8,
    /// The event as a CloudEvent.
    pub document: Value,
}

/// The workflow's name in a version, and the version's triggers.
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) name: String,
    pub(super) triggers: Vec<Trigger>,
}

impl Placed {
    pub(super) fn nth(&self, ordinal: i16) -> Option<&Trigger> {
        self.triggers.get(usize::try_from(ordinal).ok()?)
    }
}

/// A run that an event should start.
#[derive(Debug, Clone)]
pub struct DueRun {
    /// The trigger.
    pub trigger: ListeningTrigger,
    /// The event's position.
    pub position: Position,
    /// The start, or why the trigger has no input for the event.
    pub start: Result<StartRun, String>,
}

impl DueRun {
    /// The approximate size of the start as JSON, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.start.as_ref().map_or(0, |start| json_bytes(&start.input) + json_bytes(&start.event))
    }
}

/// The workflows of a workspace that have event triggers.
#[derive(Debug, Default)]
pub struct Listeners {
    workflows: BTreeMap<WorkflowId, Listener>,
}

#[derive(Debug)]
struct Listener {
    /// In document order.
    triggers: Vec<ListeningTrigger>,
    /// `None` if this server cannot read the version.
    placed: Option<Arc<Placed>>,
}

impl Listeners {
    /// Adds a workflow with its triggers.
    pub(super) fn add(
        &mut self,
        workflow: WorkflowId,
        mut triggers: Vec<ListeningTrigger>,
        placed: Option<Arc<Placed>>,
    ) {
        triggers.sort_by_key(|trigger| trigger.ordinal);
        self.workflows.insert(workflow, Listener { triggers, placed });
    }

    /// The workflows after `after`, or all of them, in a fixed order.
    pub fn workflows(&self, after: Option<WorkflowId>) -> impl Iterator<Item = WorkflowId> + '_ {
        use std::ops::Bound::{Excluded, Unbounded};
        self.workflows.range((after.map_or(Unbounded, Excluded), Unbounded)).map(|(workflow, _)| *workflow)
    }

    /// The workflow before `workflow` in that order.
    #[must_use]
    pub fn before(&self, workflow: WorkflowId) -> Option<WorkflowId> {
        self.workflows.range(..workflow).next_back().map(|(workflow, _)| *workflow)
    }

    /// The run of `workflow` that `occurrence` starts, if any.
    ///
    /// A trigger ignores events from before it was placed and events for which its filter cannot be evaluated. The
    /// first matching trigger decides: if its input cannot be evaluated, no other trigger is tried.
    #[must_use]
    pub fn due(&self, workflow: WorkflowId, occurrence: &Occurrence) -> Option<DueRun> {
        let listener = self.workflows.get(&workflow)?;
        let kind = occurrence.document.get("type").and_then(Value::as_str)?;
        let mut waiting = listener
            .triggers
            .iter()
            .filter(|trigger| trigger.event_type == kind && occurrence.position > trigger.after);
        let (trigger, start) = match &listener.placed {
            None => {
                let trigger = waiting.next()?;
                (trigger, Err(format!("this server cannot read version {} of the workflow", trigger.version)))
            }
            Some(placed) => waiting.find_map(|trigger| match placed.nth(trigger.ordinal) {
                Some(Trigger::Event(event)) if event.admits(&occurrence.document).unwrap_or(false) => {
                    Some((trigger, start(&event.input, &placed.name, trigger, occurrence)))
                }
                _ => None,
            })?,
        };
        Some(DueRun { trigger: trigger.clone(), position: occurrence.position, start })
    }
}

fn start(
    template: &ValueTemplate,
    name: &str,
    trigger: &ListeningTrigger,
    occurrence: &Occurrence,
) -> Result<StartRun, String> {
    let source = json!({"kind": "event", "event_id": occurrence.id, "trigger": trigger.ordinal});
    let input = input(template, name, (trigger.workflow, trigger.version), &source, &occurrence.document)?;
    Ok(StartRun {
        workflow: trigger.workflow,
        input,
        // An event starts at most one run of a workflow, whichever trigger matches and whichever server starts it.
        dedupe_key: Some(format!("event:{}", occurrence.id)),
        trigger: source,
        event: occurrence.document.clone(),
        depth: occurrence.depth,
    })
}

/// Evaluates the input of a trigger.
pub(super) fn input(
    template: &ValueTemplate,
    name: &str,
    (id, version): (WorkflowId, i32),
    trigger: &Value,
    event: &Value,
) -> Result<Value, String> {
    let workflow = json!({"id": id, "name": name, "version": version});
    let bindings =
        Bindings { event: Some(event), trigger: Some(trigger), workflow: Some(&workflow), ..Bindings::default() };
    template.evaluate(&bindings).map_err(|error| format!("the input cannot be made: {error}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::definition::{Definition, Format};

    /// A workflow with one trigger per bound. The event's number has to be at least the bound.
    fn listeners(bounds: &[i64], after: &[i64]) -> (WorkflowId, Listeners) {
        let triggers: Vec<String> = bounds
            .iter()
            .map(|bound| {
                format!(
                    "  - {{event: {{type: t, filter: '${{{{ event.data.n >= {bound} }}}}'}}, input: {{b: {bound}}}}}"
                )
            })
            .collect();
        let source = format!(
            "name: w\nsteps: [{{id: a, uses: transform}}]\n\
             inputs: {{type: object, properties: {{b: {{type: integer}}}}}}\ntriggers:\n{}\n",
            triggers.join("\n")
        );
        let definition =
            Definition::compile(source.as_bytes(), Format::Yaml, &crate::step::StepRegistry::built_in().unwrap())
                .unwrap();
        let workflow = WorkflowId::from_uuid(Uuid::from_u128(1));
        let placed = Placed { name: definition.name, triggers: definition.triggers };
        let waiting = (0..).zip(after).map(|(ordinal, after)| ListeningTrigger {
            workflow,
            ordinal,
            version: 1,
            event_type: "t".to_owned(),
            after: Position(*after),
        });
        let mut waiting: Vec<_> = waiting.collect();
        // The document order counts, not the order in which triggers are read.
        waiting.reverse();
        let mut listeners = Listeners::default();
        listeners.add(workflow, waiting, Some(Arc::new(placed)));
        (workflow, listeners)
    }

    fn occurrence(position: i64, n: Option<i64>) -> Occurrence {
        Occurrence {
            id: EventId::from_uuid(Uuid::from_u128(2)),
            position: Position(position),
            depth: 0,
            document: json!({"type": "t", "data": n.map_or(json!({}), |n| json!({"n": n}))}),
        }
    }

    proptest! {
        #[test]
        fn the_first_trigger_that_an_event_passes_starts_the_one_run(
            triggers in proptest::collection::vec((0i64..10, 0i64..5), 1..8),
            position in 0i64..6,
            n in proptest::option::of(0i64..10),
        ) {
            let (bounds, after): (Vec<_>, Vec<_>) = triggers.iter().copied().unzip();
            let (workflow, listeners) = listeners(&bounds, &after);
            let due = listeners.due(workflow, &occurrence(position, n));
            let first = triggers.iter().position(|(bound, after)| n.is_some_and(|n| n >= *bound) && position > *after);
            prop_assert_eq!(due.as_ref().map(|due| usize::try_from(due.trigger.ordinal).unwrap()), first);
            if let (Some(due), Some(first)) = (due, first) {
                let start = due.start.unwrap();
                prop_assert_eq!(start.input, json!({"b": bounds[first]}));
                prop_assert_eq!(&start.trigger["trigger"], &json!(first));
            }
        }
    }

    #[test]
    fn a_version_that_cannot_be_read_says_so_once() {
        let (workflow, mut listeners) = listeners(&[1, 1], &[0, 0]);
        let triggers = listeners.workflows[&workflow].triggers.clone();
        listeners.add(workflow, triggers, None);
        let due = listeners.due(workflow, &occurrence(1, Some(1))).unwrap();
        assert_eq!((due.trigger.ordinal, due.start.unwrap_err().contains("version 1")), (0, true));
        assert!(listeners.due(workflow, &occurrence(0, Some(1))).is_none(), "it came before");
    }
}
