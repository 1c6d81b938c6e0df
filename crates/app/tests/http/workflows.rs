//! Workflows and their versions.

use reqwest::Method;
use serde_json::{Value, json};

use crate::room::Room;
use crate::support::TestApp;

const REMINDER: &str =
    "name: remind me\n# a comment that stays\nsteps:\n  - {id: tell, uses: emit_event, with: {type: note.due}}\n";

impl Room<'_> {
    async fn create(&self, document: &str) -> Value {
        self.request(Method::POST, "/workflows").body("application/yaml", document.to_owned()).send().await.expect(201)
    }

    async fn audit(&self) -> Vec<String> {
        let audit = self.request(Method::GET, "/audit").send().await.expect(200);
        let items = audit["items"].as_array().cloned().unwrap_or_default();
        items.iter().filter_map(|item| item["action"].as_str().map(str::to_owned)).collect()
    }
}

#[tokio::test]
async fn a_workflow_is_drafted_published_and_rolled_back() {
    let app = TestApp::spawn().await;
    let room = Room::of(&app, "Ada").await;
    let created = room.request(Method::POST, "/workflows").body("application/yaml", REMINDER).send().await;
    let location = created.header("location").to_owned();
    assert_eq!(created.header("etag"), "\"1\"");
    let workflow = created.expect(201);
    let id = workflow["id"].as_str().unwrap();
    assert!(location.ends_with(&format!("/workflows/{id}")) && id.starts_with("wf_"));
    assert_eq!((&workflow["status"], &workflow["version"]), (&json!("draft"), &json!(1)));
    assert_eq!(workflow["published_version"], Value::Null);
    assert_eq!((&workflow["source"], &workflow["format"]), (&json!(REMINDER), &json!("yaml")));
    assert_eq!(workflow["definition"]["steps"][0]["with"]["type"], "note.due");
    assert_eq!(app.get(&location).bearer(&room.person.token).send().await.expect(200), workflow);

    let one = format!("/workflows/{id}");
    let second = json!({ "name": "remind us", "steps": [{ "id": "a", "uses": "transform" }] });
    room.request(Method::PUT, &one).json(&second).send().await.expect_problem(428, "precondition-required");
    let stale = room.request(Method::PUT, &one).header("if-match", "\"7\"").json(&second).send().await;
    assert_eq!(stale.header("etag"), "\"1\"");
    stale.expect_problem(412, "precondition-failed");
    let drafted = room.request(Method::PUT, &one).header("if-match", "\"1\"").json(&second).send().await;
    assert_eq!(drafted.header("etag"), "\"2\"");
    let drafted = drafted.expect(200);
    assert_eq!(
        (&drafted["name"], &drafted["version"], &drafted["format"]),
        (&json!("remind us"), &json!(2), &json!("json"))
    );

    let published =
        room.request(Method::POST, &format!("{one}/publish")).header("if-match", "\"2\"").send().await.expect(200);
    assert_eq!((&published["status"], &published["published_version"]), (&json!("published"), &json!(2)));
    // A version that is already published stays unchanged.
    let again = room.request(Method::POST, &format!("{one}/publish")).send().await.expect(200);
    assert_eq!(again, published);
    let back =
        room.request(Method::POST, &format!("{one}/rollback")).json(&json!({ "version": 1 })).send().await.expect(200);
    assert_eq!((&back["published_version"], &back["version"], &back["revision"]), (&json!(1), &json!(2), &json!(4)));
    let gone = room.request(Method::POST, &format!("{one}/rollback")).json(&json!({ "version": 3 })).send().await;
    assert_eq!(gone.expect_problem(422, "invalid")["errors"][0]["pointer"], "/version");

    let versions = room.request(Method::GET, &format!("{one}/versions?limit=1")).send().await.expect(200);
    assert_eq!((&versions["items"][0]["version"], &versions["items"][0]["published"]), (&json!(2), &json!(false)));
    let cursor = versions["next_cursor"].as_str().unwrap();
    let rest = room.request(Method::GET, &format!("{one}/versions?limit=1&cursor={cursor}")).send().await.expect(200);
    assert_eq!((&rest["items"][0]["version"], &rest["items"][0]["published"]), (&json!(1), &json!(true)));
    assert_eq!(rest["next_cursor"], Value::Null);

    let known = room.request(Method::GET, &one).header("if-none-match", "\"4\"").send().await;
    assert_eq!((known.status.as_u16(), known.bytes.len()), (304, 0));
    let audit = room.audit().await;
    assert_eq!(audit[..4], ["workflow.rolled_back", "workflow.published", "workflow.drafted", "workflow.created"]);
    app.stop().await;
}

