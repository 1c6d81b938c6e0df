//! Once a change is committed nothing can fail any more: whoever made it is told so, even where no transaction can be
//! opened from then on.

use serde_json::{Value, json};

use crate::authorization::all_operations;
use crate::authorization::examples::{Example, World};
use crate::relay::Relay;
use crate::support::{Answer, Person, TestApp};

/// A request for an operation that acts in no workspace.
async fn outside(app: &TestApp, operation: &str, ada: &Person, behind: &TestApp) -> Answer {
    let post = async |body: Value| {
        let path = operation.split_once(' ').expect("a method and a path").1;
        behind.post(path).bearer(&ada.token).json(&body).send().await
    };
    match operation {
        "POST /api/v1/auth/register" => {
            post(json!({ "email": "bob@example.org", "password": "an umbrella in march", "name": "Bob" })).await
        }
        "POST /api/v1/auth/login" => post(json!({ "email": ada.email, "password": "an umbrella in march" })).await,
        "POST /api/v1/auth/refresh" => post(json!({ "refresh_token": ada.refresh_token })).await,
        "POST /api/v1/workspaces" => post(json!({ "name": "Acme" })).await,
        "POST /api/v1/auth/logout" => behind.post("/api/v1/auth/logout").bearer(&ada.token).send().await,
        "DELETE /api/v1/auth/sessions/{session}" => {
            let listed = app.get("/api/v1/auth/sessions").bearer(&ada.token).send().await.expect(200);
            let path = format!("/api/v1/auth/sessions/{}", listed["items"][0]["id"].as_str().expect("an id"));
            behind.request(reqwest::Method::DELETE, &path).bearer(&ada.token).send().await
        }
        other => panic!("say in `outside` what a request for {other} is"),
    }
}

#[tokio::test]
async fn what_was_done_is_answered_as_done() {
    let world = World::new().await;
    let app = &world.app;
    let relay = Relay::to(app.database.url()).await;
    let behind = app.behind(&relay).await;
    let mut tried = 0;
    for operation in all_operations(app)
        .await
        .iter()
        .filter(|operation| !operation.starts_with("GET ") && !operation.contains("/monitoring/"))
    {
        tried += 1;
        let answer = if operation.contains("{ws}") {
            let place = world.place(operation).await;
            let example = Example::of(operation, &place);
            // The first look at a workspace's plan notes it: a change that is nobody's request.
            let usage = format!("/api/v1/workspaces/{}/usage", place.workspace);
            world.call_on(&behind, &Example::of_get(&usage), &place).await.expect(200);
            relay.refuse_after_a_change();
            world.call_on(&behind, &example, &place).await
        } else {
            let ada = app.person(&format!("ada-{tried}")).await;
            relay.refuse_after_a_change();
            outside(app, operation, &ada, &behind).await
        };
        assert!(answer.status.is_success(), "{operation} fails after it was done: {}", answer.json());
        assert!(relay.relent(), "{operation} changes nothing that the relay sees");
    }
    assert!(tried > 15, "{tried}");
}

#[tokio::test]
async fn a_run_that_was_started_is_told_of_though_nobody_can_wait_for_it() {
    let world = World::new().await;
    let relay = Relay::to(world.app.database.url()).await;
    let behind = world.app.behind(&relay).await;
    let place = world.place("POST /api/v1/workspaces/{ws}/workflows/{wf}/runs").await;
    let mut example = Example::of("POST /api/v1/workspaces/{ws}/workflows/{wf}/runs", &place);
    example.path += "?wait=20s";
    relay.refuse_after_a_change();
    let answer = world.call_on(&behind, &example, &place).await;
    assert!(relay.relent());
    assert_eq!(answer.expect(201)["status"], "pending");
}

#[tokio::test]
async fn a_transaction_after_a_change_is_refused_by_the_relay() {
    let world = World::new().await;
    let relay = Relay::to(world.app.database.url()).await;
    let behind = world.app.behind(&relay).await;
    let (first, second) = (world.place("GET /").await, world.place("GET /").await);
    let example = |place| Example::of("PATCH /api/v1/workspaces/{ws}", place);
    relay.refuse_after_a_change();
    world.call_on(&behind, &example(&first), &first).await.expect(200);
    world.call_on(&behind, &example(&second), &second).await.expect_problem(503, "unavailable");
    assert!(relay.relent());
    world.call_on(&behind, &example(&second), &second).await.expect(200);
}
