//! Conditional reads: every JSON response to a GET has an `ETag`, and `If-None-Match` with it gets 304.

use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::authorization::all_operations;
use crate::authorization::examples::Example;
use crate::authorization::world::{World, request};
use crate::support::{Answer, TestApp};

/// Operations whose response is another one each time: it has the time, or counts the request itself.
const NEVER_THE_SAME: &[&str] = &[
    "GET /api/v1/monitoring/business",
    "GET /api/v1/monitoring/cache/stats",
    "GET /api/v1/monitoring/database/pool",
    "GET /api/v1/monitoring/metrics",
    "GET /api/v1/workspaces/{ws}/usage",
    "GET /health/detailed",
];

/// The operation that only a server with the embedded PostgreSQL has.
const EMBEDDED_ONLY: &str = "GET /api/v1/dev/mail";

/// Whether the document says that a 200 of the operation is JSON.
fn is_json(document: &Value, operation: &str) -> bool {
    let path = operation.trim_start_matches("GET ");
    let content = document["paths"][path]["get"]["responses"]["200"]["content"].as_object();
    content.is_some_and(|content| content.keys().any(|kind| kind.ends_with("json")))
}

/// Checks the headers of a 304 (RFC 9110, section 15.4.5) beside those of the 200.
#[track_caller]
fn check_unchanged(operation: &str, whole: &Answer, unchanged: &Answer) {
    assert_eq!(unchanged.status.as_u16(), 304, "{operation}: {}", unchanged.json());
    assert_eq!(unchanged.bytes.len(), 0, "{operation}");
    for name in ["cache-control", "vary", "content-location", "expires", "access-control-allow-origin"] {
        assert_eq!(unchanged.header(name), whole.header(name), "{operation}: {name}");
    }
    for name in ["content-type", "content-length", "content-encoding", "transfer-encoding"] {
        assert_eq!(unchanged.header(name), "", "{operation}: {name}");
    }
    for name in ["date", "x-request-id"] {
        assert_ne!(unchanged.header(name), "", "{operation}: {name}");
    }
}

#[tokio::test]
async fn every_json_read_has_a_tag_and_is_not_sent_twice() {
    let world = World::new().await;
    let operator = world.app.person("operator").await;
    let app = world.app.beside(&["--operator", &operator.id, "--role", "api"]).await;
    let mut tried = Vec::new();
    for operation in all_operations(&world.document).iter().filter(|operation| operation.starts_with("GET ")) {
        let path = operation.trim_start_matches("GET ");
        if !is_json(&world.document, operation) || operation == EMBEDDED_ONLY {
            continue;
        }
        tried.push(operation.clone());
        let place = world.place(operation).await;
        let example = world.example(operation, &place);
        let is_operators = operation.contains("/monitoring/") || path == "/health/detailed";
        let token = if is_operators { &operator.token } else { world.owner_token() };
        let read = |name: &'static str, value: String| {
            let request = request(&app, &example, Some(token));
            let request = if name.is_empty() { request } else { request.header(name, &value) };
            request.send()
        };
        let mut whole = read("", String::new()).await;
        whole.expect(200);
        // A run that was just started changes by itself.
        while !NEVER_THE_SAME.contains(&operation.as_str()) {
            let again = read("", String::new()).await;
            let settled = again.bytes == whole.bytes
                && !["pending", "running"].iter().any(|status| again.json()["status"] == *status);
            whole = again;
            if settled {
                break;
            }
        }
        let tag = whole.header("etag");
        assert!(tag.len() > 2 && tag.starts_with('"') && tag.ends_with('"'), "{operation} has the tag {tag:?}");
        assert_ne!(whole.header("cache-control"), "", "{operation}");
        let described = &world.document["paths"][path]["get"];
        assert!(described["responses"]["304"].is_object(), "{operation} does not say that it answers 304");
        assert!(described["responses"]["200"]["headers"]["ETag"].is_object(), "{operation} does not name its ETag");
        check_unchanged(operation, &whole, &read("if-none-match", "*".to_owned()).await);
        for other in ["\"other\"", "other", "\"other", "W/other", "\"a\" \"b\""] {
            let answer = read("if-none-match", other.to_owned()).await;
            answer.expect(200);
        }
        if NEVER_THE_SAME.contains(&operation.as_str()) {
            continue;
        }
        for known in [tag.to_owned(), format!("W/{tag}"), format!("\"other\", {tag}"), format!("\"a,b\" ,, W/{tag},")] {
            let unchanged = read("if-none-match", known).await;
            check_unchanged(operation, &whole, &unchanged);
            assert_eq!(unchanged.header("etag"), tag, "{operation}");
        }
        let head = Example { method: Method::HEAD, ..example.clone() };
        let head = request(&app, &head, Some(token)).header("if-none-match", tag).send().await;
        check_unchanged(operation, &whole, &head);
    }
    assert!(tried.len() > 25, "{tried:?}");
    for listed in NEVER_THE_SAME {
        assert!(tried.iter().any(|tried| tried == listed), "{listed} is not in the document: take it off the list");
    }
}

#[tokio::test]
async fn a_refused_read_stays_refused_whatever_the_caller_has() {
    let app = TestApp::spawn().await;
    let (ada, eve) = (app.person("Ada").await, app.person("Eve").await);
    let path = format!("/api/v1/workspaces/{}", app.workspace(&ada, "Acme").await);
    let tag = app.get(&path).bearer(&ada.token).send().await.header("etag").to_owned();
    for known in [tag.as_str(), "*"] {
        let foreign = app.get(&path).bearer(&eve.token).header("if-none-match", known).send().await;
        foreign.expect_problem(404, "not-found");
        assert_eq!(foreign.header("etag"), "");
        app.get(&path).header("if-none-match", known).send().await.expect_problem(401, "unauthenticated");
    }
}

#[tokio::test]
async fn a_change_changes_the_tag() {
    let app = TestApp::spawn().await;
    let ada = app.person("Ada").await;
    let path = format!("/api/v1/workspaces/{}", app.workspace(&ada, "Acme").await);
    let before = app.get(&path).bearer(&ada.token).send().await;
    let patch = app.request(Method::PATCH, &path).bearer(&ada.token);
    patch.body("application/merge-patch+json", json!({ "name": "Acme 2" }).to_string()).send().await.expect(200);
    let after = app.get(&path).bearer(&ada.token).header("if-none-match", before.header("etag")).send().await;
    assert_eq!(after.expect(200)["name"], "Acme 2");
    assert_ne!(after.header("etag"), before.header("etag"));
}

#[tokio::test]
async fn a_long_list_of_tags_is_read_and_a_longer_header_is_refused() {
    let app = TestApp::spawn().await;
    let ada = app.person("Ada").await;
    let path = format!("/api/v1/workspaces/{}", app.workspace(&ada, "Acme").await);
    let tag = app.get(&path).bearer(&ada.token).send().await.header("etag").to_owned();
    let long = format!("{}{tag}", "\"x\", ".repeat(8_000));
    let answer = app.get(&path).bearer(&ada.token).header("if-none-match", &long).send().await;
    assert_eq!(answer.status.as_u16(), 304);
    let mut stream = TcpStream::connect(app.base.trim_start_matches("http://")).await.expect("the server listens");
    let longer = "\"x\", ".repeat(60_000);
    // The server may answer and close the connection before it has read everything.
    let _ =
        stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: x\r\nif-none-match: {longer}\r\n\r\n").as_bytes()).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"), "{}", String::from_utf8_lossy(&answer));
    app.get(&path).bearer(&ada.token).send().await.expect(200);
}
