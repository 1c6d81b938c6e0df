//! The server and the people of the matrix, and workspaces with the resources that an operation needs.

use reqwest::Method;
use serde_json::{Value, json};
use tidegate_kernel::{CreditNoteId, InvoiceId, JobId, UserId, WorkspaceId};
use tidegate_tenancy::Role;

use super::examples::Example;
use crate::support::{Answer, Person, Request, TestApp, text};

/// A kind of caller of operations in workspaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor {
    Anonymous,
    OtherTenant,
    KeyWithoutScope,
    Viewer,
    Member,
    Admin,
    Owner,
}

impl Actor {
    /// Every kind in the order of the tables. Callers with fewer rights come first, so that those who may still find
    /// the resources.
    pub const ALL: [Self; 7] = [
        Self::Anonymous,
        Self::OtherTenant,
        Self::KeyWithoutScope,
        Self::Viewer,
        Self::Member,
        Self::Admin,
        Self::Owner,
    ];

    /// The column's title in the table.
    pub fn title(self) -> &'static str {
        match self {
            Self::Anonymous => "anonymous",
            Self::OtherTenant => "other tenant",
            Self::KeyWithoutScope => "key without the scope",
            Self::Viewer => "viewer",
            Self::Member => "member",
            Self::Admin => "admin",
            Self::Owner => "owner",
        }
    }
}

/// The server and the people of the matrix.
pub struct World {
    pub app: TestApp,
    /// The OpenAPI document that the server returns.
    pub document: Value,
    owner: Person,
    stranger: Person,
    admin: Person,
    member: Person,
    viewer: Person,
    /// The hash of the password that everybody has.
    password_hash: String,
}

/// A new workspace with the resources that an operation needs.
pub struct Place {
    /// `ws_…`
    pub workspace: String,
    /// Ids by the name of their path parameter.
    ids: Vec<(String, String)>,
    key: String,
}

impl World {
    pub async fn new() -> Self {
        Self::with(&[]).await
    }

    /// A world whose server has further flags.
    pub async fn with(flags: &[&str]) -> Self {
        let app = TestApp::spawn_with_everything(flags).await;
        let (owner, stranger) = (app.person("owner").await, app.person("stranger").await);
        let (admin, member, viewer) =
            (app.person("admin").await, app.person("member").await, app.person("viewer").await);
        app.workspace(&stranger, "Elsewhere").await;
        let document = app.get("/api/v1/openapi.json").send().await.expect(200);
        let password_hash = app.database.texts("select password_hash from person limit 1".to_owned()).await.remove(0);
        Self { app, document, owner, stranger, admin, member, viewer, password_hash }
    }

    /// The example of `operation` at `place`.
    pub fn example(&self, operation: &str, place: &Place) -> Example {
        Example::of(&self.document, operation, place)
    }

    /// The token of the owner of all workspaces.
    pub fn owner_token(&self) -> &str {
        &self.owner.token
    }

