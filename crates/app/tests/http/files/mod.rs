//! Files over HTTP.

mod crashes;
mod downloads;
mod lifecycle;
mod presigned;
mod refusals;
mod uploads;

use serde_json::Value;

use crate::support::{Answer, Person, TestApp, text};

/// A person with a workspace of the plan, and a server.
struct Desk {
    app: TestApp,
    ada: Person,
    workspace: String,
    /// The bytes of storage that count as used from the beginning.
    base: i64,
}

impl Desk {
    async fn at(app: TestApp) -> Self {
        let ada = app.person("Ada").await;
        let workspace = app.workspace(&ada, "Acme").await;
        let desk = Self { app, ada, workspace, base: 0 };
        // What the first use of files makes: the plan of the workspace, and its level.
        let usage = format!("/api/v1/workspaces/{}/usage", desk.workspace);
        desk.app.get(&usage).bearer(&desk.ada.token).send().await.expect(200);
        desk.app.database.run(format!("insert into quota_level values ('{}', 'storage_bytes', 0)", desk.uuid())).await;
        desk
    }

    /// A desk at a server whose plan is `free`, of whose storage only so many bytes are left.
    async fn with_storage_left(app: TestApp, bytes: i64) -> Self {
        let desk = Self::at(app).await;
        let base = 1_000_000_000 - bytes;
        let which = format!("meter = 'storage_bytes' and workspace_id = '{}'", desk.uuid());
        let sql = format!("update quota_level set used = {base} where {which}");
        desk.app.database.run(sql).await;
        Self { base, ..desk }
    }

    fn uuid(&self) -> uuid::Uuid {
        self.workspace.parse::<tidegate_kernel::WorkspaceId>().expect("an id").as_uuid()
    }

    async fn new() -> Self {
        Self::at(TestApp::spawn().await).await
    }

    /// The path of the workspace's files, with `rest` behind it.
    fn path(&self, rest: &str) -> String {
        format!("{}{rest}", TestApp::files_path(&self.workspace))
    }

    async fn upload(&self, name: &str, content_type: &str, bytes: &[u8]) -> Answer {
        self.app.upload(&self.ada.token, &self.workspace, name, content_type, bytes).await
    }

    /// Uploads a text and returns the id of its file.
    async fn uploaded(&self, bytes: &[u8]) -> String {
        text(&self.upload("notes.txt", "text/plain", bytes).await.expect(201)["id"])
    }

    async fn get(&self, rest: &str) -> Answer {
        self.app.get(&self.path(rest)).bearer(&self.ada.token).send().await
    }

    async fn post(&self, rest: &str, body: &Value) -> Answer {
        self.app.post(&self.path(rest)).bearer(&self.ada.token).json(body).send().await
    }

    async fn delete(&self, id: &str) -> Answer {
        self.app.request(reqwest::Method::DELETE, &self.path(&format!("/{id}"))).bearer(&self.ada.token).send().await
    }

    /// A form with this body, between boundaries `b`.
    async fn form(&self, body: impl Into<reqwest::Body>) -> Answer {
        let path = self.path("");
        self.app.post(&path).bearer(&self.ada.token).body("multipart/form-data; boundary=b", body).send().await
    }

    /// The bytes of storage that count as used, beyond those from the beginning.
    async fn used(&self) -> i64 {
        let sql = format!(
            "select coalesce(sum(used), 0)::bigint from quota_level where meter = 'storage_bytes' and workspace_id = '{}'",
            self.uuid()
        );
        self.app.database.count(sql).await - self.base
    }
}

/// The head of a field of a form.
fn field(name: &str, more: &str) -> String {
    format!("--b\r\ncontent-disposition: form-data; name=\"{name}\"{more}\r\n\r\n")
}
