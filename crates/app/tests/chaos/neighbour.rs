//! Two tenants that share the one connection of the embedded PostgreSQL.

use std::time::Duration;

use crate::client::Caller;
use crate::process::{Home, Server};

/// The events that one tenant sends; each makes some rows for detection.
const EVENTS: usize = 3_000;
/// The number of clients that send requests without a pause: more than enough to keep the connection busy.
const ASKING: usize = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn detection_comes_forward_however_much_a_neighbour_asks() {
    let directory = tempfile::tempdir().expect("a directory can be made");
    let server = Server::start(&Home::Embedded(directory.path())).await;
    let sender = Caller::new(&server.base).await;
    let neighbour = sender.with_another_workspace().await;
    for first in (0..EVENTS).step_by(1_000) {
        sender.send_events(first, 1_000).await;
    }
    let asking: Vec<_> = (0..ASKING)
        .map(|_| {
            let neighbour = neighbour.clone();
            tokio::spawn(async move {
                loop {
                    assert_eq!(neighbour.workflows().await, 0, "each is answered, and sees what is theirs");
                }
            })
        })
        .collect();
    let detected = async { while sender.detected().await < EVENTS {} };
    tokio::time::timeout(Duration::from_secs(300), detected).await.expect("detection comes to the end");
    for task in asking {
        assert!(!task.is_finished(), "everybody was answered all the time");
        task.abort();
    }
    assert_eq!(neighbour.detected().await, 0);
    assert!(server.terminate().await);
}
