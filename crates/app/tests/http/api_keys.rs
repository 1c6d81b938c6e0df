//! API keys that create keys: a child never has more permissions than its parent, and ends with it.

use chrono::{DateTime, TimeDelta};
use reqwest::Method;
use serde_json::{Value, json};
use tidegate_testing::TestClock;

use crate::support::{Answer, Person, TestApp, text};

struct Workspace {
    app: TestApp,
    path: String,
    owner: Person,
}

impl Workspace {
    async fn on(app: TestApp) -> Self {
        let owner = app.person("Ada").await;
        let path = format!("/api/v1/workspaces/{}", app.workspace(&owner, "Acme").await);
        Self { app, path, owner }
    }

    async fn create(&self, app: &TestApp, by: &str, scopes: &[&str], expires_at: Option<&str>) -> Answer {
        let mut new = json!({ "name": "a key", "scopes": scopes });
        if let Some(expires_at) = expires_at {
            new["expires_at"] = json!(expires_at);
        }
        app.post(&format!("{}/api-keys", self.path)).bearer(by).json(&new).send().await
    }

    /// Creates a key that may create keys, and returns it with its secret.
    async fn maker(&self, by: &str) -> (Value, String) {
        let key = self.create(&self.app, by, &["keys:write", "keys:read", "workspace:read"], None).await.expect(201);
        let secret = text(&key["secret"]);
        (key, secret)
    }

    async fn revoke(&self, id: &Value) {
        let path = format!("{}/api-keys/{}", self.path, id.as_str().expect("an id"));
        self.app.request(Method::DELETE, &path).bearer(&self.owner.token).send().await.expect(204);
    }
}

#[tokio::test]
async fn a_key_that_a_key_makes_expires_no_later() {
    let clock = TestClock::at(DateTime::from_timestamp(1_900_000_000, 0).unwrap());
    let w = Workspace::on(TestApp::spawn_at(clock.clone()).await).await;
    let scopes = ["keys:write", "workspace:read"];
    let (end, sooner) = ("2030-03-17T17:46:43Z", "2030-03-17T17:46:42Z");
    let maker = text(&w.create(&w.app, &w.owner.token, &scopes, Some(end)).await.expect(201)["secret"]);

    let child = w.create(&w.app, &maker, &scopes, None).await.expect(201);
    assert_eq!(child["expires_at"], end, "without an expiry of its own it has its maker's");
    let short = w.create(&w.app, &maker, &scopes, Some(sooner)).await.expect(201);
    assert_eq!(short["expires_at"], sooner);
    let problem = w.create(&w.app, &maker, &scopes, Some("2030-03-17T17:46:44Z")).await.expect_problem(422, "invalid");
    assert_eq!(problem["errors"][0]["pointer"], "/expires_at", "{problem}");
    let grandchild = w.create(&w.app, &text(&child["secret"]), &scopes, None).await.expect(201);
    assert_eq!(grandchild["expires_at"], end);

    let get = async |key: &Value| w.app.get(&w.path).bearer(&text(&key["secret"])).send().await;
    for key in [&child, &short, &grandchild] {
        get(key).await.expect(200);
    }
    clock.advance(TimeDelta::seconds(3));
    for key in [&child, &short, &grandchild] {
        get(key).await.expect_problem(401, "unauthenticated");
    }
}

#[tokio::test]
async fn a_key_is_revoked_with_those_that_it_made() {
    let w = Workspace::on(TestApp::spawn().await).await;
    let (root, root_secret) = w.maker(&w.owner.token).await;
    let (child, child_secret) = w.maker(&root_secret).await;
    let (grandchild, grandchild_secret) = w.maker(&child_secret).await;
    let (_, sibling_secret) = w.maker(&w.owner.token).await;
    let listed = w.app.get(&format!("{}/api-keys", w.path)).bearer(&w.owner.token).send().await.expect(200);
    let parents: Vec<&Value> = listed["items"].as_array().unwrap().iter().map(|key| &key["parent_id"]).collect();
    assert_eq!(parents, [&Value::Null, &child["id"], &root["id"], &Value::Null], "the newest first");
    for secret in [&root_secret, &child_secret, &grandchild_secret, &sibling_secret] {
        w.app.get(&w.path).bearer(secret).send().await.expect(200);
    }

    w.revoke(&root["id"]).await;
    for secret in [&root_secret, &child_secret, &grandchild_secret] {
        w.app.until_refused(&w.path, secret).await;
    }
    w.app.get(&w.path).bearer(&sibling_secret).send().await.expect(200);
    let audit = format!("{}/audit?action=api_key.revoked", w.path);
    let audit = w.app.get(&audit).bearer(&w.owner.token).send().await.expect(200);
    assert_eq!(audit["items"][0]["details"], json!({ "revoked_keys": [child["id"], grandchild["id"]] }));
    let path = format!("{}/api-keys/{}", w.path, text(&child["id"]));
    w.app.request(Method::DELETE, &path).bearer(&w.owner.token).send().await.expect_problem(404, "not-found");
}

#[tokio::test]
async fn only_a_key_whose_scopes_say_so_makes_keys() {
    let w = Workspace::on(TestApp::spawn().await).await;
    let every: Vec<&str> = tidegate_kernel::Permission::ALL
        .iter()
        .map(|permission| permission.as_str())
        .filter(|permission| *permission != "keys:write")
        .collect();
    let key = text(&w.create(&w.app, &w.owner.token, &every, None).await.expect(201)["secret"]);
    w.create(&w.app, &key, &["events:read"], None).await.expect_problem(403, "forbidden");
    let maker = text(&w.create(&w.app, &w.owner.token, &["keys:write"], None).await.expect(201)["secret"]);
    w.create(&w.app, &maker, &["events:read"], None).await.expect_problem(403, "forbidden");
    w.create(&w.app, &maker, &["keys:write"], None).await.expect(201);
}

#[tokio::test]
async fn a_key_that_was_revoked_makes_none_where_that_is_not_known_yet() {
    let w = Workspace::on(TestApp::spawn().await).await;
    let beside = w.app.beside(&[]).await;
    let (root, secret) = w.maker(&w.owner.token).await;
    // The other server has cached the key, and gets no signal.
    beside.get(&w.path).bearer(&secret).send().await.expect(200);
    w.revoke(&root["id"]).await;
    let late = w.create(&beside, &secret, &["workspace:read"], None).await;
    assert!([404, 401].contains(&late.status.as_u16()), "{}", late.json());
    let listed = w.app.get(&format!("{}/api-keys", w.path)).bearer(&w.owner.token).send().await.expect(200);
    assert_eq!(listed["items"], json!([]));
}

#[tokio::test]
async fn of_a_key_that_is_revoked_while_it_makes_keys_nothing_is_left() {
    let w = Workspace::on(TestApp::spawn().await).await;
    let (root, secret) = w.maker(&w.owner.token).await;
    let making = (0..6).map(|_| w.create(&w.app, &secret, &["workspace:read"], None));
    let (made, ()) = futures::join!(futures::future::join_all(making), w.revoke(&root["id"]));
    for answer in made {
        assert!([201, 401, 404].contains(&answer.status.as_u16()), "{}", answer.json());
    }
    let live = w.app.database.count("select count(*) from api_key where revoked_at is null".to_owned()).await;
    assert_eq!(live, 0);
}
