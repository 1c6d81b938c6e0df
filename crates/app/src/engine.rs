//! The engine beside the server: what it is wired with, and how it ends.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Map, Value, json};
use tidegate_engine::handlers::{BindError, HandlerMap, OpenWorkspaces, standard};
use tidegate_engine::ports::{EmittedEvent, EngineStore, EventEmitter, OutboundHttp};
use tidegate_engine::{Engine, EngineConfig, EngineParts};
use tidegate_events::Events;
use tidegate_events::cloud_event::{DEPTH_ATTRIBUTE, Headers, NewEvent, Rejection, RejectionCode, read};
use tidegate_kernel::{Environment, Signal, SignalBus, Topic, Urgency, WorkspaceScope};
use tidegate_postgres::PgEngineStore;
use tidegate_workflows::run::StepError;
use tidegate_workflows::step::StepRegistry;

use crate::Services;
use crate::outbound::TracedHttp;
use crate::telemetry::traces;

/// Drives runs until the server stops, then finishes or hands back what is in hand.
pub(crate) async fn drive(services: Services) {
    let store = (*services.store).clone();
    let store: Arc<dyn EngineStore> =
        Arc::new(if services.embedded { PgEngineStore::alone(store) } else { PgEngineStore::new(store) });
    let workspaces = OpenWorkspaces::new(
        services.store.clone(),
        services.issuer.system("whether a workspace is there").with_urgency(Urgency::Engine),
    );
    let parts = EngineParts {
        store,
        workflows: Arc::new(services.runs.clone()),
        handlers: services.handlers.while_open(&Arc::new(workspaces)),
        bus: services.signals.clone(),
        endings: services.run_endings.clone(),
        shards: services.shards.clone(),
        env: services.env.clone(),
        scope: services.issuer.system("engine").with_urgency(Urgency::Engine),
        config: EngineConfig::default(),
        continue_trace: traces::continue_trace,
    };
    Engine::run(parts, services.stopping).await;
}

/// The handlers of all step types.
pub(crate) fn handlers(
    steps: &StepRegistry,
    outbound: Arc<dyn OutboundHttp>,
    events: Events,
    bus: Arc<dyn SignalBus>,
    env: Environment,
) -> Result<HandlerMap, BindError> {
    let outbound = Arc::new(TracedHttp(outbound));
    HandlerMap::bind(steps, standard(outbound, Arc::new(EventsOfRuns { events, bus, env })))
}

/// Sends what runs emit through the same door as everybody else's events.
struct EventsOfRuns {
    events: Events,
    bus: Arc<dyn SignalBus>,
    env: Environment,
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
    /// The event as if it had been sent, so that it meets the same rules, with the depth that no sender can set.
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
