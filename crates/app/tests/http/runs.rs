//! Runs: starting, reading, waiting, cancelling, and invalid starts.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::room::Room;
use crate::support::{Answer, TestApp, text};

impl Room<'_> {
    /// Creates and publishes a workflow with these steps.
    async fn workflow(&self, document: Value) -> String {
        let id = text(&self.request(Method::POST, "/workflows").json(&document).send().await.expect(201)["id"]);
        self.request(Method::POST, &format!("/workflows/{id}/publish")).send().await.expect(200);
        id
    }

    async fn start(&self, workflow: &str, query: &str, body: Value) -> Answer {
        self.request(Method::POST, &format!("/workflows/{workflow}/runs{query}")).json(&body).send().await
    }

    async fn run(&self, id: &str) -> Value {
        self.request(Method::GET, &format!("/runs/{id}")).send().await.expect(200)
    }

    /// Waits until the run has this status.
    async fn becomes(&self, id: &str, status: &str) -> Value {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
        loop {
            let run = self.run(id).await;
            if run["status"] == status {
                return run;
            }
            assert!(tokio::time::Instant::now() < deadline, "not {status}: {run}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn three_steps(name: &str) -> Value {
    json!({
        "name": name,
        "inputs": {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]},
        "steps": [
            {"id": "shape", "uses": "transform", "with": {"n": "${{ inputs.n + 1 }}"}},
            {"id": "big", "uses": "condition", "needs": ["shape"], "with": {"if": "${{ steps.shape.output.n > 10 }}"}},
            {"id": "never", "uses": "transform", "needs": ["big"], "if": "${{ steps.big.output.result }}", "with": {}},
        ],
        "outputs": {"n": "${{ steps.shape.output.n }}"},
    })
}

#[tokio::test]
async fn a_run_is_started_awaited_and_read() {
    let app = TestApp::spawn().await;
    let room = Room::of(&app, "Ada").await;
    let workflow = room.workflow(three_steps("three")).await;
    let answer = room.start(&workflow, "?wait=20s", json!({"input": {"n": 1}})).await;
    let location = answer.header("location").to_owned();
    let run = answer.expect(201);
    assert_eq!((&run["status"], &run["outputs"], &run["version"]), (&json!("completed"), &json!({"n": 2}), &json!(1)));
    assert_eq!((&run["workflow_id"], &run["trigger"]["kind"]), (&json!(workflow), &json!("api")));
    assert!(run["started_at"].is_string() && run["finished_at"].is_string() && run["error"].is_null());
    let read = app.get(&location).bearer(&room.person.token).send().await.expect(200);
    let steps = read["steps"].as_array().expect("steps are a list");
    let seen: Vec<_> = steps.iter().map(|step| (text(&step["id"]), text(&step["status"]))).collect();
    let expected = [("shape", "completed"), ("big", "completed"), ("never", "skipped")];
    assert_eq!(seen, expected.map(|(id, status)| (id.to_owned(), status.to_owned())));
    assert_eq!((&steps[0]["output"], &steps[0]["input"]), (&json!({"n": 2}), &json!({"n": 2})));
    assert_eq!(steps[1]["output"], json!({"result": false}));
    assert_eq!(steps[0]["attempts"].as_array().map(Vec::len), Some(1));
    assert_eq!((&steps[0]["uses"], &steps[0]["attempts"][0]["number"]), (&json!("transform"), &json!(1)));
}

#[tokio::test]
async fn a_dedupe_key_starts_one_run() {
    let app = TestApp::spawn().await;
    let room = Room::of(&app, "Ada").await;
    let workflow = room.workflow(three_steps("three")).await;
    let other = room.workflow(three_steps("another")).await;
    let body = |n: i32| json!({"input": {"n": n}, "dedupe_key": "k"});
    let first = room.start(&workflow, "", body(1)).await.expect(201);
    let second = room.start(&workflow, "?wait=20s", body(1)).await.expect(200);
    assert_eq!(first["id"], second["id"]);
    assert_eq!(second["status"], "completed");
    room.start(&workflow, "", body(2)).await.expect_problem(409, "conflict");
    assert_ne!(room.start(&other, "", body(1)).await.expect(201)["id"], first["id"], "a key belongs to its workflow");
    let stranger = Room::of(&app, "Eve").await;
    let theirs = stranger.workflow(three_steps("three")).await;
    assert_ne!(stranger.start(&theirs, "", body(1)).await.expect(201)["id"], first["id"]);
    let mut together = Vec::new();
    for _ in 0..8 {
        together.push(room.start(&workflow, "", json!({"input": {"n": 7}, "dedupe_key": "at once"})));
    }
    let answers = futures::future::join_all(together).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
    let ids: std::collections::BTreeSet<String> = answers.iter().map(|answer| text(&answer.json()["id"])).collect();
    assert_eq!(ids.len(), 1);
}

#[tokio::test]
async fn what_cannot_be_started_says_why_and_leaves_nothing() {
    let app = TestApp::spawn().await;
    let room = Room::of(&app, "Ada").await;
    let workflow = room.workflow(three_steps("three")).await;
    let draft = room.request(Method::POST, "/workflows").json(&three_steps("draft")).send().await.expect(201);
    let input = json!({"input": {"n": 1}});
    room.start(&text(&draft["id"]), "", input.clone()).await.expect_problem(409, "conflict");
    let wrong = room.start(&workflow, "", json!({"input": {"n": "one"}})).await.expect_problem(422, "invalid");
    assert_eq!(wrong["errors"][0]["pointer"], "/input/n");
    room.start(&workflow, "", json!({})).await.expect_problem(422, "invalid");
    room.start(&workflow, "", json!({"input": []})).await.expect_problem(422, "invalid");
    room.start(&workflow, "", json!({"input": {"n": 1}, "more": 1})).await.expect_problem(422, "invalid");
    for key in ["", "a\0b", &"k".repeat(257)] {
        let body = json!({"input": {"n": 1}, "dedupe_key": key});
        let problem = room.start(&workflow, "", body).await.expect_problem(422, "invalid");
        assert_eq!(problem["errors"][0]["pointer"], "/dedupe_key");
    }
    for query in ["?wait=soon", "?wait=61s", "?wait=-1s", "?deadline=1s"] {
        room.start(&workflow, query, input.clone()).await.expect_problem(400, "invalid-query");
    }
    for id in ["wf_00000000000000000000000000", "nonsense", "run_00000000000000000000000000"] {
        room.start(id, "", input.clone()).await.expect_problem(404, "not-found");
    }
    let stranger = Room::of(&app, "Eve").await;
    stranger.start(&workflow, "", input).await.expect_problem(404, "not-found");
    assert_eq!(room.request(Method::GET, "/runs").send().await.expect(200)["items"], json!([]));
}

#[tokio::test]
async fn runs_are_listed_by_workflow_status_and_time() {
    let app = TestApp::spawn().await;
    let room = Room::of(&app, "Ada").await;
    let (three, waits) = (
        room.workflow(three_steps("three")).await,
        room.workflow(json!({"name": "wait", "steps": [{"id": "w", "uses": "delay", "with": {"for": "1h"}}]})).await,
    );
    let mut ids = Vec::new();
    for n in 0..3 {
        ids.push(text(&room.start(&three, "?wait=20s", json!({"input": {"n": n}})).await.expect(201)["id"]));
    }
    let waiting = text(&room.start(&waits, "", json!({})).await.expect(201)["id"]);
    room.becomes(&waiting, "waiting").await;
    let list = async |query: &str| {
        let list = room.request(Method::GET, &format!("/runs{query}")).send().await.expect(200);
        list["items"].as_array().expect("items").iter().map(|run| text(&run["id"])).collect::<Vec<_>>()
    };
    ids.reverse();
    assert_eq!(list(&format!("?workflow={three}")).await, ids);
    assert_eq!(list("?status=waiting").await, std::slice::from_ref(&waiting));
    assert_eq!(list("?status=waiting&status=completed").await.len(), 4);
    let from = text(&room.run(&ids[0]).await["created_at"]);
    let later = list(&format!("?from={}", from.replace('+', "%2B"))).await;
    assert_eq!(later, [waiting.clone(), ids[0].clone()]);
    let first = room.request(Method::GET, "/runs?limit=3").send().await.expect(200);
    let cursor = text(&first["next_cursor"]);
    assert_eq!(list(&format!("?limit=3&cursor={cursor}")).await, ids[2..]);
    for wrong in ["?status=gone", "?workflow=x", "?limit=0", "?from=yesterday", "?sort=up"] {
        room.request(Method::GET, &format!("/runs{wrong}")).send().await.expect_problem(400, "invalid-query");
    }
    let stranger = Room::of(&app, "Eve").await;
    let foreign = stranger.request(Method::GET, &format!("/runs?cursor={cursor}")).send().await;
    foreign.expect_problem(400, "invalid-cursor");
    stranger.request(Method::GET, &format!("/runs/{waiting}")).send().await.expect_problem(404, "not-found");
}

#[tokio::test]
async fn a_run_is_cancelled_once() {
    let app = TestApp::spawn().await;
    let room = Room::of(&app, "Ada").await;
    let steps =
        json!([{"id": "w", "uses": "delay", "with": {"for": "1h"}}, {"id": "t", "uses": "transform", "needs": ["w"]}]);
    let waits = room.workflow(json!({"name": "wait", "steps": steps})).await;
    let run = text(&room.start(&waits, "", json!({})).await.expect(201)["id"]);
    room.becomes(&run, "waiting").await;
    let cancel = || room.request(Method::POST, &format!("/runs/{run}/cancel")).send();
    cancel().await.expect(202);
    let run = room.becomes(&run, "cancelled").await;
    let statuses: Vec<String> = run["steps"].as_array().expect("steps").iter().map(|s| text(&s["status"])).collect();
    assert_eq!(statuses, ["cancelled", "cancelled"]);
    cancel().await.expect_problem(409, "conflict");
    let stranger = Room::of(&app, "Eve").await;
    let path = format!("/runs/{}/cancel", text(&run["id"]));
    stranger.request(Method::POST, &path).send().await.expect_problem(404, "not-found");
}

#[tokio::test]
async fn http_calls_are_made_retried_and_guarded() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    let calls = tokio::spawn(async move {
        let mut keys = Vec::new();
        for answer in ["503 Service Unavailable", "200 OK"] {
            let (mut socket, _) = listener.accept().await.expect("a call");
            let mut head = [0; 4096];
            let read = socket.read(&mut head).await.expect("a request");
            let head = String::from_utf8_lossy(&head[..read]).to_ascii_lowercase();
            keys.extend(head.lines().find(|line| line.starts_with("idempotency-key:")).map(str::to_owned));
            let answer = format!(
                "HTTP/1.1 {answer}\r\ncontent-type: application/json\r\ncontent-length: 9\r\nconnection: close\r\n\r\n{{\"ok\": 1}}"
            );
            socket.write_all(answer.as_bytes()).await.expect("the answer is sent");
        }
        keys
    });
    let allowed = format!("127.0.0.1:{port}");
    let app = TestApp::spawn_with(&["--allow-host", &allowed]).await;
    let room = Room::of(&app, "Ada").await;
    let call = |url: String| {
        let retry = json!({"max_attempts": 2, "initial": "100ms"});
        json!({"name": url, "steps": [{"id": "call", "uses": "http.request", "with": {"method": "GET", "url": url}, "retry": retry}]})
    };
    let workflow = room.workflow(call(format!("http://{allowed}/x"))).await;
    let run = room.start(&workflow, "?wait=30s", json!({})).await.expect(201);
    assert_eq!(run["status"], "completed", "{run}");
    let step = room.run(&text(&run["id"])).await["steps"][0].clone();
    assert_eq!((&step["output"]["status"], &step["output"]["body"]), (&json!(200), &json!({"ok": 1})));
    assert_eq!(step["attempts"][0]["error"]["code"], "unexpected-status");
    let keys = calls.await.expect("both calls came");
    assert!(keys.len() == 2 && keys[0] == keys[1] && keys[0].contains(&text(&run["id"])), "{keys:?}");

    let private = room.workflow(call("http://127.0.0.1:1/".to_owned())).await;
    let refused = room.start(&private, "?wait=30s", json!({})).await.expect(201);
    assert_eq!((&refused["status"], &refused["error"]["code"]), (&json!("failed"), &json!("address-refused")));
    assert_eq!(refused["error"]["step"], "call");
}

