//! People, workspaces, members, keys and the audit log.

use serde_json::json;

use crate::support::TestApp;

#[tokio::test]
async fn a_person_registers_logs_in_and_founds_a_workspace() {
    let app = TestApp::spawn().await;
    let body = json!({ "email": "Ada@Example.org", "password": "an umbrella in march", "name": "Ada" });
    let ada = app.post("/api/v1/auth/register").json(&body).send().await.expect(201);
    assert_eq!(ada["email"], "ada@example.org");
    assert!(ada["id"].as_str().is_some_and(|id| id.starts_with("usr_")));
    app.post("/api/v1/auth/register").json(&body).send().await.expect_problem(409, "email-taken");

    let login = json!({ "email": "ada@example.org", "password": "an umbrella in march", "remember": true });
    let tokens = app.post("/api/v1/auth/login").json(&login).send().await.expect(200);
    assert_eq!((&tokens["token_type"], &tokens["expires_in"]), (&json!("Bearer"), &json!(1800)));
    assert_eq!(tokens["refresh_expires_in"], 604_800);
    let token = tokens["access_token"].as_str().unwrap();
    assert_eq!(app.get("/api/v1/auth/me").bearer(token).send().await.expect(200), ada);

    let workspace = json!({ "name": "Acme & Söhne" });
    let workspace = app.post("/api/v1/workspaces").bearer(token).json(&workspace).send().await.expect(201);
    assert_eq!(workspace["slug"], "acme-s-hne");
    let mine = app.get("/api/v1/workspaces").bearer(token).send().await.expect(200);
    assert_eq!((&mine["items"][0]["id"], &mine["items"][0]["role"]), (&workspace["id"], &json!("owner")));
    for named in [&workspace["id"], &workspace["slug"]] {
        let path = format!("/api/v1/workspaces/{}", named.as_str().unwrap());
        assert_eq!(app.get(&path).bearer(token).send().await.expect(200), workspace);
    }
    let audit = app.get("/api/v1/workspaces/acme-s-hne/audit").bearer(token).send().await.expect(200);
    assert_eq!(audit["items"][0]["action"], "workspace.created");
    assert_eq!(audit["items"][0]["actor"], json!({ "kind": "person", "id": ada["id"] }));
}
