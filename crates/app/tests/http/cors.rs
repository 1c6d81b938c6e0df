//! CORS: the pages that may call the API, the headers that they may send, and those that they may read.

use reqwest::Method;
use reqwest::header::HeaderMap;

use crate::support::{Answer, TestApp};

const ALLOWED: &str = "https://console.example.org";
const OTHER: &str = "https://evil.example.org";

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

async fn preflight(app: &TestApp, path: &str, origin: &str, method: &str, headers: &str) -> Answer {
    let request = app.request(Method::OPTIONS, path).header("origin", origin);
    let request = request.header("access-control-request-method", method);
    request.header("access-control-request-headers", headers).send().await
}

#[tokio::test]
async fn a_page_of_an_origin_in_the_settings_may_call() {
    let app = TestApp::spawn_with(&["--cors-origin", ALLOWED, "--cors-origin", "http://localhost:5173"]).await;
    let ada = app.person("Ada").await;
    let workspace = app.workspace(&ada, "Acme").await;
    let path = format!("/api/v1/workspaces/{workspace}/workflows/wf_1");
    for origin in [ALLOWED, "http://localhost:5173"] {
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            let answer = preflight(&app, &path, origin, method, "authorization,content-type,if-match,ce-id").await;
            assert_eq!((answer.status.as_u16(), answer.bytes.len()), (200, 0), "{origin} {method}");
            assert_eq!(answer.header("access-control-allow-origin"), origin);
            assert!(answer.header("access-control-allow-methods").contains(method), "{:?}", answer.headers);
            let headers = answer.header("access-control-allow-headers").to_lowercase();
            assert!(["authorization", "if-match", "ce-id"].iter().all(|name| headers.contains(name)), "{headers}");
            assert!(answer.header("vary").contains("Origin"), "{:?}", answer.headers);
            assert_eq!(header(&answer.headers, "access-control-allow-credentials"), None);
        }
    }
    let called = app.get("/api/v1/workspaces").bearer(&ada.token).header("origin", ALLOWED).send().await;
    called.expect(200);
    // A page can read all problems: those of handlers and those of middlewares.
    let handler = app.get("/api/v1/auth/me").header("origin", ALLOWED).send().await;
    handler.expect_problem(401, "unauthenticated");
    let query = app.get("/api/v1/auth/me?colour=red").header("origin", ALLOWED).send().await;
    query.expect_problem(400, "invalid-query");
    let packed = app.post("/api/v1/auth/login").header("content-encoding", "gzip").header("origin", ALLOWED);
    let packed = packed.body("application/json", b"x".to_vec()).send().await;
    packed.expect_problem(415, "unsupported-media-type");
    let keyed =
        app.post("/api/v1/workspaces").bearer(&ada.token).header("idempotency-key", "").header("origin", ALLOWED);
    let keyed = keyed.json(&serde_json::json!({ "name": "x" })).send().await;
    keyed.expect_problem(400, "bad-request");
    for answer in [called, handler, query, packed, keyed] {
        assert_eq!(header(&answer.headers, "access-control-allow-origin"), Some(ALLOWED), "{:?}", answer.headers);
        assert_eq!(answer.headers.get_all("access-control-allow-origin").iter().count(), 1);
        assert!(answer.header("vary").contains("Origin"), "{:?}", answer.headers);
        let exposed = answer.header("access-control-expose-headers").to_lowercase();
        for name in [
            "etag",
            "location",
            "retry-after",
            "ratelimit",
            "ratelimit-policy",
            "tidegate-position",
            "tidegate-watermark",
            "idempotency-replayed",
            "x-request-id",
        ] {
            assert!(exposed.split(',').any(|one| one.trim() == name), "{name}: {exposed}");
        }
    }
    app.stop().await;
}

#[tokio::test]
async fn a_page_of_another_origin_is_told_nothing() {
    let app = TestApp::spawn_with(&["--cors-origin", ALLOWED]).await;
    for origin in [
        OTHER,
        "null",
        "https://console.example.org.evil.example",
        "https://console.example.org:8443",
        "http://console.example.org",
    ] {
        let refused = preflight(&app, "/api/v1/workspaces", origin, "GET", "authorization").await;
        refused.expect_problem(400, "bad-request");
        let called = app.get("/api/v1/auth/me").header("origin", origin).send().await;
        let broken = app.get("/api/v1/auth/me?colour=red").header("origin", origin).send().await;
        for answer in [refused, called, broken] {
            assert_eq!(header(&answer.headers, "access-control-allow-origin"), None, "{origin}: {:?}", answer.headers);
        }
    }
    // A cache must not serve one origin's response to another.
    let health = app.get("/health").send().await;
    assert!(
        ["Origin", "Accept-Encoding"].iter().all(|name| health.header("vary").contains(name)),
        "{:?}",
        health.headers
    );
    app.stop().await;
}

#[tokio::test]
async fn without_origins_nothing_is_said_of_them() {
    let app = TestApp::spawn().await;
    let called = app.get("/health").header("origin", ALLOWED).send().await;
    called.expect(200);
    let refused = preflight(&app, "/api/v1/auth/me", ALLOWED, "GET", "authorization").await;
    refused.expect_problem(405, "method-not-allowed");
    for answer in [called, refused] {
        assert!(
            answer.headers.keys().all(|name| !name.as_str().starts_with("access-control-")),
            "{:?}",
            answer.headers
        );
        assert!(!header(&answer.headers, "vary").is_some_and(|vary| vary.contains("Origin")), "{:?}", answer.headers);
    }
    app.stop().await;
}
