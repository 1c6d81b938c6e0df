//! Two servers on one database share the work. If one dies, the other finishes its work.

use std::time::Duration;

use tidegate_testing::TestDatabase;

use crate::client::Caller;
use crate::process::{Home, Server};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_survivor_finishes_what_both_had_begun() {
    let database = TestDatabase::new().await;
    let home = Home::Served(&database);
    let (first, second) = (Server::start(&home).await, Server::start(&home).await);
    let caller = Caller::new(&first.base).await;
    let shared = async {
        while database.count("select count(distinct owner) from shard where leased_until > now()".to_owned()).await < 2
        {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), shared).await.expect("both servers own shards");

    let mut runs = Vec::new();
    for n in 0..60 {
        runs.push(caller.start_run(n).await);
    }
    first.kill().await;
    caller.moved(&second.base);
    for n in 60..120 {
        runs.push(caller.start_run(n).await);
    }
    for run in &runs {
        assert_eq!(caller.ended_run(run).await["status"], "completed");
    }
    assert_eq!(caller.used("runs").await, 120);
    let workspace = caller.workspace();
    assert!(workspace.starts_with("ws_"));
    assert!(second.terminate().await);
}
