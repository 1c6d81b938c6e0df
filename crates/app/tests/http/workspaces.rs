//! Creating, naming, listing and deleting workspaces, and refusals.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{TestApp, text};

const PATH: &str = "/api/v1/workspaces";

#[tokio::test]
async fn names_that_cannot_be_shown_are_refused_and_nothing_is_changed() {
    let app = TestApp::spawn().await;
    let ada = app.person("Ada").await;
    let create = async |body: &Value| app.post(PATH).bearer(&ada.token).json(body).send().await;
    for name in ["", "   ", "a\0b", "a\u{202e}b", "a\nb", &"☂".repeat(121), &"x".repeat(100_000)] {
        let problem = create(&json!({ "name": name })).await.expect_problem(422, "invalid");
        assert_eq!(problem["errors"][0]["pointer"], "/name", "{problem}");
    }
    for slug in ["", "UPPER", "a--b", "-a", "a b", "a\0b", "ws_1", "ü", &"x".repeat(49)] {
        let problem = create(&json!({ "name": "Acme", "slug": slug })).await.expect_problem(422, "invalid");
        assert_eq!(problem["errors"][0]["pointer"], "/slug", "{problem}");
    }
    create(&json!({ "name": "Acme", "owner": "me" })).await.expect_problem(422, "invalid");
    create(&json!({ "slug": "acme" })).await.expect_problem(422, "invalid");
    create(&json!({ "name": 7 })).await.expect_problem(422, "invalid");
    create(&json!([])).await.expect_problem(422, "invalid");
    for (kind, body) in [("application/json", "{"), ("application/json", ""), ("application/json", "\u{feff}{}")] {
        app.post(PATH).bearer(&ada.token).body(kind, body).send().await.expect_problem(400, "malformed-body");
    }
    app.post(PATH)
        .bearer(&ada.token)
        .body("text/plain", "{}")
        .send()
        .await
        .expect_problem(415, "unsupported-media-type");
    let mine = app.get(PATH).bearer(&ada.token).send().await.expect(200);
    assert_eq!(mine, json!({ "items": [], "next_cursor": null }));

    let fancy = "☂ Überall 東京 👩‍👩‍👧‍👦".to_owned();
    assert_eq!(create(&json!({ "name": fancy })).await.expect(201)["name"], fancy);
}

#[tokio::test]
async fn people_who_cannot_be_registered_are_told_why() {
    let app = TestApp::spawn().await;
    let register = async |email: &str, password: &str, name: &str| {
        let body = json!({ "email": email, "password": password, "name": name });
        let problem = app.post("/api/v1/auth/register").json(&body).send().await.expect_problem(422, "invalid");
        problem["errors"][0]["pointer"].as_str().unwrap_or_default().to_owned()
    };
    assert_eq!(register("ada", "an umbrella in march", "Ada").await, "/email");
    assert_eq!(register("a\0da@example.org", "an umbrella in march", "Ada").await, "/email");
    assert_eq!(register("ada@example.org", "short", "Ada").await, "/password");
    assert_eq!(register("ada@example.org", "password1234", "Ada").await, "/password");
    assert_eq!(register("ada@example.org", "ada@example.org", "Ada").await, "/password");
    assert_eq!(register("ada@example.org", &"umbrella ".repeat(200), "Ada").await, "/password");
    assert_eq!(register("ada@example.org", "an umbrella in march", "A\0da").await, "/name");
    let login = json!({ "email": "ada@example.org", "password": "an umbrella in march" });
    app.post("/api/v1/auth/login").json(&login).send().await.expect_problem(401, "invalid-credentials");
}

#[tokio::test]
async fn a_log_in_tells_nothing_of_who_has_an_account() {
    let app = TestApp::spawn().await;
    let ada = app.person("Ada").await;
    let login = async |email: &str, password: &str| {
        let body = json!({ "email": email, "password": password });
        let answer = app.post("/api/v1/auth/login").header("x-request-id", "same").json(&body).send().await;
        answer.expect_problem(401, "invalid-credentials");
        answer.bytes
    };
    let known = login(&ada.email, "another umbrella").await;
    for (email, password) in [
        ("nobody@example.org", "an umbrella in march"),
        ("not an address", "x"),
        (&*ada.email, ""),
        ("a\0b@example.org", "a\0b"),
        (&*ada.email, &"x".repeat(100_000)),
    ] {
        assert_eq!(login(email, password).await, known, "{email:?}");
    }
}

