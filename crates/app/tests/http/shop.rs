//! Customers, and an operator who sells to them, for the tests of billing.

use std::ops::Deref;

use reqwest::Method;
use serde_json::Value;

use crate::support::{Answer, Person, TestApp};

/// A workspace with its owner.
pub struct Customer {
    pub app: TestApp,
    pub ada: Person,
    pub workspace: String,
}

impl Customer {
    /// A request of the owner below the workspace.
    pub async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let request = self.app.request(method, &format!("/api/v1/workspaces/{}{path}", self.workspace));
        let request = request.bearer(&self.ada.token);
        match body {
            Some(body) => request.json(&body).send().await,
            None => request.send().await,
        }
    }

    pub async fn get(&self, path: &str) -> Value {
        self.send(Method::GET, path, None).await.expect(200)
    }

    pub async fn buy(&self, body: Value) -> Answer {
        self.send(Method::PUT, "/subscription", Some(body)).await
    }
}

/// A customer, at a server with an operator and a tax rate of 19 %.
pub struct Shop {
    pub customer: Customer,
    pub operator: Person,
}

impl Deref for Shop {
    type Target = Customer;

    fn deref(&self) -> &Customer {
        &self.customer
    }
}

impl Shop {
    /// A shop whose server has these `further` flags.
    pub async fn new(further: &[&str]) -> Self {
        let before = TestApp::spawn_with(&["--default-plan", "free"]).await;
        let (operator, ada) = (before.person("Operator").await, before.person("Ada").await);
        let workspace = before.workspace(&ada, "Acme").await;
        let flags = ["--default-plan", "free", "--operator", &operator.id, "--role", "api", "--tax-rate", "19"];
        let flags: Vec<&str> = flags.into_iter().chain(further.iter().copied()).collect();
        let app = before.beside(&flags).await;
        Self { customer: Customer { app, ada, workspace }, operator }
    }

    /// What the operator does to an invoice of the workspace.
    pub async fn operate(&self, invoice: &str, what: &str, body: Value) -> Answer {
        let path = format!("/api/v1/monitoring/workspaces/{}/invoices/{invoice}/{what}", self.workspace);
        self.app.post(&path).bearer(&self.operator.token).json(&body).send().await
    }
}
