//! Signals take effect at once: the poll interval is an hour in these tests.

use std::time::Duration;

use tidegate_engine::model::Gate;
use tidegate_engine::{EngineConfig, RunEndings};
use tidegate_in_process::InProcessSignalBus;
use tidegate_kernel::{RunId, Signal, SignalBus, Topic, WorkflowId, WorkspaceId};
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use crate::simulation::{Simulation, compiled};

const HOUR: Duration = Duration::from_secs(3_600);

/// Cancels a run with a delay of 30 s, `after` some time since its start. Another run waits for its place at the gate.
async fn cancel(after: Duration) {
    let workflow = WorkflowId::from_uuid(Uuid::from_u128(9));
    let document = br#"{"name": "wait", "steps": [{"id": "a", "uses": "delay", "with": {"for": "30s"}}]}"#;
    let compiled = compiled(document);
    let bus = InProcessSignalBus::new();
    let mut simulation = Simulation::calm(workflow, compiled);
    let config = EngineConfig { poll: HOUR, idle_poll: HOUR, ..EngineConfig::default() };
    let worker = simulation.worker_with(std::sync::Arc::new(bus.clone()), config);
    // Until the worker owns its shards and has looked for work.
    sleep(Duration::from_secs(1)).await;
    let workspace = WorkspaceId::from_uuid(Uuid::from_u128(1));
    let keys = [1, 2].map(|n| tidegate_engine::model::RunKey { workspace, run: RunId::from_uuid(Uuid::from_u128(n)) });
    for key in keys {
        simulation.store.add(key, workflow, Some((Gate::workflow(workflow, "k"), 1)));
    }
    bus.publish(Signal::new(Topic::WorkReady, &workspace));
    sleep(after).await;
    simulation.store.cancel(keys[0]);
    bus.publish(Signal::new(Topic::WorkReady, &keys[0].run));
    let cancelled = Instant::now();
    let begun = || !simulation.store.world.lock().unwrap().runs[&keys[1]].history.is_empty();
    while !begun() {
        assert!(
            cancelled.elapsed() < Duration::from_secs(1),
            "cancelled {after:?} after its start: the place stays empty"
        );
        sleep(Duration::from_millis(1)).await;
    }
    worker.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_place_that_a_cancelled_run_leaves_is_filled_at_once() {
    for millis in 0..60 {
        cancel(Duration::from_millis(millis)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_in_another_process_hears_of_the_end() {
    let bus = std::sync::Arc::new(InProcessSignalBus::new());
    let processes = [RunEndings::across(bus.clone()), RunEndings::across(bus.clone())];
    let relays = processes.clone().map(|process| tokio::spawn(async move { process.relay().await }));
    tokio::task::yield_now().await;
    let [here, there] = &processes;
    let run = |n| RunId::from_uuid(Uuid::from_u128(n));
    let mut signals = bus.subscribe(&[Topic::RunEnded]);

    // First the wait, then the end.
    let waiting = here.ended(run(1));
    tokio::task::yield_now().await;
    there.notify(run(1));
    timeout(HOUR, waiting).await.expect("in time").expect("it is told");

    // First the end, then the wait.
    there.notify(run(2));
    timeout(HOUR, here.ended(run(2))).await.expect("in time").expect("it is told");

    // Nobody waits, so no signal is sent: the next one is about another run.
    there.notify(run(3));
    let waiting = here.ended(run(4));
    tokio::task::yield_now().await;
    there.notify(run(4));
    timeout(HOUR, waiting).await.expect("in time").expect("it is told");
    let mut heard = Vec::new();
    while let Ok(Some(tidegate_kernel::Received::Signal(signal))) =
        timeout(Duration::from_secs(1), signals.next()).await
    {
        heard.push(signal.payload.as_str().to_owned());
    }
    assert_eq!(heard, [run(1), run(2), run(4)].map(|run| run.to_string()));

    // A new relay does not know which signals it has missed.
    let again = RunEndings::across(bus.clone());
    let waiting = again.ended(run(6));
    let relay = tokio::spawn(async move { again.relay().await });
    timeout(HOUR, waiting).await.expect("in time").expect("it is told");
    relay.abort();

    // Signals were lost, so every waiter wakes up.
    let waiting = here.ended(run(5));
    bus.publish_missed();
    timeout(HOUR, waiting).await.expect("in time").expect("it is told");
    relays.iter().for_each(tokio::task::JoinHandle::abort);
}
