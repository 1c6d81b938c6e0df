//! CPU-bound work must not hold a connection: the embedded PostgreSQL has only one.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use serde_json::json;
use tidegate_kernel::{UnitOfWork, WorkspaceId};
use tidegate_use_cases::FollowEvents;
use tidegate_workflows::Workflows;
use tidegate_workflows::compute::ComputePool;
use tidegate_workflows::model::Expected;
use tidegate_workflows::run::ports::RunsTx;
use tidegate_workflows::run::{Runs, StartError, StartRun};
use tidegate_workflows::trigger::Triggers;

use super::{Subject, document, event};
use crate::scope::workspace_scope;
use crate::silence::Silence;
use crate::steps::step_types;

/// Takes a connection before it does the work that it is given.
struct Greedy {
    store: Arc<dyn UnitOfWork<dyn RunsTx>>,
    workspace: WorkspaceId,
    done: AtomicUsize,
}

impl Greedy {
    /// How much work it has done since the last call.
    fn take(&self) -> usize {
        self.done.swap(0, Ordering::SeqCst)
    }
}

#[async_trait]
impl ComputePool for Greedy {
    async fn run(&self, work: Box<dyn FnOnce() + Send>) {
        let tx = self.store.begin(&workspace_scope(self.workspace)).await;
        drop(tx.expect("a connection is free while work is done"));
        work();
        self.done.fetch_add(1, Ordering::SeqCst);
    }
}

/// Documents are compiled and inputs checked while no transaction is open, for every way to start a run.
pub async fn no_connection_is_held_while_an_input_is_checked(subject: &Subject) {
    let scope = subject.scope();
    let pool = Arc::new(Greedy { store: subject.runs.clone(), workspace: subject.ours, done: AtomicUsize::new(0) });
    let service =
        Workflows::new(subject.workflows.clone(), step_types(), subject.env.clone()).computing_on(pool.clone());
    let runs = Runs::new(subject.runs.clone(), step_types(), Arc::new(Silence), subject.env.clone())
        .computing_on(pool.clone());
    let triggers = Triggers::new(subject.triggers.clone(), subject.due.clone(), runs.clone(), subject.env.clone());
    let follower = FollowEvents::new(subject.following.clone(), triggers.clone());

    subject.at("00:30:00");
    let lines = "inputs: {type: object, properties: {n: {type: integer}}}\n\
        concurrency: {key: \"${{ string(inputs.n) }}\", limit: 1}\n\
        triggers: [{cron: '0 * * * *', input: {n: 1}}, {event: {type: wanted}, input: {n: 2}}]";
    let created = service.create(&scope, document("greedy", lines)).await.expect("the workflow is created");
    let id = created.workflow.id;
    service.publish(&scope, id, &Expected::Any).await.expect("the workflow is published");
    assert_eq!(pool.take(), 2, "a document is compiled when it is kept and when it is published");

    let start = |n: serde_json::Value| StartRun::by_api(id, json!({ "n": n }), None);
    runs.start(&scope, start(json!(0))).await.expect("a run starts");
    assert_eq!(pool.take(), 2, "the workflow is compiled, and the input checked");
    let refused = runs.start(&scope, start(json!("x"))).await.expect_err("the input does not meet the schema");
    assert!(matches!(&refused, StartError::InvalidInput(problems) if problems[0].pointer == "/n"), "{refused:?}");
    assert_eq!(pool.take(), 1);

    subject.at("01:00:00");
    for (workspace, trigger) in subject.due().await {
        assert!(triggers.fire(&workspace_scope(workspace), &trigger).await.expect("it fires"));
    }
    assert_eq!(pool.take(), 2, "the triggers are compiled, and the input checked");
    subject.add_events(&scope, &[event("1", "wanted", "a"), event("2", "wanted", "b")]).await;
    while follower.step(&scope).await.expect("events are followed") {}
    assert_eq!(pool.take(), 2, "the input of each run is checked");
    assert_eq!(subject.runs(&scope).await.len(), 4);
}

/// An input is checked against the version that is published when the run starts, even if another was published when
/// the server last looked.
pub async fn a_run_starts_with_the_version_that_is_published(subject: &Subject) {
    let scope = subject.scope();
    let inputs = |kind: &str| format!("inputs: {{type: object, properties: {{n: {{type: {kind}}}}}}}");
    let id = subject.published(&scope, "typed", &inputs("integer")).await;
    let runs = subject.run_service();
    let start = async |n: serde_json::Value| runs.start(&scope, StartRun::by_api(id, json!({ "n": n }), None)).await;
    assert_eq!(start(json!(1)).await.expect("a run starts").run.version, 1);
    let draft = document("typed", &inputs("string"));
    subject.service().draft(&scope, id, &Expected::Any, draft).await.expect("a draft is added");
    subject.publish(&scope, id).await;
    assert_eq!(start(json!("x")).await.expect("a run starts").run.version, 2);
    assert!(matches!(start(json!(1)).await, Err(StartError::InvalidInput(_))));
}
