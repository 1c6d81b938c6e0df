//! The limits of plans over HTTP.

use std::ops::Range;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Person, TestApp};

/// A workflow with this name.
fn workflow(name: &str) -> Value {
    json!({"name": name, "steps": [{"id": "keep", "uses": "transform", "with": {"n": 1}}]})
}

async fn create(app: &TestApp, ada: &Person, workspace: &str, name: &str, status: u16) -> Value {
    let path = format!("/api/v1/workspaces/{workspace}/workflows");
    app.request(Method::POST, &path).bearer(&ada.token).json(&workflow(name)).send().await.expect(status)
}

/// Sends events with these ids.
async fn send_events(app: &TestApp, ada: &Person, path: &str, ids: Range<usize>) -> Answer {
    let event = |n| json!({"specversion": "1.0", "id": format!("{n}"), "source": "/test", "type": "file.modified"});
    let body = json!(ids.map(event).collect::<Vec<_>>()).to_string();
    app.post(path).bearer(&ada.token).body("application/cloudevents-batch+json", body).send().await
}

#[tokio::test]
async fn a_plan_limits_workflows_to_the_last_one() {
    let app = TestApp::spawn_with(&["--default-plan", "free"]).await;
    let ada = app.person("Ada").await;
    let (workspace, other) = (app.workspace(&ada, "Acme").await, app.workspace(&ada, "Other").await);
    let created = futures::future::join_all((0..8).map(|n| {
        let (app, ada, workspace) = (&app, &ada, &workspace);
        async move {
            let path = format!("/api/v1/workspaces/{workspace}/workflows");
            let answer = app.post(&path).bearer(&ada.token).json(&workflow(&format!("w{n}"))).send().await;
            (answer.status.as_u16(), answer.json())
        }
    }))
    .await;
    assert_eq!(created.iter().filter(|(status, _)| *status == 201).count(), 3, "{created:?}");
    assert_eq!(created.iter().filter(|(status, _)| *status == 402).count(), 5, "{created:?}");

    // Beside it, the event and the mails of the alert are added.
    let kept = async || {
        let tables = ["workflow", "workflow_version", "quota_level", "audit_entry"];
        let mut contents = app.contents().await;
        contents.retain(|table, _| tables.contains(&table.as_str()));
        contents
    };
    let before = kept().await;
    let refused = create(&app, &ada, &workspace, "one too many", 402).await;
    assert_eq!((&refused["code"], &refused["status"]), (&json!("quota-exceeded"), &json!(402)));
    assert_eq!(refused["quota"], json!({"meter": "workflows", "limit": 3, "used": 3, "resets_at": null}));
    assert_eq!(kept().await, before);

    create(&app, &ada, &other, "theirs", 201).await;
    let (_, first) = created.iter().find(|(status, _)| *status == 201).expect("three were created");
    let path = format!("/api/v1/workspaces/{workspace}/workflows/{}", first["id"].as_str().expect("an id"));
    app.request(Method::DELETE, &path).bearer(&ada.token).header("if-match", "*").send().await.expect(204);
    create(&app, &ada, &workspace, "in its place", 201).await;
    create(&app, &ada, &workspace, "one too many", 402).await;
    assert_eq!(app.used(&ada, &workspace, "workflows").await, json!(3));
}

#[tokio::test]
async fn a_plan_limits_members_to_the_last_seat() {
    let app = TestApp::spawn_with(&["--default-plan", "starter"]).await;
    let ada = app.person("Ada").await;
    let workspace = app.workspace(&ada, "Acme").await;
    let people = [app.person("Bob").await, app.person("Cyd").await, app.person("Dan").await, app.person("Eve").await];
    let joined = futures::future::join_all(people.iter().map(|person| app.try_join(&workspace, person))).await;
    assert_eq!(joined.iter().filter(|joined| **joined).count(), 2, "the owner has the third seat: {joined:?}");
    assert_eq!(app.used(&ada, &workspace, "members").await, json!(3));

    let left = people.iter().zip(&joined).find(|(_, joined)| **joined).expect("somebody joined").0;
    let path = format!("/api/v1/workspaces/{workspace}/members/{}", left.id);
    app.request(Method::DELETE, &path).bearer(&ada.token).send().await.expect(204);
    assert!(app.try_join(&workspace, left).await, "a seat is free again");
    assert!(
        !app.try_join(&workspace, people.iter().zip(&joined).find(|(_, joined)| !**joined).expect("two did not").0)
            .await
    );
}

