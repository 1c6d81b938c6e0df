//! Texts that cannot be displayed or stored, and invalid times.

use serde_json::json;

use crate::support::TestApp;

#[tokio::test]
async fn filters_by_what_cannot_be_are_refused_with_their_name() {
    let app = TestApp::spawn().await;
    let ada = app.person("Ada").await;
    let base = format!("/api/v1/workspaces/{}", app.workspace(&ada, "Acme").await);
    let long = "x".repeat(3_000);
    for (list, parameters) in [
        ("events", &["type", "source", "subject_prefix", "tool", "actor"][..]),
        ("audit", &["action", "actor", "resource"]),
        ("runs", &["workflow", "status"]),
        ("patterns", &["kind"]),
        ("suggestions", &["status"]),
    ] {
        for parameter in parameters {
            for value in ["a%00b", "%0A", &long] {
                let answer = app.get(&format!("{base}/{list}?{parameter}={value}")).bearer(&ada.token).send().await;
                let problem = answer.expect_problem(400, "invalid-query");
                assert_eq!(problem["errors"][0]["pointer"], *parameter, "{list}: {problem}");
            }
        }
    }
    for list in ["events", "audit", "runs"] {
        for bound in ["from", "to"] {
            for time in [
                "-9999-01-01T00:00:00Z",
                "0000-12-31T23:59:59Z",
                "%2B10000-01-01T00:00:00Z",
                "%2B262142-12-31T23:59:59Z",
                "2026-13-01T00:00:00Z",
                "2026-01-01T25:00:00Z",
                "yesterday",
                "",
            ] {
                let answer = app.get(&format!("{base}/{list}?{bound}={time}")).bearer(&ada.token).send().await;
                let problem = answer.expect_problem(400, "invalid-query");
                assert_eq!(problem["errors"][0]["pointer"], bound, "{list} {time}: {problem}");
            }
            for time in ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"] {
                app.get(&format!("{base}/{list}?{bound}={time}")).bearer(&ada.token).send().await.expect(200);
            }
        }
    }
}

#[tokio::test]
async fn a_key_has_a_name_and_an_end_that_can_be() {
    let app = TestApp::spawn().await;
    let ada = app.person("Ada").await;
    let path = format!("/api/v1/workspaces/{}/api-keys", app.workspace(&ada, "Acme").await);
    let before = app.contents().await;
    let refused = async |body| {
        let problem = app.post(&path).bearer(&ada.token).json(&body).send().await.expect_problem(422, "invalid");
        problem["errors"][0]["pointer"].as_str().unwrap_or_default().to_owned()
    };
    for name in ["", " ", "a\0b", "a\u{202e}b", "a\nb", &"☂".repeat(121), &"\u{10ffff}".repeat(100_000)] {
        assert_eq!(refused(json!({ "name": name, "scopes": ["events:read"] })).await, "/name");
    }
    for end in
        ["2020-01-01T00:00:00Z", "-9999-01-01T00:00:00Z", "+10000-01-01T00:00:00Z", "2030-02-30T00:00:00Z", "soon"]
    {
        assert_eq!(refused(json!({ "name": "k", "scopes": ["events:read"], "expires_at": end })).await, "/expires_at");
    }
    for scopes in [json!(["events:raed"]), json!(["events:read", "a\0b"]), json!(["workspace:delete", "nonsense"])] {
        let pointer = refused(json!({ "name": "k", "scopes": scopes })).await;
        assert!(pointer.starts_with("/scopes/"), "{pointer}");
    }
    assert_eq!(refused(json!({ "name": "k", "scopes": [] })).await, "/scopes");
    assert_eq!(app.contents().await, before);
}

#[tokio::test]
async fn a_person_has_a_name_that_can_be_shown() {
    let app = TestApp::spawn().await;
    let before = app.contents().await;
    for name in ["", "A\0da", "A\u{202e}da", &"\u{10ffff}".repeat(100_000)] {
        let body = json!({ "email": "ada@example.org", "password": "an umbrella in march", "name": name });
        let problem = app.post("/api/v1/auth/register").json(&body).send().await.expect_problem(422, "invalid");
        assert_eq!(problem["errors"][0]["pointer"], "/name", "{problem}");
    }
    assert_eq!(app.contents().await, before);
}

