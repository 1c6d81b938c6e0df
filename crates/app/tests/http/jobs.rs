//! Background jobs of a workspace.

use serde_json::Value;
use tidegate_kernel::WorkspaceId;

use crate::authorization::world::dead_job;
use crate::support::TestApp;

#[tokio::test]
async fn people_see_what_failed_and_try_it_again_or_discard_it() {
    let app = TestApp::spawn_with(&["--role", "api"]).await;
    let ada = app.person("ada").await;
    let ws = app.workspace(&ada, "Acme").await;
    let workspace: WorkspaceId = ws.parse().expect("an id");
    let (first, second) = (dead_job(&app, workspace.as_uuid()).await, dead_job(&app, workspace.as_uuid()).await);
    let path = format!("/api/v1/workspaces/{ws}/jobs");
    let list = async |query: &str| {
        let list = app.get(&format!("{path}{query}")).bearer(&ada.token).send().await.expect(200);
        let items = list["items"].as_array().expect("items").clone();
        (items.iter().map(|job| job["id"].as_str().unwrap_or_default().to_owned()).collect::<Vec<_>>(), list)
    };
    let (ids, jobs) = list("?status=dead").await;
    assert_eq!(ids, [second.to_string(), first.to_string()]);
    let job = &jobs["items"][0];
    assert_eq!(
        (&job["kind"], &job["attempts"], &job["last_error"]),
        (&"test.fail".into(), &3.into(), &"it failed".into())
    );
    assert_eq!(job.get("payload"), None, "a payload may hold secrets");
    let (ids, page) = list("?limit=1&kind=test.fail").await;
    let cursor = page["next_cursor"].as_str().expect("a second page");
    assert_eq!(ids, [second.to_string()]);
    assert_eq!(list(&format!("?limit=1&kind=test.fail&cursor={cursor}")).await.0, [first.to_string()]);
    app.get(&format!("{path}?limit=1&kind=test.other&cursor={cursor}"))
        .bearer(&ada.token)
        .send()
        .await
        .expect_problem(400, "invalid-cursor");
    let problem = app.get(&format!("{path}?status=failed")).bearer(&ada.token).send().await;
    let problem = problem.expect_problem(400, "invalid-query");
    assert_eq!(problem["errors"][0]["pointer"], "status");

    let act = async |job: &str, what: &str| app.post(&format!("{path}/{job}/{what}")).bearer(&ada.token).send().await;
    let redriven = act(&first.to_string(), "redrive").await.expect(202);
    assert_eq!((&redriven["status"], &redriven["attempts"]), (&"ready".into(), &0.into()));
    for what in ["redrive", "discard"] {
        act(&first.to_string(), what).await.expect_problem(409, "conflict");
        act("made-up", what).await.expect_problem(404, "not-found");
    }
    assert_eq!(act(&second.to_string(), "discard").await.status.as_u16(), 204);
    act(&second.to_string(), "discard").await.expect_problem(404, "not-found");
    assert_eq!(list("?status=dead").await.0, Vec::<String>::new());
    assert_eq!(list("?status=ready").await.0, [first.to_string()]);
    let audit = app.get(&format!("/api/v1/workspaces/{ws}/audit")).bearer(&ada.token).send().await.expect(200);
    let actions: Vec<&Value> =
        audit["items"].as_array().expect("entries").iter().map(|entry| &entry["action"]).collect();
    assert!(actions.contains(&&"job.redriven".into()) && actions.contains(&&"job.discarded".into()), "{actions:?}");
}

#[tokio::test]
async fn what_is_old_is_removed_when_its_job_is_due() {
    let app = TestApp::spawn().await;
    let until = async |count: i64, sql: &str| {
        while app.database.count(sql.to_owned()).await != count {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    until(10, "select count(*) from job_schedule").await;
    let ended = app.person("ada").await;
    let sql = "update session set revoked_at = now() - interval '31 days';
               update job_schedule set next_at = now() - interval '1 minute' where kind = 'sessions.remove'";
    app.database.run(sql.to_owned()).await;
    let live = app.log_in(&ended.email, &ended.id).await;
    // A process looks for due jobs as soon as it starts.
    let beside = app.beside(&["--role", "worker"]).await;
    until(1, "select count(*) from session").await;
    app.get("/api/v1/auth/me").bearer(&live.token).send().await.expect(200);
    until(0, "select count(*) from job").await;
    beside.stop().await;
}