    /// A new workspace of the owner, with all other members, and with the resources in the path of `operation`.
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
        if let [(_, file)] = ids.as_slice()
            && operation.ends_with("/files/{fil}/restore")
        {
            let path = format!("{}/{file}", TestApp::files_path(&workspace));
            self.app.request(reqwest::Method::DELETE, &path).bearer(&self.owner.token).send().await.expect(200);
        }
        if operation.ends_with("/{inv}/credit-notes") {
            let pay = "update invoice set status = 'paid', paid_at = now() where status = 'open'";
            app.database.run(pay.to_owned()).await;
        }
        if operation.ends_with("/retire") {
            let publish = "update plan_version set status = 'published', published_at = now() where status = 'draft'";
            app.database.run(publish.to_owned()).await;
        }
        if operation.ends_with("/promo-codes/redeem") {
            self.promo_code("WELCOME").await;
        }
        if operation.contains("/subscription/") {
            self.subscribe(&workspace, "free").await;
        }
        if operation.ends_with("/subscription/resume") {
            let path = format!("/api/v1/workspaces/{workspace}/subscription/cancel");
            let body = json!({ "at": "period_end" });
            app.post(&path).bearer(&self.owner.token).json(&body).send().await.expect(200);
        }
        Place { workspace, ids, key }
    }

    /// Adds the resources in the path of `operation` that `place` does not have yet.
    pub async fn complete(&self, place: &mut Place, operation: &str) {
        if operation.ends_with("/promo-codes/redeem") {
            self.promo_code("WELCOME").await;
        }
        for name in parameters(operation).filter(|name| *name != "ws") {
            if !place.ids.iter().any(|(known, _)| known == name) {
                place.ids.push((name.to_owned(), self.thing(name, &place.workspace).await));
            }
        }
    }

    async fn subscribe(&self, workspace: &str, plan: &str) {
        let path = format!("/api/v1/workspaces/{workspace}/subscription");
        let body = json!({ "plan": plan, "interval": "month", "currency": "EUR" });
        let answer = self.app.request(Method::PUT, &path).bearer(&self.owner.token).json(&body).send().await;
        // It may have one already.
        assert!([200, 201, 409].contains(&answer.status.as_u16()), "{}", answer.json());
    }

    async fn promo_code(&self, code: &str) {
        let sql = format!(
            "insert into promo_code (code, percent_ppm, redemptions, created_at) values ('{code}', 1000, 0, now())
             on conflict do nothing"
        );
        self.app.database.run(sql).await;
    }

    async fn publish(&self, workspace: &str, workflow: &str) {
        let path = format!("/api/v1/workspaces/{workspace}/workflows/{workflow}/publish");
        self.app.post(&path).bearer(&self.owner.token).send().await.expect(200);
    }

    /// Creates a resource for a path parameter and returns its id.
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
            "session" => {
                let again = app.log_in(&self.owner.email, &self.owner.id).await;
                let list = app.get("/api/v1/auth/sessions").bearer(&again.token).send().await.expect(200);
                let sessions = list["items"].as_array().expect("a list of sessions");
                let own = sessions.iter().find(|session| session["current"] == true).expect("it is among them");
                text(&own["id"])
            }
            "factor" => app.code_app(&self.owner).await.factor,
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
                // A run that waits long enough to be cancelled.
                let wait = json!([{ "id": "wait", "uses": "delay", "with": { "for": "1h" } }]);
                let workflow = make("/workflows", json!({ "name": "to be run", "steps": wait })).await;
                self.publish(workspace, &workflow).await;
                make(&format!("/workflows/{workflow}/runs"), json!({})).await
            }
            "fil" => {
                let sent = app.upload(&self.owner.token, workspace, "notes.txt", "text/plain", b"hello").await;
                text(&sent.expect(201)["id"])
            }
            "upl" => {
                let path = format!("{}/uploads", TestApp::files_path(workspace));
                let new = json!({ "name": "notes.txt", "size": 5 });
                let upload = app.post(&path).bearer(&self.owner.token).json(&new).send().await.expect(201);
                let put = reqwest::Client::new().put(text(&upload["url"])).body("hello").send().await;
                assert_eq!(put.expect("the store answers").status(), 200);
                text(&upload["id"])
            }
            "inv" => {
                self.subscribe(workspace, "professional").await;
                let path = format!("/api/v1/workspaces/{workspace}/invoices");
                let list = app.get(&path).bearer(&self.owner.token).send().await.expect(200);
                text(&list["items"][0]["id"])
            }
            "note" => {
                let invoice: InvoiceId = Box::pin(self.thing("inv", workspace)).await.parse().expect("an id");
                let note = CreditNoteId::generate(&tidegate::system::environment());
                let sql = format!(
                    "insert into credit_note (workspace_id, id, number, invoice_id, currency, total, tax, reason, issued_at)
                     select workspace_id, '{}', number, id, currency, 1, 0, 'An outage', now() from invoice where id = '{}'",
                    note.as_uuid(),
                    invoice.as_uuid()
                );
                app.database.run(sql).await;
                note.to_string()
            }
            "plan" => {
                // A draft: the free plan under another name.
                let letter = |byte: u8| char::from(b'a' + byte % 26);
                let name: String = tidegate::system::environment().random::<16>().map(letter).iter().collect();
                let sql = format!(
                    "insert into plan_version (name, version, status, revision, built_in, document, created_at)
                     select '{name}', 1, 'draft', 1, false,
                         convert_to(replace(convert_from(document, 'UTF8'), '\"free\"', '\"{name}\"'), 'UTF8'), now()
                     from plan_version where name = 'free'"
                );
                app.database.run(sql).await;
                name
            }
            "code" => {
                let code = format!("CODE-{}", tidegate::system::environment().uuid_v7().simple()).to_uppercase();
                self.promo_code(&code).await;
                code
            }
            "job" => {
                let workspace: WorkspaceId = workspace.parse().expect("a workspace's id");
                dead_job(app, workspace.as_uuid()).await.to_string()
            }
            other => panic!("say in `World::thing` how {{{other}}} comes to be"),
        }
    }

    /// The number of audit entries of the place, from the database, since a deleted workspace has no API.
    pub async fn audit_entries(&self, place: &Place) -> i64 {
        let workspace: WorkspaceId = place.workspace.parse().expect("a workspace's id");
        let workspace = workspace.as_uuid();
        self.app.database.count(format!("select count(*) from audit_entry where workspace_id = '{workspace}'")).await
    }

    /// A new person, twice because nobody else is needed.
    pub async fn somebody(&self) -> (Person, Person) {
        let name = format!("somebody-{}", tidegate::system::environment().uuid_v7().simple());
        let person = self.app.person(&name).await;
        let again = self.app.log_in(&person.email, &person.id).await;
        (person, again)
    }

    /// Prepares a request about the second factor of a person.
    pub async fn prepare_factor(&self, path: &str, example: &mut Example, person: &Person) {
        let now = tidegate::system::environment().now();
        let body = match path {
            "factors/totp/confirm" => {
                let app = self.app.code_app(person).await;
                json!({ "factor": app.factor, "code": app.code(now) })
            }
            "factors/recovery-codes" => {
                self.app.second_factor(person, now).await;
                return;
            }
            "challenge" => {
                let (_, codes) = self.app.second_factor(person, now).await;
                json!({ "challenge": self.app.challenge(&person.email).await, "code": codes[0] })
            }
            _ => return,
        };
        example.body = Some(("application/json".to_owned(), body.to_string()));
    }

    /// The token of a link for a person.
    pub async fn link(&self, person: &Person, purpose: &str) -> String {
        let token = format!("tgl_{}", tidegate::system::environment().uuid_v7().simple());
        let user: UserId = person.id.parse().expect("a person's id");
        let sql = format!(
            "insert into account_link (digest, user_id, purpose, address, created_at, expires_at)
             values (sha256('{token}'), '{}', '{purpose}', '{}', now(), now() + interval '1 hour')",
            user.as_uuid(),
            person.email
        );
        self.app.database.run(sql).await;
        token
    }

    /// New logins of the person who owns the resources, and of the other one.
    pub async fn logged_in_again(&self) -> (Person, Person) {
        let (owner, stranger) = (&self.owner, &self.stranger);
        // One of the operations changes the password.
        self.app.database.run(format!("update person set password_hash = '{}'", self.password_hash)).await;
        (self.app.log_in(&owner.email, &owner.id).await, self.app.log_in(&stranger.email, &stranger.id).await)
    }

    /// Sends the request as `actor`.
    pub async fn call(&self, example: &Example, place: &Place, actor: Actor) -> Answer {
        self.call_named(example, place, actor, None).await
    }

    /// Sends the request as `actor`, with an `Idempotency-Key` if there is one.
    pub async fn call_named(&self, example: &Example, place: &Place, actor: Actor, key: Option<&str>) -> Answer {
        let request = request(&self.app, example, self.token(place, actor));
        match key {
            Some(key) => request.header("idempotency-key", key).send().await,
            None => request.send().await,
        }
    }

    /// The credentials of `actor`.
    fn token<'a>(&'a self, place: &'a Place, actor: Actor) -> Option<&'a str> {
        match actor {
            Actor::Anonymous => None,
            Actor::OtherTenant => Some(&self.stranger.token),
            Actor::KeyWithoutScope => Some(&place.key),
            Actor::Viewer => Some(&self.viewer.token),
            Actor::Member => Some(&self.member.token),
            Actor::Admin => Some(&self.admin.token),
            Actor::Owner => Some(&self.owner.token),
        }
    }
}

/// The request of an example, with or without a token.
pub fn request(app: &TestApp, example: &Example, token: Option<&str>) -> Request {
    let mut request = app.request(example.method.clone(), &example.path);
    if let Some((content_type, body)) = &example.body {
        request = request.body(content_type, body.clone());
    }
    for (name, value) in &example.headers {
        request = request.header(name, value);
    }
    match token {
        Some(token) => request.bearer(token),
        None => request,
    }
}

/// A dead job of a workspace, of a kind without a handler.
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

impl Place {
    /// The path with the ids of this place.
    pub fn fill(&self, path: &str) -> String {
        let with_workspace = path.replace("{ws}", &self.workspace);
        self.ids.iter().fold(with_workspace, |path, (name, id)| path.replace(&format!("{{{name}}}"), id))
    }

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
