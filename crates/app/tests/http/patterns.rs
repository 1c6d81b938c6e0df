//! Patterns and suggestions over HTTP.

use serde_json::{Value, json};

use crate::support::{Person, TestApp, text};

/// Sends events in which `a` and `b` change together in `times` sessions an hour apart, and waits until they are
/// counted.
async fn change_together(app: &TestApp, person: &Person, workspace: &str, times: usize) {
    app.change_together(person, workspace, "src/lib.rs", "CHANGES.md", times).await;
}

#[tokio::test]
async fn events_become_a_pattern_and_a_suggestion() {
    let app = TestApp::spawn().await;
    let ada = app.person("ada").await;
    let workspace = app.workspace(&ada, "Acme").await;
    let path = format!("/api/v1/workspaces/{workspace}");
    let position = app.change_together(&ada, &workspace, "src/lib.rs", "CHANGES.md", 4).await;

    let answer = app.get(&format!("{path}/patterns?kind=co_occurrence")).bearer(&ada.token).send().await;
    assert_eq!(answer.header("tidegate-watermark"), position.to_string());
    let list = answer.expect(200);
    let pattern = &list["items"][0];
    assert_eq!((&pattern["kind"], &pattern["support"]), (&json!("co_occurrence"), &json!(4)));
    assert_eq!((&pattern["confidence"], &pattern["lift"]), (&json!(1.0), &json!(1.0)));
    assert_eq!(pattern["params"]["subjects"], json!(["CHANGES.md", "src/lib.rs"]));
    assert_eq!(pattern["evidence"].as_array().map(Vec::len), Some(6));
    assert_eq!((&list["next_cursor"], &list["notes"]), (&Value::Null, &json!([])));

    let list = app.get(&format!("{path}/suggestions")).bearer(&ada.token).send().await.expect(200);
    let suggestion = &list["items"][0];
    assert_eq!(suggestion["template"], "co_change_reminder@1");
    assert_eq!(suggestion["pattern_id"], pattern["id"]);
    assert_eq!(suggestion["title"], "Remind about src/lib.rs when CHANGES.md changes");
    assert!(text(&suggestion["reasoning"]).contains("in 4 of the 4 sessions"), "{suggestion}");
    let confidence = suggestion["confidence"].as_f64().unwrap();
    assert!((0.50..0.52).contains(&confidence), "{confidence}");
    let id = text(&suggestion["id"]);

    let applied = app.post(&format!("{path}/suggestions/{id}/apply")).bearer(&ada.token).send().await;
    let location = applied.header("location").to_owned();
    let workflow = applied.expect(201);
    assert_eq!((&workflow["name"], &workflow["status"]), (&suggestion["title"], &json!("draft")));
    let kept = app.get(&location).bearer(&ada.token).send().await.expect(200);
    assert_eq!(kept["id"], workflow["id"]);
    let again = app.post(&format!("{path}/suggestions/{id}/apply")).bearer(&ada.token).send().await;
    again.expect_problem(409, "conflict");
    let dismissed = app.post(&format!("{path}/suggestions/{id}/dismiss")).bearer(&ada.token).send().await;
    dismissed.expect_problem(409, "conflict");
    let open = app.get(&format!("{path}/suggestions?status=open")).bearer(&ada.token).send().await.expect(200);
    assert!(open["items"].as_array().unwrap().iter().all(|item| item["id"] != id.as_str()), "{open}");
    let applied = app.get(&format!("{path}/suggestions?status=applied")).bearer(&ada.token).send().await.expect(200);
    assert_eq!(applied["items"][0]["workflow_id"], workflow["id"]);
}

