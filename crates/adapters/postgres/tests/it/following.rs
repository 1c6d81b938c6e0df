//! Events that can no longer be read and runs that the store refuses do not stop others.

use std::sync::Arc;

use serde_json::json;
use sqlx::Executor;
use tidegate_events::EventsTx;
use tidegate_events::cloud_event::NewEvent;
use tidegate_events::{Addition, Allowance};
use tidegate_kernel::{PageSize, UnitOfWork, WorkflowId, WorkspaceScope};
use tidegate_tenancy::{AuditFilter, TenancyTx};
use tidegate_testing::contract::Stage;
use tidegate_testing::scope::workspace_scope;
use tidegate_testing::{Silence, TestDatabase, step_types};
use tidegate_use_cases::FollowEvents;
use tidegate_workflows::Workflows;
use tidegate_workflows::definition::Format;
use tidegate_workflows::model::{Document, Expected};
use tidegate_workflows::run::{Run, RunFilter, Runs};
use tidegate_workflows::trigger::Triggers;

struct Following {
    stage: Stage,
    scope: WorkspaceScope,
    runs: Runs,
    follower: FollowEvents,
}

impl Following {
    async fn on(database: &TestDatabase) -> Self {
        let stage = Stage::on(database).await;
        let (store, env) = (stage.store.clone(), stage.scene.env.clone());
        let runs = Runs::new(store.clone(), step_types(), Arc::new(Silence), env.clone());
        let triggers = Triggers::new(store.clone(), store.clone(), runs.clone(), env);
        let scope = workspace_scope(stage.scene.ours);
        Self { follower: FollowEvents::new(store, triggers), runs, scope, stage }
    }

    async fn publish(&self, name: &str, input: &str) -> WorkflowId {
        let source = format!(
            "name: {name}\nsteps: [{{id: a, uses: transform}}]\n\
             inputs: {{type: object, properties: {{n: {{type: string}}, key: {{type: string}}}}}}\n\
             triggers: [{{event: {{type: wanted}}, input: {input}}}]\n"
        );
        let service = Workflows::new(self.stage.store.clone(), step_types(), self.stage.scene.env.clone());
        let document = Document { format: Format::Yaml, source: source.into_bytes() };
        let id = service.create(&self.scope, document).await.expect("a workflow").workflow.id;
        service.publish(&self.scope, id, &Expected::Any).await.expect("it is published");
        id
    }

    async fn send(&self, subjects: &[&str]) {
        let events: Vec<NewEvent> = subjects
            .iter()
            .map(|subject| {
                let event = NewEvent::emitted("/test".into(), (*subject).into(), "wanted".into(), 0);
                NewEvent { subject: Some((*subject).into()), ..event }
            })
            .collect();
        let env = &self.stage.scene.env;
        let allowance = Allowance { period_start: chrono::DateTime::UNIX_EPOCH, limit: None };
        let salt = u64::from_be_bytes(env.random());
        let addition = Addition { received_at: env.now(), salt, allowance, events: events.iter().collect() };
        let store: &dyn UnitOfWork<dyn EventsTx> = &*self.stage.store;
        let mut tx = store.begin(&self.scope).await.expect("a transaction begins");
        tx.events().add(&addition).await.expect("events are added");
        tx.commit().await.expect("events are committed");
    }

    /// Follows the feed to its end and returns how many steps failed.
    async fn follow(&self) -> usize {
        let mut failures = 0;
        loop {
            match self.follower.step(&self.scope).await {
                Ok(true) => {}
                Ok(false) => return failures,
                Err(error) => {
                    failures += 1;
                    assert!(failures < 20, "it goes on for ever: {error}");
                }
            }
        }
    }

    async fn subjects(&self, workflow: WorkflowId) -> Vec<String> {
        let list = self.runs.list(&self.scope, &RunFilter::default(), None, PageSize::default()).await;
        let subject = |run: &Run| run.input["n"].as_str().map(str::to_owned);
        let mut found: Vec<String> =
            list.expect("runs").items.iter().filter(|run| run.workflow == workflow).filter_map(subject).collect();
        found.sort_unstable();
        found
    }

    /// The resources and the details of the audit entries with this action.
    async fn recorded(&self, action: &str) -> Vec<(String, serde_json::Value)> {
        let filter = AuditFilter { actions: vec![action.to_owned()], ..AuditFilter::default() };
        let store: &dyn UnitOfWork<dyn TenancyTx> = &*self.stage.store;
        let mut tx = store.begin(&self.scope).await.expect("a transaction begins");
        let entries = tx.audit_trail().list(&filter, None, 10).await.expect("the audit log is read");
        entries.into_iter().map(|entry| (entry.resource, entry.details)).collect()
    }
}

#[tokio::test]
async fn a_run_that_the_store_refuses_is_set_aside_alone() {
    let database = TestDatabase::new().await;
    let following = Following::on(&database).await;
    let first = following.publish("first", "{n: '${{ event.subject }}'}").await;
    let refused = following.publish("refused", "{n: '${{ event.subject }}', key: '${{ event.subject }}!'}").await;
    let last = following.publish("last", "{n: '${{ event.subject }}'}").await;
    let mut admin = database.admin().await;
    admin
        .execute("alter table run add constraint poisoned check (position('poison!'::bytea in input) = 0)")
        .await
        .expect("a constraint is added");
    following.send(&["a", "b", "poison", "c"]).await;
    assert_eq!(following.follow().await, 5, "once among others, then alone");
    for whole in [first, last] {
        assert_eq!(following.subjects(whole).await, ["a", "b", "c", "poison"]);
    }
    assert_eq!(following.subjects(refused).await, ["a", "b", "c"]);
    let recorded = following.recorded("workflow.trigger_failed").await;
    let reason = json!({ "trigger": 0, "reason": "the run could not be stored, in 5 attempts" });
    assert_eq!(recorded, [(refused.to_string(), reason)]);
}

#[tokio::test]
async fn an_event_that_cannot_be_read_is_passed_over() {
    let database = TestDatabase::new().await;
    let following = Following::on(&database).await;
    let workflow = following.publish("w", "{n: '${{ event.subject }}'}").await;
    following.send(&["a", "damaged", "c"]).await;
    let mut admin = database.admin().await;
    admin.execute("update event set attributes = '{' where sender_id = 'damaged'").await.expect("an event is damaged");
    assert_eq!(following.follow().await, 0);
    assert_eq!(following.subjects(workflow).await, ["a", "c"]);
    let recorded = following.recorded("event.unreadable").await;
    assert_eq!(recorded.len(), 1);
    assert_eq!(recorded[0].1, json!({ "position": 2 }));
}