#[tokio::test]
async fn requests_of_a_day_end_at_the_limit_of_the_plan() {
    let app = TestApp::spawn_with(&["--default-plan", "starter"]).await;
    let ada = app.person("Ada").await;
    let (workspace, other) = (app.workspace(&ada, "Acme").await, app.workspace(&ada, "Other").await);
    let sql = "insert into quota_grant (workspace_id, meter, period_start, granted)
             select workspace_id, 'api_calls', date_trunc('day', now(), 'UTC'), 990 from workspace where slug = 'acme'";
    app.database.run(sql.to_owned()).await;
    let beside = app.beside(&["--default-plan", "starter"]).await;
    let path = format!("/api/v1/workspaces/{workspace}/workflows");
    let read = |at: &TestApp| at.get(&path).bearer(&ada.token).send();
    let mut passed = 0;
    for _ in 0..12 {
        for at in [&app, &beside] {
            passed += u32::from(read(at).await.status == 200);
        }
    }
    assert_eq!(passed, 10, "1000 a day, of which 990 were used");

    let refused = read(&app).await;
    let problem = refused.expect_problem(429, "daily-quota-exceeded");
    let quota = &problem["quota"];
    assert_eq!((&quota["meter"], &quota["limit"], &quota["used"]), (&json!("api_calls"), &json!(1000), &json!(1000)));
    let wait: i64 = refused.header("retry-after").parse().expect("seconds");
    assert!((1..=86_401).contains(&wait), "{wait}");
    assert!(quota["resets_at"].as_str().expect("a time").ends_with("T00:00:00Z"), "{quota}");
    // Why it is refused can still be seen, and another workspace has requests of its own.
    assert_eq!(app.used(&ada, &workspace, "storage_bytes").await, json!(0));
    app.get(&format!("/api/v1/workspaces/{other}/workflows")).bearer(&ada.token).send().await.expect(200);
}

#[tokio::test]
async fn requests_of_a_minute_end_at_the_limit_of_the_plan() {
    let app = TestApp::spawn_with(&["--default-plan", "starter"]).await;
    let ada = app.person("Ada").await;
    let workspace = app.workspace(&ada, "Acme").await;
    let path = format!("/api/v1/workspaces/{workspace}/workflows");
    let read = || async { app.get(&path).bearer(&ada.token).send().await };
    let answers = futures::future::join_all((0..130).map(|_| read())).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 120);
    let refused = answers.iter().find(|answer| answer.status != 200).expect("ten are refused");
    let problem = refused.expect_problem(429, "rate-limited");
    let quota = &problem["quota"];
    assert_eq!((&quota["meter"], &quota["limit"]), (&json!("requests_per_minute"), &json!(120)));
    assert!((1..=61).contains(&refused.header("retry-after").parse::<i64>().expect("seconds")));
    app.get(&format!("/api/v1/workspaces/{workspace}/usage")).bearer(&ada.token).send().await.expect(200);
}

