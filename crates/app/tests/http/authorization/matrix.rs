//! The authorization matrix of operations in a workspace, by area. An area is a tag of the OpenAPI document. Each area
//! has a test with its own server and its own table, so that areas run in parallel.

use futures::{StreamExt, stream};
use reqwest::Method;

use super::examples::Example;
use super::table::{self, Table};
use super::world::{Actor, World};
use super::{Operations, area, audit, document, foreign, operations, operators, persons};

/// The number of operations that are tried at once. Each has its own workspaces, so they are independent.
const AT_ONCE: usize = 4;

macro_rules! areas {
    ($($name:ident)*) => {
        const AREAS: &[&str] = &[$(stringify!($name)),*];
        $(
            #[tokio::test]
            async fn $name() {
                every_operation_answers_every_actor_as_the_table_says(stringify!($name)).await;
            }
        )*
    };
}

areas! { api_keys audit billing events files jobs members patterns runs suggestions workflows workspaces }

#[test]
fn every_area_has_its_test_and_every_table_its_area() {
    let document = document();
    let mut areas: Vec<String> =
        operations(&document, Operations::OfTenants).iter().map(|operation| area(&document, operation)).collect();
    areas.sort();
    areas.dedup();
    assert_eq!(areas, AREAS, "the tags of the document, and the tests that `areas!` makes: add or remove one there");
    for table in table::committed() {
        let known = AREAS.contains(&table.as_str()) || [persons::TABLE, operators::TABLE].contains(&table.as_str());
        assert!(known, "no test writes the table {table} any more: remove it");
    }
}

async fn every_operation_answers_every_actor_as_the_table_says(of: &str) {
    let world = World::new().await;
    let mut mine = operations(&world.document, Operations::OfTenants);
    mine.retain(|operation| area(&world.document, operation) == of);
    let mut table = Table::new(of, &format!("Who gets what: {}", of.replace('_', " ")), &Actor::ALL.map(Actor::title));
    let tries = stream::iter(&mine).map(|operation| statuses(&world, operation));
    let rows: Vec<[u16; 7]> = tries.buffered(AT_ONCE).collect().await;
    for (operation, statuses) in mine.iter().zip(rows) {
        // What no table may ever allow.
        for (actor, status) in Actor::ALL.iter().zip(statuses) {
            match actor {
                Actor::Anonymous => assert_eq!(status, 401, "{operation} lets anonymous callers in"),
                Actor::OtherTenant => assert_eq!(status, 404, "{operation} tells another tenant something"),
                Actor::KeyWithoutScope => assert_eq!(status, 403, "{operation} lets a key in that lacks the scope"),
                _ => {}
            }
        }
        table.row(operation, statuses);
    }
    table.check();
}

/// The statuses that the operation returns to each kind of caller. All callers request the same resources. A refused
/// request has changed nothing, because the next caller succeeds.
async fn statuses(world: &World, operation: &str) -> [u16; 7] {
    let mut place = world.place(operation).await;
    foreign::a_workspace(world, operation, &place).await;
    foreign::a_thing(world, operation, &place).await;
    let mut entries = world.audit_entries(&place).await;
    let mut statuses = [0; 7];
    for (actor, status) in Actor::ALL.into_iter().zip(&mut statuses) {
        let example = world.example(operation, &place);
        let answer = world.call(&example, &place, actor).await;
        let title = actor.title();
        assert!(!answer.status.is_server_error(), "{operation} as {title}: {}", answer.json());
        let now = world.audit_entries(&place).await;
        audit::check(operation, answer.status.is_success(), now - entries);
        entries = now;
        *status = answer.status.as_u16();
        if answer.status.is_success() && example.method != Method::GET {
            place = world.place(operation).await;
            entries = world.audit_entries(&place).await;
        }
        assert!(
            actor != Actor::Owner || answer.status.is_success(),
            "the example of {operation} does not work even for an owner: {}",
            answer.json()
        );
    }
    // A body with several media types has an example of each.
    for which in 1..Example::all(&world.document, operation, &place).len() {
        let place = world.place(operation).await;
        let example = Example::all(&world.document, operation, &place).swap_remove(which);
        let answer = world.call(&example, &place, Actor::Owner).await;
        assert!(answer.status.is_success(), "{operation}, {:?}: {}", example.body, answer.json());
    }
    statuses
}
