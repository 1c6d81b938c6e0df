//! Every handler marks a response with a secret, so that it is not stored.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::Value;

use crate::after_commit::of_ones_own;
use crate::authorization::world::{Actor, World, request};

/// Whether the name of a member says that it is a secret.
fn is_secret(name: &str) -> bool {
    let word = |word: &str| name == word || name.ends_with(&format!("_{word}"));
    ["secret", "token", "password", "code", "codes", "key"].into_iter().any(word) && !NOT_SECRET.contains(&name)
}

/// Members that are named like a secret but are not secret.
const NOT_SECRET: [&str; 2] = ["code", "dedupe_key"];

/// The names of all members in a schema of the document.
fn members(document: &Value, schema: &Value, into: &mut BTreeSet<String>) {
    if let Some(name) = schema["$ref"].as_str().and_then(|reference| reference.rsplit('/').next()) {
        members(document, &document["components"]["schemas"][name], into);
    }
    for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
        into.insert(name.clone());
        members(document, schema, into);
    }
    let parts = ["allOf", "anyOf", "oneOf"].into_iter().filter_map(|word| schema[word].as_array()).flatten();
    for part in parts.chain(schema.get("items")) {
        members(document, part, into);
    }
}

/// The operations whose success responses have members that look like secrets, with those members.
fn operations_with_secrets(document: &Value) -> Vec<(String, BTreeSet<String>)> {
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            let mut names = BTreeSet::new();
            for (status, response) in operation["responses"].as_object().into_iter().flatten() {
                for (_, media) in
                    response["content"].as_object().into_iter().flatten().filter(|_| status.starts_with('2'))
                {
                    members(document, &media["schema"], &mut names);
                }
            }
            names.retain(|name| is_secret(name));
            if !names.is_empty() {
                found.push((format!("{} {path}", method.to_uppercase()), names));
            }
        }
    }
    found
}

#[tokio::test]
async fn every_answer_with_a_secret_is_marked_and_kept_without_it() {
    let world = World::new().await;
    let app = &world.app;
    let operations = operations_with_secrets(&world.document);
    let known: Vec<&str> = operations.iter().map(|(operation, _)| operation.as_str()).collect();
    for operation in ["POST /api/v1/auth/login", "POST /api/v1/auth/refresh", "POST /api/v1/workspaces/{ws}/api-keys"] {
        assert!(known.contains(&operation), "{operation} is not found in {known:?}");
    }
    for (operation, secrets) in operations {
        let place = world.place(&operation).await;
        let mut example = world.example(&operation, &place);
        if operation.contains("/api/v1/auth/") {
            let person = of_ones_own(&world, &operation, &mut example).await;
            let token = person.as_ref().map_or(world.owner_token(), |person| person.token.as_str());
            let answer = request(app, &example, Some(token)).send().await;
            assert!(answer.status.is_success(), "{operation}: {}", answer.json());
            assert_eq!(answer.header("cache-control"), "no-store", "{operation} is not marked as secret");
            continue;
        }
        let answer = world.call_named(&example, &place, Actor::Owner, Some("the same")).await;
        assert!(answer.status.is_success(), "{operation}: {}", answer.json());
        assert_eq!(answer.header("cache-control"), "no-store", "{operation} is not marked as secret");
        if example.method == Method::POST {
            let again = world.call_named(&example, &place, Actor::Owner, Some("the same")).await;
            assert_eq!(again.header("idempotency-replayed"), "true", "{operation}");
            let (mut first, again) = (answer.json(), again.json());
            for name in &secrets {
                let secret = first[name].take();
                let secret = secret.as_str().expect("a secret is a text");
                let kept = format!(
                    "select count(*) from idempotency_key where position('{secret}' in encode(body, 'escape')) > 0"
                );
                assert_eq!(app.database.count(kept).await, 0, "{operation} keeps {name}");
            }
            assert_eq!(again, first, "{operation}: a replay has null in place of the secrets, and all the rest");
        }
    }
}