#[tokio::test]
async fn a_plan_limits_runs_at_the_same_time() {
    let app = TestApp::spawn_with(&["--default-plan", "starter"]).await;
    let ada = app.person("Ada").await;
    let workspace = app.workspace(&ada, "Acme").await;
    let base = format!("/api/v1/workspaces/{workspace}");
    let waits = json!({"name": "waits", "steps": [{"id": "wait", "uses": "delay", "with": {"for": "1h"}}]});
    let created = app.post(&format!("{base}/workflows")).bearer(&ada.token).json(&waits).send().await.expect(201);
    let workflow = format!("{base}/workflows/{}", created["id"].as_str().expect("an id"));
    app.post(&format!("{workflow}/publish")).bearer(&ada.token).header("if-match", "*").send().await.expect(200);
    for _ in 0..12 {
        app.post(&format!("{workflow}/runs")).bearer(&ada.token).json(&json!({"input": {}})).send().await.expect(201);
    }
    let with = async |status: &str| {
        let path = format!("{base}/runs?status={status}");
        let list = app.get(&path).bearer(&ada.token).send().await.expect(200);
        list["items"].as_array().expect("items").clone()
    };
    let ten = async {
        while with("waiting").await.len() < 10 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), ten).await.expect("ten runs wait");
    assert_eq!((with("waiting").await.len(), with("pending").await.len()), (10, 2));
    let ended = with("waiting").await[0]["id"].as_str().expect("an id").to_owned();
    app.post(&format!("{base}/runs/{ended}/cancel")).bearer(&ada.token).send().await.expect(202);
    let next = async {
        while with("pending").await.len() > 1 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), next).await.expect("the next run begins");
    assert!(with("waiting").await.len() <= 10);
}

/// A plan with two steps a month.
fn two_steps() -> Value {
    let features =
        json!({ "custom_roles": false, "audit_export": false, "network_policy": false, "single_sign_on": false });
    let unlimited = json!({ "included": null, "overage": null });
    json!({
        "name": "tiny", "title": "Tiny", "prices": [{ "interval": "month", "currency": "EUR", "amount": 100 }],
        "entitlements": {
            "features": features, "storage_bytes": null, "file_bytes": null, "workflows": null,
            "api_calls_per_day": null, "requests_per_minute": null, "members": null, "concurrent_runs": null,
            "events_per_month": unlimited, "runs_per_month": unlimited,
            "steps_per_month": { "included": 2, "overage": null },
        },
    })
}

#[tokio::test]
async fn a_step_beyond_the_plan_waits_and_fails_nothing() {
    let engine = TestApp::spawn_with(&["--default-plan", "free"]).await;
    let operator = engine.person("Operator").await;
    let app = engine.beside(&["--default-plan", "free", "--operator", &operator.id, "--role", "api"]).await;
    let plans = "/api/v1/monitoring/plans";
    app.post(plans).bearer(&operator.token).json(&two_steps()).send().await.expect(201);
    app.post(&format!("{plans}/tiny/versions/1/publish")).bearer(&operator.token).send().await.expect(200);
    let ada = app.person("Ada").await;
    let base = format!("/api/v1/workspaces/{}", app.workspace(&ada, "Acme").await);
    let buy = json!({ "plan": "tiny", "interval": "month", "currency": "EUR" });
    app.request(Method::PUT, &format!("{base}/subscription")).bearer(&ada.token).json(&buy).send().await.expect(201);
    let steps = ["a", "b", "c"].map(|id| json!({ "id": id, "uses": "transform", "with": { "n": 1 } }));
    let three = json!({ "name": "three", "steps": steps });
    let created = app.post(&format!("{base}/workflows")).bearer(&ada.token).json(&three).send().await.expect(201);
    let workflow = format!("{base}/workflows/{}", created["id"].as_str().expect("an id"));
    app.post(&format!("{workflow}/publish")).bearer(&ada.token).header("if-match", "*").send().await.expect(200);
    let start = app.post(&format!("{workflow}/runs")).bearer(&ada.token).json(&json!({ "input": {} }));
    let run = format!("{base}/runs/{}", start.send().await.expect(201)["id"].as_str().expect("an id"));
    let waits = async {
        loop {
            let run = app.get(&run).bearer(&ada.token).send().await.expect(200);
            if run["status"] == "waiting" {
                return run;
            }
            tokio::task::yield_now().await;
        }
    };
    let held = tokio::time::timeout(std::time::Duration::from_secs(30), waits).await.expect("the run waits");
    let shown = |name: &str| held["steps"].as_array().expect("steps").iter().map(|step| step[name].clone()).collect();
    let (statuses, reasons): (Vec<_>, Vec<_>) = (shown("status"), shown("waits_for"));
    assert_eq!(statuses, ["completed", "completed", "waiting"]);
    assert_eq!(reasons, [Value::Null, Value::Null, json!("quota")]);
    assert!(held["steps"][2]["waits_until"].is_string() && held["steps"][2]["attempts"] == json!([]), "{held}");
    let usage = app.get(&format!("{base}/usage?meter=steps")).bearer(&ada.token).send().await.expect(200);
    assert_eq!((&usage[0]["used"], &usage[0]["limit"]), (&json!(2), &json!(2)));
    app.post(&format!("{run}/cancel")).bearer(&ada.token).send().await.expect(202);
}