#[tokio::test]
async fn answers_arrive_unpacked_as_what_they_are_or_as_what_is_asked_for() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let allowed = listener.local_addr().expect("an address").to_string();
    tokio::spawn(async move {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        std::io::Write::write_all(&mut packed, b"{\"packed\": true}").expect("it is packed");
        let packed = packed.finish().expect("it is packed");
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut head = [0; 4096];
            let read = socket.read(&mut head).await.expect("a request");
            let head = String::from_utf8_lossy(&head[..read]).into_owned();
            let (headers, body) = match head.split(' ').nth(1) {
                Some("/packed") => ("content-type: application/json\r\ncontent-encoding: gzip", packed.as_slice()),
                Some("/picture") => ("content-type: image/png", b"\x89PNG".as_slice()),
                Some("/latin") => ("content-type: text/plain; charset=latin1", b"gr\xfc\xdfe".as_slice()),
                _ => ("content-type: application/json", b"{\"cut\": ".as_slice()),
            };
            let start =
                format!("HTTP/1.1 200 OK\r\n{headers}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            socket.write_all(&[start.as_bytes(), body].concat()).await.expect("the answer is sent");
        }
    });
    let app = TestApp::spawn_with(&["--allow-host", &allowed]).await;
    let room = Room::of(&app, "Ada").await;
    let run = async |path: &str, reading: &str| {
        let with = json!({"url": format!("http://{allowed}{path}"), "as": reading});
        let document = json!({"name": format!("{path} {reading}"), "steps": [{"id": "call", "uses": "http.request", "with": with}]});
        let workflow = room.workflow(document).await;
        let run = room.start(&workflow, "?wait=30s", json!({})).await.expect(201);
        let step = room.run(&text(&run["id"])).await["steps"][0].clone();
        (run, step)
    };
    for (path, reading, body) in [
        ("/packed", "auto", json!({"packed": true})),
        ("/packed", "text", json!("{\"packed\": true}")),
        ("/picture", "auto", json!({"base64": "iVBORw==", "content_type": "image/png"})),
        ("/latin", "auto", json!("grüße")),
        ("/cut", "text", json!("{\"cut\": ")),
    ] {
        let (run, step) = run(path, reading).await;
        assert_eq!((&run["status"], &step["output"]["body"]), (&json!("completed"), &body), "{path} {reading}: {run}");
        assert_eq!(step["output"]["headers"]["content-encoding"], Value::Null);
    }
    let (run, step) = run("/cut", "auto").await;
    assert_eq!((&run["status"], &run["error"]["code"]), (&json!("failed"), &json!("body-not-json")), "{run}");
    assert_eq!(step["attempts"].as_array().map(Vec::len), Some(1), "trying again cures nothing: {step}");
}

