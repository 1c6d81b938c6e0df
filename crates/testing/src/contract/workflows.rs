//! Obligations of stores of workflows, their triggers and their runs.

mod checking;
mod keeping;
mod running;
mod triggering;

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use tidegate_events::EventsTx;
use tidegate_events::cloud_event::NewEvent;
use tidegate_kernel::{PageSize, UnitOfWork, WorkflowId, WorkspaceScope};
use tidegate_tenancy::Tenancy;
use tidegate_use_cases::{EventTriggersTx, FollowEvents};
use tidegate_workflows::Workflows;
use tidegate_workflows::definition::Format;
use tidegate_workflows::model::{Document, Expected, WorkflowDetails};
use tidegate_workflows::ports::WorkflowsTx;
use tidegate_workflows::run::ports::RunsTx;
use tidegate_workflows::run::{Run, RunFilter, Runs};
use tidegate_workflows::trigger::Triggers;
use tidegate_workflows::trigger::ports::{DueTriggers, TriggersTx};

use super::stage::subject;
use crate::silence::Silence;
use crate::steps::step_types;

pub use checking::*;
pub use keeping::*;
pub use running::*;
pub use triggering::*;

subject! {
    about {
        /// Workflows.
        workflows: dyn UnitOfWork<dyn WorkflowsTx> = store,
        /// Runs.
        runs: dyn UnitOfWork<dyn RunsTx> = store,
        /// Triggers.
        triggers: dyn UnitOfWork<dyn TriggersTx> = store,
        /// Finds triggers that are due.
        due: dyn DueTriggers = store,
    }
    beside {
        /// Adds events.
        events: dyn UnitOfWork<dyn EventsTx> = store,
        /// Follows the event feed.
        following: dyn UnitOfWork<dyn EventTriggersTx> = store,
        /// Reads the audit log.
        tenancy: Tenancy = store,
    }
}

impl Subject {
    fn service(&self) -> Workflows {
        Workflows::new(self.workflows.clone(), step_types(), self.env.clone())
    }

    fn run_service(&self) -> Runs {
        Runs::new(self.runs.clone(), step_types(), Arc::new(Silence), self.env.clone())
    }

    fn trigger_service(&self) -> Triggers {
        Triggers::new(self.triggers.clone(), self.due.clone(), self.run_service(), self.env.clone())
    }

    fn follower(&self) -> FollowEvents {
        FollowEvents::new(self.following.clone(), self.trigger_service())
    }

    /// Sets the clock to `time` after the last midnight. There are partitions only around the present.
    fn at(&self, time: &str) {
        self.clock.set(self.moment(time));
    }

    /// `time`, such as `26:30:00`, after the last midnight.
    fn moment(&self, time: &str) -> DateTime<Utc> {
        let parts = time.split(':').map(|part| part.parse::<i64>().expect("a number in a time of a test"));
        let seconds = parts.fold(0, |sum, part| sum * 60 + part);
        self.midnight + TimeDelta::seconds(seconds)
    }

    /// Creates a workflow with one transform, and with further lines of YAML.
    async fn create(&self, scope: &WorkspaceScope, name: &str, lines: &str) -> WorkflowDetails {
        self.service().create(scope, document(name, lines)).await.expect("the workflow is created")
    }

    async fn publish(&self, scope: &WorkspaceScope, id: WorkflowId) {
        self.service().publish(scope, id, &Expected::Any).await.expect("the workflow is published");
    }

    async fn published(&self, scope: &WorkspaceScope, name: &str, lines: &str) -> WorkflowId {
        let id = self.create(scope, name, lines).await.workflow.id;
        self.publish(scope, id).await;
        id
    }

    async fn runs(&self, scope: &WorkspaceScope) -> Vec<Run> {
        let page = self.run_service().list(scope, &RunFilter::default(), None, PageSize::default()).await;
        page.expect("runs are listed").items
    }

    async fn add_events(&self, scope: &WorkspaceScope, events: &[NewEvent]) {
        self.add_to(&*self.events, scope, events).await;
    }

    async fn follow(&self, scope: &WorkspaceScope) {
        let follower = self.follower();
        while follower.step(scope).await.expect("events are followed") {}
    }
}

fn document(name: &str, lines: &str) -> Document {
    let source = format!("name: {name}\nsteps: [{{id: shape, uses: transform}}]\n{lines}\n");
    Document { format: Format::Yaml, source: source.into_bytes() }
}

fn event(id: &str, event_type: &str, subject: &str) -> NewEvent {
    let event = NewEvent::emitted("/test".to_owned(), id.to_owned(), event_type.to_owned(), 0);
    NewEvent { subject: Some(subject.to_owned()), ..event }
}
