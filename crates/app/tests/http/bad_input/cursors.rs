//! Cursors that are damaged, expired, or from another workspace, on every list with cursors.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use reqwest::Method;
use serde_json::{Value, json};
use tidegate_kernel::WorkspaceId;
use tidegate_tenancy::Role;
use tidegate_testing::TestClock;

use crate::authorization::world::dead_job;
use crate::support::{Person, TestApp, text};

/// A workspace in which every list has at least two items.
struct Place {
    workspace: String,
    workflow: String,
}

impl Place {
    async fn new(app: &TestApp, owner: &Person, member: &Person, name: &str) -> Self {
        let workspace = app.workspace(owner, name).await;
        app.join(&workspace, member, Role::MEMBER).await;
        for _ in 0..2 {
            app.api_key(owner, &workspace, &["events:read"]).await;
        }
        app.change_together(owner, &workspace, "src/lib.rs", "CHANGES.md", 3).await;
        app.change_together(owner, &workspace, "src/main.rs", "README.md", 4).await;
        let path = format!("/api/v1/workspaces/{workspace}/workflows");
        let document = |name: &str| json!({ "name": name, "steps": [{ "id": "a", "uses": "transform" }] });
        let mut ids = Vec::new();
        for name in ["one", "two"] {
            let made = app.post(&path).bearer(&owner.token).json(&document(name)).send().await.expect(201);
            ids.push(text(&made["id"]));
        }
        let one = format!("{path}/{}", ids[0]);
        let draft = app.request(Method::PUT, &one).bearer(&owner.token).header("if-match", "\"1\"");
        draft.json(&document("one again")).send().await.expect(200);
        app.post(&format!("{one}/publish")).bearer(&owner.token).send().await.expect(200);
        for _ in 0..2 {
            let start = app.post(&format!("{one}/runs?wait=20s")).bearer(&owner.token);
            start.json(&json!({})).send().await.expect(201);
        }
        for name in ["one.txt", "two.txt"] {
            app.upload(&owner.token, &workspace, name, "text/plain", b"x").await.expect(201);
        }
        for _ in 0..2 {
            let id: WorkspaceId = workspace.parse().expect("a workspace's id");
            dead_job(app, id.as_uuid()).await;
        }
        for _ in 0..2 {
            let path = format!("/api/v1/workspaces/{workspace}/subscription");
            let body = json!({ "plan": "professional", "interval": "month", "currency": "EUR" });
            app.request(Method::PUT, &path).bearer(&owner.token).json(&body).send().await.expect(201);
            let cancel = app.post(&format!("{path}/cancel")).bearer(&owner.token);
            cancel.json(&json!({ "at": "now" })).send().await.expect(200);
        }
        books(app, workspace.parse().expect("a workspace's id")).await;
        Self { workspace, workflow: ids.swap_remove(0) }
    }

    fn path(&self, template: &str) -> String {
        template.replace("{ws}", &self.workspace).replace("{wf}", &self.workflow)
    }
}

/// A payment and a credit note for each invoice, and two corrections of usage.
async fn books(app: &TestApp, workspace: WorkspaceId) {
    let id = workspace.as_uuid();
    for rows in [
        "payment (workspace_id, id, invoice_id, attempt, provider, state, amount, currency, credited, created_at, changed_at)
             select workspace_id, gen_random_uuid(), id, 0, 'test', 'failed', 100, 'EUR', 0, now(), now() from invoice",
        "credit_note (workspace_id, id, number, invoice_id, currency, total, tax, reason, issued_at)
             select workspace_id, gen_random_uuid(), number, id, 'EUR', 1, 0, 'r', now() from invoice",
        "usage_correction (workspace_id, id, reference, meter, day, asked, amount, reason, at)
             select workspace_id, gen_random_uuid(), id::text, 'runs', now(), 1, 1, 'r', now() from invoice",
    ] {
        app.database.run(format!("insert into {rows} where workspace_id = '{id}'")).await;
    }
}

/// The path of every list with pages, from the document.
async fn lists(app: &TestApp) -> Vec<String> {
    let document = app.get("/api/v1/openapi.json").send().await.expect(200);
    let paths = document["paths"].as_object().expect("there are paths");
    let paged = |item: &Value| {
        let parameters = item["get"]["parameters"].as_array().cloned().unwrap_or_default();
        parameters.iter().any(|parameter| parameter["name"] == "cursor")
    };
    // Operators' lists have their own test, and a PostgreSQL server shows no mails.
    let ours = |path: &str| !path.contains("/monitoring/") && !path.contains("/dev/");
    paths.iter().filter(|(path, item)| ours(path) && paged(item)).map(|(path, _)| path.clone()).collect()
}

#[tokio::test]
async fn a_cursor_is_good_for_its_own_list_for_a_day() {
    let clock = TestClock::ticking(tidegate::system::environment().now());
    let app = TestApp::spawn_at(clock.clone()).await;
    let (ada, eve) = (app.person("Ada").await, app.person("Eve").await);
    let (ours, theirs) = (Place::new(&app, &ada, &eve, "Ours").await, Place::new(&app, &ada, &eve, "Theirs").await);
    app.workspace(&eve, "Eve's").await;
    let lists = lists(&app).await;
    assert!(lists.len() >= 10, "{lists:?}");
    let get = async |person: &Person, path: &str, cursor: &str| {
        app.get(&format!("{path}?limit=1&cursor={cursor}")).bearer(&person.token).send().await
    };
    let mut cursors = BTreeMap::new();
    for list in &lists {
        let path = ours.path(list);
        let first = app.get(&format!("{path}?limit=1")).bearer(&ada.token).send().await.expect(200);
        let cursor = first["next_cursor"].as_str().unwrap_or_else(|| panic!("{list} has no second page: {first}"));
        let second = get(&ada, &path, cursor).await.expect(200);
        assert_ne!(first["items"], second["items"], "{list}");
        cursors.insert(list.clone(), cursor.to_owned());
    }
    let before = app.contents().await;
    for (list, cursor) in &cursors {
        let path = ours.path(list);
        let (start, end) = (&cursor[..cursor.len() - 1], &cursor[1..]);
        let swapped = if cursor.starts_with('A') { "B" } else { "A" };
        let long = "A".repeat(5_000);
        for damaged in ["", "x", "!!!!", "%00", start, end, &format!("{swapped}{end}"), &format!("{cursor}AAAA"), &long]
        {
            get(&ada, &path, damaged).await.expect_problem(400, "invalid-cursor");
        }
        for (other, foreign) in &cursors {
            if other != list {
                get(&ada, &path, foreign).await.expect_problem(400, "invalid-cursor");
            }
        }
        if list.contains("{ws}") {
            get(&ada, &theirs.path(list), cursor).await.expect_problem(400, "invalid-cursor");
        } else {
            get(&eve, &path, cursor).await.expect_problem(400, "invalid-cursor");
        }
    }
    clock.advance(TimeDelta::hours(24) + TimeDelta::seconds(1));
    let ada = app.log_in(&ada.email, &ada.id).await;
    for (list, cursor) in &cursors {
        get(&ada, &ours.path(list), cursor).await.expect_problem(400, "invalid-cursor");
        app.get(&format!("{}?limit=1", ours.path(list))).bearer(&ada.token).send().await.expect(200);
    }
    let mut after = app.contents().await;
    // The second login adds a session.
    for changed in ["session", "refresh_token", "account_event", "signing_key"] {
        after.insert(changed.to_owned(), before[changed].clone());
    }
    assert_eq!(after, before);
}
