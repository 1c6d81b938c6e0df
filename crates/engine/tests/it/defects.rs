//! A defect quarantines only the run that it concerns; all other runs continue.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tidegate_engine::EngineConfig;
use tidegate_engine::handlers::step_types;
use tidegate_engine::model::{RunKey, RunRequestKind};
use tidegate_in_process::InProcessSignalBus;
use tidegate_kernel::{Received, RunId, Signal, SignalBus, SignalStream, Topic, WorkflowId, WorkspaceId};
use tidegate_workflows::definition::{Definition, Format};
use tidegate_workflows::run::{QuarantineReason, RunStatus};
use tidegate_workflows::step::StepType;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use crate::simulation::{DEFECTIVE, Simulation, compiled};

const WORKFLOW: WorkflowId = WorkflowId::from_uuid(Uuid::from_u128(9));

fn simulation() -> Simulation {
    let document = br#"{"name": "short", "steps": [{"id": "a", "uses": "transform"}]}"#;
    Simulation::calm(WORKFLOW, compiled(document))
}

fn key(n: u128) -> RunKey {
    RunKey { workspace: WorkspaceId::from_uuid(Uuid::from_u128(1)), run: RunId::from_uuid(Uuid::from_u128(n)) }
}

async fn until(what: &str, is_so: impl Fn() -> bool) {
    let waiting = async {
        while !is_so() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(30), waiting).await.expect(what);
}

async fn ends(simulation: &Simulation, key: RunKey) {
    until("the run ends", || simulation.store.world.lock().unwrap().runs[&key].status == RunStatus::Completed).await;
}

#[tokio::test(start_paused = true)]
async fn a_run_that_meets_a_panic_is_set_aside_and_its_neighbours_go_on() {
    let mut simulation = simulation();
    let worker = simulation.worker_with(Arc::new(InProcessSignalBus::new()), EngineConfig::default());
    simulation.store.add(key(1), DEFECTIVE, None);
    for n in 2..6 {
        simulation.store.add(key(n), WORKFLOW, None);
    }
    for n in 2..6 {
        ends(&simulation, key(n)).await;
    }
    until("it is set aside", || simulation.store.world.lock().unwrap().quarantine.contains_key(&key(1))).await;
    worker.shutdown().await;
}

/// A process of another release may have a handler for this step type.
#[tokio::test(start_paused = true)]
async fn a_run_with_a_step_that_nobody_does_here_is_set_aside_for_another_release() {
    let mut known = step_types().unwrap();
    known.register(StepType::effect("chat.post", "Posts.")).unwrap();
    let document = br#"{"name": "post", "steps": [
        {"id": "a", "uses": "transform"}, {"id": "b", "uses": "chat.post", "needs": ["a"]}, {"id": "c", "uses": "delay", "with": {"for": "1s"}}
    ]}"#;
    let unknown = Definition::compile(document, Format::Json, &known).unwrap().compiled;
    let unknown_workflow = WorkflowId::from_uuid(Uuid::from_u128(10));
    let mut simulation = simulation().with(unknown_workflow, unknown);
    let worker = simulation.worker_with(Arc::new(InProcessSignalBus::new()), EngineConfig::default());
    for n in 1..4 {
        simulation.store.add(key(n), if n == 2 { unknown_workflow } else { WORKFLOW }, None);
    }
    ends(&simulation, key(1)).await;
    ends(&simulation, key(3)).await;
    let reason = || simulation.store.world.lock().unwrap().quarantine.get(&key(2)).map(|run| run.reason);
    until("it is set aside", || reason() == Some(QuarantineReason::Unsupported)).await;
    sleep(Duration::from_secs(60)).await;
    assert_eq!(reason(), Some(QuarantineReason::Unsupported), "it stays there");

    // A request has the run claimed once more, and it can be cancelled without its handler.
    simulation.store.request(key(2), RunRequestKind::Cancel);
    until("it ends", || simulation.store.world.lock().unwrap().runs[&key(2)].status == RunStatus::Cancelled).await;
    worker.shutdown().await;
}

/// A signal bus that has ended.
struct Ended;

impl SignalBus for Ended {
    fn publish(&self, _: Signal) {}
    fn subscribe(&self, _: &[Topic]) -> Box<dyn SignalStream> {
        Box::new(Ended)
    }
}

#[async_trait]
impl SignalStream for Ended {
    async fn next(&mut self) -> Option<Received> {
        None
    }
}

/// Simulated time does not advance during a busy loop, so a spinning worker would hang this test.
#[tokio::test(start_paused = true)]
async fn a_worker_goes_on_without_signals() {
    let mut simulation = simulation();
    let worker = simulation.worker_with(Arc::new(Ended), EngineConfig::default());
    sleep(Duration::from_secs(60)).await;
    simulation.store.add(key(1), WORKFLOW, None);
    ends(&simulation, key(1)).await;
    worker.shutdown().await;
}
