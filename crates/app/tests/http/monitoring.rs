//! Monitoring of the whole installation, for operators and for Prometheus.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tidegate::measures::catalogue::{CATALOGUE, MetricKind};

use crate::support::{Person, TestApp};

/// A server with an operator, and another that does the work.
struct Fixture {
    app: TestApp,
    operated: TestApp,
    operator: Person,
}

impl Fixture {
    async fn new(flags: &[&str]) -> Self {
        let app = TestApp::spawn_with(flags).await;
        let operator = app.person("Operator").await;
        let operated = app.beside(&["--operator", &operator.id, "--role", "api"]).await;
        Self { app, operated, operator }
    }

    async fn ask(&self, what: &str) -> Value {
        let path = format!("/api/v1/monitoring/{what}");
        self.operated.get(&path).bearer(&self.operator.token).send().await.expect(200)
    }
}

fn event(id: &str) -> Value {
    json!({"specversion": "1.0", "id": id, "source": "/test", "type": "made.up"})
}

/// The names of metrics with values in `/metrics`; those of histograms without their suffixes.
pub async fn exported(app: &TestApp) -> BTreeSet<String> {
    let answer = app.get("/metrics").send().await;
    answer.expect(200);
    let text = String::from_utf8(answer.bytes).expect("text");
    let mut help = BTreeSet::new();
    let mut names = BTreeSet::new();
    for line in text.lines() {
        if let Some(described) = line.strip_prefix("# HELP ") {
            help.extend(described.split(' ').next().map(str::to_owned));
        } else if let Some(typed) = line.strip_prefix("# TYPE ") {
            names.extend(typed.split(' ').next().map(str::to_owned));
        }
    }
    assert_eq!(names, help, "every metric says what it means");
    names
}

/// Uses everything that has metrics: requests, events, a workflow with an outgoing call, a rate limit.
pub async fn use_everything(app: &TestApp) -> String {
    let ada = app.person("Ada").await;
    let workspace = app.workspace(&ada, "Acme").await;
    let path = format!("/api/v1/workspaces/{workspace}");
    let batch = ("application/cloudevents+json", event("1").to_string());
    app.post(&format!("{path}/events")).bearer(&ada.token).body(batch.0, batch.1).send().await.expect(202);
    let document = "name: measured\nsteps:\n  - {id: tell, uses: emit_event, with: {type: told}}\n";
    let made = app.post(&format!("{path}/workflows")).bearer(&ada.token).body("application/yaml", document);
    let made = made.send().await.expect(201);
    let workflow = format!("{path}/workflows/{}", made["id"].as_str().expect("an id"));
    app.post(&format!("{workflow}/publish")).bearer(&ada.token).send().await;
    let run = app.post(&format!("{workflow}/runs?wait=30s")).bearer(&ada.token).json(&json!({"input": {}}));
    let run = run.send().await.expect(201);
    assert_eq!(run["status"], "completed", "{run}");
    workspace
}

#[tokio::test]
async fn every_metric_of_the_catalogue_is_exported_and_no_other() {
    let app = TestApp::spawn_with(&["--rate-limit", "login=1000/1m"]).await;
    use_everything(&app).await;
    app.background("broken", || async { panic!("a defect") });
    let known: BTreeSet<String> = CATALOGUE.iter().map(|metric| metric.name.to_owned()).collect();
    // Malformed requests are counted where the log is written, and a test writes no log.
    let elsewhere = BTreeSet::from(["http_unreadable_requests_total".to_owned()]);
    let complete = async {
        loop {
            let names = exported(&app).await;
            let others: Vec<_> = names.difference(&known).collect();
            assert!(others.is_empty(), "not in the catalogue: {others:?}");
            if known.difference(&names).all(|missing| elsewhere.contains(missing)) {
                break;
            }
            tokio::task::yield_now().await;
        }
    };
    let complete = tokio::time::timeout(std::time::Duration::from_secs(30), complete).await;
    let names = exported(&app).await;
    assert!(complete.is_ok(), "not exported: {:?}", known.difference(&names).collect::<Vec<_>>());
}

