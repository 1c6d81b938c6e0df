//! Deactivated accounts.

use serde_json::json;

use super::{AUTH, ME};
use crate::support::TestApp;

#[tokio::test]
async fn a_deactivated_account_is_of_no_use_until_it_is_reactivated() {
    let app = TestApp::operated(&[]).await;
    let operator = app.operator().to_owned();
    let ada = app.person("ada").await;
    let workspace = app.workspace(&ada, "Acme").await;
    let (_, key) = app.api_key(&ada, &workspace, &["events:read"]).await;
    let events = format!("/api/v1/workspaces/{workspace}/events");
    app.get(&events).bearer(&key).send().await.expect(200);
    let set = async |id: &str, what: &str| {
        app.post(&format!("/api/v1/monitoring/people/{id}/{what}")).bearer(&operator).send().await
    };
    set(&ada.id, "deactivate").await.expect(204);
    set(&ada.id, "deactivate").await.expect(204);
    app.until_refused(ME, &ada.token).await;
    app.until_refused(&events, &key).await;
    let login = json!({ "email": ada.email, "password": "an umbrella in march" });
    let log_in = async || app.post(&format!("{AUTH}/login")).json(&login).send().await;
    log_in().await.expect_problem(401, "invalid-credentials");
    let refreshed = json!({ "refresh_token": ada.refresh_token });
    let refused = app.post(&format!("{AUTH}/refresh")).json(&refreshed).send().await;
    refused.expect_problem(401, "invalid-refresh-token");

    set(&ada.id, "reactivate").await.expect(204);
    app.get(&events).bearer(&key).send().await.expect(200);
    let token = log_in().await.expect(200)["access_token"].as_str().expect("a token").to_owned();
    let log = app.get(&format!("{AUTH}/log")).bearer(&token).send().await.expect(200);
    let actions: Vec<&str> =
        log["items"].as_array().expect("items").iter().filter_map(|item| item["action"].as_str()).collect();
    for action in ["account.deactivated", "account.reactivated"] {
        assert_eq!(actions.iter().filter(|recorded| **recorded == action).count(), 1, "{actions:?}");
    }
    let nobody = "usr_01jz3q9m0e7c2v5y8t4r6n1k0d";
    set(nobody, "deactivate").await.expect_problem(404, "not-found");
    let own = app.get(ME).bearer(&operator).send().await.expect(200);
    set(own["id"].as_str().expect("an id"), "deactivate").await.expect_problem(409, "conflict");
}
