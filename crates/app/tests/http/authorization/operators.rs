//! The authorization matrix of operators' operations: {operation} × {anonymous, API key, person, operator}.

use serde_json::Value;
use tidegate_kernel::{RunId, UserId, WorkspaceId};

use super::table::Table;
use super::world::{Place, World, dead_job, request};
use super::{Operations, operations};
use crate::support::{Person, TestApp};

/// The table's name.
pub const TABLE: &str = "operators";

/// A server with one operator, and a run in quarantine.
struct Fixture {
    world: World,
    app: TestApp,
    operator: Person,
}

impl Fixture {
    async fn new() -> Self {
        let world = World::new().await;
        let operator = world.app.person("operator").await;
        let app = world.app.beside(&["--operator", &operator.id, "--role", "api"]).await;
        Self { world, app, operator }
    }

    /// A run in quarantine, with its workspace. It waits for an hour, so that the engine has not ended it.
    async fn quarantined(&self) -> (RunId, WorkspaceId) {
        let place = self.world.place("POST /api/v1/workspaces/{ws}/runs/{run}/cancel").await;
        let run: RunId = place.id("run").parse().expect("a run's id");
        self.set_aside(run).await;
        (run, place.workspace.parse().expect("a workspace's id"))
    }

    async fn set_aside(&self, run: RunId) {
        set_aside(&self.world, run).await;
    }

    /// The resources that the operation needs.
    async fn place(&self, operation: &str) -> Place {
        let place = self.world.place(operation).await;
        if operation.contains("{run}") {
            self.set_aside(place.id("run").parse().expect("a run's id")).await;
        }
        if operation.ends_with("/reactivate") {
            let user: UserId = place.id("user").parse().expect("a person's id");
            let sql = format!("update person set deactivated_at = now() where id = '{}'", user.as_uuid());
            self.world.app.database.run(sql).await;
        }
        place
    }

    /// The number of entries in the tenant's log and in that of the operator's account.
    async fn entries(&self, place: &Place) -> i64 {
        let operator: UserId = self.operator.id.parse().expect("a person's id");
        let written = format!("select count(*) from account_event where user_id = '{}'", operator.as_uuid());
        self.world.audit_entries(place).await + self.world.app.database.count(written).await
    }

    /// The statuses that the operation returns to each kind of caller.
    async fn statuses(&self, operation: &str) -> [u16; 4] {
        let place = self.place(operation).await;
        let example = self.world.example(operation, &place);
        let before = self.entries(&place).await;
        let mut statuses = [0; 4];
        let callers = [None, Some(place.key()), Some(self.world.owner_token()), Some(self.operator.token.as_str())];
        for (token, status) in callers.into_iter().zip(&mut statuses) {
            let answer = request(&self.app, &example, token).send().await;
            assert!(!answer.status.is_server_error(), "{operation}: {}", answer.json());
            if answer.status.is_client_error() {
                assert_eq!(self.entries(&place).await, before, "{operation}");
                assert!(!answer.json().to_string().contains(&place.workspace), "{operation}: {}", answer.json());
            }
            *status = answer.status.as_u16();
        }
        if !operation.starts_with("GET ") {
            let after = self.entries(&place).await;
            assert_eq!(after, before + 1, "{operation} leaves an entry in the tenant's log or in the operator's");
        }
        statuses
    }
}

async fn set_aside(world: &World, run: RunId) {
    let sql = format!(
        "insert into run_quarantine (workspace_id, run_id, shard, reason, error, at)
         select workspace_id, id, shard, 'refused', 'the database refused it', now() from run where id = '{}'",
        run.as_uuid()
    );
    world.app.database.run(sql).await;
}

/// Puts the run of a place into quarantine.
pub async fn quarantine(world: &World, place: &Place) {
    set_aside(world, place.id("run").parse().expect("a run's id")).await;
}

#[tokio::test]
async fn only_operators_operate() {
    let fixture = Fixture::new().await;
    let actors = ["anonymous", "API key", "person", "operator"];
    let mut table = Table::new(TABLE, "Who gets what of operating the installation", &actors);
    for operation in operations(&fixture.world.document, Operations::OfOperators) {
        let statuses = fixture.statuses(&operation).await;
        // What no table may ever allow.
        assert_eq!(statuses[..3], [401, 403, 404], "{operation} is for operators alone");
        assert!((200..300).contains(&statuses[3]), "the example of {operation} does not work even for an operator");
        table.row(&operation, statuses);
    }
    table.check();
}

