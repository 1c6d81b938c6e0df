//! Events that start workflows, from ingest to the end of the runs.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::room::Room;
use crate::support::{TestApp, text};

impl Room<'_> {
    async fn publish(&self, document: &Value) {
        let made = self.request(Method::POST, "/workflows").json(document).send().await.expect(201);
        let path = format!("/workflows/{}/publish", text(&made["id"]));
        self.request(Method::POST, &path).send().await.expect(200);
    }

    async fn send(&self, event_type: &str, subject: &str) {
        let event =
            json!({ "specversion": "1.0", "id": subject, "source": "/test", "type": event_type, "subject": subject });
        let request = self.request(Method::POST, "/events");
        request.body("application/cloudevents+json", event.to_string()).send().await.expect(202);
    }

    /// Waits until there are `count` runs and all have ended, and returns them.
    async fn ended(&self, count: usize) -> Vec<Value> {
        let ended = async {
            loop {
                let runs = self.request(Method::GET, "/runs?limit=100").send().await.expect(200);
                let runs = runs["items"].as_array().cloned().unwrap_or_default();
                let over = |run: &Value| {
                    !["pending", "running", "waiting"].contains(&run["status"].as_str().unwrap_or_default())
                };
                if runs.len() >= count && runs.iter().all(over) {
                    return runs;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), ended).await.expect("the runs end")
    }
}

#[tokio::test]
async fn an_event_starts_a_workflow_with_an_input_made_of_it() {
    let app = TestApp::spawn().await;
    let room = Room::of(&app, "Ada").await;
    room.send("file.modified", "src/before.rs").await;
    room.publish(&json!({
        "name": "on change",
        "inputs": { "type": "object", "properties": { "path": { "type": "string" } }, "required": ["path"] },
        "triggers": [{
            "event": { "type": "file.modified", "filter": "${{ event.subject.startsWith('src/') }}" },
            "input": { "path": "${{ event.subject }}" },
        }],
        "steps": [{ "id": "shape", "uses": "transform", "with": { "text": "changed: ${{ inputs.path }}" } }],
        "outputs": { "text": "${{ steps.shape.output.text }}" },
    }))
    .await;
    room.send("file.modified", "docs/a.md").await;
    room.send("file.modified", "src/a.rs").await;
    let runs = room.ended(1).await;
    assert_eq!(runs.len(), 1, "{runs:?}");
    assert_eq!((&runs[0]["status"], &runs[0]["outputs"]["text"]), (&json!("completed"), &json!("changed: src/a.rs")));
    assert_eq!(runs[0]["trigger"]["kind"], "event");
    app.stop().await;
}

#[tokio::test]
async fn two_workflows_that_trigger_each_other_come_to_an_end() {
    let app = TestApp::spawn().await;
    let room = Room::of(&app, "Ada").await;
    for (name, waits_for, sends) in [("ping", "ping", "pong"), ("pong", "pong", "ping")] {
        room.publish(&json!({
            "name": name,
            "triggers": [{ "event": { "type": waits_for } }],
            "steps": [{ "id": "answer", "uses": "emit_event", "with": { "type": sends } }],
        }))
        .await;
    }
    room.send("ping", "go").await;
    // The sender's event and the ten that runs have sent start a run each; the last run may not send another.
    let runs = room.ended(11).await;
    let with = |status: &str| runs.iter().filter(|run| run["status"] == status).count();
    assert_eq!((runs.len(), with("completed"), with("failed")), (11, 10, 1), "{runs:?}");
    let failed = runs.iter().find(|run| run["status"] == "failed").expect("one failed");
    assert_eq!(failed["error"]["code"], "too-deep", "{failed}");
    app.stop().await;
}
