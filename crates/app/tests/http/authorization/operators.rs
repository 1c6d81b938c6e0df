//! Who gets which answer from what operators of the installation do: {operation} × {anonymous, API key, person, operator}.

use serde_json::Value;
use tidegate_kernel::{RunId, WorkspaceId};

use super::examples::{World, dead_job};
use super::{Operations, operations};
use crate::support::{Answer, Person, TestApp};

/// Of each caller the status; of an operator it is what the operation answers when all is well.
const TABLE: &[(&str, [u16; 4])] = &[
    ("GET /api/v1/monitoring/business", [401, 403, 404, 200]),
    ("GET /api/v1/monitoring/cache/stats", [401, 403, 404, 200]),
    ("GET /api/v1/monitoring/database/pool", [401, 403, 404, 200]),
    ("GET /api/v1/monitoring/jobs", [401, 403, 404, 200]),
    ("POST /api/v1/monitoring/jobs/{job}/discard", [401, 403, 404, 204]),
    ("POST /api/v1/monitoring/jobs/{job}/redrive", [401, 403, 404, 202]),
    ("GET /api/v1/monitoring/metrics", [401, 403, 404, 200]),
    ("GET /api/v1/monitoring/quarantine", [401, 403, 404, 200]),
    ("POST /api/v1/monitoring/quarantine/{run}/end", [401, 403, 404, 202]),
    ("POST /api/v1/monitoring/quarantine/{run}/release", [401, 403, 404, 202]),
    ("GET /health/detailed", [401, 403, 404, 200]),
];

/// A server that one person operates, and a run in quarantine.
struct House {
    world: World,
    app: TestApp,
    operator: Person,
}

impl House {
    async fn new() -> Self {
        let world = World::new().await;
        let operator = world.app.person("operator").await;
        let app = world.app.beside(&["--operator", &operator.id, "--role", "api"]).await;
        Self { world, app, operator }
    }

    /// A run that waits for an hour, with its workspace; the engine is said to have set it aside.
    async fn quarantined(&self) -> (RunId, WorkspaceId, super::examples::Place) {
        let place = self.world.place("POST /api/v1/workspaces/{ws}/runs/{run}/cancel").await;
        let run: RunId = place.id("run").parse().expect("a run's id");
        let workspace: WorkspaceId = place.workspace.parse().expect("a workspace's id");
        let sql = format!(
            "insert into run_quarantine (workspace_id, run_id, shard, reason, error, at)
             select workspace_id, id, shard, 'refused', 'the database refused it', now() from run where id = '{}'",
            run.as_uuid()
        );
        self.world.app.database.run(sql).await;
        (run, workspace, place)
    }

    async fn call(&self, operation: &str, run: RunId, token: Option<&str>) -> Answer {
        self.call_on(operation, &run.to_string(), token).await
    }

    /// The operation on whatever its path names.
    async fn call_on(&self, operation: &str, thing: &str, token: Option<&str>) -> Answer {
        let (method, path) = operation.split_once(' ').expect("a method and a path");
        let path = path.replace("{run}", thing).replace("{job}", thing);
        let request = self.app.request(method.parse().expect("a method"), &path);
        match token {
            Some(token) => request.bearer(token).send().await,
            None => request.send().await,
        }
    }
}

#[tokio::test]
async fn only_operators_operate() {
    let house = House::new().await;
    let known: Vec<String> = operations(&house.app, Operations::OfOperators).await;
    let listed: Vec<&str> = TABLE.iter().map(|(operation, _)| *operation).collect();
    assert_eq!(known, listed);
    for (operation, expected) in TABLE {
        let (run, workspace, place) = house.quarantined().await;
        let thing = match operation.contains("{job}") {
            true => dead_job(&house.world.app, workspace.as_uuid()).await.to_string(),
            false => run.to_string(),
        };
        let before = house.world.audit_entries(&place).await;
        let owner = house.world.owner_token();
        for (token, status) in
            [None, Some(place.key()), Some(owner), Some(house.operator.token.as_str())].iter().zip(expected)
        {
            let answer = house.call_on(operation, &thing, *token).await;
            assert_eq!(answer.status.as_u16(), *status, "{operation}: {}", answer.json());
            if *status == 404 {
                assert_eq!(house.world.audit_entries(&place).await, before, "{operation}");
                assert!(!answer.json().to_string().contains(&workspace.to_string()));
            }
        }
        if !operation.starts_with("GET ") {
            assert_eq!(
                house.world.audit_entries(&place).await,
                before + 1,
                "{operation} leaves an entry in the tenant's log"
            );
        }
    }
}

