//! A valid request for each operation, and a place where it can be made.

use reqwest::Method;
use serde_json::{Value, json};
use tidegate_kernel::{JobId, WorkspaceId};
use tidegate_tenancy::Role;

use crate::support::{Answer, Person, Request, TestApp, text};

/// A kind of caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor {
    Anonymous,
    OtherTenant,
    Viewer,
    Member,
    Admin,
    Owner,
    KeyWithoutScope,
}

impl Actor {
    /// Every kind, in the order of the table.
    pub const ALL: [Self; 7] = [
        Self::Anonymous,
        Self::OtherTenant,
        Self::Viewer,
        Self::Member,
        Self::Admin,
        Self::Owner,
        Self::KeyWithoutScope,
    ];

    /// The table's head.
    pub fn title(self) -> &'static str {
        match self {
            Self::Anonymous => "anonymous",
            Self::OtherTenant => "other tenant",
            Self::Viewer => "viewer",
            Self::Member => "member",
            Self::Admin => "admin",
            Self::Owner => "owner",
            Self::KeyWithoutScope => "key without the scope",
        }
    }
}

/// The server and the people of the matrix.
pub struct World {
    pub app: TestApp,
    owner: Person,
    stranger: Person,
    admin: Person,
    member: Person,
    viewer: Person,
}

/// A fresh workspace with what an operation needs.
pub struct Place {
    /// `ws_…`
    pub workspace: String,
    /// Ids by the name of their path parameter.
    ids: Vec<(String, String)>,
    key: String,
}

/// One request.
pub struct Example {
    pub method: Method,
    pub path: String,
    pub body: Option<(&'static str, String)>,
    pub if_match: Option<&'static str>,
}

impl World {
    pub async fn new() -> Self {
        let app = TestApp::spawn().await;
        let (owner, stranger) = (app.person("owner").await, app.person("stranger").await);
        let (admin, member, viewer) =
            (app.person("admin").await, app.person("member").await, app.person("viewer").await);
        app.workspace(&stranger, "Elsewhere").await;
        Self { app, owner, stranger, admin, member, viewer }
    }

    /// The token of somebody who owns the workspaces of all places.
    pub fn owner_token(&self) -> &str {
        &self.owner.token
    }

    /// A workspace of the owner's, with everybody in it and with what `operation` names in its path.
    pub async fn place(&self, operation: &str) -> Place {
        let app = &self.app;
        let workspace = app.workspace(&self.owner, "A workspace").await;
        for (person, role) in [(&self.admin, Role::ADMIN), (&self.member, Role::MEMBER), (&self.viewer, Role::VIEWER)] {
            app.join(&workspace, person, role).await;
        }
        let other_scope = if operation.contains("/events") { "audit:read" } else { "events:read" };
        let (_, key) = app.api_key(&self.owner, &workspace, &[other_scope]).await;
        let mut ids = Vec::new();
        for name in parameters(operation).filter(|name| *name != "ws") {
            ids.push((name.to_owned(), self.thing(name, &workspace).await));
        }
        if let [(_, workflow)] = ids.as_slice()
            && (operation.ends_with("/workflows/{wf}/runs") || operation.ends_with("/workflows/{wf}/unpublish"))
        {
            self.publish(&workspace, workflow).await;
        }
        Place { workspace, ids, key }
    }

    async fn publish(&self, workspace: &str, workflow: &str) {
        let path = format!("/api/v1/workspaces/{workspace}/workflows/{workflow}/publish");
        self.app.post(&path).bearer(&self.owner.token).send().await.expect(200);
    }

    /// The id of something that a path parameter can name.
    async fn thing(&self, parameter: &str, workspace: &str) -> String {
        let app = &self.app;
        let make = async |path: &str, body: Value| {
            let made = app
                .post(&format!("/api/v1/workspaces/{workspace}{path}"))
                .bearer(&self.owner.token)
                .json(&body)
                .send()
                .await
                .expect(201);
            text(&made["id"])
        };
        match parameter {
            "user" => {
                let person = app.person(&format!("somebody-{workspace}")).await;
                app.join(workspace, &person, Role::VIEWER).await;
                person.id
            }
            "key" => make("/api-keys", json!({ "name": "to be named", "scopes": ["events:read"] })).await,
            "version" => "1".to_owned(),
            "evt" => {
                let event = json!({ "specversion": "1.0", "id": "1", "source": "/matrix", "type": "asked" });
                let path = format!("/api/v1/workspaces/{workspace}/events");
                let sent = app.post(&path).bearer(&self.owner.token);
                sent.body("application/cloudevents+json", event.to_string()).send().await.expect(202);
                let list = app.get(&path).bearer(&self.owner.token).send().await.expect(200);
                text(&list["items"][0]["event_id"])
            }
            "wf" => make("/workflows", workflow("to be named")).await,
            "sug" => {
                app.change_together(&self.owner, workspace, "a", "b", 3).await;
                let path = format!("/api/v1/workspaces/{workspace}/suggestions");
                let list = app.get(&path).bearer(&self.owner.token).send().await.expect(200);
                text(&list["items"][0]["id"])
            }
            "run" => {
                // It waits long enough to be found alive.
                let wait = json!([{ "id": "wait", "uses": "delay", "with": { "for": "1h" } }]);
                let workflow = make("/workflows", json!({ "name": "to be run", "steps": wait })).await;
                self.publish(workspace, &workflow).await;
                make(&format!("/workflows/{workflow}/runs"), json!({})).await
            }
            "job" => {
                let workspace: WorkspaceId = workspace.parse().expect("a workspace's id");
                dead_job(app, workspace.as_uuid()).await.to_string()
            }
            other => panic!("say in `World::thing` how {{{other}}} comes to be"),
        }
    }

