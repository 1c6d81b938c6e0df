//! Unpublishing and deleting workflows, and reading single versions.

use reqwest::Method;
use serde_json::{Value, json};

use crate::room::Room;
use crate::support::{TestApp, text};

/// A document whose run waits for as long as its input says.
fn waiting(name: &str) -> Value {
    json!({
        "name": name,
        "triggers": [{ "event": { "type": "made" } }, { "cron": "0 0 1 1 *" }],
        "steps": [{ "id": "wait", "uses": "delay", "with": { "for": "${{ inputs.for }}" } }],
        "inputs": { "type": "object", "properties": { "for": { "type": "string" } } },
    })
}

impl Room<'_> {
    /// Creates and publishes a workflow, and returns its path.
    async fn made(&self, document: &Value) -> String {
        let made = self.request(Method::POST, "/workflows").json(document).send().await.expect(201);
        let path = format!("/workflows/{}", text(&made["id"]));
        self.request(Method::POST, &format!("{path}/publish")).send().await.expect(200);
        path
    }

    async fn last_audited(&self) -> Value {
        self.request(Method::GET, "/audit?limit=1").send().await.expect(200)["items"][0].clone()
    }
}

#[tokio::test]
async fn a_version_is_read_by_its_number() {
    let app = TestApp::spawn().await;
    let (room, eve) = (Room::of(&app, "Ada").await, Room::of(&app, "Eve").await);
    let path = room.made(&waiting("first")).await;
    let second = room.request(Method::PUT, &path).header("if-match", "\"2\"").json(&waiting("second"));
    second.send().await.expect(200);
    for (number, name, published) in [(1, "first", true), (2, "second", false)] {
        let one = room.request(Method::GET, &format!("{path}/versions/{number}")).send().await.expect(200);
        assert_eq!(
            (&one["version"], &one["name"], &one["published"]),
            (&number.into(), &name.into(), &published.into())
        );
        assert_eq!((&one["format"], &one["definition"]), (&json!("json"), &waiting(name)));
        assert_eq!(one["source"].as_str(), Some(waiting(name).to_string().as_str()));
    }
    let missing = room.request(Method::GET, &format!("{path}/versions/3")).header("x-request-id", "same").send().await;
    missing.expect_problem(404, "not-found");
    for number in ["0", "-1", "x", "1.0", "99999999999", "%00"] {
        let answer = room.request(Method::GET, &format!("{path}/versions/{number}"));
        assert_eq!(answer.header("x-request-id", "same").send().await.bytes, missing.bytes, "{number}");
    }
    let foreign = eve.request(Method::GET, &format!("{path}/versions/1")).header("x-request-id", "same").send().await;
    assert_eq!(foreign.bytes, missing.bytes);
    app.stop().await;
}

#[tokio::test]
async fn nothing_starts_a_workflow_that_is_unpublished() {
    let app = TestApp::spawn().await;
    let room = Room::of(&app, "Ada").await;
    let path = room.made(&waiting("first")).await;
    let runs = format!("{path}/runs");
    let under_way =
        room.request(Method::POST, &runs).json(&json!({ "input": { "for": "1s" } })).send().await.expect(201);
    let unpublish = format!("{path}/unpublish");
    let stale = room.request(Method::POST, &unpublish).header("if-match", "\"1\"").send().await;
    stale.expect_problem(412, "precondition-failed");
    let unpublished = room.request(Method::POST, &unpublish).header("if-match", "\"2\"").send().await;
    assert_eq!(unpublished.header("etag"), "\"3\"");
    let unpublished = unpublished.expect(200);
    assert_eq!((&unpublished["status"], &unpublished["published_version"]), (&json!("draft"), &Value::Null));
    let audited = room.last_audited().await;
    assert_eq!((&audited["action"], &audited["details"]), (&json!("workflow.unpublished"), &json!({ "before": 1 })));
    // A workflow that is not published stays unchanged.
    let again = room.request(Method::POST, &unpublish).send().await.expect(200);
    assert_eq!((again, room.last_audited().await), (unpublished, audited));

    room.request(Method::POST, &runs).json(&json!({})).send().await.expect_problem(409, "conflict");
    let run = room.request(Method::GET, &format!("/runs/{}", text(&under_way["id"]))).send().await.expect(200);
    assert_ne!(run["status"], "cancelled");
    room.request(Method::POST, &format!("{path}/publish")).send().await.expect(200);
    room.request(Method::POST, &format!("{runs}?wait=20s"))
        .json(&json!({ "input": { "for": "1ms" } }))
        .send()
        .await
        .expect(201);
    app.stop().await;
}

