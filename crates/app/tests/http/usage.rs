//! Plans and usage over HTTP.

use serde_json::json;

use crate::support::TestApp;

#[tokio::test]
async fn plans_are_for_everybody_to_see() {
    let app = TestApp::spawn().await;
    let plans = app.get("/api/v1/plans").send().await.expect(200);
    let names: Vec<_> = plans["items"].as_array().unwrap().iter().map(|plan| plan["name"].clone()).collect();
    assert_eq!(names, ["free", "starter", "professional", "enterprise", "unlimited"]);
    let free = &plans["items"][0]["entitlements"];
    assert_eq!((&free["events_per_month"], &free["workflows"]), (&json!(1000), &json!(3)));
    assert_eq!(plans["items"][4]["prices"], json!([]), "the unlimited plan is not for sale");
    assert!(plans["next_cursor"].is_null());
}

#[tokio::test]
async fn api_calls_are_counted_within_a_second() {
    let app = TestApp::spawn_with(&["--default-plan", "free"]).await;
    let ada = app.person("Ada").await;
    let workspace = app.workspace(&ada, "Acme").await;
    let path = format!("/api/v1/workspaces/{workspace}/usage");
    for _ in 0..5 {
        app.get(&path).bearer(&ada.token).send().await.expect(200);
    }
    let counted = async {
        loop {
            let usage = app.get(&path).bearer(&ada.token).send().await.expect(200);
            let used = usage[0]["used"].as_i64().unwrap();
            if used >= 5 {
                return usage;
            }
            tokio::task::yield_now().await;
        }
    };
    let usage = tokio::time::timeout(std::time::Duration::from_secs(10), counted).await.expect("calls are written");
    let meters: Vec<_> = usage.as_array().unwrap().iter().map(|line| line["meter"].clone()).collect();
    assert_eq!(meters, ["api_calls", "events", "runs", "steps", "storage_bytes", "workflows", "members"]);
    assert_eq!((&usage[0]["limit"], &usage[1]["limit"]), (&json!(null), &json!(1000)));
    for line in usage.as_array().unwrap() {
        assert!(line["period_start"].as_str().unwrap() < line["period_end"].as_str().unwrap());
    }
}

#[tokio::test]
async fn usage_is_shown_by_meter_month_and_day() {
    let app = TestApp::spawn_with(&["--default-plan", "free"]).await;
    let ada = app.person("Ada").await;
    let workspace = app.workspace(&ada, "Acme").await;
    let path = format!("/api/v1/workspaces/{workspace}");
    let events: Vec<_> = (0..3)
        .map(|n| json!({"specversion": "1.0", "id": n.to_string(), "source": "/test", "type": "file.modified"}))
        .collect();
    let body = ("application/cloudevents-batch+json", json!(events).to_string());
    app.post(&format!("{path}/events")).bearer(&ada.token).body(body.0, body.1).send().await.expect(202);
    let usage = async |query: &str| {
        let usage = app.get(&format!("{path}/usage{query}")).bearer(&ada.token).send().await.expect(200);
        usage.as_array().unwrap().clone()
    };
    let current = usage("?meter=events&meter=workflows").await;
    assert_eq!(current.len(), 2);
    assert_eq!((&current[0]["used"], &current[0]["limit"]), (&json!(3), &json!(1000)));
    assert_eq!((&current[1]["used"], &current[1]["limit"]), (&json!(0), &json!(3)));
    let days = usage("?meter=events&by=day").await;
    assert_eq!(days.len(), 1, "{days:?}");
    assert_eq!((&days[0]["used"], &days[0]["limit"]), (&json!(3), &json!(null)));
    let (start, end) = (days[0]["period_start"].as_str().unwrap(), days[0]["period_end"].as_str().unwrap());
    assert!(start < end && start.ends_with("T00:00:00Z") && end.ends_with("T00:00:00Z"), "{days:?}");
    let month = &start[..7];
    assert_eq!(usage(&format!("?month={month}&by=day&meter=events")).await, days);
    let month = usage(&format!("?month={month}")).await;
    let meters: Vec<_> = month.iter().map(|line| line["meter"].clone()).collect();
    assert_eq!(meters, ["api_calls", "events", "runs", "steps"], "levels have no past");
    assert_eq!((&month[1]["used"], &month[1]["limit"]), (&json!(3), &json!(1000)));
    assert_eq!(usage("?month=2020-02&meter=events").await[0]["used"], 0);
    assert!(usage("?month=2020-02&by=day").await.is_empty());

    for (query, parameter) in [
        ("?meter=calls", "meter"),
        ("?month=2026-13", "month"),
        ("?month=2026-1", "month"),
        ("?by=hour", "by"),
        ("?by=", "by"),
    ] {
        let answer = app.get(&format!("{path}/usage{query}")).bearer(&ada.token).send().await;
        let problem = answer.expect_problem(400, "invalid-query");
        assert_eq!(problem["errors"][0]["pointer"], parameter, "{problem}");
    }
}