#[tokio::test]
async fn an_emitted_event_is_an_event_like_any_other() {
    let app = TestApp::spawn().await;
    let room = Room::of(&app, "Ada").await;
    let with = json!({"type": "note.due", "subject": "${{ inputs.path }}", "data": {"n": 1}});
    let workflow = room.workflow(json!({"name": "tell", "steps": [{"id": "tell", "uses": "emit_event", "with": with}],
        "inputs": {"type": "object", "properties": {"path": {"type": "string"}}}}));
    let workflow = workflow.await;
    let run = room.start(&workflow, "?wait=20s", json!({"input": {"path": "a.md"}})).await.expect(201);
    assert_eq!(run["status"], "completed", "{run}");
    let events = room.request(Method::GET, "/events?type=note.due").send().await.expect(200);
    let event = &events["items"][0];
    assert_eq!((&event["subject"], &event["data"]), (&json!("a.md"), &json!({"n": 1})));
    assert_eq!(event["id"], format!("{}:tell:0", text(&run["id"])));
    let usage = room.request(Method::GET, "/usage").send().await.expect(200);
    let used = |meter: &str| {
        let items = usage.get("items").unwrap_or(&usage).as_array().cloned().unwrap_or_default();
        items.iter().find(|item| item["meter"] == meter).map(|item| item["used"].clone())
    };
    assert_eq!((used("runs"), used("steps")), (Some(json!(1)), Some(json!(1))));
    let bad = room
        .workflow(json!({"name": "bad", "steps": [{"id": "tell", "uses": "emit_event",
        "with": {"type": "${{ inputs.type }}"}}], "inputs": {"type": "object", "properties": {"type": {}}}}))
        .await;
    let refused = room.start(&bad, "?wait=20s", json!({"input": {"type": "\u{7}"}})).await.expect(201);
    assert_eq!((&refused["status"], &refused["error"]["step"]), (&json!("failed"), &json!("tell")));
}

