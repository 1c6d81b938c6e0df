//! The events that runs emit.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Map, Value, json};
use tidegate_engine::ports::{EmittedEvent, EventEmitter};
use tidegate_events::Events;
use tidegate_events::cloud_event::{DEPTH_ATTRIBUTE, Headers, NewEvent, Rejection, RejectionCode, read};
use tidegate_kernel::{Environment, Signal, SignalBus, Topic, WorkspaceScope};
use tidegate_workflows::run::StepError;

/// Ingests the events of runs by the same path as all other events.
pub(super) struct EventsOfRuns {
    pub(super) events: Events,
    pub(super) bus: Arc<dyn SignalBus>,
    pub(super) env: Environment,
}

#[async_trait]
impl EventEmitter for EventsOfRuns {
    async fn emit(&self, scope: &WorkspaceScope, event: EmittedEvent) -> Result<(), StepError> {
        let event = self.read(&event).map_err(|rejection| refused(&rejection))?;
        let report = self.events.ingest(scope, vec![Ok(event)]).await.map_err(|error| {
            tracing::warn!(%error, "an event of a run could not be stored");
            StepError::transient("store", "the event could not be stored")
        })?;
        if let Some((_, rejection)) = report.rejected.first() {
            return Err(refused(rejection));
        }
        if report.accepted > 0 {
            self.bus.publish(Signal::new(Topic::EventsIngested, &scope.workspace()));
        }
        Ok(())
    }
}

impl EventsOfRuns {
    /// Parses the event as if it had been sent, so that the same rules apply. It adds the depth, which no sender can
    /// set.
    fn read(&self, emitted: &EmittedEvent) -> Result<NewEvent, Rejection> {
        let mut document = Map::new();
        document.insert("specversion".to_owned(), json!("1.0"));
        document.insert("id".to_owned(), json!(emitted.id));
        document.insert("source".to_owned(), json!(emitted.source));
        document.insert("type".to_owned(), json!(emitted.kind));
        if let Some(subject) = &emitted.subject {
            document.insert("subject".to_owned(), json!(subject));
        }
        if !emitted.data.is_null() {
            document.insert("data".to_owned(), emitted.data.clone());
        }
        let text = Value::Object(document).to_string();
        let unreadable = || Rejection {
            code: RejectionCode::Malformed,
            detail: "the event cannot be read back".to_owned(),
            pointer: String::new(),
        };
        let body = read(&Structured, text.as_bytes(), self.env.now()).map_err(|_| unreadable())?;
        let mut event = body.items.into_iter().next().unwrap_or_else(|| Err(unreadable()))?;
        event.extensions.insert(DEPTH_ATTRIBUTE.to_owned(), json!(emitted.depth));
        Ok(event)
    }
}

/// A CloudEvent in structured mode.
struct Structured;

impl Headers for Structured {
    fn content_type(&self) -> Option<&str> {
        Some("application/cloudevents+json")
    }

    fn attributes(&self) -> Vec<(&str, &[u8])> {
        Vec::new()
    }
}

fn refused(rejection: &Rejection) -> StepError {
    StepError::permanent(rejection.code.as_str(), rejection.detail.clone())
}
