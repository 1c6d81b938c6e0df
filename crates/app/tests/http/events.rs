//! Events over HTTP: accepted and rejected events, and lists.

use reqwest::Method;
use serde_json::{Value, json};

use crate::room::Room;
use crate::support::{Answer, TestApp};

const ONE: &str = "application/cloudevents+json";
const BATCH: &str = "application/cloudevents-batch+json";
const LINES: &str = "application/x-ndjson";

/// A workspace and its owner.
struct Tenant<'a> {
    app: &'a TestApp,
    token: String,
    path: String,
}

impl<'a> Tenant<'a> {
    async fn new(app: &'a TestApp, name: &str) -> Self {
        let owner = app.person(name).await;
        let workspace = app.workspace(&owner, name).await;
        Self { app, token: owner.token, path: format!("/api/v1/workspaces/{workspace}/events") }
    }

    async fn send(&self, content_type: &str, body: impl Into<reqwest::Body>) -> Answer {
        self.app.post(&self.path).bearer(&self.token).body(content_type, body).send().await
    }

    async fn list(&self, query: &str) -> Answer {
        self.app.get(&format!("{}{query}", self.path)).bearer(&self.token).send().await
    }

    /// The ids in a list.
    async fn ids(&self, query: &str) -> Vec<String> {
        let list = self.list(query).await.expect(200);
        let items = list["items"].as_array().expect("a list has items");
        items.iter().map(|item| item["id"].as_str().expect("an event has an id").to_owned()).collect()
    }

    async fn used(&self) -> i64 {
        let path = self.path.replace("/events", "/usage");
        let usage = self.app.get(&path).bearer(&self.token).send().await.expect(200);
        let mut lines = usage.as_array().expect("usage is a list").iter();
        let events = lines.find(|line| line["meter"] == "events").expect("events are metered");
        events["used"].as_i64().expect("usage is a number")
    }
}

fn event(id: &str, changes: Value) -> Value {
    let mut event = json!({"specversion": "1.0", "id": id, "source": "/test", "type": "file.modified"});
    if let Value::Object(changes) = changes {
        event.as_object_mut().expect("an event is an object").extend(changes);
    }
    event
}

fn verdicts(accepted: u32, duplicates: u32) -> Value {
    json!({"accepted": accepted, "duplicates": duplicates, "rejected": []})
}

#[tokio::test]
async fn events_come_in_all_modes_and_are_listed_as_they_were_sent() {
    let app = TestApp::spawn().await;
    let ours = Tenant::new(&app, "Ada").await;
    let full = event(
        "1",
        json!({
            "subject": "src/lib.rs", "time": "2017-09-30T08:30:02.123456789-07:00", "datacontenttype": "application/json",
            "traceparent": "00-1", "data": {"tool": "git", "actor": "ann", "nul": "\u{0}"},
        }),
    );
    let answer = ours.send(ONE, full.to_string()).await;
    assert_eq!(answer.expect(202), verdicts(1, 0));
    assert_eq!(answer.header("tidegate-position"), "1");
    let batch = json!([event("2", json!({})), event("3", json!({"data_base64": "AAE="})), event("2", json!({}))]);
    let answer = ours.send(BATCH, batch.to_string()).await;
    assert_eq!(answer.expect(202), verdicts(2, 1));
    assert_eq!(answer.header("tidegate-position"), "3");
    let lines = format!("{}\n\n{}\n", event("3", json!({})), event("4", json!({})));
    let answer = ours.send(LINES, lines).await;
    assert_eq!((answer.expect(202), answer.header("tidegate-position")), (verdicts(1, 1), "4"));
    let binary = app.post(&ours.path).bearer(&ours.token).body("text/plain", "hello");
    let binary = binary.header("ce-specversion", "1.0").header("ce-id", "5").header("ce-source", "/test");
    let answer = binary.header("ce-type", "greeting").header("ce-subject", "Stra%C3%9Fe").send().await;
    assert_eq!((answer.expect(202), answer.header("tidegate-position")), (verdicts(1, 0), "5"));
    let again = ours.send(ONE, full.to_string()).await;
    assert_eq!((again.expect(202), again.header("tidegate-position")), (verdicts(0, 1), "5"));

    let list = ours.list("").await.expect(200);
    let items = list["items"].as_array().unwrap();
    assert_eq!(items.iter().map(|item| item["event_position"].as_i64().unwrap()).collect::<Vec<_>>(), [5, 4, 3, 2, 1]);
    for (name, value) in full.as_object().unwrap() {
        assert_eq!(&items[4][name], value, "{name}");
    }
    assert!(items[4]["event_id"].as_str().unwrap().starts_with("evt_"));
    assert!(items[4]["received_at"].as_str().unwrap().ends_with('Z'));
    assert_eq!(items[2]["data_base64"], "AAE=");
    assert_eq!((&items[0]["data"], &items[0]["subject"]), (&json!("hello"), &json!("Straße")));
    assert_eq!(items[0]["datacontenttype"], "text/plain");
    assert_eq!(ours.used().await, 5);
}

