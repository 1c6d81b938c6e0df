//! What holds for every request.

use crate::support::TestApp;

#[tokio::test]
async fn a_server_says_how_it_is() {
    let app = TestApp::spawn().await;
    for path in ["/health", "/health/liveness", "/health/readiness", "/health/detailed"] {
        assert_eq!(app.get(path).send().await.expect(200)["status"], "ok", "{path}");
    }
    let metrics = app.get("/metrics").send().await;
    metrics.expect(200);
    assert!(String::from_utf8_lossy(&metrics.bytes).contains("http_request_duration_seconds_bucket"));
    app.stop().await;
}

#[tokio::test]
async fn paths_and_methods_that_are_not_there_are_problems() {
    let app = TestApp::spawn().await;
    app.get("/api/v1/nothing").send().await.expect_problem(404, "not-found");
    app.get("/").send().await.expect_problem(404, "not-found");
    let legacy = app.get("/api/events").send().await.expect_problem(404, "not-found");
    assert!(legacy["detail"].as_str().is_some_and(|detail| detail.contains("/api/v1")));
    let wrong = app.post("/api/v1/openapi.json").send().await;
    wrong.expect_problem(405, "method-not-allowed");
    assert_eq!(wrong.header("allow"), "GET");
}

#[tokio::test]
async fn a_request_id_goes_in_and_out() {
    let app = TestApp::spawn().await;
    let given = app.get("/health").header("x-request-id", "mine-1").send().await;
    assert_eq!(given.header("x-request-id"), "mine-1");
    let bad = app.get("/health").header("x-request-id", "not mine").send().await;
    assert_eq!(bad.header("x-request-id").len(), 32);
}

#[tokio::test]
async fn the_api_describes_itself_offline() {
    let app = TestApp::spawn().await;
    let document = app.get("/api/v1/openapi.json").send().await.expect(200);
    assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")));
    let page = app.get("/docs/").send().await;
    page.expect(200);
    assert!(!String::from_utf8_lossy(&page.bytes).contains("//cdn"));
}
