//! What people set for themselves.

use reqwest::Method;
use serde_json::{Value, json};

use super::ME;
use crate::support::{Answer, TestApp};

#[tokio::test]
async fn a_person_sets_name_language_time_zone_and_notifications() {
    let app = TestApp::spawn().await;
    let beside = app.beside(&[]).await;
    let ada = app.person("ada").await;
    let patch =
        async |body: Value| -> Answer { app.request(Method::PATCH, ME).bearer(&ada.token).json(&body).send().await };
    let me = beside.get(ME).bearer(&ada.token).send().await.expect(200);
    assert_eq!((&me["language"], &me["time_zone"]), (&Value::Null, &Value::Null));
    assert_eq!(me["notifications"], json!({ "usage": true, "billing": true }));
    let change = json!({ "name": "Ada L.", "language": "pt-br", "time_zone": "Europe/Berlin", "notifications": { "usage": false } });
    let changed = patch(change).await.expect(200);
    assert_eq!((&changed["name"], &changed["language"]), (&json!("Ada L."), &json!("pt-BR")));
    assert_eq!(changed["notifications"], json!({ "usage": false, "billing": true }));
    let seen = async {
        while beside.get(ME).bearer(&ada.token).send().await.expect(200) != changed {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(5), seen).await.expect("other servers see it");
    let reset = patch(json!({ "language": null })).await.expect(200);
    assert_eq!((&reset["language"], &reset["time_zone"]), (&Value::Null, &json!("Europe/Berlin")));

    let before = app.contents().await;
    for (body, pointer) in [
        (json!({ "name": "" }), "/name"),
        (json!({ "name": null }), "/name"),
        (json!({ "language": "german" }), "/language"),
        (json!({ "time_zone": "Berlin" }), "/time_zone"),
        (json!({ "email": "eve@example.org" }), "/email"),
        (json!({ "notifications": { "usage": "no" } }), "/notifications/usage"),
        (json!({ "notifications": null }), "/notifications"),
    ] {
        let problem = patch(body.clone()).await.expect_problem(422, "invalid");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{body}: {problem}");
    }
    assert_eq!(app.contents().await, before);
}
