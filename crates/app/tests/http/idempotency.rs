//! Requests that are sent again with an idempotency key.

use serde_json::{Value, json};

use crate::support::{Answer, Person, TestApp};

async fn post(app: &TestApp, person: &Person, path: &str, key: &str, body: &Value) -> Answer {
    app.post(path).bearer(&person.token).header("idempotency-key", key).json(body).send().await
}

#[tokio::test]
async fn a_request_that_is_sent_again_is_done_once() {
    let app = TestApp::spawn().await;
    let ada = app.person("Ada").await;
    let (path, acme) = ("/api/v1/workspaces", json!({ "name": "Acme" }));
    let first = post(&app, &ada, path, "k1", &acme).await;
    let again = post(&app, &ada, path, "k1", &acme).await;
    assert_eq!(first.expect(201), again.expect(201));
    assert_eq!((first.header("idempotency-replayed"), again.header("idempotency-replayed")), ("", "true"));
    assert_eq!(first.header("location"), again.header("location"));
    post(&app, &ada, path, "k1", &json!({ "name": "Other" })).await.expect_problem(422, "idempotency-mismatch");
    let another = post(&app, &ada, path, "k2", &acme).await.expect(201);
    assert_ne!(another["id"], again.json()["id"]);
    let mine = app.get(path).bearer(&ada.token).send().await.expect(200);
    assert_eq!(mine["items"].as_array().map(Vec::len), Some(2));

    let eve = app.person("Eve").await;
    assert_ne!(post(&app, &eve, path, "k1", &acme).await.expect(201)["id"], again.json()["id"], "keys are one's own");
    for bad in ["", &"x".repeat(256)] {
        post(&app, &ada, path, bad, &acme).await.expect_problem(400, "bad-request");
    }
}

#[tokio::test]
async fn of_many_at_once_one_is_done() {
    let app = TestApp::spawn().await;
    let ada = app.person("Ada").await;
    let body = json!({ "name": "Acme" });
    let answers = futures::future::join_all((0..8).map(|_| post(&app, &ada, "/api/v1/workspaces", "k", &body))).await;
    for answer in &answers {
        if answer.status == 409 {
            answer.expect_problem(409, "idempotency-in-flight");
        } else {
            answer.expect(201);
        }
    }
    let mine = app.get("/api/v1/workspaces").bearer(&ada.token).send().await.expect(200);
    assert_eq!(mine["items"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn an_error_frees_the_key() {
    let app = TestApp::spawn().await;
    let ada = app.person("Ada").await;
    let path = "/api/v1/workspaces";
    post(&app, &ada, path, "k", &json!({ "name": "" })).await.expect_problem(422, "invalid");
    post(&app, &ada, path, "k", &json!({ "name": "Acme" })).await.expect(201);
}

#[tokio::test]
async fn a_key_opens_nothing_to_whoever_is_not_known() {
    let app = TestApp::spawn().await;
    let ada = app.person("Ada").await;
    let path = format!("/api/v1/workspaces/{}/api-keys", app.workspace(&ada, "Acme").await);
    let body = json!({ "name": "importer", "scopes": ["events:write"] });
    post(&app, &ada, &path, "k", &body).await.expect(201);
    let nobody = app.post(&path).header("idempotency-key", "k").json(&body).send().await;
    nobody.expect_problem(401, "unauthenticated");
    let eve = app.person("Eve").await;
    post(&app, &eve, &path, "k", &body).await.expect_problem(404, "not-found");
}
