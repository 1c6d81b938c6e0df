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
