//! Behaviour of all requests.

use crate::support::TestApp;

#[tokio::test]
async fn a_server_says_how_it_is() {
    let app = TestApp::spawn().await;
    for path in ["/health", "/health/liveness", "/health/readiness"] {
        assert_eq!(app.get(path).send().await.expect(200)["status"], "ok", "{path}");
    }
    let head = app.request(reqwest::Method::HEAD, "/health").send().await;
    assert_eq!((head.status.as_u16(), head.bytes.len()), (200, 0));
    assert_eq!(head.header("content-type"), "application/json");
    let metrics = app.get("/metrics").send().await;
    metrics.expect(200);
    assert!(String::from_utf8_lossy(&metrics.bytes).contains("http_request_duration_seconds_bucket"));
    let invented = "BREW".parse().expect("a method");
    app.request(invented, "/health").send().await.expect_problem(405, "method-not-allowed");
    app.get("/made-up").send().await.expect_problem(404, "not-found");
    let metrics = app.get("/metrics").send().await;
    let metrics = String::from_utf8_lossy(&metrics.bytes).into_owned();
    assert!(
        metrics.contains("method=\"other\"") && !metrics.contains("BREW") && !metrics.contains("made-up"),
        "{metrics}"
    );
    app.stop().await;
}

#[tokio::test]
async fn paths_and_methods_that_are_not_there_are_problems() {
    let app = TestApp::spawn().await;
    app.get("/api/v1/nothing").send().await.expect_problem(404, "not-found");
    app.get("/").send().await.expect_problem(404, "not-found");
    for legacy in ["/api", "/api/events", "/api/v2/events", "/api/v1x"] {
        let problem = app.get(legacy).send().await.expect_problem(404, "not-found");
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("lives under /api/v1")), "{legacy}");
    }
    for nothing in ["/api/v1", "/api/v1/", "/apis"] {
        let problem = app.get(nothing).send().await.expect_problem(404, "not-found");
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("no such path")), "{nothing}");
    }
    let wrong = app.post("/api/v1/openapi.json").send().await;
    wrong.expect_problem(405, "method-not-allowed");
    assert_eq!(wrong.header("allow"), "GET");
}

#[tokio::test]
async fn a_worker_says_how_it_is_and_answers_nothing_else() {
    let app = TestApp::operated(&["--role", "worker"]).await;
    assert_eq!(app.detailed_health().await["status"], "ok");
    app.get("/health/detailed").send().await.expect_problem(401, "unauthenticated");
    for path in ["/health", "/health/liveness", "/health/readiness", "/metrics"] {
        app.get(path).send().await.expect(200);
    }
    for path in ["/api/v1/auth/me", "/api/v1/openapi.json", "/docs/", "/.well-known/jwks.json", "/nowhere"] {
        let problem = app.get(path).send().await.expect_problem(404, "not-found");
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("--role api")), "{path}: {problem}");
    }
}

#[tokio::test]
async fn a_background_task_that_fails_shows_in_readiness_health_and_measurements() {
    let app = TestApp::operated(&[]).await;
    let ready = app.get("/health/readiness").send().await.expect(200);
    assert_eq!(ready["unavailable"], serde_json::json!([]));
    app.background("broken", || async { panic!("a defect") });
    while app.get("/health/readiness").send().await.expect(200)["unavailable"] != serde_json::json!(["broken"]) {
        tokio::task::yield_now().await;
    }
    let health = app.detailed_health().await;
    assert_eq!(health["status"], "degraded");
    let parts = health["components"].as_array().expect("components");
    let of = |name: &str| parts.iter().find(|part| part["name"] == name).expect("the part is there");
    assert_eq!(
        (&of("broken")["status"], &of("broken")["effect"]),
        (&"unavailable".into(), &"nothing is missed".into())
    );
    for name in ["engine", "detection", "event-triggers", "schedules", "erasure", "jobs", "access-cache"] {
        assert_eq!(of(name)["status"], "ok", "{name}");
    }
    let metrics = app.get("/metrics").send().await;
    let metrics = String::from_utf8_lossy(&metrics.bytes).into_owned();
    assert!(metrics.contains("background_task_failures_total{task=\"broken\"}"), "{metrics}");
}

#[tokio::test]
async fn every_operation_refuses_parameters_that_it_does_not_take() {
    let app = TestApp::spawn().await;
    let ada = app.person("Ada").await;
    let workspace = app.workspace(&ada, "Acme").await;
    let document = app.get("/api/v1/openapi.json").send().await.expect(200);
    let before = app.contents().await;
    for (path, item) in document["paths"].as_object().expect("paths") {
        if !path.starts_with("/api/v1/") {
            continue;
        }
        // If the path names a resource that does not exist, that problem comes first.
        let path = path.replace("{ws}", &workspace);
        for method in item.as_object().expect("operations").keys() {
            let method = method.to_uppercase().parse().expect("a method");
            let answer = app.request(method, &format!("{path}?colour=red")).bearer(&ada.token).send().await;
            let status = answer.status.as_u16();
            assert!([400, 404, 415].contains(&status), "{path}: {status} {}", answer.json());
            if status == 400 {
                let problem = answer.expect_problem(400, "invalid-query");
                assert_eq!(problem["errors"][0]["pointer"], "colour", "{path}: {problem}");
            } else {
                assert!(path.contains('{') || status == 415, "{path}: {status}");
            }
        }
    }
    assert_eq!(app.contents().await, before);
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
    let page = app.get("/docs").send().await;
    page.expect(200);
    let page = String::from_utf8_lossy(&page.bytes).into_owned();
    let named = page.split(['"', '\'']).filter(|part| part.ends_with(".js") || part.ends_with(".css"));
    let parts: Vec<&str> = named.collect();
    assert!(parts.len() > 2, "{page}");
    for part in parts {
        assert!(!part.contains("//"), "the page asks another server for {part}");
        let part = format!("/docs/{}", part.trim_start_matches("./"));
        let answer = app.get(&part).send().await;
        answer.expect(200);
        // The page's script may contain addresses; what it loads is in its configuration.
        if part.ends_with("swagger-initializer.js") {
            let script = String::from_utf8_lossy(&answer.bytes).into_owned();
            assert!(
                script.contains("\"/api/v1/openapi.json\"") && script.contains("\"validatorUrl\": \"none\""),
                "{script}"
            );
            assert!(!script.contains("http"), "{script}");
        }
    }
    app.get("/docs/nothing").send().await.expect_problem(404, "not-found");
    app.post("/docs").send().await.expect_problem(404, "not-found");
}

#[tokio::test]
async fn the_document_names_what_requests_may_carry() {
    let app = TestApp::spawn().await;
    let document = app.get("/api/v1/openapi.json").send().await.expect(200);
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("a path has operations") {
            let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
            let has = |name: &str| parameters.iter().any(|parameter| parameter["name"] == name);
            let listed = operation["responses"]["200"].to_string();
            let reference = listed.contains("List_") || listed.contains("List\"");
            let whole = ["/auth/sessions", "/signing-keys", "/api/v1/plans"].iter().any(|end| path.ends_with(end));
            let pages = reference && !whole;
            assert_eq!(method == "get" && pages, has("cursor") && has("limit"), "{method} {path}: {parameters:?}");
            // Events have keys of their own, and the body of an upload is not kept.
            let without = ["/events", "/files"].iter().any(|end| path.ends_with(end));
            let creates = method == "post" && path.starts_with("/api/v1/workspaces") && !without;
            assert_eq!(creates, has("Idempotency-Key"), "{method} {path}");
        }
    }
}
