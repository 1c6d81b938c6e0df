//! The authorization matrix of operations outside of workspaces for logged-in people: {operation} × {anonymous, API
//! key, other person, person}. The person is the owner of the resources in the path.

use super::examples::Example;
use super::foreign::{essence, nobodys, thing};
use super::table::Table;
use super::world::{World, request};
use super::{Operations, operations};

/// The table's name.
pub const TABLE: &str = "persons";

#[tokio::test]
async fn persons_reach_what_is_theirs() {
    let world = World::new().await;
    let actors = ["anonymous", "API key", "other person", "person"];
    let mut table = Table::new(TABLE, "Who gets what outside of workspaces", &actors);
    for operation in operations(&world.document, Operations::OfPersons) {
        // What ends all other sessions of the person gets a world of its own.
        let ends = [
            "POST /api/v1/auth/password",
            "DELETE /api/v1/auth/sessions",
            "POST /api/v1/auth/factors/totp/confirm",
            "POST /api/v1/auth/factors/recovery-codes",
        ];
        let ends = ends.contains(&operation.as_str()) || operation.starts_with("DELETE /api/v1/auth/factors/");
        let statuses = match ends {
            true => statuses(&World::new().await, &operation).await,
            false => statuses(&world, &operation).await,
        };
        // What no table may ever allow.
        let advice = "whether it is public by nature, and belongs into outside.txt, is a decision";
        assert_eq!(statuses[0], 401, "{operation} lets anonymous callers in; {advice}");
        table.row(&operation, statuses);
    }
    table.check();
}

/// The statuses that the operation returns. All callers request the same resource; the person comes last and still
/// finds it.
async fn statuses(world: &World, operation: &str) -> [u16; 4] {
    let place = world.place(operation).await;
    // A new login for each operation: one of them ends its own session.
    let (person, other) = world.logged_in_again().await;
    let mut example = world.example(operation, &place);
    let path = operation.split_once("/api/v1/auth/").map_or("", |(_, path)| path);
    world.prepare_factor(path, &mut example, &person).await;
    let call = async |example, token| request(&world.app, example, token).send().await;
    let anonymous = call(&example, None).await;
    let key = call(&example, Some(place.key())).await;
    let others = call(&example, Some(&other.token)).await;
    let persons = call(&example, Some(&person.token)).await;
    for answer in [&anonymous, &key, &others, &persons] {
        assert!(!answer.status.is_server_error(), "{operation}: {}", answer.json());
    }
    assert!(persons.status.is_success(), "the example of {operation} does not work: {}", persons.json());
    let told = String::from_utf8_lossy(&others.bytes).into_owned();
    for theirs in [&person.id, &person.email, &place.workspace] {
        assert!(!told.contains(theirs), "{operation} tells another person of {theirs}: {told}");
    }
    if let Some(id) = thing(operation, &place) {
        let missing = Example { path: example.path.replace(id, &nobodys(id)), ..example.clone() };
        let missing = call(&missing, Some(&other.token)).await;
        assert_eq!(others.status.as_u16(), 404, "{operation}: {told}");
        assert_eq!(essence(&others), essence(&missing), "{operation} of another person's thing, and of none");
    }
    [anonymous, key, others, persons].map(|answer| answer.status.as_u16())
}
