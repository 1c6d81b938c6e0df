//! The policy of a workspace: who needs a second factor.

use chrono::{DateTime, TimeDelta};
use reqwest::Method;
use serde_json::{Value, json};
use tidegate_kernel::Clock;
use tidegate_tenancy::Role;
use tidegate_testing::TestClock;

use crate::support::{Answer, TestApp};

async fn set(app: &TestApp, token: &str, workspace: &str, policy: Value) -> Answer {
    let path = format!("/api/v1/workspaces/{workspace}/policy");
    app.request(Method::PUT, &path).bearer(token).json(&json!({ "second_factor": policy })).send().await
}

#[tokio::test]
async fn a_workspace_admits_nobody_without_the_second_factor_that_it_demands() {
    let clock = TestClock::at(DateTime::from_timestamp(1_900_000_000, 0).unwrap());
    let app = TestApp::spawn_at(clock.clone()).await;
    let (ada, bob, eve) = (app.person("ada").await, app.person("bob").await, app.person("eve").await);
    let (workspace, other) = (app.workspace(&ada, "Acme").await, app.workspace(&bob, "Elsewhere").await);
    app.join(&workspace, &bob, Role::ADMIN).await;
    app.join(&workspace, &eve, Role::VIEWER).await;
    let path = format!("/api/v1/workspaces/{workspace}");
    let (_, key) = app.api_key(&ada, &workspace, &["workspace:read"]).await;
    let enter = async |token: &str| app.get(&path).bearer(token).send().await;
    let until = async |token: &str, status: u16| {
        let so = async {
            while enter(token).await.status != status {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(5), so).await.expect("it is so within a second");
    };
    let off = json!({ "second_factor": { "required": "off", "roles": [], "from": null } });
    let policy = format!("{path}/policy");
    assert_eq!(app.get(&policy).bearer(&ada.token).send().await.expect(200), off);

    // Nobody shuts themselves out, not even later.
    let all = |from: Value| json!({ "required": "all", "from": from });
    let soon = (clock.now() + TimeDelta::hours(1)).to_rfc3339();
    for from in [Value::Null, json!(soon)] {
        set(&app, &ada.token, &workspace, all(from)).await.expect_problem(409, "conflict");
    }
    let (phone, _) = app.second_factor(&ada, clock.now()).await;
    set(&app, &ada.token, &workspace, json!({ "required": "roles", "roles": ["admin", "owner"] })).await.expect(200);
    until(&bob.token, 403).await;
    let refused = enter(&bob.token).await.expect_problem(403, "second-factor-policy");
    assert!(!refused.to_string().contains("Acme"), "{refused}");
    for token in [&ada.token, &eve.token, &key] {
        enter(token).await.expect(200);
    }
    app.get(&format!("/api/v1/workspaces/{other}")).bearer(&bob.token).send().await.expect(200);

    // With a second factor the door opens.
    let tablet = app.code_app(&bob).await;
    app.confirm(&bob, &tablet, &tablet.code(clock.now())).await.expect(200);
    until(&bob.token, 200).await;
    clock.advance(TimeDelta::seconds(30));
    let challenge = app.challenge(&ada.email).await;
    let again = app.answer_challenge(&challenge, &phone.code(clock.now())).await.expect(200);
    enter(again["access_token"].as_str().expect("a token")).await.expect(200);

    // A rule begins at its time.
    let soon = (clock.now() + TimeDelta::minutes(10)).to_rfc3339();
    set(&app, &ada.token, &workspace, all(json!(soon))).await.expect(200);
    enter(&eve.token).await.expect(200);
    clock.advance(TimeDelta::minutes(10));
    until(&eve.token, 403).await;
    set(&app, &ada.token, &workspace, json!({ "required": "off" })).await.expect(200);
    until(&eve.token, 200).await;
    set(&app, &eve.token, &workspace, json!({ "required": "off" })).await.expect_problem(403, "forbidden");
    let audit = app.get(&format!("{path}/audit?action=workspace.policy_changed")).bearer(&ada.token).send().await;
    assert_eq!(audit.expect(200)["items"].as_array().map(Vec::len), Some(3));
}

#[tokio::test]
async fn a_policy_that_contradicts_itself_is_refused_with_the_field() {
    let app = TestApp::spawn().await;
    let ada = app.person("ada").await;
    let workspace = app.workspace(&ada, "Acme").await;
    let before = app.contents().await;
    for (policy, pointer) in [
        (json!({ "required": "roles" }), "/second_factor/roles"),
        (json!({ "required": "roles", "roles": ["viewer", "king"] }), "/second_factor/roles/1"),
        (json!({ "required": "all", "roles": ["viewer"] }), "/second_factor/roles"),
        (json!({ "required": "sometimes" }), "/second_factor/required"),
        (json!({ "required": "off", "from": "tomorrow" }), "/second_factor/from"),
        (json!({ "required": "off", "until": null }), "/second_factor/until"),
    ] {
        let problem = set(&app, &ada.token, &workspace, policy.clone()).await.expect_problem(422, "invalid");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{policy}: {problem}");
    }
    assert_eq!(app.contents().await, before);
}
