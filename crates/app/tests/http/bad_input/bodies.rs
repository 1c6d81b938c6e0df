//! Invalid JSON bodies, sent to every operation that takes JSON.

use serde_json::{Value, json};

use crate::authorization::examples::Example;
use crate::authorization::world::{Actor, Place, World};

/// Every operation that takes JSON, from the document, with the media type; workflow documents are not included.
/// Operators' operations are tried with their resource: only an operator gets as far as the body.
fn operations(world: &World) -> Vec<(String, String)> {
    let document = &world.document;
    let mut found = Vec::new();
    let paths = document["paths"].as_object().expect("there are paths").iter();
    for (path, item) in paths.filter(|(path, _)| !path.contains("/monitoring/")) {
        for (method, operation) in item.as_object().expect("a path has operations") {
            let content = operation["requestBody"]["content"].as_object().cloned().unwrap_or_default();
            let media: Vec<&String> = content.keys().collect();
            if let [media] = media.as_slice()
                && (*media == "application/json" || *media == "application/merge-patch+json")
            {
                found.push((format!("{} {path}", method.to_uppercase()), (*media).clone()));
            }
        }
    }
    found
}

/// The example of an operation and its body.
fn example(world: &World, operation: &str, place: &Place) -> (Example, Value) {
    let example = world.example(operation, place);
    let body = example.body.as_ref().and_then(|(_, body)| serde_json::from_str(body).ok());
    (example, body.expect("the example has a JSON body"))
}

#[tokio::test]
async fn every_operation_refuses_a_body_that_is_not_what_it_takes() {
    let world = World::new().await;
    let operations = operations(&world);
    assert!(operations.len() >= 9, "{operations:?}");
    for (operation, media) in operations {
        let place = world.place(&operation).await;
        let (mut example, valid) = example(&world, &operation, &place);
        let with = |name: &str, value: Value| {
            let mut body = valid.clone();
            body[name] = value;
            body.to_string()
        };
        let values = Value::Array(valid.as_object().expect("an object").values().cloned().collect());
        let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
        let text = valid.to_string();
        let cases: Vec<(&'static str, String, u16, &str, Option<&str>)> = vec![
            ("json", text[..text.len() - 1].to_owned(), 400, "malformed-body", None),
            ("json", String::new(), 400, "malformed-body", None),
            ("json", format!("{text} {text}"), 400, "malformed-body", None),
            ("json", format!("\u{feff}{text}"), 400, "malformed-body", None),
            ("json", text.replace('"', "'"), 400, "malformed-body", None),
            ("json", "[".repeat(100_000), 400, "malformed-body", None),
            ("json", format!("{{\"a\":{deep}}}"), 422, "invalid", Some("/a")),
            ("json", format!("{{\"a\":[1,1e400],{}", &text[1..]), 422, "invalid", Some("/a/1")),
            ("json", format!("{{\"a\":\"\\ud800\",{}", &text[1..]), 422, "invalid", Some("/a")),
            ("json", format!("{{\"a\":18446744073709551616,{}", &text[1..]), 422, "invalid", Some("/a")),
            ("json", format!("{{\"a\":{{\"b\":1,\"b\":2}},{}", &text[1..]), 422, "invalid", Some("/a/b")),
            ("json", with("surprise", json!(1)), 422, "invalid", Some("/surprise")),
            (
                "json",
                with("workspace_id", json!("ws_01jz3q9m0e7c2v5y8t4r6n1k0d")),
                422,
                "invalid",
                Some("/workspace_id"),
            ),
            ("json", "[]".to_owned(), 422, "invalid", Some("")),
            ("json", values.to_string(), 422, "invalid", Some("")),
            ("json", "null".to_owned(), 422, "invalid", Some("")),
            ("json", " ".repeat(1024 * 1024 + 1), 413, "body-too-large", None),
            ("application/json; charset=utf-16", text.clone(), 415, "unsupported-media-type", None),
            ("application/merge-patch+json; charset=latin1", text.clone(), 415, "unsupported-media-type", None),
            ("text/plain", text.clone(), 415, "unsupported-media-type", None),
            ("application/x-www-form-urlencoded", "name=a".to_owned(), 415, "unsupported-media-type", None),
            ("", text.clone(), 415, "unsupported-media-type", None),
        ];
        let before = world.app.contents().await;
        for (sent_as, body, status, code, pointer) in cases {
            let shown: String = body.chars().take(80).collect();
            let media: &'static str = match sent_as {
                "json" if media == "application/json" => "application/json",
                "json" => "application/merge-patch+json",
                other => other,
            };
            example.body = Some((media.to_owned(), body));
            let answer = world.call(&example, &place, Actor::Owner).await;
            assert_eq!(answer.status.as_u16(), status, "{operation}, {media}: {shown}: {}", answer.json());
            let problem = answer.expect_problem(status, code);
            if let Some(pointer) = pointer {
                assert_eq!(problem["errors"][0]["pointer"], pointer, "{operation}: {shown}: {problem}");
                assert_eq!(problem["errors"].as_array().map(Vec::len), Some(1), "{operation}: {shown}: {problem}");
            }
        }
        assert_eq!(world.app.contents().await, before, "{operation}");
    }
}

#[tokio::test]
async fn packed_bodies_are_refused_before_anybody_reads_them() {
    let world = World::new().await;
    let place = world.place("POST /api/v1/workspaces/{ws}/events").await;
    let before = world.app.contents().await;
    for path in ["/api/v1/auth/register".to_owned(), format!("/api/v1/workspaces/{}/events", place.workspace)] {
        for coding in ["gzip", "br", "GZIP", "identity, gzip"] {
            let request = world.app.post(&path).header("content-encoding", coding).header("idempotency-key", "k");
            let answer = request.body("application/json", b"\x1f\x8b\x08".to_vec()).send().await;
            answer.expect_problem(415, "unsupported-media-type");
            assert_eq!(answer.header("accept-encoding"), "identity");
        }
    }
    assert_eq!(world.app.contents().await, before);
}
