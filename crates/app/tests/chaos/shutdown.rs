//! SIGTERM under load: acknowledged work is kept, and the process exits successfully and in time.

use tidegate_testing::TestDatabase;

use crate::client::Caller;
use crate::process::{Home, Server};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_asked_to_stop_loses_nothing() {
    let database = TestDatabase::new().await;
    let home = Home::Served(&database);
    let server = Server::start(&home).await;
    let caller = Caller::new(&server.base).await;
    let under_way: Vec<_> = (0..100)
        .map(|n| {
            let caller = caller.clone();
            tokio::spawn(async move {
                caller.send_events(n * 10, 10).await;
                caller.start_run(n).await
            })
        })
        .collect();
    let first = caller.start_run(1_000).await;
    assert!(server.terminate().await, "a server that is asked to stop ends with success");

    let server = Server::start(&home).await;
    caller.moved(&server.base);
    let mut runs = vec![first];
    for run in under_way {
        runs.push(run.await.expect("a run is started"));
    }
    for run in &runs {
        assert_eq!(caller.ended_run(run).await["status"], "completed");
    }
    assert_eq!(caller.event_ids("chaos.sent").await.len(), 1_000);
    assert_eq!(caller.used("runs").await, 101);
    assert!(server.terminate().await);
}