#[tokio::test]
async fn the_last_events_of_the_plan_are_accepted_and_the_next_refused() {
    let app = TestApp::spawn_with(&["--default-plan", "free"]).await;
    let ada = app.person("Ada").await;
    let workspace = app.workspace(&ada, "Acme").await;
    let path = format!("/api/v1/workspaces/{workspace}/events");
    let send = async |from, to| send_events(&app, &ada, &path, from..to).await;
    send(0, 998).await.expect(202);
    let report = send(998, 1003).await.expect(202);
    assert_eq!((&report["accepted"], report["rejected"].as_array().expect("a list").len()), (&json!(2), 3));
    assert_eq!(report["rejected"][0]["code"], "quota-exceeded");
    let problem = send(1003, 1004).await.expect_problem(402, "quota-exceeded");
    let quota = &problem["quota"];
    assert_eq!((&quota["meter"], &quota["limit"], &quota["used"]), (&json!("events"), &json!(1000), &json!(1000)));
    assert!(quota["resets_at"].is_string());
    assert_eq!(app.used(&ada, &workspace, "events").await, json!(1000));
}

#[tokio::test]
async fn owners_hear_once_that_a_limit_is_near_and_once_that_it_is_reached() {
    let app = TestApp::spawn_with(&["--default-plan", "free"]).await;
    let ada = app.person("Ada").await;
    let workspace = app.workspace(&ada, "Acme").await;
    let path = format!("/api/v1/workspaces/{workspace}/events");
    let send = async |from, to| send_events(&app, &ada, &path, from..to).await;
    let alerts = async |count: usize| {
        let told = async {
            loop {
                let list = format!("{path}?type=tidegate.quota.threshold");
                let events = app.get(&list).bearer(&ada.token).send().await.expect(200);
                let events = events["items"].as_array().expect("items").clone();
                if events.len() >= count {
                    return events;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(30), told).await.expect("the alert is an event")
    };
    send(0, 799).await.expect(202);
    send(799, 801).await.expect(202);
    let near = alerts(1).await;
    let data = &near[0]["data"];
    assert_eq!((&data["meter"], &data["percent"], &data["limit"]), (&json!("events"), &json!(80), &json!(1000)));
    assert_eq!((&data["used"], &near[0]["source"]), (&json!(801), &json!("/tidegate/quotas")));
    send(801, 1100).await.expect(202);
    send(1100, 1101).await.expect(402);
    assert_eq!(alerts(2).await[0]["data"]["percent"], 100);
    assert_eq!(alerts(2).await.len(), 2);
    let counted = async |table: &str| app.database.count(format!("select count(*) from {table}")).await;
    let idle = async {
        while counted("job").await > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), idle).await.expect("all mails are sent");
    for (percent, mails) in [(80, 1), (100, 1)] {
        let subject = format!(
            "kept_mail where subject = 'Acme has used {percent} % of its events' and recipient = '{}'",
            ada.email
        );
        assert_eq!(counted(&subject).await, mails, "{percent}");
    }
    assert_eq!(counted("kept_mail where subject like 'Acme has used %'").await, 2);
}