#[tokio::test]
async fn labels_are_words_and_never_tenants() {
    let app = TestApp::spawn().await;
    let workspace = use_everything(&app).await;
    let metrics = app.get("/metrics").send().await;
    let metrics = String::from_utf8(metrics.bytes).expect("text");
    for tenants in [workspace.as_str(), "made.up", "measured", "acme"] {
        assert!(!metrics.contains(tenants), "{tenants} is in {metrics}");
    }
    let route = "route=\"/api/v1/workspaces/{ws}/events\",status=\"202\"";
    assert!(metrics.lines().any(|line| line.contains(route) && line.contains("method=\"POST\"")), "{metrics}");
    for line in [
        "events_ingested_total{outcome=\"accepted\"} 1",
        "engine_runs_ended_total{status=\"completed\"} 1",
        "rate_limit_refusals_total{limit=\"login\"} 0",
        "engine_shards 16",
        "http_requests_in_flight 1",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} is not in {metrics}");
    }
    let lookups = "cache_lookups_total{cache=\"sessions\",result=\"hit\"}";
    assert!(metrics.lines().any(|line| line.starts_with(lookups)), "{metrics}");
}

#[tokio::test]
async fn refusals_of_limits_are_counted() {
    let app = TestApp::spawn_with(&["--rate-limit", "login=1/1h"]).await;
    let wrong = json!({"email": "nobody@example.org", "password": "an umbrella in march"});
    app.post("/api/v1/auth/login").json(&wrong).send().await.expect_problem(401, "invalid-credentials");
    app.post("/api/v1/auth/login").json(&wrong).send().await.expect_problem(429, "rate-limited");
    let metrics = String::from_utf8(app.get("/metrics").send().await.bytes).expect("text");
    assert!(metrics.contains("rate_limit_refusals_total{limit=\"login\"} 1\n"), "{metrics}");
}

#[tokio::test]
async fn operators_read_measurements_pools_and_caches_as_json() {
    let fixture = Fixture::new(&[]).await;
    let metrics = fixture.ask("metrics").await;
    let metrics = metrics["metrics"].as_array().expect("metrics").clone();
    let of = |name: &str| metrics.iter().find(|metric| metric["name"] == name).expect("the metric is there");
    let requests = of("http_request_duration_seconds");
    let kind = CATALOGUE.iter().find(|metric| metric.name == "http_request_duration_seconds").expect("known").kind;
    assert_eq!((kind, &requests["kind"]), (MetricKind::Histogram, &"histogram".into()));
    let registered = requests["samples"].as_array().expect("samples").iter();
    let registered =
        registered.filter(|sample| sample["labels"]["route"] == "/api/v1/auth/register").map(|s| &s["count"]);
    assert_eq!(registered.collect::<Vec<_>>(), [&json!(1)]);

    let pools = fixture.ask("database/pool").await;
    let pool = &pools["pools"][0];
    assert_eq!((&pool["name"], &pool["max"]), (&"api".into(), &4.into()));
    assert!(pool["waits"].as_u64() > Some(0) && pool["open"].as_u64() > Some(0), "{pool}");
    assert!(pool["idle"].as_u64() <= pool["open"].as_u64(), "{pool}");

    let caches = fixture.ask("cache/stats").await;
    let caches = caches["caches"].as_array().expect("caches").clone();
    let names: Vec<_> = caches.iter().map(|cache| cache["name"].as_str().expect("a name")).collect();
    let expected =
        ["sessions", "api_keys", "memberships", "slugs", "compiled_workflows", "published_versions", "lists"];
    assert_eq!(names, expected);
    let hits = |answer: &Value| answer["caches"][0]["hits"].as_u64().expect("a number");
    let hit = async {
        let before = hits(&fixture.ask("cache/stats").await);
        while hits(&fixture.ask("cache/stats").await) == before {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), hit).await.expect("a session is found in the cache");
}

#[tokio::test]
async fn operators_read_how_much_is_used() {
    let fixture = Fixture::new(&[]).await;
    let before = fixture.ask("business").await;
    assert_eq!((&before["people"], &before["workspaces"]), (&1.into(), &0.into()), "{before}");
    use_everything(&fixture.app).await;
    // The step has sent an event too, and API calls are written once a second.
    let used = async {
        loop {
            let after = fixture.ask("business").await;
            let number = |name: &str| after[name].as_u64().expect("a number");
            if number("api_calls_today") >= 4 && number("events") == 2 && number("active_workspaces") == 1 {
                break after;
            }
            tokio::task::yield_now().await;
        }
    };
    let after = tokio::time::timeout(std::time::Duration::from_secs(60), used).await.expect("usage is counted");
    for (name, expected) in
        [("people", 2), ("workspaces", 1), ("events_this_month", 2), ("runs_this_month", 1), ("steps_this_month", 1)]
    {
        assert_eq!(after[name], expected, "{name}: {after}");
    }
}
