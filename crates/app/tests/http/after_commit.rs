//! After a change is committed nothing can fail: the caller gets a success, even if no transaction can be opened from
//! then on.

use serde_json::json;

use crate::authorization::all_operations;
use crate::authorization::examples::Example;
use crate::authorization::world::{World, request};
use crate::relay::Relay;
use crate::support::Person;

/// The body, or the session, of an operation whose example is for no one, or would end the session of the other
/// requests.
pub async fn of_ones_own(world: &World, operation: &str, example: &mut Example) -> Option<Person> {
    let path = operation.split_once("/api/v1/auth/")?.1;
    let purpose = match path {
        "verify" => "verify_email",
        "reset" => "reset_password",
        "email/confirm" => "change_email",
        _ => "",
    };
    let (person, _) = match path {
        "login" | "refresh" | "logout" => world.logged_in_again().await,
        "verify" | "reset" | "email/confirm" | "password" | "sessions" | "challenge" => world.somebody().await,
        "factors/totp/confirm" | "factors/recovery-codes" => world.somebody().await,
        _ => return None,
    };
    world.prepare_factor(path, example, &person).await;
    let body = match path {
        "login" => Some(json!({ "email": person.email, "password": "an umbrella in march" })),
        "refresh" => Some(json!({ "refresh_token": person.refresh_token })),
        "verify" | "email/confirm" => Some(json!({ "token": world.link(&person, purpose).await })),
        "reset" => Some(json!({ "token": world.link(&person, purpose).await, "password": "an umbrella in april" })),
        _ => None,
    };
    if let Some(body) = body {
        example.body = Some(("application/json".to_owned(), body.to_string()));
    }
    Some(person)
}

/// Operations that reserve something in a transaction of its own before they do what they are for. If they fail between the
/// two, they have done nothing, and `files/crashes.rs` tests that the reservation ends.
const RESERVE_FIRST: [&str; 2] =
    ["POST /api/v1/workspaces/{ws}/files", "POST /api/v1/workspaces/{ws}/files/uploads/{upl}/complete"];

#[tokio::test]
async fn what_was_done_is_answered_as_done() {
    let world = World::new().await;
    let app = &world.app;
    let relay = Relay::to(app.database.url()).await;
    let behind = app.behind(&relay).await;
    let mut tried = 0;
    for operation in all_operations(&world.document)
        .iter()
        .filter(|operation| !operation.starts_with("GET ") && !operation.contains("/monitoring/"))
        .filter(|operation| !RESERVE_FIRST.contains(&operation.as_str()))
    {
        tried += 1;
        let place = world.place(operation).await;
        // Reading a workspace's plan for the first time stores it, which is not a change of the request under test.
        let usage = format!("/api/v1/workspaces/{}/usage", place.workspace);
        request(&behind, &Example::of_get(&usage), Some(world.owner_token())).send().await.expect(200);
        let mut example = world.example(operation, &place);
        let person = of_ones_own(&world, operation, &mut example).await;
        let token = person.as_ref().map_or(world.owner_token(), |person| person.token.as_str());
        relay.refuse_after_a_change();
        let answer = request(&behind, &example, Some(token)).send().await;
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
    let mut example = world.example("POST /api/v1/workspaces/{ws}/workflows/{wf}/runs", &place);
    example.path += "?wait=20s";
    relay.refuse_after_a_change();
    let answer = request(&behind, &example, Some(world.owner_token())).send().await;
    assert!(relay.relent());
    assert_eq!(answer.expect(201)["status"], "pending");
}

#[tokio::test]
async fn a_transaction_after_a_change_is_refused_by_the_relay() {
    let world = World::new().await;
    let relay = Relay::to(world.app.database.url()).await;
    let behind = world.app.behind(&relay).await;
    let (first, second) = (world.place("GET /").await, world.place("GET /").await);
    let patch = async |place| {
        let example = world.example("PATCH /api/v1/workspaces/{ws}", place);
        request(&behind, &example, Some(world.owner_token())).send().await
    };
    relay.refuse_after_a_change();
    patch(&first).await.expect(200);
    patch(&second).await.expect_problem(503, "unavailable");
    assert!(relay.relent());
    patch(&second).await.expect(200);
}
