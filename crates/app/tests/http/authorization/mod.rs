//! Who gets which answer from which operation: {every operation} × {anonymous, other tenant, viewer, member, admin, owner,
//! key without the scope}, made from the OpenAPI document and held against the table in `matrix.md`.
//!
//! An operation without an example in [`examples`] fails. `TIDEGATE_UPDATE=1` writes the table anew; read its diff.

mod audit;
pub mod examples;
mod foreign;
mod operators;

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::Value;

use crate::support::TestApp;
use examples::{Actor, Example, World};

const TABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/http/authorization/matrix.md");

/// Operations outside of workspaces: nobody has a role there, so they are not in the matrix. May only shrink.
const OUTSIDE: &str = include_str!("outside.txt");
/// What [`OUTSIDE`] had when it was last shortened.
const OUTSIDE_AT_MOST: usize = 17;

/// Whom an operation is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Operations {
    /// Whoever has a role in the workspace that the path names.
    OfTenants,
    /// Whoever operates the installation.
    OfOperators,
    /// Everybody, or whoever is logged in.
    Outside,
}

impl Operations {
    fn of(operation: &str) -> Self {
        if outside().contains(&operation) {
            Self::Outside
        } else if operation.contains(" /api/v1/monitoring/") || operation == "GET /health/detailed" {
            Self::OfOperators
        } else {
            Self::OfTenants
        }
    }
}

/// The operations of one kind.
async fn operations(app: &TestApp, kind: Operations) -> Vec<String> {
    all_operations(app).await.into_iter().filter(|operation| Operations::of(operation) == kind).collect()
}

/// Every operation of the API as `METHOD /path`, from the document that the server itself gives out.
pub async fn all_operations(app: &TestApp) -> Vec<String> {
    let document = app.get("/api/v1/openapi.json").send().await.expect(200);
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().into_iter().flatten() {
        for method in ["get", "put", "post", "patch", "delete"] {
            if item.get(method).is_some_and(Value::is_object) {
                operations.push(format!("{} {path}", method.to_uppercase()));
            }
        }
    }
    operations.sort_by(|a, b| a.split_once(' ').map(|(m, p)| (p, m)).cmp(&b.split_once(' ').map(|(m, p)| (p, m))));
    operations
}

/// The operations that act in a workspace.
async fn tenant_operations(app: &TestApp) -> Vec<String> {
    operations(app, Operations::OfTenants).await
}

fn outside() -> Vec<&'static str> {
    OUTSIDE.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
}

#[tokio::test]
async fn the_list_of_operations_outside_of_workspaces_only_shrinks() {
    let app = TestApp::spawn().await;
    let all = all_operations(&app).await;
    assert!(outside().len() <= OUTSIDE_AT_MOST, "an operation that acts in no workspace needs a very good reason");
    for operation in outside() {
        assert!(all.iter().any(|known| known == operation), "{operation} is gone: take it off outside.txt");
        assert!(!operation.contains("{ws}"), "{operation} acts in a workspace");
    }
}

#[tokio::test]
async fn every_operation_answers_every_actor_as_the_table_says() {
    let world = World::new().await;
    let mut rows = BTreeMap::new();
    let mut table = String::from(
        "# Who gets what\n\nStatuses of one valid request of each kind of caller. Written by the test; every change of it is a change of the API.\n\n",
    );
    let titles: Vec<&str> = Actor::ALL.iter().map(|actor| actor.title()).collect();
    let _ = writeln!(table, "| operation | {} |", titles.join(" | "));
    let _ = writeln!(table, "|---|{}", "---|".repeat(titles.len()));
    for operation in tenant_operations(&world.app).await {
        let mut outcomes = Vec::new();
        for actor in Actor::ALL {
            let place = world.place(&operation).await;
            let example = Example::of(&operation, &place);
            let answer = world.call(&example, &place, actor).await;
            assert!(!answer.status.is_server_error(), "{operation} as {}: {}", actor.title(), answer.json());
            outcomes.push(answer.status.as_u16().to_string());
        }
        let _ = writeln!(table, "| `{operation}` | {} |", outcomes.join(" | "));
        rows.insert(operation, outcomes);
    }
    // What no table may ever say.
    for (operation, outcomes) in &rows {
        assert_eq!(outcomes[0], "401", "{operation} lets anonymous callers in");
        assert_eq!(outcomes[1], "404", "{operation} tells another tenant something");
        assert_eq!(outcomes[6], "403", "{operation} lets a key in that lacks the scope");
        assert!(outcomes[5].starts_with('2'), "the example of {operation} does not work even for an owner");
    }
    if std::env::var_os("TIDEGATE_UPDATE").is_some() {
        std::fs::write(TABLE, &table).expect("the table can be written");
    }
    let committed = std::fs::read_to_string(TABLE).unwrap_or_default();
    assert_eq!(table, committed, "the table is not what the server does; look at it with TIDEGATE_UPDATE=1");
}