#[tokio::test]
async fn a_run_that_is_not_in_quarantine_cannot_be_operated() {
    let house = House::new().await;
    let place = house.world.place("POST /api/v1/workspaces/{ws}/runs/{run}/cancel").await;
    let alive: RunId = place.id("run").parse().expect("a run's id");
    let nobodys = RunId::generate(&tidegate::system::environment());
    for run in [alive, nobodys] {
        for (operation, _) in TABLE.iter().filter(|(operation, _)| operation.contains("{run}")) {
            house.call(operation, run, Some(&house.operator.token)).await.expect_problem(404, "not-found");
        }
    }
    let path = "/api/v1/monitoring/quarantine/made-up/end";
    house.app.post(path).bearer(&house.operator.token).send().await.expect_problem(404, "not-found");
}

#[tokio::test]
async fn the_quarantine_is_listed_by_pages_and_shows_in_health_and_measurements() {
    let house = House::new().await;
    let token = &house.operator.token;
    let healthy = house.app.get("/health/detailed").bearer(token).send().await.expect(200);
    assert_eq!(component(&healthy, "runs"), "ok");
    let (first, ours, _) = house.quarantined().await;
    let (second, theirs, _) = house.quarantined().await;
    let path = "/api/v1/monitoring/quarantine?limit=1";
    let page = house.app.get(path).bearer(token).send().await.expect(200);
    assert_eq!(page["items"][0]["run_id"], first.to_string());
    assert_eq!(page["items"][0]["workspace_id"], ours.to_string());
    assert_eq!(
        (&page["items"][0]["reason"], &page["items"][0]["error"]),
        (&"refused".into(), &"the database refused it".into())
    );
    let cursor = page["next_cursor"].as_str().expect("a second page");
    let page = house.app.get(&format!("{path}&cursor={cursor}")).bearer(token).send().await.expect(200);
    assert_eq!((&page["items"][0]["run_id"], &page["next_cursor"]), (&second.to_string().into(), &Value::Null));
    assert_eq!(page["items"][0]["workspace_id"], theirs.to_string());
    let damaged = format!("{path}&cursor={}", cursor.to_uppercase());
    house.app.get(&damaged).bearer(token).send().await.expect_problem(400, "invalid-cursor");
    let health = house.app.get("/health/detailed").bearer(token).send().await.expect(200);
    assert_eq!((health["status"].as_str(), component(&health, "runs").as_str()), (Some("degraded"), "degraded"));
    let metrics = house.app.get("/metrics").send().await;
    let metrics = String::from_utf8_lossy(&metrics.bytes).into_owned();
    assert!(metrics.lines().any(|line| line == "engine_quarantined_runs 2"), "{metrics}");
}

#[tokio::test]
async fn dead_jobs_of_everybody_are_listed_by_pages_and_those_of_the_installation_are_redriven() {
    let house = House::new().await;
    let token = &house.operator.token;
    let place = house.world.place("GET /api/v1/workspaces/{ws}/jobs").await;
    let workspace: WorkspaceId = place.workspace.parse().expect("a workspace's id");
    let tenants = dead_job(&house.world.app, workspace.as_uuid()).await;
    let own = dead_job(&house.world.app, uuid::Uuid::nil()).await;
    let path = "/api/v1/monitoring/jobs?limit=1";
    let page = house.app.get(path).bearer(token).send().await.expect(200);
    let first = &page["items"][0];
    assert_eq!((&first["id"], &first["workspace_id"]), (&tenants.to_string().into(), &workspace.to_string().into()));
    assert_eq!((&first["status"], &first["last_error"]), (&"dead".into(), &"it failed".into()));
    let cursor = page["next_cursor"].as_str().expect("a second page");
    let page = house.app.get(&format!("{path}&cursor={cursor}")).bearer(token).send().await.expect(200);
    assert_eq!((&page["items"][0]["id"], &page["items"][0]["workspace_id"]), (&own.to_string().into(), &Value::Null));
    let redrive = format!("/api/v1/monitoring/jobs/{own}/redrive");
    let redriven = house.app.post(&redrive).bearer(token).send().await.expect(202);
    assert_eq!((&redriven["status"], &redriven["attempts"]), (&"ready".into(), &0.into()));
    house.app.post(&redrive).bearer(token).send().await.expect_problem(404, "not-found");
    let written = "select count(*) from account_event where action = 'job.redriven'";
    assert_eq!(house.world.app.database.count(written.to_owned()).await, 1);
}

fn component(health: &Value, name: &str) -> String {
    let components = health["components"].as_array().expect("components");
    let component = components.iter().find(|component| component["name"] == name).expect("the component");
    component["status"].as_str().expect("a status").to_owned()
}