#[tokio::test]
async fn what_is_wrong_with_a_document_is_told_at_once_and_changes_nothing() {
    let app = TestApp::spawn().await;
    let room = Room::of(&app, "Ada").await;
    let before = room.audit().await.len();
    let send = async |content_type: &str, body: Vec<u8>| {
        room.request(Method::POST, "/workflows").body(content_type, body).send().await
    };
    let wrong =
        "name: x\nsteps:\n  - id: a\n    uses: transfrom\n  - {id: b, uses: delay, needs: [c], with: {for: soon}}\n";
    let problem = send("application/yaml", wrong.into()).await.expect_problem(422, "invalid");
    let found: Vec<_> = problem["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| (e["line"].clone(), e["column"].clone(), e["pointer"].clone()))
        .collect();
    assert_eq!(
        found,
        [
            (json!(4), json!(11), json!("/steps/0/uses")),
            (json!(5), json!(34), json!("/steps/1/needs/0")),
            (json!(5), json!(50), json!("/steps/1/with/for")),
        ]
    );
    assert_eq!(problem["errors"][0]["suggestion"], "transform");

    let many: Vec<Value> = (0..1000).map(|n| json!({ "id": format!("s{n}"), "uses": "transform" })).collect();
    let many = json!({ "name": "many", "steps": many }).to_string();
    let problem = send("application/json", many.into()).await.expect_problem(422, "invalid");
    assert_eq!(problem["errors"][0]["detail"], "a workflow has at most 500 steps, this one has 1000");
    let runaway = "name: x\nsteps: [{id: a, uses: transform, with: {n: \"${{ [1].all(a, [1].all(b, [1].all(c, [1].all(d, true)))) }}\"}}]";
    send("application/yaml", runaway.into()).await.expect_problem(422, "invalid");

    let bomb = (1..12).fold("a0: &a0 [lol, lol]\n".to_owned(), |text, n| {
        format!("{text}a{n}: &a{n} [{}]\n", vec![format!("*a{}", n - 1); 9].join(", "))
    });
    for (body, content_type) in [
        (bomb.into_bytes(), "application/yaml"),
        (b"name: [".to_vec(), "application/yaml"),
        (b"name: x\0".to_vec(), "application/yaml"),
        (b"\xff".to_vec(), "application/yaml"),
        (b"{\"name\": ".to_vec(), "application/json"),
        (vec![b'['; 100_000], "application/json"),
        (Vec::new(), "application/yaml"),
    ] {
        let problem = send(content_type, body).await.expect_problem(400, "malformed-body");
        assert!(problem["errors"][0]["line"].as_u64().is_some_and(|line| line > 0), "{problem}");
    }
    send("application/yaml", vec![b'#'; 300_000]).await.expect_problem(413, "body-too-large");
    send("text/plain", REMINDER.into()).await.expect_problem(415, "unsupported-media-type");
    room.request(Method::POST, "/workflows?dryrun=true")
        .body("application/yaml", REMINDER)
        .send()
        .await
        .expect_problem(400, "invalid-query");

    let listed = room.request(Method::GET, "/workflows").send().await.expect(200);
    assert_eq!((listed["items"].clone(), room.audit().await.len()), (json!([]), before));
    app.stop().await;
}

#[tokio::test]
async fn a_dry_run_only_checks() {
    let app = TestApp::spawn().await;
    let room = Room::of(&app, "Ada").await;
    let checked = room
        .request(Method::POST, "/workflows?dry_run=true")
        .body("application/yaml", REMINDER)
        .send()
        .await
        .expect(200);
    assert_eq!((&checked["valid"], &checked["name"]), (&json!(true), &json!("remind me")));
    room.request(Method::POST, "/workflows?dry_run=true")
        .body("application/yaml", "name: x")
        .send()
        .await
        .expect_problem(422, "invalid");
    assert_eq!(room.request(Method::GET, "/workflows").send().await.expect(200)["items"], json!([]));

    let id = room.create(REMINDER).await["id"].as_str().unwrap().to_owned();
    let again = format!("/workflows/{id}?dry_run=true");
    room.request(Method::PUT, &again).body("application/yaml", REMINDER).send().await.expect(200);
    assert_eq!(room.request(Method::GET, &format!("/workflows/{id}")).send().await.expect(200)["version"], 1);
    app.stop().await;
}

#[tokio::test]
async fn a_name_is_unique_within_a_workspace_and_no_further() {
    let app = TestApp::spawn().await;
    let (ada, eve) = (Room::of(&app, "Ada").await, Room::of(&app, "Eve").await);
    let first = ada.create(REMINDER).await;
    let taken = ada.request(Method::POST, "/workflows").body("application/yaml", REMINDER).send().await;
    assert_eq!(taken.expect_problem(409, "name-taken")["errors"][0]["pointer"], "/name");
    assert_ne!(eve.create(REMINDER).await["id"], first["id"]);

    let other = ada.create(&REMINDER.replace("remind me", "other")).await;
    let path = format!("/workflows/{}", other["id"].as_str().unwrap());
    let renamed =
        ada.request(Method::PUT, &path).header("if-match", "\"1\"").body("application/yaml", REMINDER).send().await;
    renamed.expect_problem(409, "name-taken");
    assert_eq!(ada.request(Method::GET, &path).send().await.expect(200), other);
    app.stop().await;
}

#[tokio::test]
async fn another_tenants_workflow_answers_as_one_that_is_not_there() {
    let app = TestApp::spawn().await;
    let (ada, eve) = (Room::of(&app, "Ada").await, Room::of(&app, "Eve").await);
    let foreign = ada.create(REMINDER).await["id"].as_str().unwrap().to_owned();
    let body = |method: &Method, rest: &str| match (method, rest) {
        (&Method::PUT, _) => Some(("application/yaml", REMINDER.to_owned())),
        (_, "/rollback") => Some(("application/json", "{\"version\":1}".to_owned())),
        _ => None,
    };
    for (method, rest) in [
        (Method::GET, ""),
        (Method::PUT, ""),
        (Method::PUT, "?dry_run=true"),
        (Method::POST, "/publish"),
        (Method::POST, "/rollback"),
        (Method::GET, "/versions"),
    ] {
        for with_match in [true, false] {
            let answer = async |id: &str| {
                let mut request =
                    eve.request(method.clone(), &format!("/workflows/{id}{rest}")).header("x-request-id", "same");
                if with_match {
                    request = request.header("if-match", "\"1\"");
                }
                if let Some((content_type, body)) = body(&method, rest) {
                    request = request.body(content_type, body);
                }
                let answer = request.send().await;
                answer.expect_problem(404, "not-found");
                answer.bytes
            };
            let expected = answer("wf_01jz3q9m0e7c2v5y8t4r6n1k0d").await;
            for id in [foreign.as_str(), "nonsense", "%00"] {
                assert_eq!(answer(id).await, expected, "{method} {id}{rest}");
            }
        }
    }
    let (_, key) = app.api_key(&ada.person, &ada.workspace, &["workflows:read"]).await;
    app.get(&ada.path("/workflows")).bearer(&key).send().await.expect(200);
    let refused = app.post(&ada.path("/workflows")).bearer(&key).body("application/yaml", REMINDER).send().await;
    refused.expect_problem(403, "forbidden");
    app.stop().await;
}

#[tokio::test]
async fn lists_go_on_where_they_stopped() {
    let app = TestApp::spawn().await;
    let room = Room::of(&app, "Ada").await;
    for n in 0..3 {
        room.create(&REMINDER.replace("remind me", &format!("number {n}"))).await;
    }
    let first = room.request(Method::GET, "/workflows?limit=2").send().await.expect(200);
    assert_eq!((&first["items"][0]["name"], &first["items"][1]["name"]), (&json!("number 2"), &json!("number 1")));
    assert!(first["items"][0].get("source").is_none());
    let cursor = first["next_cursor"].as_str().unwrap();
    let rest = room.request(Method::GET, &format!("/workflows?limit=2&cursor={cursor}")).send().await.expect(200);
    assert_eq!((rest["items"].as_array().unwrap().len(), &rest["next_cursor"]), (1, &Value::Null));
    let id = first["items"][0]["id"].as_str().unwrap();
    let foreign = room.request(Method::GET, &format!("/workflows/{id}/versions?cursor={cursor}")).send().await;
    foreign.expect_problem(400, "invalid-cursor");
    app.stop().await;
}
