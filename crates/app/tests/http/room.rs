//! A person with a workspace, and requests of the person to the workspace.

use reqwest::Method;

use crate::support::{Person, Request, TestApp};

/// A person and their workspace. The tests of a resource add requests of their own.
pub(crate) struct Room<'a> {
    pub(crate) app: &'a TestApp,
    pub(crate) person: Person,
    pub(crate) workspace: String,
}

impl<'a> Room<'a> {
    /// Creates a person with this name, and a workspace with the same name.
    pub(crate) async fn of(app: &'a TestApp, name: &str) -> Self {
        let person = app.person(name).await;
        let workspace = app.workspace(&person, name).await;
        Self { app, person, workspace }
    }

    /// A path below the workspace.
    pub(crate) fn path(&self, rest: &str) -> String {
        format!("/api/v1/workspaces/{}{rest}", self.workspace)
    }

    /// A request of the person to a path below the workspace.
    pub(crate) fn request(&self, method: Method, rest: &str) -> Request {
        self.app.request(method, &self.path(rest)).bearer(&self.person.token)
    }
}
