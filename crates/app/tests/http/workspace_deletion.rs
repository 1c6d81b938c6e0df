//! The deletion of a workspace: everything in it ends, and its data is erased.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;
use tidegate_kernel::WorkspaceId;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::support::{TestApp, text};

const PATH: &str = "/api/v1/workspaces";

/// All work in a deleted workspace ends: running work, waiting work, and what triggers would have started. The
/// neighbour's work continues.
#[tokio::test]
async fn nothing_goes_on_in_a_deleted_workspace() {
    let app = TestApp::spawn().await;
    let ada = app.person("Ada").await;
    let sleeper = json!({
        "name": "sleeper",
        "concurrency": { "key": "one", "limit": 1 },
        "triggers": [{ "cron": "0 0 1 1 *" }, { "event": { "type": "file.modified" } }],
        "steps": [{ "id": "sleep", "uses": "delay", "with": { "for": "1d" } }],
    });
    let mut workspaces = Vec::new();
    for name in ["Doomed", "Neighbour"] {
        let workspace = app.workspace(&ada, name).await;
        let path = format!("{PATH}/{workspace}/workflows");
        let made = app.post(&path).bearer(&ada.token).json(&sleeper).send().await.expect(201);
        let path = format!("{path}/{}", text(&made["id"]));
        app.post(&format!("{path}/publish")).bearer(&ada.token).send().await.expect(200);
        for _ in 0..3 {
            app.post(&format!("{path}/runs")).bearer(&ada.token).json(&json!({})).send().await.expect(201);
        }
        workspaces.push(workspace.parse::<WorkspaceId>().expect("a workspace's id").as_uuid());
    }
    let [doomed, neighbour] = workspaces[..] else { panic!("two were founded") };
    let count = async |what: &str, workspace| {
        app.database.count(format!("select count(*) from {what} and workspace_id = '{workspace}'")).await
    };
    let until = async |what: &str, workspace, expected| {
        let reached = async { while count(what, workspace).await != expected {} };
        tokio::time::timeout(Duration::from_secs(60), reached).await.expect(what);
    };
    until("run where status = 'waiting'", doomed, 1).await;
    until("blocked where true", doomed, 2).await;

    app.request(Method::DELETE, &format!("{PATH}/doomed")).bearer(&ada.token).send().await.expect(202);
    until("run where status = 'cancelled'", doomed, 3).await;
    for gone in ["blocked", "ready", "lease", "timer", "run_request", "cron_trigger", "event_trigger"] {
        until(&format!("{gone} where true"), doomed, 0).await;
    }
    assert_eq!(count("run where status in ('pending', 'running', 'waiting')", neighbour).await, 3);
    assert_eq!(count("cron_trigger where true", neighbour).await, 1);
    assert_eq!(count("event_trigger where true", neighbour).await, 1);
    app.stop().await;
}

/// The worker is another process and gets no signal: only its reads from the store keep it from calling out.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_call_begins_later_than_a_second_after_a_deletion() {
    let (address, calls) = counting_server().await;
    let api = TestApp::spawn_with(&["--role", "api"]).await;
    let worker = api.beside(&["--role", "worker", "--allow-host", &address]).await;
    let ada = api.person("Ada").await;
    let steps: Vec<_> = (0..100)
        .map(|n| {
            let needs: Vec<_> = (n > 0).then(|| format!("s{}", n - 1)).into_iter().collect();
            json!({ "id": format!("s{n}"), "uses": "http.request", "needs": needs, "with": { "url": format!("http://{address}/") } })
        })
        .collect();
    let path = format!("{PATH}/{}", api.workspace(&ada, "Doomed").await);
    let made =
        api.post(&format!("{path}/workflows")).bearer(&ada.token).json(&json!({ "name": "busy", "steps": steps }));
    let workflow = format!("{path}/workflows/{}", text(&made.send().await.expect(201)["id"]));
    api.post(&format!("{workflow}/publish")).bearer(&ada.token).send().await.expect(200);
    for _ in 0..20 {
        api.post(&format!("{workflow}/runs")).bearer(&ada.token).json(&json!({})).send().await.expect(201);
    }
    let busy = async {
        while calls.lock().unwrap().len() < 50 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), busy).await.expect("the worker calls out");

    api.request(Method::DELETE, &path).bearer(&ada.token).send().await.expect(202);
    let answered = Instant::now();
    let ended = async {
        let open = "select count(*) from run where status in ('pending', 'running', 'waiting')".to_owned();
        while api.database.count(open.clone()).await > 0 {}
    };
    tokio::time::timeout(Duration::from_secs(60), ended).await.expect("its runs end");
    let calls = std::mem::take(&mut *calls.lock().expect("nobody panicked"));
    assert!(calls.len() < 2_000, "the deletion came in between");
    let late = calls.iter().filter(|at| **at > answered + Duration::from_secs(1)).count();
    assert_eq!(late, 0, "calls of {} began after that", calls.len());
    worker.stop().await;
}

/// A server that gives every call an empty response and records when it came.
async fn counting_server() -> (String, Arc<Mutex<Vec<Instant>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address").to_string();
    let calls = Arc::new(Mutex::new(Vec::new()));
    let seen = calls.clone();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            seen.lock().expect("nobody panicked").push(Instant::now());
            tokio::spawn(async move {
                let mut head = [0; 4096];
                let _ = socket.read(&mut head).await;
                let _ = socket.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await;
            });
        }
    });
    (address, calls)
}

/// If the delay is zero, a server erases the data of a deleted workspace at once, and no other.
#[tokio::test]
async fn a_deleted_workspace_is_erased_when_its_time_has_come() {
    let app = TestApp::spawn_with(&["--erase-after", "0s"]).await;
    let ada = app.person("Ada").await;
    let mut ids = Vec::new();
    for name in ["Doomed", "Neighbour"] {
        let id = app.workspace(&ada, name).await;
        let event = json!({ "specversion": "1.0", "id": "1", "source": "/s", "type": "t" });
        let sent = app.post(&format!("{PATH}/{id}/events")).bearer(&ada.token);
        sent.body("application/cloudevents+json", event.to_string()).send().await.expect(202);
        ids.push(id.parse::<WorkspaceId>().expect("a workspace's id").as_uuid());
    }
    let deleted = app.request(Method::DELETE, &format!("{PATH}/doomed")).bearer(&ada.token).send().await.expect(202);
    assert_eq!(deleted["erase_at"], deleted["deleted_at"]);
    let rows = async |table: &str, id| {
        app.database.count(format!("select count(*) from {table} where workspace_id = '{id}'")).await
    };
    let erased = async { while rows("workspace", ids[0]).await > 0 {} };
    tokio::time::timeout(Duration::from_secs(180), erased).await.expect("it is erased");
    for table in ["event", "membership", "audit_entry", "locator", "workspace_head", "workspace_erasure"] {
        assert_eq!(rows(table, ids[0]).await, 0, "{table}");
        assert_eq!(rows(table, ids[1]).await > 0, table != "workspace_erasure", "{table}");
    }
    app.get(&format!("{PATH}/doomed")).bearer(&ada.token).send().await.expect_problem(404, "not-found");
    app.get(&format!("{PATH}/neighbour")).bearer(&ada.token).send().await.expect(200);
    let metrics = app.get("/metrics").send().await;
    let metrics = String::from_utf8_lossy(&metrics.bytes).into_owned();
    assert!(metrics.contains("workspace_erasures{state=\"failed\"}"), "{metrics}");
}
