//! Documents use the custom type, are refused if they use it wrongly, and run with it.
#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use custom_step::{Chat, NAME, handlers, step_types};
use serde_json::json;
use tidegate_engine::handlers::{BindError, HandlerMap};
use tidegate_engine::{Engine, EngineConfig, EngineHandle, EngineParts, OwnedShards, RunEndings};
use tidegate_in_process::InProcessSignalBus;
use tidegate_kernel::{NoQuota, RunId, WorkspaceScope};
use tidegate_testing::TestDatabase;
use tidegate_testing::contract::Stage;
use tidegate_testing::scope::{system_scope, workspace_scope};
use tidegate_workflows::Workflows;
use tidegate_workflows::definition::{DefinitionError, Format};
use tidegate_workflows::error::{CreateError, PublishError};
use tidegate_workflows::model::{Document, Expected};
use tidegate_workflows::run::ports::QuarantineDirectory;
use tidegate_workflows::run::{QuarantineReason, RunDetails, RunStatus, Runs, StartRun, StepError};
use tidegate_workflows::step::{StepRegistry, StepType};
use tokio::time::{sleep, timeout};

const ANNOUNCE: &str = r##"
name: announce
inputs: {type: object, properties: {version: {type: string}}, required: [version]}
steps:
  - {id: say, uses: chat.post, with: {channel: "#releases", text: "${{ inputs.version }} is out", urgency: high}}
  - {id: keep, uses: transform, needs: [say], with: {message: "${{ steps.say.output.message }}"}}
outputs: {message: "${{ steps.keep.output.message }}"}
"##;

const WRONG: &str = r##"
name: announce
steps:
  - {id: say, uses: chat.post, with: {channel: releases, txt: hello, urgency: hihg}, timeout: 2m}
  - {id: keep, uses: transform, needs: [say], with: {message: "${{ steps.say.output.mesage }}"}}
"##;

/// A chat whose messages a test can read.
#[derive(Default)]
struct Room(Mutex<BTreeMap<String, String>>);

#[async_trait]
impl Chat for Room {
    async fn post(&self, channel: &str, text: &str, key: &str) -> Result<String, StepError> {
        self.0.lock().unwrap().insert(key.to_owned(), format!("{channel}: {text}"));
        Ok(key.to_owned())
    }
}

fn document(source: &str) -> Document {
    Document { format: Format::Yaml, source: source.as_bytes().to_vec() }
}

/// The store of a server, with workflows and runs.
struct Fixture {
    stage: Stage,
    scope: WorkspaceScope,
    steps: Arc<StepRegistry>,
    bus: Arc<InProcessSignalBus>,
}

impl Fixture {
    async fn on(database: &TestDatabase) -> Self {
        let stage = Stage::on(database).await;
        let scope = workspace_scope(stage.scene.ours);
        Self { scope, stage, steps: Arc::new(step_types().unwrap()), bus: Arc::new(InProcessSignalBus::new()) }
    }

    fn workflows(&self, steps: &Arc<StepRegistry>) -> Workflows {
        Workflows::new(self.stage.store.clone(), steps.clone(), self.stage.scene.env.clone())
    }

    fn runs(&self, steps: &Arc<StepRegistry>) -> Runs {
        Runs::new(self.stage.store.clone(), steps.clone(), self.bus.clone(), self.stage.scene.env.clone())
    }

    /// Stores a workflow, publishes it, and starts a run of it.
    async fn start(&self, source: &str) -> RunId {
        let workflows = self.workflows(&self.steps);
        let id = workflows.create(&self.scope, document(source)).await.unwrap().workflow.id;
        workflows.publish(&self.scope, id, &Expected::Any).await.unwrap();
        let start = StartRun::by_api(id, json!({"version": "1.2"}), None);
        self.runs(&self.steps).start(&self.scope, start).await.unwrap().run.id
    }

    /// Starts an engine that knows the types in `steps`.
    fn engine(&self, steps: &Arc<StepRegistry>, handlers: HandlerMap) -> EngineHandle {
        Engine::start(EngineParts {
            store: self.stage.engine.clone(),
            workflows: Arc::new(self.runs(steps)),
            handlers,
            bus: self.bus.clone(),
            endings: RunEndings::default(),
            quota: Arc::new(NoQuota),
            shards: OwnedShards::default(),
            continue_trace: |_, _| {},
            env: self.stage.scene.env.clone(),
            scope: system_scope(),
            config: EngineConfig { poll: Duration::from_millis(50), ..EngineConfig::default() },
        })
    }

