//! The authorization matrix: which caller gets which status from which operation. The operations come from the OpenAPI
//! document, and the statuses are compared with the tables in `tables/`: {operation in a workspace} × {anonymous, other
//! tenant, key without the scope, viewer, member, admin, owner} by area in `matrix.rs`, {operation outside} ×
//! {anonymous, API key, other person, person} in `persons.rs`, and those of operators in `operators.rs`.
//!
//! The requests are the examples of the document. `TIDEGATE_UPDATE=1` writes the tables; review their diff.

mod audit;
pub mod examples;
mod foreign;
mod matrix;
pub mod operators;
mod persons;
mod table;
pub mod world;

use serde_json::Value;

/// Operations without authentication. The list may only shrink.
const OUTSIDE: &str = include_str!("outside.txt");
/// The length of [`OUTSIDE`] when it was last shortened.
const OUTSIDE_AT_MOST: usize = 18;

/// The callers that an operation is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Operations {
    /// Members of the workspace in the path, by their role.
    OfTenants,
    /// Operators of the installation.
    OfOperators,
    /// Every person who is logged in.
    OfPersons,
    /// Everybody, without authentication.
    Outside,
}

impl Operations {
    fn of(operation: &str) -> Self {
        if outside().contains(&operation) {
            Self::Outside
        } else if operation.contains(" /api/v1/monitoring/") || operation == "GET /health/detailed" {
            Self::OfOperators
        } else if operation.contains("/{ws}") {
            Self::OfTenants
        } else {
            Self::OfPersons
        }
    }
}

/// The operations of one kind.
fn operations(document: &Value, kind: Operations) -> Vec<String> {
    let mut operations = all_operations(document);
    operations.retain(|operation| Operations::of(operation) == kind);
    operations
}

/// Every operation of the document as `METHOD /path`.
pub fn all_operations(document: &Value) -> Vec<String> {
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

/// The area of an operation: its tag in the document, as an identifier.
fn area(document: &Value, operation: &str) -> String {
    let (method, path) = operation.split_once(' ').expect("an operation is a method and a path");
    let tag = &document["paths"][path][method.to_lowercase()]["tags"][0];
    tag.as_str().expect("an operation has a tag").replace(' ', "_")
}

fn outside() -> Vec<&'static str> {
    OUTSIDE.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
}

/// The OpenAPI document of this program, without a server.
fn document() -> Value {
    serde_json::from_str(&tidegate::http::openapi::json()).expect("the document is JSON")
}

#[test]
fn the_list_of_operations_for_everybody_only_shrinks() {
    let document = document();
    let all = all_operations(&document);
    assert!(outside().len() <= OUTSIDE_AT_MOST, "an operation that does not ask who it is needs a very good reason");
    for operation in outside() {
        assert!(all.iter().any(|known| known == operation), "{operation} is gone: take it off outside.txt");
        assert!(!operation.contains("{ws}"), "{operation} acts in a workspace");
        let (method, path) = operation.split_once(' ').expect("an operation is a method and a path");
        let described = &document["paths"][path][method.to_lowercase()];
        assert!(described["security"].is_null(), "{operation} asks who it is: take it off outside.txt");
    }
}
