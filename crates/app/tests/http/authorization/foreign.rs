//! What belongs to another tenant and what does not exist answer the same bytes, the request's id aside.

use serde_json::Value;
use tidegate_kernel::WorkspaceId;

use super::examples::{Actor, Example, World, parameters};
use super::tenant_operations;
use crate::support::Answer;

/// Status, headers and body of an answer, without what differs from request to request.
fn essence(answer: &Answer) -> (u16, Vec<String>, Value) {
    let mut body = answer.json();
    if let Some(body) = body.as_object_mut() {
        body.remove("request_id");
    }
    let mut headers: Vec<String> = answer
        .headers
        .iter()
        .filter(|(name, _)| !matches!(name.as_str(), "x-request-id" | "date"))
        .map(|(name, value)| format!("{name}: {value:?}"))
        .collect();
    headers.sort();
    (answer.status.as_u16(), headers, body)
}

#[tokio::test]
async fn a_foreign_workspace_answers_as_one_that_does_not_exist() {
    let world = World::new().await;
    let env = tidegate::system::environment();
    for operation in tenant_operations(&world.app).await {
        let place = world.place(&operation).await;
        let mut example = Example::of(&operation, &place);
        let foreign = world.call(&example, &place, Actor::OtherTenant).await;
        example.path = example.path.replace(&place.workspace, &WorkspaceId::generate(&env).to_string());
        let missing = world.call(&example, &place, Actor::OtherTenant).await;
        assert_eq!(essence(&foreign), essence(&missing), "{operation}");
    }
}

#[tokio::test]
async fn a_foreign_thing_answers_as_one_that_does_not_exist() {
    let world = World::new().await;
    for operation in tenant_operations(&world.app).await {
        if parameters(&operation).count() < 2 {
            continue;
        }
        let (place, other) = (world.place(&operation).await, world.place(&operation).await);
        let mut example = Example::of(&operation, &place);
        // The owner asks in the right workspace for a thing of another one, and then for one that nobody has.
        example.path = Example::of(&operation, &other).path.replace(&other.workspace, &place.workspace);
        let foreign = world.call(&example, &place, Actor::Owner).await;
        // A number says nothing by itself: it is of the thing before it.
        let named = parameters(&operation).map(|name| if name == "ws" { "" } else { other.id(name) });
        let id = named.filter(|id| id.contains('_')).last().unwrap_or_default();
        let (prefix, _) = id.split_once('_').unwrap_or((id, ""));
        example.path = example.path.replace(id, &format!("{prefix}_01jz3q9m0e7c2v5y8t4r6n1k0d"));
        let missing = world.call(&example, &place, Actor::Owner).await;
        assert_eq!(foreign.status.as_u16(), 404, "{operation}: {}", foreign.json());
        assert_eq!(essence(&foreign), essence(&missing), "{operation}");
    }
}
