//! Rate limits of logins and registrations.

use serde_json::json;

use crate::support::{Answer, TestApp};

async fn login(app: &TestApp, email: &str, from: Option<&str>) -> Answer {
    let body = json!({ "email": email, "password": "not the password" });
    let request = app.post("/api/v1/auth/login").json(&body);
    match from {
        Some(address) => request.header("x-forwarded-for", address),
        None => request,
    }
    .send()
    .await
}

#[tokio::test]
async fn log_ins_are_limited_per_address_and_say_when_to_come_back() {
    let app = TestApp::spawn_with(&["--rate-limit", "login=2/1h"]).await;
    let first = login(&app, "ada@example.org", None).await;
    first.expect_problem(401, "invalid-credentials");
    assert_eq!(first.header("ratelimit-policy"), "\"login\";q=2;w=3600");
    assert!(first.header("ratelimit").starts_with("\"login\";r=1;t="), "{}", first.header("ratelimit"));
    login(&app, "bob@example.org", None).await.expect_problem(401, "invalid-credentials");
    let refused = login(&app, "eve@example.org", None).await;
    refused.expect_problem(429, "rate-limited");
    let seconds: u64 = refused.header("retry-after").parse().unwrap();
    assert!((1..=3601).contains(&seconds));
    assert!(refused.header("ratelimit").starts_with("\"login\";r=0;t="));
    // The forwarding header of a peer that is not a trusted proxy is ignored.
    login(&app, "eve@example.org", Some("203.0.113.9")).await.expect_problem(429, "rate-limited");
}

#[tokio::test]
async fn log_ins_are_limited_per_account_from_wherever_they_come() {
    let app = TestApp::spawn_with(&["--rate-limit", "login=2/1h", "--trusted-proxy", "127.0.0.0/8"]).await;
    for address in ["203.0.113.1", "203.0.113.2"] {
        login(&app, "ada@example.org", Some(address)).await.expect_problem(401, "invalid-credentials");
    }
    login(&app, " ADA@example.org ", Some("203.0.113.3")).await.expect_problem(429, "rate-limited");
    login(&app, "bob@example.org", Some("203.0.113.3")).await.expect_problem(401, "invalid-credentials");
}

#[tokio::test]
async fn registrations_are_limited_by_default() {
    let app = TestApp::spawn_with(&["--rate-limit", "register=3/1h"]).await;
    for n in 0..4 {
        let body = json!({ "email": format!("p{n}@example.org"), "password": "an umbrella in march", "name": "P" });
        let answer = app.post("/api/v1/auth/register").json(&body).send().await;
        if n < 3 {
            answer.expect(202);
        } else {
            answer.expect_problem(429, "rate-limited");
        }
    }
}

#[tokio::test]
async fn servers_that_share_a_redis_share_limits_and_signals() {
    let url = std::env::var("TIDEGATE_TEST_REDIS_URL").expect("run the tests with `cargo xtask test`");
    let proxy = ["--redis-url", &url, "--trusted-proxy", "127.0.0.0/8", "--rate-limit", "login=3/1h"];
    let one = TestApp::spawn_with(&proxy).await;
    let two = one.beside(&proxy).await;
    let address = format!("2001:db8:{:x}::1", std::process::id() & 0xffff);
    let account = format!("a{:016x}@example.org", std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0));
    for app in [&one, &two, &one] {
        login(app, &account, Some(&address)).await.expect_problem(401, "invalid-credentials");
    }
    login(&two, &account, Some(&address)).await.expect_problem(429, "rate-limited");
    let operated = TestApp::operated(&proxy).await;
    let health = operated.detailed_health().await;
    assert_eq!(health["components"][1]["name"], "redis");
}

#[tokio::test]
async fn a_server_without_its_redis_works_and_says_so() {
    // A port that was free a moment ago, where nothing listens.
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let app = TestApp::operated(&["--redis-url", &format!("redis://{free}")]).await;
    for path in ["/health", "/health/readiness", "/health/liveness"] {
        assert_eq!(app.get(path).send().await.expect(200)["status"], "ok", "{path}");
    }
    let health = app.detailed_health().await;
    assert_eq!(health["status"], "degraded");
    let of = |name: &str| {
        let components = health["components"].as_array().expect("components");
        components.iter().find(|component| component["name"] == name).cloned().expect("the component is there")
    };
    assert_eq!((&of("database")["status"], &of("database")["effect"]), (&"ok".into(), &serde_json::Value::Null));
    let redis = of("redis");
    assert_eq!(redis["status"], "unavailable");
    assert!(redis["effect"].as_str().is_some_and(|effect| effect.contains("rate limits")), "{redis}");
    let ada = app.person("Ada").await;
    app.workspace(&ada, "Works").await;
    app.stop().await;
}
