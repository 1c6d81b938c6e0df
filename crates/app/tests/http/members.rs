//! Members, their roles, and the keys that depend on them.

use reqwest::Method;
use serde_json::json;
use tidegate_tenancy::Role;

use crate::support::{Answer, Person, TestApp};

struct Workspace {
    app: TestApp,
    path: String,
    id: String,
    owner: Person,
    admin: Person,
    member: Person,
}

async fn workspace() -> Workspace {
    let app = TestApp::spawn().await;
    let [owner, admin, member] = [app.person("Ada").await, app.person("Bob").await, app.person("Eve").await];
    let id = app.workspace(&owner, "Acme").await;
    app.join(&id, &admin, Role::ADMIN).await;
    app.join(&id, &member, Role::MEMBER).await;
    Workspace { path: format!("/api/v1/workspaces/{id}"), app, id, owner, admin, member }
}

impl Workspace {
    async fn set_role(&self, by: &Person, whom: &Person, role: &str) -> Answer {
        let path = format!("{}/members/{}", self.path, whom.id);
        let body = json!({ "role": role }).to_string();
        let request = self.app.request(Method::PATCH, &path).bearer(&by.token);
        request.body("application/merge-patch+json", body).send().await
    }

    async fn remove(&self, by: &Person, whom: &Person) -> Answer {
        self.app.request(Method::DELETE, &format!("{}/members/{}", self.path, whom.id)).bearer(&by.token).send().await
    }
}

#[tokio::test]
async fn nobody_gives_or_takes_what_they_lack() {
    let w = workspace().await;
    w.set_role(&w.admin, &w.member, "owner").await.expect_problem(403, "forbidden");
    w.set_role(&w.admin, &w.owner, "viewer").await.expect_problem(403, "forbidden");
    w.remove(&w.admin, &w.owner).await.expect_problem(403, "forbidden");
    w.set_role(&w.member, &w.member, "admin").await.expect_problem(403, "forbidden");
    w.remove(&w.member, &w.admin).await.expect_problem(403, "forbidden");
    assert_eq!(w.set_role(&w.admin, &w.member, "viewer").await.expect(200)["role"], "viewer");
    let changed =
        w.app.get(&format!("{}/audit?action=member.role_changed", w.path)).bearer(&w.owner.token).send().await;
    let entry = &changed.expect(200)["items"][0];
    assert_eq!(entry["details"], json!({ "before": "member", "after": "viewer" }));
    assert_eq!((&entry["actor"]["id"], &entry["resource"]), (&json!(w.admin.id), &json!(w.member.id)));
}

#[tokio::test]
async fn the_last_owner_stays() {
    let w = workspace().await;
    w.remove(&w.owner, &w.owner).await.expect_problem(409, "last-owner");
    w.set_role(&w.owner, &w.owner, "admin").await.expect_problem(409, "last-owner");
    w.set_role(&w.owner, &w.owner, "owner").await.expect(200);
    w.set_role(&w.owner, &w.admin, "owner").await.expect(200);
    // Both leave at once: one must stay.
    let (one, other) = futures::join!(w.remove(&w.owner, &w.owner), w.remove(&w.admin, &w.admin));
    let mut statuses = [one.status.as_u16(), other.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [204, 409]);
}

#[tokio::test]
async fn whoever_leaves_is_outside_at_once_and_so_are_their_keys() {
    let w = workspace().await;
    let (_, key) = w.app.api_key(&w.admin, &w.id, &["members:read", "workspace:read"]).await;
    w.app.get(&w.path).bearer(&key).send().await.expect(200);
    w.set_role(&w.owner, &w.admin, "member").await.expect(200);
    w.app.get(&format!("{}/api-keys", w.path)).bearer(&w.admin.token).send().await.expect_problem(403, "forbidden");
    w.app.get(&w.path).bearer(&key).send().await.expect(200);
    w.remove(&w.admin, &w.admin).await.expect(204);
    w.app.until_refused(&w.path, &key).await;
    let members = w.app.get(&format!("{}/members", w.path)).bearer(&w.owner.token).send().await.expect(200);
    assert_eq!(members["items"].as_array().map(Vec::len), Some(2));
    assert_eq!(members["items"][0]["email"], w.owner.email.as_str());
}

#[tokio::test]
async fn a_key_never_does_more_than_its_maker_may() {
    let w = workspace().await;
    let keys = format!("{}/api-keys", w.path);
    let new = |scopes: &[&str]| json!({ "name": "k", "scopes": scopes });
    let create = async |token: &str, scopes: &[&str]| w.app.post(&keys).bearer(token).json(&new(scopes)).send().await;
    create(&w.admin.token, &["workspace:delete"]).await.expect_problem(403, "forbidden");
    create(&w.member.token, &["events:read"]).await.expect_problem(403, "forbidden");
    let unknown = create(&w.admin.token, &["events:read", "events:*"]).await.expect_problem(422, "invalid");
    assert_eq!(unknown["errors"][0]["pointer"], "/scopes/1");
    create(&w.admin.token, &[]).await.expect_problem(422, "invalid");

    let (_, key) = w.app.api_key(&w.admin, &w.id, &["keys:write", "keys:read", "audit:read"]).await;
    create(&key, &["events:read"]).await.expect_problem(403, "forbidden");
    let child = create(&key, &["audit:read"]).await.expect(201);
    assert_eq!(child["created_by"], w.admin.id.as_str());
    let audit = format!("{}/audit", w.path);
    let child = child["secret"].as_str().unwrap();
    w.app.get(&audit).bearer(child).send().await.expect(200);
    w.set_role(&w.owner, &w.admin, "member").await.expect(200);
    let narrowed = async {
        while w.app.get(&audit).bearer(child).send().await.status != 403 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(10), narrowed)
        .await
        .expect("the key has lost what its maker has");
}

#[tokio::test]
async fn a_key_ends_when_its_time_is_over() {
    let clock = tidegate_testing::TestClock::at(chrono::DateTime::from_timestamp(1_900_000_000, 0).unwrap());
    let app = TestApp::spawn_at(clock.clone()).await;
    let ada = app.person("Ada").await;
    let path = format!("/api/v1/workspaces/{}", app.workspace(&ada, "Acme").await);
    let create = async |expires_at: &str| {
        let new = json!({ "name": "k", "scopes": ["workspace:read"], "expires_at": expires_at });
        app.post(&format!("{path}/api-keys")).bearer(&ada.token).json(&new).send().await
    };
    create("2030-03-17T17:46:40Z").await.expect_problem(422, "invalid");
    create("soon").await.expect_problem(422, "invalid");
    let key = create("2030-03-17T17:47:40Z").await.expect(201);
    let secret = key["secret"].as_str().unwrap();
    app.get(&path).bearer(secret).send().await.expect(200);
    let listed = app.get(&format!("{path}/api-keys")).bearer(&ada.token).send().await.expect(200);
    assert_eq!(listed["items"][0]["last_used_at"], "2030-03-17T17:00:00Z");
    clock.advance(chrono::TimeDelta::minutes(1));
    app.get(&path).bearer(secret).send().await.expect_problem(401, "unauthenticated");
}