#[tokio::test]
async fn a_workflow_is_deleted_and_its_runs_go_on() {
    let app = TestApp::spawn().await;
    let room = Room::of(&app, "Ada").await;
    let path = room.made(&waiting("first")).await;
    let start = room.request(Method::POST, &format!("{path}/runs")).json(&json!({ "input": { "for": "2s" } }));
    let run = format!("/runs/{}", text(&start.send().await.expect(201)["id"]));
    let before = app.contents().await;
    room.request(Method::DELETE, &path).send().await.expect_problem(428, "precondition-required");
    let stale = room.request(Method::DELETE, &path).header("if-match", "\"1\"").send().await;
    stale.expect_problem(412, "precondition-failed");
    assert_eq!(stale.header("etag"), "\"2\"");
    assert_eq!(app.contents().await["workflow"], before["workflow"]);
    let deleted = room.request(Method::DELETE, &path).header("if-match", "\"2\"").send().await;
    assert_eq!((deleted.status.as_u16(), deleted.bytes.len()), (204, 0));
    let audited = room.last_audited().await;
    assert_eq!(audited["details"], json!({ "name": "first", "version": 1, "published": 1 }));
    assert!(
        audited["action"] == "workflow.deleted" && path.ends_with(audited["resource"].as_str().unwrap()),
        "{audited}"
    );

    // Every request gets the same response as for a workflow that has never existed.
    let missing = "/workflows/wf_01jz3q9m0e7c2v5y8t4r6n1k0d";
    for (method, rest, body) in [
        (Method::GET, "", None),
        (Method::DELETE, "", None),
        (Method::PUT, "", Some(waiting("again"))),
        (Method::GET, "/versions", None),
        (Method::GET, "/versions/1", None),
        (Method::POST, "/publish", None),
        (Method::POST, "/unpublish", None),
        (Method::POST, "/rollback", Some(json!({ "version": 1 }))),
        (Method::POST, "/runs", Some(json!({}))),
    ] {
        for if_match in ["\"3\"", "*"] {
            let ask = async |path: &str| {
                let request = room.request(method.clone(), &format!("{path}{rest}"));
                let request = request.header("x-request-id", "same").header("if-match", if_match);
                match &body {
                    Some(body) => request.json(body).send().await,
                    None => request.send().await,
                }
            };
            let (gone, never) = (ask(&path).await, ask(missing).await);
            assert_eq!((gone.status.as_u16(), gone.bytes), (404, never.bytes), "{method} {rest}");
        }
    }
    let without = room.request(Method::DELETE, &path).send().await;
    without.expect_problem(404, "not-found");
    assert_eq!(room.request(Method::GET, "/workflows").send().await.expect(200)["items"], json!([]));

    // The name is free, and the run ends normally.
    room.made(&waiting("first")).await;
    let ended = loop {
        let found = room.request(Method::GET, &run).send().await.expect(200);
        if found["finished_at"] != Value::Null {
            break found;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!((&ended["status"], &ended["steps"][0]["status"]), (&json!("completed"), &json!("completed")));
    let workflow = path.rsplit('/').next().unwrap();
    let listed = room.request(Method::GET, &format!("/runs?workflow={workflow}")).send().await.expect(200);
    assert_eq!(listed["items"].as_array().map(Vec::len), Some(1));
    app.stop().await;
}