#[tokio::test]
async fn a_concurrency_limit_holds_runs_back_in_order() {
    let app = TestApp::spawn().await;
    let room = Room::of(&app, "Ada").await;
    let workflow = room.workflow(json!({
        "name": "one at a time",
        "inputs": {"type": "object", "properties": {"k": {"type": "string"}}},
        "concurrency": {"key": "${{ inputs.k }}", "limit": 1},
        "steps": [{"id": "w", "uses": "delay", "with": {"for": "400ms"}}],
    }));
    let workflow = workflow.await;
    let start = async |k: &str| text(&room.start(&workflow, "", json!({"input": {"k": k}})).await.expect(201)["id"]);
    let (first, second, other) = (start("a").await, start("a").await, start("b").await);
    let first = room.becomes(&first, "completed").await;
    let second = room.becomes(&second, "completed").await;
    let other = room.becomes(&other, "completed").await;
    let time = |run: &Value, at: &str| text(&run[at]).parse::<chrono::DateTime<chrono::Utc>>().expect("a time");
    assert!(time(&second, "started_at") >= time(&first, "finished_at"));
    assert!(time(&other, "started_at") < time(&first, "finished_at"), "another key does not wait");
}

#[tokio::test]
async fn runs_before_one_gate_that_are_cancelled_in_order_hold_nobody_up() {
    let app = TestApp::spawn().await;
    let room = Room::of(&app, "Ada").await;
    let workflow = room
        .workflow(json!({
            "name": "one at a time", "concurrency": {"key": "k", "limit": 1},
            "steps": [{"id": "wait", "uses": "delay", "with": {"for": "30s"}}],
        }))
        .await;
    let other = room.workflow(three_steps("three")).await;
    for _ in 0..5 {
        let first = text(&room.start(&workflow, "", json!({})).await.expect(201)["id"]);
        let second = text(&room.start(&workflow, "", json!({})).await.expect(201)["id"]);
        for run in [&first, &second] {
            room.request(Method::POST, &format!("/runs/{run}/cancel")).send().await.expect(202);
        }
        for run in [&first, &second] {
            room.becomes(run, "cancelled").await;
        }
    }
    let next = text(&room.start(&workflow, "", json!({})).await.expect(201)["id"]);
    room.becomes(&next, "waiting").await;
    let run = room.start(&other, "?wait=30s", json!({"input": {"n": 1}})).await.expect(201);
    assert_eq!(run["status"], "completed");
    assert_eq!(app.database.count("select count(*) from run_quarantine".to_owned()).await, 0);
    assert_eq!(app.database.count("select count(*) from gate_hold".to_owned()).await, 1, "that of the run that waits");
}