#[tokio::test]
async fn a_run_that_is_not_in_quarantine_cannot_be_operated() {
    let fixture = Fixture::new().await;
    let place = fixture.world.place("POST /api/v1/workspaces/{ws}/runs/{run}/cancel").await;
    let alive: RunId = place.id("run").parse().expect("a run's id");
    let nobodys = RunId::generate(&tidegate::system::environment());
    for run in [alive, nobodys] {
        let operations = operations(&fixture.world.document, Operations::OfOperators);
        for operation in operations.iter().filter(|operation| operation.contains("{run}")) {
            let mut example = fixture.world.example(operation, &place);
            example.path = example.path.replace(place.id("run"), &run.to_string());
            let answer = request(&fixture.app, &example, Some(&fixture.operator.token)).send().await;
            answer.expect_problem(404, "not-found");
        }
    }
    let path = "/api/v1/monitoring/quarantine/made-up/end";
    fixture.app.post(path).bearer(&fixture.operator.token).send().await.expect_problem(404, "not-found");
}

#[tokio::test]
async fn the_quarantine_is_listed_by_pages_and_shows_in_health_and_measurements() {
    let fixture = Fixture::new().await;
    let token = &fixture.operator.token;
    let healthy = fixture.app.get("/health/detailed").bearer(token).send().await.expect(200);
    assert_eq!(component(&healthy, "runs"), "ok");
    let (first, ours) = fixture.quarantined().await;
    let (second, theirs) = fixture.quarantined().await;
    let path = "/api/v1/monitoring/quarantine?limit=1";
    let page = fixture.app.get(path).bearer(token).send().await.expect(200);
    assert_eq!(page["items"][0]["run_id"], first.to_string());
    assert_eq!(page["items"][0]["workspace_id"], ours.to_string());
    assert_eq!(
        (&page["items"][0]["reason"], &page["items"][0]["error"]),
        (&"refused".into(), &"the database refused it".into())
    );
    let cursor = page["next_cursor"].as_str().expect("a second page");
    let page = fixture.app.get(&format!("{path}&cursor={cursor}")).bearer(token).send().await.expect(200);
    assert_eq!((&page["items"][0]["run_id"], &page["next_cursor"]), (&second.to_string().into(), &Value::Null));
    assert_eq!(page["items"][0]["workspace_id"], theirs.to_string());
    let damaged = format!("{path}&cursor={}", cursor.to_uppercase());
    fixture.app.get(&damaged).bearer(token).send().await.expect_problem(400, "invalid-cursor");
    let health = fixture.app.get("/health/detailed").bearer(token).send().await.expect(200);
    assert_eq!((health["status"].as_str(), component(&health, "runs").as_str()), (Some("degraded"), "degraded"));
    let metrics = fixture.app.get("/metrics").send().await;
    let metrics = String::from_utf8_lossy(&metrics.bytes).into_owned();
    assert!(metrics.lines().any(|line| line == "engine_quarantined_runs 2"), "{metrics}");
}

#[tokio::test]
async fn dead_jobs_of_everybody_are_listed_by_pages_and_those_of_the_installation_are_redriven() {
    let fixture = Fixture::new().await;
    let token = &fixture.operator.token;
    let place = fixture.world.place("GET /api/v1/workspaces/{ws}/jobs").await;
    let workspace: WorkspaceId = place.workspace.parse().expect("a workspace's id");
    let tenants = dead_job(&fixture.world.app, workspace.as_uuid()).await;
    let own = dead_job(&fixture.world.app, uuid::Uuid::nil()).await;
    let path = "/api/v1/monitoring/jobs?limit=1";
    let page = fixture.app.get(path).bearer(token).send().await.expect(200);
    let first = &page["items"][0];
    assert_eq!((&first["id"], &first["workspace_id"]), (&tenants.to_string().into(), &workspace.to_string().into()));
    assert_eq!((&first["status"], &first["last_error"]), (&"dead".into(), &"it failed".into()));
    let cursor = page["next_cursor"].as_str().expect("a second page");
    let page = fixture.app.get(&format!("{path}&cursor={cursor}")).bearer(token).send().await.expect(200);
    assert_eq!((&page["items"][0]["id"], &page["items"][0]["workspace_id"]), (&own.to_string().into(), &Value::Null));
    let redrive = format!("/api/v1/monitoring/jobs/{own}/redrive");
    let redriven = fixture.app.post(&redrive).bearer(token).send().await.expect(202);
    assert_eq!((&redriven["status"], &redriven["attempts"]), (&"ready".into(), &0.into()));
    fixture.app.post(&redrive).bearer(token).send().await.expect_problem(404, "not-found");
    let written = "select count(*) from account_event where action = 'job.redriven'";
    assert_eq!(fixture.world.app.database.count(written.to_owned()).await, 1);
}

fn component(health: &Value, name: &str) -> String {
    let components = health["components"].as_array().expect("components");
    let component = components.iter().find(|component| component["name"] == name).expect("the component");
    component["status"].as_str().expect("a status").to_owned()
}