    /// How many entries the audit log of the place has; asked of the database, since a deleted workspace answers nobody.
    pub async fn audit_entries(&self, place: &Place) -> i64 {
        let workspace: WorkspaceId = place.workspace.parse().expect("a workspace's id");
        let workspace = workspace.as_uuid();
        self.app.database.count(format!("select count(*) from audit_entry where workspace_id = '{workspace}'")).await
    }

    /// Makes the request as `actor`.
    pub async fn call(&self, example: &Example, place: &Place, actor: Actor) -> Answer {
        self.call_named(example, place, actor, None).await
    }

    /// Makes the request as `actor`, named by an `Idempotency-Key`.
    pub async fn call_named(&self, example: &Example, place: &Place, actor: Actor, key: Option<&str>) -> Answer {
        let mut request = self.app.request(example.method.clone(), &example.path);
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        self.send(request, example, place, actor).await
    }

    /// Makes the request as the owner, to another server on the same database.
    pub async fn call_on(&self, app: &TestApp, example: &Example, place: &Place) -> Answer {
        self.send(app.request(example.method.clone(), &example.path), example, place, Actor::Owner).await
    }

    async fn send(&self, mut request: Request, example: &Example, place: &Place, actor: Actor) -> Answer {
        if let Some((content_type, body)) = &example.body {
            request = request.body(content_type, body.clone());
        }
        if let Some(if_match) = example.if_match {
            request = request.header("if-match", if_match);
        }
        match actor {
            Actor::Anonymous => request,
            Actor::OtherTenant => request.bearer(&self.stranger.token),
            Actor::Viewer => request.bearer(&self.viewer.token),
            Actor::Member => request.bearer(&self.member.token),
            Actor::Admin => request.bearer(&self.admin.token),
            Actor::Owner => request.bearer(&self.owner.token),
            Actor::KeyWithoutScope => request.bearer(&place.key),
        }
        .send()
        .await
    }
}

/// A job of a workspace that has failed for good, of a kind that nobody does.
pub async fn dead_job(app: &TestApp, workspace: uuid::Uuid) -> JobId {
    let job = JobId::generate(&tidegate::system::environment());
    let sql = format!(
        "insert into job (workspace_id, id, shard, kind, payload, priority, is_unique, attempts, last_error, created_at,
             cancelled, request_id)
         values ('{workspace}', '{id}', 0, 'test.fail', '{{}}', 1, false, 3, 'it failed', now(), false, 'r');
         insert into job_dead (workspace_id, job_id, shard, kind, attempts, error, at)
         values ('{workspace}', '{id}', 0, 'test.fail', 3, 'it failed', now())",
        id = job.as_uuid()
    );
    app.database.run(sql).await;
    job
}

/// A workflow document.
fn workflow(name: &str) -> Value {
    json!({ "name": name, "steps": [{ "id": "shape", "uses": "transform" }] })
}

/// The path parameters of an operation.
pub fn parameters(operation: &str) -> impl Iterator<Item = &str> {
    operation.split(['{', '}']).skip(1).step_by(2)
}

impl Example {
    /// A look at `path`.
    pub fn of_get(path: &str) -> Self {
        Self { method: Method::GET, path: path.to_owned(), body: None, if_match: None }
    }

    /// The example of `operation`, a `METHOD /path` of the document.
    pub fn of(operation: &str, place: &Place) -> Self {
        let (method, template) = operation.split_once(' ').expect("an operation is a method and a path");
        let mut path = template.replace("{ws}", &place.workspace);
        for (name, id) in &place.ids {
            path = path.replace(&format!("{{{name}}}"), id);
        }
        let json = |body: Value| Some(("application/json", body.to_string()));
        let body = match operation.replace("/api/v1/workspaces/{ws}", "").as_str() {
            "PATCH " => json(json!({ "name": "Another name" })),
            "PATCH /members/{user}" => json(json!({ "role": "member" })),
            "POST /events" => Some((
                "application/cloudevents+json",
                json!({ "specversion": "1.0", "id": "1", "source": "/matrix", "type": "asked" }).to_string(),
            )),
            "POST /api-keys" => json(json!({ "name": "a key", "scopes": ["events:read"] })),
            "POST /workflows" | "PUT /workflows/{wf}" => json(workflow("a workflow")),
            "POST /workflows/{wf}/publish" | "POST /workflows/{wf}/unpublish" | "POST /runs/{run}/cancel" => None,
            "POST /workflows/{wf}/runs" => json(json!({ "input": {} })),
            "POST /workflows/{wf}/rollback" => json(json!({ "version": 1 })),
            "POST /suggestions/{sug}/dismiss" | "POST /suggestions/{sug}/apply" => None,
            "POST /jobs/{job}/redrive" | "POST /jobs/{job}/discard" => None,
            read if read.starts_with("GET ") || read.starts_with("DELETE ") => None,
            other => panic!("say in `Example::of` what the body of {other} is"),
        };
        let of_one = operation.ends_with(" /api/v1/workspaces/{ws}/workflows/{wf}");
        let if_match = (of_one && !operation.starts_with("GET ")).then_some("\"1\"");
        let method = method.parse().expect("a method of the document");
        Self { method, path, body, if_match }
    }
}

impl Place {
    /// The secret of an API key of the workspace.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The id that fills the path parameter `name`.
    pub fn id(&self, name: &str) -> &str {
        self.ids
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, id)| id.as_str())
            .expect("the parameter is in the path")
    }
}