#[tokio::test]
async fn an_applied_suggestion_runs_by_itself_and_does_not_set_itself_off() {
    let app = TestApp::spawn().await;
    let ada = app.person("ada").await;
    let workspace = app.workspace(&ada, "Acme").await;
    let path = format!("/api/v1/workspaces/{workspace}");
    app.change_together(&ada, &workspace, "src/lib.rs", "CHANGES.md", 3).await;
    let open = app.get(&format!("{path}/suggestions?status=open")).bearer(&ada.token).send().await.expect(200);
    let id = text(&open["items"][0]["id"]);
    let workflow = app.post(&format!("{path}/suggestions/{id}/apply")).bearer(&ada.token).send().await.expect(201);
    let publish = format!("{path}/workflows/{}/publish", text(&workflow["id"]));
    app.post(&publish).bearer(&ada.token).send().await.expect(200);
    let runs = async || app.get(&format!("{path}/runs")).bearer(&ada.token).send().await.expect(200)["items"].clone();
    assert_eq!(runs().await, json!([]), "what came before does not count");

    let event = |id: &str, kind: &str, subject: &str| {
        json!({"specversion": "1.0", "id": id, "source": "/test", "type": kind, "subject": subject}).to_string()
    };
    for (id, kind, subject) in [
        ("other", "file.modified", "src/lib.rs"),
        ("emitted", "reminder.co_change", "CHANGES.md"),
        ("starts", "file.modified", "CHANGES.md"),
    ] {
        let request = app.post(&format!("{path}/events")).bearer(&ada.token);
        request.body("application/cloudevents+json", event(id, kind, subject)).send().await.expect(202);
    }
    let started = async {
        while runs().await == json!([]) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), started).await.expect("the event starts a run");
    let run = format!("{path}/runs/{}", text(&runs().await[0]["id"]));
    let run = app.get(&run).bearer(&ada.token).send().await.expect(200);
    assert_eq!((&run["input"]["path"], &run["workflow_id"]), (&json!("CHANGES.md"), &workflow["id"]), "{run}");
    assert_eq!(runs().await.as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn what_is_dismissed_is_never_offered_again() {
    let app = TestApp::spawn().await;
    let ada = app.person("ada").await;
    let workspace = app.workspace(&ada, "Acme").await;
    let path = format!("/api/v1/workspaces/{workspace}/suggestions");
    change_together(&app, &ada, &workspace, 3).await;
    let open = app.get(&format!("{path}?status=open")).bearer(&ada.token).send().await.expect(200);
    let id = text(&open["items"][0]["id"]);
    let dismissed = app.post(&format!("{path}/{id}/dismiss")).bearer(&ada.token).send().await.expect(200);
    assert_eq!((&dismissed["id"], &dismissed["status"]), (&json!(id), &json!("dismissed")));
    change_together(&app, &ada, &workspace, 6).await;
    let open = app.get(&format!("{path}?status=open")).bearer(&ada.token).send().await.expect(200);
    assert!(open["items"].as_array().unwrap().iter().all(|item| item["id"] != id.as_str()), "{open}");
    let kept = app.get(&format!("{path}?status=dismissed")).bearer(&ada.token).send().await.expect(200);
    assert_eq!(kept["items"][0]["id"], id.as_str());
}

#[tokio::test]
async fn pages_and_filters_are_bound_together() {
    let app = TestApp::spawn().await;
    let ada = app.person("ada").await;
    let workspace = app.workspace(&ada, "Acme").await;
    let other = app.workspace(&ada, "Elsewhere").await;
    change_together(&app, &ada, &workspace, 3).await;
    let path = format!("/api/v1/workspaces/{workspace}/patterns");
    let get = async |path: &str| app.get(path).bearer(&ada.token).send().await;
    let first = get(&format!("{path}?limit=1")).await.expect(200);
    let cursor = text(&first["next_cursor"]);
    let second = get(&format!("{path}?limit=2&cursor={cursor}")).await.expect(200);
    assert_eq!(second["items"].as_array().map(Vec::len), Some(2));
    assert!(second["items"][0]["id"] != first["items"][0]["id"]);
    for wrong in [
        format!("{path}?kind=sequence&cursor={cursor}"),
        format!("{path}?min_confidence=0.5&cursor={cursor}"),
        format!("/api/v1/workspaces/{other}/patterns?cursor={cursor}"),
        format!("/api/v1/workspaces/{workspace}/suggestions?cursor={cursor}"),
        format!("{path}?cursor=nonsense"),
    ] {
        get(&wrong).await.expect_problem(400, "invalid-cursor");
    }
}

#[tokio::test]
async fn bad_questions_are_told_apart() {
    let app = TestApp::spawn().await;
    let ada = app.person("ada").await;
    let workspace = app.workspace(&ada, "Acme").await;
    let path = format!("/api/v1/workspaces/{workspace}");
    for wrong in [
        "patterns?kind=nonsense",
        "patterns?min_confidence=1.5",
        "patterns?min_confidence=NaN",
        "patterns?min_confidence=x",
        "patterns?limit=0",
        "patterns?limit=201",
        "patterns?unknown=1",
        "suggestions?status=closed",
        "suggestions?min_confidence=-1",
        "suggestions?unknown=1",
    ] {
        let answer = app.get(&format!("{path}/{wrong}")).bearer(&ada.token).send().await;
        answer.expect_problem(400, "invalid-query");
    }
    let none = app.get(&format!("{path}/patterns?kind=regularity")).bearer(&ada.token).send().await.expect(200);
    assert_eq!(none["items"], json!([]));
    for action in ["apply", "dismiss"] {
        for id in ["nonsense", "sug_00000000000000000000000000", "pat_00000000000000000000000000"] {
            let answer = app.post(&format!("{path}/suggestions/{id}/{action}")).bearer(&ada.token).send().await;
            answer.expect_problem(404, "not-found");
        }
    }
}
