//! SIGKILL at random moments, during runs and ingest.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use tidegate_testing::TestDatabase;

use crate::client::Caller;
use crate::process::{Home, Server};

/// The number of repeated transitions in the history. An attempt begins once and ends once, and a run ends once.
const REPEATED: &str = "select count(*) from (select from step_event group by workspace_id, run_id, kind, step, attempt having count(*) > 1) repeated";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_kills_lose_nothing_and_repeat_nothing() {
    let database = TestDatabase::new().await;
    survive(&Home::Served(&database), 20, 25).await;
    assert_eq!(database.count(REPEATED.to_owned()).await, 0, "a transition was recorded twice");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_embedded_database_survives_kills_too() {
    let directory = tempfile::tempdir().expect("a directory can be made");
    survive(&Home::Embedded(directory.path()), 4, 25).await;
}

/// Kills the server `kills` times, while `per_round` runs and four batches of events are under way.
async fn survive(home: &Home<'_>, kills: usize, per_round: usize) {
    const BATCH: usize = 50;
    const BATCHES: usize = 4;
    let seed = RandomState::new().hash_one(0);
    println!("seed {seed}");
    let mut server = Server::start(home).await;
    let caller = Caller::new(&server.base).await;
    let mut runs = Vec::new();
    for round in 0..kills {
        let runs_under_way: Vec<_> = (0..per_round)
            .map(|n| {
                let caller = caller.clone();
                tokio::spawn(async move { caller.start_run(round * per_round + n).await })
            })
            .collect();
        let events_under_way: Vec<_> = (0..BATCHES)
            .map(|n| {
                let caller = caller.clone();
                tokio::spawn(async move { caller.send_events((round * BATCHES + n) * BATCH, BATCH).await })
            })
            .collect();
        // A moment in the first 150 ms of the round: before, between and after the acknowledgements.
        let moment = (seed.rotate_left(u32::try_from(round).unwrap_or(0) * 7) % 150_000) + 500;
        tokio::time::sleep(Duration::from_micros(moment)).await;
        server.kill().await;
        server = Server::start(home).await;
        caller.moved(&server.base);
        for run in runs_under_way {
            runs.push(run.await.expect("a run is started"));
        }
        for events in events_under_way {
            events.await.expect("events are sent");
        }
    }
    let distinct: BTreeSet<&String> = runs.iter().collect();
    assert_eq!(distinct.len(), kills * per_round, "a repeated start made a second run");
    for (n, run) in runs.iter().enumerate() {
        let ended = caller.ended_run(run).await;
        assert_eq!(ended["status"], "completed", "{ended}");
        assert_eq!(ended["outputs"]["n"], n + 1, "{ended}");
    }
    let sent = caller.event_ids("chaos.sent").await;
    let expected: BTreeSet<String> = (0..kills * BATCHES * BATCH).map(|n| format!("event-{n}")).collect();
    assert_eq!(sent.len(), expected.len(), "an acknowledged event is there twice, or not at all");
    assert_eq!(sent.into_iter().collect::<BTreeSet<_>>(), expected);
    // Emitted events have a stable key, so an attempt that was made twice leaves one event.
    assert_eq!(caller.event_ids("chaos.told").await.len(), runs.len());
    assert_eq!(caller.used("events").await, i64::try_from(expected.len() + runs.len()).unwrap_or(0));
    assert_eq!(caller.used("runs").await, i64::try_from(runs.len()).unwrap_or(0));
    assert_eq!(caller.used("steps").await, i64::try_from(runs.len() * 3).unwrap_or(0));
    assert!(server.terminate().await, "the last server ends well");
}