#[tokio::test]
async fn the_same_event_twice_in_a_batch_is_the_first_of_them() {
    let app = TestApp::spawn().await;
    let ada = app.person("Ada").await;
    let path = format!("/api/v1/workspaces/{}/events", app.workspace(&ada, "Acme").await);
    let event =
        |id: &str, n: i32| json!({ "specversion": "1.0", "id": id, "source": "/s", "type": "t", "data": { "n": n } });
    let batch = json!([event("1", 1), event("1", 2), event("2", 3), event("1", 4)]).to_string();
    let send = async || {
        let request = app.post(&path).bearer(&ada.token);
        request.body("application/cloudevents-batch+json", batch.clone()).send().await
    };
    let first = send().await;
    assert_eq!(first.expect(202), json!({ "accepted": 2, "duplicates": 2, "rejected": [] }));
    let before = app.contents().await;
    let again = send().await;
    assert_eq!(again.expect(202), json!({ "accepted": 0, "duplicates": 4, "rejected": [] }));
    assert_eq!((first.header("tidegate-position"), again.header("tidegate-position")), ("2", "2"));
    let list = app.get(&path).bearer(&ada.token).send().await.expect(200);
    let held: Vec<_> = list["items"].as_array().expect("items").iter().map(|item| item["data"]["n"].clone()).collect();
    assert_eq!(held, [json!(3), json!(1)]);
    let mut after = app.contents().await;
    // Detection may have read the first request meanwhile.
    after.retain(|table, _| !table.starts_with("pattern") && table != "event_consumer");
    assert!(after.iter().all(|(table, held)| before[table] == *held), "{after:?}");
}

#[tokio::test]
async fn empty_and_contrary_parameters_are_refused_by_every_list() {
    let app = TestApp::spawn().await;
    let ada = app.person("Ada").await;
    let workspace = app.workspace(&ada, "Acme").await;
    let document = app.get("/api/v1/openapi.json").send().await.expect(200);
    let mut tried = 0;
    for (path, item) in document["paths"].as_object().expect("there are paths") {
        let parameters = item["get"]["parameters"].as_array().cloned().unwrap_or_default();
        let queries: Vec<&str> = parameters
            .iter()
            .filter(|parameter| parameter["in"] == "query")
            .filter_map(|parameter| parameter["name"].as_str())
            .collect();
        let path = path.replace("{ws}", &workspace);
        let ask = async |query: String| app.get(&format!("{path}?{query}")).bearer(&ada.token).send().await;
        for name in queries.iter().filter(|name| **name != "cursor") {
            for empty in [format!("{name}="), (*name).to_owned(), format!("limit=5&{name}=")] {
                let repeated = empty.starts_with("limit=5") && (*name == "limit" || !queries.contains(&"limit"));
                if !path.contains('{') && !repeated {
                    let problem = ask(empty.clone()).await.expect_problem(400, "invalid-query");
                    assert_eq!(problem["errors"][0]["pointer"], *name, "{path}?{empty}: {problem}");
                    tried += 1;
                }
            }
        }
        if queries.contains(&"from") {
            let (early, late) = ("2026-03-01T00:00:00Z", "2026-03-01T00:00:01Z");
            let problem = ask(format!("from={late}&to={early}")).await.expect_problem(400, "invalid-query");
            assert_eq!(problem["errors"][0]["pointer"], "from", "{path}: {problem}");
            ask(format!("from={early}&to={late}")).await.expect(200);
            ask(format!("from={early}&to={early}")).await.expect(200);
        }
        for name in queries.iter().filter(|name| ["kind", "status", "type", "action"].contains(name)) {
            let word = if *name == "kind" {
                "sequence"
            } else if path.ends_with("/suggestions") {
                "open"
            } else if path.ends_with("/jobs") {
                "dead"
            } else {
                "failed"
            };
            let values = vec![format!("{name}={word}"); 51];
            ask(values[..50].join("&")).await.expect(200);
            let problem = ask(values.join("&")).await.expect_problem(400, "invalid-query");
            assert_eq!(problem["errors"][0]["pointer"], *name, "{path}: {problem}");
        }
    }
    assert!(tried > 40, "{tried}");
}
