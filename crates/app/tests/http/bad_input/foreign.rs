//! Ids of another tenant in queries, in bodies and in events.

use serde_json::{Value, json};

use crate::support::{TestApp, text};

#[tokio::test]
async fn ids_of_another_tenant_find_and_reach_nothing() {
    let app = TestApp::spawn().await;
    let (ada, eve) = (app.person("Ada").await, app.person("Eve").await);
    let (ours, theirs) = (app.workspace(&ada, "Ours").await, app.workspace(&eve, "Theirs").await);
    let document = json!({ "name": "theirs", "steps": [{ "id": "a", "uses": "transform" }] });
    let path = format!("/api/v1/workspaces/{theirs}/workflows");
    let workflow = text(&app.post(&path).bearer(&eve.token).json(&document).send().await.expect(201)["id"]);
    app.post(&format!("{path}/{workflow}/publish")).bearer(&eve.token).send().await.expect(200);
    let run = app.post(&format!("{path}/{workflow}/runs?wait=20s")).bearer(&eve.token).json(&json!({}));
    let run = text(&run.send().await.expect(201)["id"]);
    let (key, _) = app.api_key(&eve, &theirs, &["events:read"]).await;
    let before = app.contents().await;

    // A filter with another tenant's id finds as little as one with an unknown id.
    let get = async |query: &str| {
        let answer = app.get(&format!("/api/v1/workspaces/{ours}/{query}")).bearer(&ada.token).send().await;
        answer.expect(200)["items"].clone()
    };
    let absent = "01jz3q9m0e7c2v5y8t4r6n1k0d";
    for (query, foreign, nobody) in [
        ("runs?workflow=", &workflow, format!("wf_{absent}")),
        ("audit?actor=", &eve.id, format!("usr_{absent}")),
        ("audit?actor=", &key, format!("key_{absent}")),
        ("audit?resource=", &theirs, format!("ws_{absent}")),
        ("audit?resource=", &workflow, format!("wf_{absent}")),
    ] {
        let found = get(&format!("{query}{foreign}")).await;
        assert_eq!((&found, &found), (&json!([]), &get(&format!("{query}{nobody}")).await), "{query}{foreign}");
    }

    // No body names its workspace; one that tries is refused as a whole.
    let refused = async |path: &str, body: Value, pointer: &str| {
        let answer = app.post(&format!("/api/v1/workspaces/{ours}/{path}")).bearer(&ada.token).json(&body).send().await;
        assert_eq!(answer.expect_problem(422, "invalid")["errors"][0]["pointer"], pointer);
    };
    refused("api-keys", json!({ "name": "k", "scopes": ["events:read"], "workspace_id": theirs }), "/workspace_id")
        .await;
    refused("api-keys", json!({ "name": "k", "scopes": ["events:read"], "created_by": eve.id }), "/created_by").await;
    let mine = json!({ "workspace": theirs, "name": "mine", "steps": [{ "id": "a", "uses": "transform" }] });
    refused("workflows", mine, "/workspace").await;
    for rest in
        [format!("workflows/{workflow}/runs"), format!("workflows/{workflow}/publish"), format!("runs/{run}/cancel")]
    {
        let path = format!("/api/v1/workspaces/{ours}/{rest}");
        app.post(&path).bearer(&ada.token).json(&json!({})).send().await.expect_problem(404, "not-found");
    }
    assert_eq!(app.contents().await, before);

    // Workspaces and people named in an event are only data: the event stays in its workspace, and its actor is the
    // sender.
    let event = |id: &str, further: Value| {
        let mut event = json!({ "specversion": "1.0", "id": id, "source": "/s", "type": "t" });
        event.as_object_mut().expect("an object").extend(further.as_object().cloned().unwrap_or_default());
        event
    };
    let batch = json!([
        event("1", json!({ "data": { "workspace_id": theirs, "user_id": eve.id } })),
        event("2", json!({ "tidegateworkspace": theirs })),
    ]);
    let sent = app.post(&format!("/api/v1/workspaces/{ours}/events")).bearer(&ada.token);
    let verdict = sent.body("application/cloudevents-batch+json", batch.to_string()).send().await.expect(202);
    assert_eq!((&verdict["accepted"], &verdict["rejected"][0]["code"]), (&json!(1), &json!("reserved-attribute")));
    let path = format!("/api/v1/workspaces/{theirs}/events");
    assert_eq!(app.get(&path).bearer(&eve.token).send().await.expect(200)["items"], json!([]));
}