#[tokio::test]
async fn what_is_wrong_with_one_event_is_said_of_that_event() {
    let app = TestApp::spawn().await;
    let ours = Tenant::new(&app, "Ada").await;
    let deep: Value = serde_json::from_str(&format!("{}{}", "[".repeat(70), "]".repeat(70))).unwrap();
    let cases = [
        (json!({"id": null}), "missing-attribute", "/id"),
        (json!({"type": ""}), "missing-attribute", "/type"),
        (json!({"specversion": "0.3"}), "unsupported-specversion", "/specversion"),
        (json!({"time": "1969-12-31T23:59:59Z"}), "time-out-of-bounds", "/time"),
        (json!({"time": "9999-01-01T00:00:00Z"}), "time-out-of-bounds", "/time"),
        (json!({"subject": "a\u{0}b"}), "bad-attribute", "/subject"),
        (json!({"subject": "\u{1F980}".repeat(600)}), "bad-attribute", "/subject"),
        (json!({"Unknown_Field": 1}), "bad-attribute", "/Unknown_Field"),
        (json!({"tidegatedepth": 0}), "reserved-attribute", "/tidegatedepth"),
        (json!({"data": deep}), "too-deep", ""),
        (json!({"data": "x".repeat(300_000)}), "too-large", ""),
        (json!({"data_base64": "*"}), "bad-data", "/data_base64"),
    ];
    let mut batch: Vec<Value> = cases.iter().map(|(changes, ..)| event("bad", changes.clone())).collect();
    batch.push(json!(7));
    batch.push(event("good", json!({})));
    let answer = ours.send(BATCH, json!(batch).to_string()).await.expect(202);
    assert_eq!((&answer["accepted"], &answer["duplicates"]), (&json!(1), &json!(0)));
    let rejected = answer["rejected"].as_array().unwrap();
    for (index, (changes, code, pointer)) in cases.iter().enumerate() {
        let verdict = &rejected[index];
        let expected = (&json!(index), &json!(code), &json!(pointer));
        let place = changes.to_string().chars().take(80).collect::<String>();
        assert_eq!((&verdict["index"], &verdict["code"], &verdict["pointer"]), expected, "{place}");
        assert!(!verdict["detail"].as_str().unwrap().is_empty());
    }
    assert_eq!((&rejected[12]["code"], rejected.len()), (&json!("malformed"), 13));
    assert_eq!(ours.ids("").await, ["good"]);

    for (data, pointer) in [("[1e400]", "/data/0"), (r#"{"a":"\ud800"}"#, "/data/a"), (r#"{"a":1,"a":2}"#, "/data/a")] {
        let sent = event("bad", json!({"data": "here"})).to_string().replace("\"here\"", data);
        let verdict = &ours.send(ONE, sent).await.expect(202)["rejected"][0];
        assert_eq!((&verdict["code"], &verdict["pointer"]), (&json!("bad-data"), &json!(pointer)), "{data}");
    }
    let alone = ours.send(ONE, event("1", json!({"source": 1})).to_string()).await;
    assert_eq!(alone.expect(202)["rejected"][0]["pointer"], "/source");
    assert_eq!(alone.header("tidegate-position"), "1");
}

#[tokio::test]
async fn a_body_that_cannot_be_read_changes_nothing() {
    let app = TestApp::spawn().await;
    let ours = Tenant::new(&app, "Ada").await;
    let good = event("1", json!({})).to_string();
    for (content_type, body, status, code) in [
        (ONE, "{".to_owned(), 400, "malformed-body"),
        (ONE, String::new(), 400, "malformed-body"),
        (ONE, "[]".to_owned(), 400, "malformed-body"),
        (BATCH, good.clone(), 400, "malformed-body"),
        (BATCH, format!("[{good}"), 400, "malformed-body"),
        (BATCH, "[".repeat(1_000_000), 400, "malformed-body"),
        (LINES, "not json\nnor this".to_owned(), 400, "malformed-body"),
        ("application/json", good.clone(), 415, "unsupported-media-type"),
        ("text/csv", good.clone(), 415, "unsupported-media-type"),
        ("application/cloudevents+json; charset=utf-16", good.clone(), 415, "unsupported-media-type"),
        (LINES, " ".repeat(8 * 1024 * 1024 + 1), 413, "body-too-large"),
        (BATCH, format!("[{}0]", "0,".repeat(10_000)), 413, "body-too-large"),
    ] {
        ours.send(content_type, body).await.expect_problem(status, code);
    }
    assert_eq!(ours.ids("").await, Vec::<String>::new());
    assert_eq!(ours.used().await, 0);
}

#[tokio::test]
async fn the_plan_takes_what_fits_and_402_answers_when_nothing_does() {
    let app = TestApp::spawn_with(&["--default-plan", "free"]).await;
    let ours = Tenant::new(&app, "Ada").await;
    let batch = |from: i32, to: i32| {
        let events: Vec<Value> = (from..to).map(|id| event(&id.to_string(), json!({}))).collect();
        json!(events).to_string()
    };
    assert_eq!(ours.send(BATCH, batch(0, 990)).await.expect(202)["accepted"], 990);
    let answer = ours.send(BATCH, batch(985, 1005)).await.expect(202);
    assert_eq!((&answer["accepted"], &answer["duplicates"]), (&json!(10), &json!(5)));
    let rejected = answer["rejected"].as_array().unwrap();
    assert_eq!(rejected.len(), 5);
    assert!(rejected.iter().all(|item| item["code"] == "quota-exceeded"), "{rejected:?}");
    assert_eq!(rejected[0]["index"], 15);
    let over = ours.send(BATCH, batch(2000, 2003)).await;
    let problem = over.expect_problem(402, "quota-exceeded");
    let metrics = String::from_utf8(app.get("/metrics").send().await.bytes).expect("text");
    let refused = metrics.lines().find_map(|line| line.strip_prefix("quota_refusals_total{meter=\"events\"} "));
    assert_eq!(
        refused.and_then(|count| count.parse().ok()),
        Some(rejected.len() + problem["errors"].as_array().expect("errors").len())
    );
    assert_eq!(problem["errors"].as_array().unwrap().len(), 3);
    // After them are the two events that tell of the limit, which do not count.
    let position: i64 = over.header("tidegate-position").parse().expect("a position");
    assert!((1000..=1002).contains(&position), "{position}");
    let known = ours.send(BATCH, batch(0, 3)).await;
    assert_eq!(known.expect(202), verdicts(0, 3));
    assert_eq!(ours.used().await, 1000);
    let theirs = Tenant::new(&app, "Eve").await;
    assert_eq!(theirs.send(BATCH, batch(0, 3)).await.expect(202), verdicts(3, 0));
}

#[tokio::test]
async fn lists_are_filtered_and_paged() {
    let app = TestApp::spawn().await;
    let ours = Tenant::new(&app, "Ada").await;
    let batch: Vec<Value> = (0..7)
        .map(|n| {
            let kind = if n % 2 == 0 { "even" } else { "odd" };
            let changes = json!({
                "type": kind, "source": format!("/{}", n % 3), "subject": format!("src/{n}"),
                "time": format!("2026-01-0{}T00:00:00Z", n + 1), "data": {"actor": format!("p{}", n % 2), "tool": "git"},
            });
            event(&n.to_string(), changes)
        })
        .collect();
    ours.send(BATCH, json!(batch).to_string()).await.expect(202);
    for (query, expected) in [
        ("?type=even", &["6", "4", "2", "0"][..]),
        ("?type=even&type=odd&source=/0", &["6", "3", "0"]),
        ("?actor=p1&tool=git", &["5", "3", "1"]),
        ("?subject_prefix=src/1&subject_prefix=src/2", &["2", "1"]),
        ("?from=2026-01-02T00:00:00Z&to=2026-01-04T00:00:00Z", &["2", "1"]),
        ("?from=2026-01-06T02:00:00%2B02:00", &["6", "5"]),
        ("?tool=svn", &[]),
    ] {
        assert_eq!(ours.ids(query).await, expected, "{query}");
    }
    let (mut seen, mut query) = (Vec::new(), "?type=even&limit=3".to_owned());
    loop {
        let page = ours.list(&query).await.expect(200);
        seen.extend(page["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        for foreign in ["?type=odd&limit=3", "?limit=3"] {
            let answer = ours.list(&format!("{foreign}&cursor={cursor}")).await;
            answer.expect_problem(400, "invalid-cursor");
        }
        query = format!("?type=even&limit=3&cursor={cursor}");
    }
    assert_eq!(seen, ["6", "4", "2", "0"]);

    let theirs = Tenant::new(&app, "Eve").await;
    assert_eq!(theirs.ids("").await, Vec::<String>::new());
    let page = ours.list("?limit=1").await.expect(200);
    let cursor = page["next_cursor"].as_str().unwrap();
    theirs.list(&format!("?limit=1&cursor={cursor}")).await.expect_problem(400, "invalid-cursor");
}

#[tokio::test]
async fn a_query_that_cannot_be_meant_is_refused() {
    let app = TestApp::spawn().await;
    let ours = Tenant::new(&app, "Ada").await;
    for query in [
        "?unknown=1",
        "?types=a",
        "?limit=0",
        "?limit=201",
        "?limit=x",
        "?from=yesterday",
        "?from=-9999-01-01T00:00:00Z",
        "?type=a%00b",
        "?limit=1&limit=2",
    ] {
        ours.list(query).await.expect_problem(400, "invalid-query");
    }
    let long = format!("?actor={}", "x".repeat(3000));
    ours.list(&long).await.expect_problem(400, "invalid-query");
    let many = format!("?{}", "type=a&".repeat(51));
    ours.list(many.trim_end_matches('&')).await.expect_problem(400, "invalid-query");
    for cursor in ["", "x", "!!!!", "AAAAAAAAAAAAAAAAAAAAAAAAAAAA"] {
        ours.list(&format!("?cursor={cursor}")).await.expect_problem(400, "invalid-cursor");
    }
}

#[tokio::test]
async fn who_may_not_send_or_read_is_told_so() {
    let app = TestApp::spawn().await;
    let ada = app.person("Ada").await;
    let workspace = app.workspace(&ada, "Acme").await;
    let path = format!("/api/v1/workspaces/{workspace}/events");
    let (_, reader) = app.api_key(&ada, &workspace, &["events:read"]).await;
    let (_, writer) = app.api_key(&ada, &workspace, &["events:write"]).await;
    let good = event("1", json!({})).to_string();
    app.post(&path).bearer(&reader).body(ONE, good.clone()).send().await.expect_problem(403, "forbidden");
    app.post(&path).bearer(&writer).body(ONE, good.clone()).send().await.expect(202);
    app.get(&path).bearer(&writer).send().await.expect_problem(403, "forbidden");
    let usage = path.replace("/events", "/usage");
    app.get(&usage).bearer(&writer).send().await.expect_problem(403, "forbidden");
    let eve = app.person("Eve").await;
    app.post(&path).bearer(&eve.token).body(ONE, good).send().await.expect_problem(404, "not-found");
    app.get(&path).bearer(&eve.token).send().await.expect_problem(404, "not-found");
    app.get(&usage).bearer(&eve.token).send().await.expect_problem(404, "not-found");
}

#[tokio::test]
async fn concurrent_single_events_are_each_there_once() {
    let app = TestApp::spawn().await;
    let ours = Tenant::new(&app, "Ada").await;
    let sent = (0..60).map(|n| ours.send(ONE, event(&(n % 40).to_string(), json!({})).to_string()));
    let answers = futures::future::join_all(sent).await;
    let mut counts = (0, 0);
    for answer in answers {
        let body = answer.expect(202);
        counts.0 += body["accepted"].as_i64().unwrap();
        counts.1 += body["duplicates"].as_i64().unwrap();
        assert!(answer.header("tidegate-position").parse::<i64>().unwrap() >= 1);
    }
    assert_eq!(counts, (40, 20));
    assert_eq!(ours.used().await, 40);
    assert_eq!(ours.ids("?limit=200").await.len(), 40);
}

#[tokio::test]
async fn an_event_is_read_by_its_id() {
    let app = TestApp::spawn().await;
    let (room, eve) = (Room::of(&app, "Ada").await, Room::of(&app, "Eve").await);
    let lines = ["1", "2"].map(|id| {
        json!({ "specversion": "1.0", "id": id, "source": "/test", "type": "made", "data": [id], "note": "kept" })
            .to_string()
    });
    room.request(Method::POST, "/events").body("application/x-ndjson", lines.join("\n")).send().await.expect(202);
    let listed = room.request(Method::GET, "/events").send().await.expect(200);
    for item in listed["items"].as_array().expect("events") {
        let path = format!("/events/{}", item["event_id"].as_str().expect("an id"));
        assert_eq!(room.request(Method::GET, &path).send().await.expect(200), *item);
        let asked = async |room: &Room<'_>, path: &str| {
            room.request(Method::GET, path).header("x-request-id", "same").send().await
        };
        let missing = asked(&eve, "/events/evt_01jz3q9m0e7c2v5y8t4r6n1k0d").await;
        missing.expect_problem(404, "not-found");
        for path in [path.as_str(), "/events/1", "/events/nonsense", "/events/%00"] {
            assert_eq!(asked(&eve, path).await.bytes, missing.bytes, "{path}");
        }
    }
    app.stop().await;
}
