//! Mails to owners about subscriptions and invoices, with a clock that is set.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::Method;
use serde_json::{Value, json};
use tidegate_tenancy::Role;
use tidegate_testing::TestClock;

use crate::support::{Person, TestApp, text};

/// A server with an operator, and a workspace with two owners and a member.
struct Shop {
    app: TestApp,
    clock: Arc<TestClock>,
    operator: Person,
    ada: Person,
    workspace: String,
}

impl Shop {
    async fn new(now: &str) -> Self {
        let clock = TestClock::at(now.parse::<DateTime<Utc>>().expect("a time"));
        let before = TestApp::spawn_at(clock.clone()).await;
        let (operator, ada) = (before.person("Operator").await, before.person("Ada").await);
        let workspace = before.workspace(&ada, "Acme").await;
        for (name, role) in [("Bea", Role::OWNER), ("Cay", Role::MEMBER)] {
            let person = before.person(name).await;
            before.join(&workspace, &person, role).await;
        }
        let flags = ["--default-plan", "free", "--operator", &operator.id, "--payment-instructions", "IBAN DE00 1234"];
        let app = before.beside_at(clock.clone(), &flags).await;
        before.stop().await;
        let shop = Self { app, clock, operator, ada, workspace };
        shop.app.until_quiet().await;
        shop.app.database.run("delete from kept_mail".to_owned()).await;
        shop
    }

    async fn until_mails(&self, count: i64, like: &str) {
        let sql = format!("select count(*) from kept_mail where subject like '{like}'");
        self.app
            .until(&format!("{count} mails {like:?} arrive"), format!("select (({sql}) >= {count})::int::bigint"))
            .await;
        self.app.until_quiet().await;
        assert_eq!(self.app.database.count(sql).await, count, "{like}");
    }

    /// Moves the clock. People have to log in again then.
    async fn pass(&mut self, time: TimeDelta) {
        self.clock.advance(time);
        self.ada = self.app.log_in(&self.ada.email, &self.ada.id).await;
        self.operator = self.app.log_in(&self.operator.email, &self.operator.id).await;
    }

    async fn buy(&self, trial: bool) -> Value {
        let body = json!({ "plan": "starter", "interval": "month", "currency": "EUR", "trial": trial });
        let path = format!("/api/v1/workspaces/{}/subscription", self.workspace);
        self.app.request(Method::PUT, &path).bearer(&self.ada.token).json(&body).send().await.expect(201)
    }
}

#[tokio::test]
async fn owners_get_one_mail_of_each_notice_from_the_invoice_to_its_payment() {
    let mut shop = Shop::new("2029-01-01T12:00:00Z").await;
    shop.buy(false).await;
    shop.until_mails(2, "Invoice INV-000001 for Acme: 19.00 EUR").await;
    let facts =
        "select count(*) from kept_mail where body_text like '%by 2029-01-15.%' and body_html like '%IBAN DE00%'";
    assert_eq!(shop.app.database.count(facts.to_owned()).await, 2);

    shop.pass(TimeDelta::days(14)).await;
    shop.until_mails(2, "19.00 EUR for Acme is not paid").await;
    let suspends = "select count(*) from kept_mail where body_text like '%suspended on 2029-01-29.%'";
    assert_eq!(shop.app.database.count(suspends.to_owned()).await, 2);
    shop.pass(TimeDelta::days(7)).await;
    shop.until_mails(6, "Reminder: 19.00 EUR for Acme is not paid").await;
    shop.pass(TimeDelta::days(7)).await;
    shop.until_mails(2, "The subscription of Acme is suspended").await;

    let path = format!("/api/v1/workspaces/{}/invoices", shop.workspace);
    let invoices = shop.app.get(&path).bearer(&shop.ada.token).send().await.expect(200);
    let invoice = text(&invoices["items"][0]["id"]);
    let path = format!("/api/v1/monitoring/workspaces/{}/invoices/{invoice}/payment", shop.workspace);
    for status in [200, 409] {
        let body = json!({ "amount": 1900, "currency": "EUR" });
        shop.app.post(&path).bearer(&shop.operator.token).json(&body).send().await.expect(status);
    }
    shop.until_mails(2, "Payment received for Acme: 19.00 EUR").await;
    shop.until_mails(14, "%").await;
    let members = "select count(*) from kept_mail where name = 'Cay'";
    assert_eq!(shop.app.database.count(members.to_owned()).await, 0, "only owners are told");
}

#[tokio::test]
async fn owners_are_reminded_of_the_end_of_a_trial() {
    let mut shop = Shop::new("2029-03-01T12:00:00Z").await;
    shop.buy(true).await;
    shop.pass(TimeDelta::days(12)).await;
    shop.until_mails(2, "The trial of Acme ends on 2029-03-16").await;
    shop.pass(TimeDelta::days(3)).await;
    shop.until_mails(2, "Invoice INV-000001 for Acme: 19.00 EUR").await;
    let path = format!("/api/v1/workspaces/{}/subscription/cancel", shop.workspace);
    shop.app.post(&path).bearer(&shop.ada.token).json(&json!({ "at": "now" })).send().await.expect(200);
    shop.until_mails(2, "The subscription of Acme has ended").await;
    shop.until_mails(6, "%").await;
}
