//! A resource of another tenant and one that does not exist get the same response, except for the request id.

use serde_json::Value;
use tidegate_kernel::WorkspaceId;

use super::world::{Actor, Place, World, parameters};
use crate::support::Answer;

/// Status, headers and body of a response, without what differs between requests.
pub fn essence(answer: &Answer) -> (u16, Vec<String>, Value) {
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

/// The id of the last resource in the operation's path after the workspace. A number identifies nothing by itself; it
/// belongs to the resource before it.
pub fn thing<'a>(operation: &str, place: &'a Place) -> Option<&'a str> {
    let named = parameters(operation).filter(|name| *name != "ws");
    named.map(|name| place.id(name)).filter(|id| id.contains('_')).last()
}

/// An unused id of the same kind.
pub fn nobodys(id: &str) -> String {
    let (prefix, _) = id.split_once('_').unwrap_or((id, ""));
    format!("{prefix}_01jz3q9m0e7c2v5y8t4r6n1k0d")
}

/// A foreign workspace gets the same response as one that does not exist.
pub async fn a_workspace(world: &World, operation: &str, place: &Place) {
    let mut example = world.example(operation, place);
    let foreign = world.call(&example, place, Actor::OtherTenant).await;
    let missing = WorkspaceId::generate(&tidegate::system::environment()).to_string();
    example.path = example.path.replace(&place.workspace, &missing);
    let missing = world.call(&example, place, Actor::OtherTenant).await;
    assert_eq!(foreign.status.as_u16(), 404, "{operation}: {}", foreign.json());
    assert_eq!(essence(&foreign), essence(&missing), "{operation} in another tenant's workspace, and in none");
}

/// A foreign resource gets the same response as one that does not exist, if the operation names one.
pub async fn a_thing(world: &World, operation: &str, place: &Place) {
    if thing(operation, place).is_none() {
        return;
    }
    let other = world.place(operation).await;
    let mut example = world.example(operation, place);
    // The owner requests, in the right workspace, a resource of another one, and then one that does not exist.
    example.path = world.example(operation, &other).path.replace(&other.workspace, &place.workspace);
    let foreign = world.call(&example, place, Actor::Owner).await;
    let id = thing(operation, &other).unwrap_or_default();
    example.path = example.path.replace(id, &nobodys(id));
    let missing = world.call(&example, place, Actor::Owner).await;
    assert_eq!(foreign.status.as_u16(), 404, "{operation}: {}", foreign.json());
    assert_eq!(essence(&foreign), essence(&missing), "{operation} of another tenant's thing, and of none");
}