#[tokio::test]
async fn a_slug_belongs_to_one_living_workspace() {
    let app = TestApp::spawn().await;
    let (ada, eve) = (app.person("Ada").await, app.person("Eve").await);
    let id = app.workspace(&ada, "Acme").await;
    let create = async |body: Value| app.post(PATH).bearer(&eve.token).json(&body).send().await;
    create(json!({ "name": "Acme", "slug": "acme" })).await.expect_problem(409, "slug-taken");
    let derived = create(json!({ "name": "Acme" })).await.expect(201);
    assert!(derived["slug"].as_str().is_some_and(|slug| slug.starts_with("acme-")), "{derived}");

    let patch = async |path: &str, body: Value| {
        let request = app.request(Method::PATCH, path).bearer(&ada.token);
        request.body("application/merge-patch+json", body.to_string()).send().await
    };
    let path = format!("{PATH}/acme");
    patch(&path, json!({ "slug": derived["slug"] })).await.expect_problem(409, "slug-taken");
    patch(&path, json!({ "name": null })).await.expect_problem(422, "invalid");
    patch(&path, json!({ "id": "ws_1" })).await.expect_problem(422, "invalid");
    assert_eq!(patch(&path, json!({})).await.expect(200)["slug"], "acme");
    let renamed = patch(&path, json!({ "name": "Umbrella", "slug": "umbrella" })).await.expect(200);
    assert_eq!((&renamed["name"], &renamed["slug"]), (&json!("Umbrella"), &json!("umbrella")));
    create(json!({ "name": "Acme", "slug": "acme" })).await.expect(201);

    app.request(Method::DELETE, &format!("{PATH}/umbrella"))
        .bearer(&eve.token)
        .send()
        .await
        .expect_problem(404, "not-found");
    let deleted = app.request(Method::DELETE, &format!("{PATH}/umbrella")).bearer(&ada.token).send().await.expect(202);
    let time = |name: &str| text(&deleted[name]).parse::<chrono::DateTime<chrono::Utc>>().expect("a time");
    assert_eq!((&deleted["id"], time("erase_at") - time("deleted_at")), (&json!(id), chrono::TimeDelta::days(30)));
    for named in [id.as_str(), "umbrella"] {
        let gone = async {
            while app.get(&format!("{PATH}/{named}")).bearer(&ada.token).send().await.status != 404 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), gone).await.expect("a deleted workspace is gone");
    }
    create(json!({ "name": "Umbrella", "slug": "umbrella" })).await.expect(201);
}

#[tokio::test]
async fn pages_follow_each_other_and_their_cursors_fit_nothing_else() {
    let app = TestApp::spawn().await;
    let (ada, eve) = (app.person("Ada").await, app.person("Eve").await);
    for n in 0..5 {
        app.workspace(&ada, &format!("Number {n}")).await;
    }
    let get = async |query: &str, token: &str| app.get(&format!("{PATH}{query}")).bearer(token).send().await;
    let (mut names, mut query) = (Vec::new(), "?limit=2".to_owned());
    let last = loop {
        let page = get(&query, &ada.token).await.expect(200);
        names.extend(page["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap().to_owned()));
        match page["next_cursor"].as_str() {
            Some(cursor) => query = format!("?limit=2&cursor={cursor}"),
            None => break query,
        }
    };
    assert_eq!(names, (0..5).map(|n| format!("Number {n}")).collect::<Vec<_>>());
    get(&last, &eve.token).await.expect_problem(400, "invalid-cursor");
    get("?cursor=x", &ada.token).await.expect_problem(400, "invalid-cursor");
    for bad in ["?limit=0", "?limit=201", "?limit=x", "?page=2", "?limit=1&limit=2"] {
        get(bad, &ada.token).await.expect_problem(400, "invalid-query");
    }
    let acme = app.workspace(&ada, "Acme").await;
    let cursor = last.split("cursor=").nth(1).unwrap();
    let foreign = app.get(&format!("{PATH}/{acme}/members?cursor={cursor}")).bearer(&ada.token).send().await;
    foreign.expect_problem(400, "invalid-cursor");
    let audit = async |query: &str| app.get(&format!("{PATH}/{acme}/audit?{query}")).bearer(&ada.token).send().await;
    audit("actor=nobody").await.expect_problem(400, "invalid-query");
    audit("from=yesterday").await.expect_problem(400, "invalid-query");
    let actor = &ada.id;
    let found =
        audit(&format!("actor={actor}&actor=system&action=workspace.created&resource={acme}")).await.expect(200);
    assert_eq!(found["items"].as_array().map(Vec::len), Some(1));
    assert_eq!(audit("to=2020-01-01T00:00:00Z").await.expect(200)["items"], json!([]));
    assert_eq!(audit("actor=system").await.expect(200)["items"], json!([]));
}
