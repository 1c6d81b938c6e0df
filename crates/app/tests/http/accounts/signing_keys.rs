//! The rotation of signing keys.

use reqwest::StatusCode;
use serde_json::{Value, json};

use super::{AUTH, ME};
use crate::support::TestApp;

fn kids(listed: &Value) -> Vec<String> {
    listed.as_array().expect("keys").iter().filter_map(|key| Some(key["kid"].as_str()?.to_owned())).collect()
}

fn kid_of(token: &str) -> Option<String> {
    jsonwebtoken::decode_header(token).expect("a header").kid
}

#[tokio::test]
async fn a_new_key_signs_while_tokens_of_the_old_one_are_valid() {
    let app = TestApp::operated(&[]).await;
    let operator = app.operator().to_owned();
    let beside = app.beside(&[]).await;
    let ada = app.person("ada").await;
    beside.get(ME).bearer(&ada.token).send().await.expect(200);
    let rotate = async |body: Value| {
        app.post("/api/v1/monitoring/signing-keys/rotate").bearer(&operator).json(&body).send().await.expect(201)
    };
    let made = rotate(json!({})).await;
    let listed = app.get("/api/v1/monitoring/signing-keys").bearer(&operator).send().await.expect(200);
    assert_eq!(listed["items"][0]["kid"], made["kid"]);
    let published = app.get("/.well-known/jwks.json").send().await.expect(200);
    assert_eq!(kids(&published["keys"]), kids(&listed["items"]));
    assert_eq!(kids(&published["keys"]).len(), 2);
    for server in [&app, &beside] {
        server.get(ME).bearer(&ada.token).send().await.expect(200);
        let again = server.log_in(&ada.email, &ada.id).await;
        for other in [&app, &beside] {
            other.get(ME).bearer(&again.token).send().await.expect(200);
        }
    }

    let signs = async {
        while kid_of(&app.log_in(&ada.email, &ada.id).await.token).as_deref() != made["kid"].as_str() {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), signs)
        .await
        .expect("the new key signs after some seconds");

    // After a theft the other keys are retired: old tokens end, and a refresh gets new ones.
    let made = rotate(json!({ "retire_others": true })).await;
    app.get(ME).bearer(&ada.token).send().await.expect_problem(401, "unauthenticated");
    // Without Redis other servers read the keys again after ten seconds.
    let refused = async {
        while beside.get(ME).bearer(&ada.token).send().await.status != StatusCode::UNAUTHORIZED {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), refused).await.expect("the other server learns of it");
    let refreshed = json!({ "refresh_token": ada.refresh_token });
    let tokens = app.post(&format!("{AUTH}/refresh")).json(&refreshed).send().await.expect(200);
    let token = tokens["access_token"].as_str().expect("a token");
    assert_eq!(kid_of(token).as_deref(), made["kid"].as_str());
    beside.get(ME).bearer(token).send().await.expect(200);
    let operated = app.get(ME).bearer(&operator).send().await;
    operated.expect_problem(401, "unauthenticated");
}
