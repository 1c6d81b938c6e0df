//! People, workspaces, members, keys and the audit log.

use reqwest::Method;
use serde_json::json;

use crate::support::TestApp;

#[tokio::test]
async fn a_person_registers_logs_in_and_founds_a_workspace() {
    let app = TestApp::spawn().await;
    let body = json!({ "email": "Ada@Example.org", "password": "an umbrella in march", "name": "Ada" });
    app.post("/api/v1/auth/register").json(&body).send().await.expect(202);

    let login = json!({ "email": "ada@example.org", "password": "an umbrella in march", "remember": true });
    let tokens = app.post("/api/v1/auth/login").json(&login).send().await.expect(200);
    assert_eq!((&tokens["token_type"], &tokens["expires_in"]), (&json!("Bearer"), &json!(1800)));
    assert_eq!(tokens["refresh_expires_in"], 30 * 86_400, "who wants to be remembered is logged in for longer");
    let token = tokens["access_token"].as_str().unwrap();
    let ada = app.get("/api/v1/auth/me").bearer(token).send().await.expect(200);
    assert_eq!((&ada["email"], &ada["email_verified"]), (&json!("Ada@Example.org"), &json!(false)));
    assert!(ada["id"].as_str().is_some_and(|id| id.starts_with("usr_")));

    let workspace = json!({ "name": "Acme & Söhne" });
    let workspace = app.post("/api/v1/workspaces").bearer(token).json(&workspace).send().await.expect(201);
    assert_eq!(workspace["slug"], "acme-sohne");
    let mine = app.get("/api/v1/workspaces").bearer(token).send().await.expect(200);
    assert_eq!((&mine["items"][0]["id"], &mine["items"][0]["role"]), (&workspace["id"], &json!("owner")));
    for named in [&workspace["id"], &workspace["slug"]] {
        let path = format!("/api/v1/workspaces/{}", named.as_str().unwrap());
        assert_eq!(app.get(&path).bearer(token).send().await.expect(200), workspace);
    }
    let audit = app.get("/api/v1/workspaces/acme-sohne/audit").bearer(token).send().await.expect(200);
    assert_eq!(audit["items"][0]["action"], "workspace.created");
    assert_eq!(audit["items"][0]["actor"], json!({ "kind": "person", "id": ada["id"] }));
}

#[tokio::test]
async fn what_is_not_ones_own_answers_as_what_is_not_there() {
    let app = TestApp::spawn().await;
    let (ada, eve) = (app.person("Ada").await, app.person("Eve").await);
    let (own, foreign) = (app.workspace(&eve, "Eve's").await, app.workspace(&ada, "Ada's").await);
    let absent = "ws_01jz3q9m0e7c2v5y8t4r6n1k0d";
    for path in ["", "/members", "/api-keys", "/audit"] {
        let answer = async |workspace: &str| {
            let path = format!("/api/v1/workspaces/{workspace}{path}");
            let answer = app.get(&path).bearer(&eve.token).header("x-request-id", "same").send().await;
            answer.expect_problem(404, "not-found");
            answer.bytes
        };
        let expected = answer(absent).await;
        for workspace in [foreign.as_str(), "ada-s", "no-such-slug", "%00", "ws_x", &"x".repeat(500)] {
            assert_eq!(answer(workspace).await, expected, "{workspace}{path}");
        }
        let path = format!("/api/v1/workspaces/{own}{path}");
        app.get(&path).bearer(&eve.token).send().await.expect(200);
        app.get(&path).send().await.expect_problem(401, "unauthenticated");
    }
}

#[tokio::test]
async fn a_key_does_what_its_scopes_say_and_nothing_else() {
    let app = TestApp::spawn().await;
    let ada = app.person("Ada").await;
    let workspace = app.workspace(&ada, "Acme").await;
    let other = app.workspace(&ada, "Other").await;
    let (id, key) = app.api_key(&ada, &workspace, &["members:read"]).await;
    let path = |workspace: &str, rest: &str| format!("/api/v1/workspaces/{workspace}/{rest}");

    let members = app.get(&path(&workspace, "members")).bearer(&key).send().await.expect(200);
    assert_eq!(members["items"][0]["user_id"], ada.id.as_str());
    app.get(&path("acme", "members")).bearer(&key).send().await.expect(200);
    app.get(&path(&workspace, "audit")).bearer(&key).send().await.expect_problem(403, "forbidden");
    app.get(&path(&other, "members")).bearer(&key).send().await.expect_problem(404, "not-found");
    app.get(&path("other", "members")).bearer(&key).send().await.expect_problem(404, "not-found");
    app.get("/api/v1/auth/me").bearer(&key).send().await.expect_problem(403, "person-required");

    let listed = app.get(&path(&workspace, "api-keys")).bearer(&ada.token).send().await;
    assert_eq!(listed.expect(200)["items"][0]["id"], id.as_str());
    assert!(!String::from_utf8_lossy(&listed.bytes).contains(&key[12..]), "the secret is shown once");

    app.request(Method::DELETE, &path(&workspace, &format!("api-keys/{id}")))
        .bearer(&ada.token)
        .send()
        .await
        .expect(204);
    app.until_refused(&path(&workspace, "members"), &key).await;
}