    async fn completed(&self, run: RunId) -> RunDetails {
        let runs = self.runs(&self.steps);
        let ends = async {
            while !runs.peek(&self.scope, run).await.unwrap().status.is_terminal() {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(Duration::from_secs(30), ends).await.unwrap();
        let details = runs.get(&self.scope, run).await.unwrap();
        assert_eq!(details.run.status, RunStatus::Completed, "{:?}", details.run.error);
        details
    }
}

#[tokio::test]
async fn a_document_that_uses_the_type_runs() {
    let database = TestDatabase::new().await;
    let fixture = Fixture::on(&database).await;
    let room = Arc::new(Room::default());
    let engine = fixture.engine(&fixture.steps, handlers(&fixture.steps, room.clone()).unwrap());
    let run = fixture.start(ANNOUNCE).await;
    let details = fixture.completed(run).await;
    let key = format!("{run}:say:0");
    assert_eq!(details.run.outputs, json!({ "message": key }));
    assert_eq!(details.steps[0].uses, NAME);
    assert_eq!(*room.0.lock().unwrap(), BTreeMap::from([(key, "#releases: 1.2 is out".to_owned())]));
    engine.shutdown().await;
}

#[tokio::test]
async fn a_document_that_uses_the_type_wrongly_is_neither_kept_nor_published() {
    let database = TestDatabase::new().await;
    let fixture = Fixture::on(&database).await;
    let refused = fixture.workflows(&fixture.steps).create(&fixture.scope, document(WRONG)).await;
    let Err(CreateError::Definition(DefinitionError::Invalid(problems))) = refused else { panic!("{refused:?}") };
    let told: Vec<String> = problems.into_iter().map(|p| format!("{}:{} {}", p.line, p.column, p.detail)).collect();
    assert_eq!(
        told,
        [
            "4:38 `text` is missing",
            "4:48 expected a channel such as #releases",
            "4:58 there is no field `txt` here; there are channel, text, urgency",
            "4:79 expected one of low, high",
            "4:95 at most 1m",
            "5:85 the output of `say` has no `mesage`; it has message",
        ]
    );

    // A process with an older, more lenient type may have stored the draft. Publishing checks it against the current
    // schema.
    let mut lenient = StepRegistry::built_in().unwrap();
    lenient.register(StepType::effect(NAME, "Says something.")).unwrap();
    let draft = document("name: announce\nsteps: [{id: say, uses: chat.post, with: {channel: releases, text: hello}}]");
    let kept = fixture.workflows(&Arc::new(lenient)).create(&fixture.scope, draft).await.unwrap();
    let refused = fixture.workflows(&fixture.steps).publish(&fixture.scope, kept.workflow.id, &Expected::Any).await;
    let Err(PublishError::Definition(DefinitionError::Invalid(problems))) = refused else { panic!("{refused:?}") };
    assert_eq!((problems[0].pointer.as_str(), problems.len()), ("/steps/0/with/channel", 1));
}

/// If two releases run side by side, the older one leaves runs with an unknown type to the newer one.
#[tokio::test]
async fn a_process_that_does_not_know_the_type_sets_its_runs_aside_for_one_that_does() {
    let database = TestDatabase::new().await;
    let fixture = Fixture::on(&database).await;
    let unknown = fixture.start(ANNOUNCE).await;
    let known = fixture.start("name: plain\nsteps: [{id: keep, uses: transform, with: {n: 1}}]").await;

    let older = Arc::new(StepRegistry::built_in().unwrap());
    let engine = fixture.engine(&older, HandlerMap::bind(&older, []).unwrap());
    fixture.completed(known).await;
    let aside = async {
        loop {
            match fixture.stage.store.find(&system_scope(), unknown).await.unwrap() {
                Some(found) => break found,
                None => sleep(Duration::from_millis(20)).await,
            }
        }
    };
    let found = timeout(Duration::from_secs(30), aside).await.unwrap();
    assert_eq!(found.reason, QuarantineReason::Unsupported);
    assert!(found.error.contains("there is no step `chat.post`"), "{}", found.error);
    engine.shutdown().await;

    let engine = fixture.engine(&fixture.steps, handlers(&fixture.steps, Arc::new(Room::default())).unwrap());
    fixture.completed(unknown).await;
    engine.shutdown().await;
}

#[test]
fn an_engine_needs_a_handler_for_the_type() {
    let bound = HandlerMap::bind(&step_types().unwrap(), []);
    assert_eq!(bound.unwrap_err(), BindError::Missing(NAME.to_owned()));
}
