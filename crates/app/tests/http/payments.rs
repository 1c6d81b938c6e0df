//! Payments through Stripe over HTTP, and its notifications.

use chrono::{DateTime, Utc};
use proptest::prelude::*;
use reqwest::Method;
use serde_json::{Value, json};
use tidegate_testing::TestClock;
use tidegate_testing::stripe::Card;

use crate::shop::Customer;
use crate::stripe::{WEBHOOK_SECRET, stripe_signature as signature};
use crate::support::{Answer, TestApp, text};

const WEBHOOK: &str = "/api/v1/webhooks/stripe";
const NOW: i64 = 1_900_000_000;

fn event(id: &str, kind: &str, object: &Value) -> String {
    json!({ "id": id, "object": "event", "type": kind, "data": { "object": object } }).to_string()
}

impl Customer {
    /// A customer of a server that charges cards through Stripe.
    async fn with_stripe() -> Self {
        let clock = TestClock::at(DateTime::<Utc>::from_timestamp(NOW, 0).expect("a time"));
        let app = TestApp::spawn_with_stripe_at(clock).await;
        let ada = app.person("Ada").await;
        let workspace = app.workspace(&ada, "Acme").await;
        Self { app, ada, workspace }
    }

    async fn buy_starter(&self) {
        self.buy(json!({ "plan": "starter", "interval": "month", "currency": "EUR" })).await.expect(201);
    }

    /// Enters a card as a customer does, and returns the customer.
    async fn enter(&self, card: Card) -> String {
        let set_up = self.send(Method::POST, "/payment-method", None).await;
        assert_eq!(set_up.header("cache-control"), "no-store");
        assert!(text(&set_up.expect(201)["url"]).starts_with("https://checkout.example/"));
        let customer = self.app.stripe().customers().pop().expect("a customer");
        let _ = self.app.stripe().add_card(&customer, card);
        customer
    }

    async fn notify(&self, body: &str) -> Answer {
        self.notify_with(body, &signature(WEBHOOK_SECRET, NOW, body)).await
    }

    async fn notify_with(&self, body: &str, signature: &str) -> Answer {
        let request = self.app.post(WEBHOOK).header("stripe-signature", signature);
        request.body("application/json", body.to_owned()).send().await
    }

    async fn until_state(&self, state: &str) {
        self.app.until(state, format!("select count(*) from payment where state = '{state}'")).await;
    }
}

#[tokio::test]
async fn a_card_is_entered_charged_and_removed() {
    let shop = Customer::with_stripe().await;
    let none = shop.get("/payment-method").await;
    assert_eq!(none, json!({ "provider": "stripe", "method": null }));
    let customer = shop.enter(Card::Good).await;
    let shown = shop.get("/payment-method").await;
    let card = json!({ "kind": "card", "brand": "visa", "last4": "4242", "expires_year": 2040, "expires_month": 12 });
    assert_eq!(shown["method"], card);
    assert!(!shown.to_string().contains("pm_") && !shown.to_string().contains(&customer));
    shop.buy_starter().await;
    shop.until_state("succeeded").await;
    let payments = shop.get("/payments").await;
    let payment = &payments["items"][0];
    let invoice = &shop.get("/invoices").await["items"][0];
    assert_eq!(
        (&payment["invoice_id"], &payment["attempt"], &payment["amount"]),
        (&invoice["id"], &json!(0), &json!(1900))
    );
    assert_eq!((&invoice["status"], &payment["credited"], shop.app.stripe().charges()), (&json!("paid"), &json!(0), 1));
    assert_eq!(payments["items"].as_array().map(Vec::len), Some(1));
    for _ in 0..2 {
        assert_eq!(shop.send(Method::DELETE, "/payment-method", None).await.status, 204);
    }
    assert_eq!(shop.get("/payment-method").await["method"], Value::Null);
}

#[tokio::test]
async fn an_open_invoice_is_charged_when_a_card_was_entered() {
    let shop = Customer::with_stripe().await;
    shop.buy_starter().await;
    shop.app.until_quiet().await;
    let customer = shop.enter(Card::Good).await;
    let body = event("evt_set_up", "setup_intent.succeeded", &json!({ "id": "seti_1", "customer": customer }));
    for _ in 0..3 {
        assert_eq!(shop.notify(&body).await.status, 204);
    }
    shop.until_state("succeeded").await;
    shop.app.until_quiet().await;
    assert_eq!(shop.app.stripe().charges(), 1);
}

#[tokio::test]
async fn a_notification_is_verified_and_stored_once() {
    let shop = Customer::with_stripe().await;
    let body = event("evt_1", "payment_intent.succeeded", &json!({ "id": "pi_of_another", "customer": "cus_1" }));
    let before = shop.app.contents().await;
    let right = signature(WEBHOOK_SECRET, NOW, &body);
    for wrong in [
        String::new(),
        "t=1".to_owned(),
        signature("whsec_of_another", NOW, &body),
        signature(WEBHOOK_SECRET, NOW - 301, &body),
        signature(WEBHOOK_SECRET, NOW + 301, &body),
        signature(WEBHOOK_SECRET, NOW, &format!("{body} ")),
        right.replace("v1=", "v0="),
    ] {
        shop.notify_with(&body, &wrong).await.expect_problem(400, "invalid-signature");
    }
    let request = shop.app.post(WEBHOOK).body("application/json", body.clone());
    request.send().await.expect_problem(400, "invalid-signature");
    let request = shop.app.post(WEBHOOK).header("stripe-signature", &right).header("stripe-signature", &right);
    request.body("application/json", body.clone()).send().await.expect_problem(400, "invalid-signature");
    let large = "x".repeat(256 * 1024 + 1);
    shop.notify(&large).await.expect_problem(413, "body-too-large");
    for no_event in ["", "{}", "[1]", "{\"id\": 1}"] {
        shop.notify(no_event).await.expect_problem(400, "malformed-body");
    }
    assert_eq!(shop.app.contents().await, before);

    let sent = futures::future::join_all((0..8).map(|_| shop.notify(&body))).await;
    assert!(sent.iter().all(|answer| answer.status == 204));
    assert_eq!(shop.app.database.count("select count(*) from payment_event".to_owned()).await, 1);
    shop.app.until_quiet().await;
    // Another kind of event is acknowledged and not stored.
    let other = event("evt_2", "customer.updated", &json!({ "id": "cus_1" }));
    assert_eq!(shop.notify(&other).await.status, 204);
    assert_eq!(shop.app.database.count("select count(*) from payment_event".to_owned()).await, 1);
}

#[tokio::test]
async fn a_notification_reaches_the_workspace_of_the_payment_alone() {
    let shop = Customer::with_stripe().await;
    shop.enter(Card::Slow).await;
    shop.buy_starter().await;
    shop.until_state("processing").await;
    let bob = shop.app.person("Bob").await;
    let elsewhere = shop.app.workspace(&bob, "Elsewhere").await;
    let intent = shop.app.stripe().intents().remove(0);
    let id = text(&intent["id"]);
    shop.app.stripe().finish(&id, true);
    // What a notification says about the workspace does not count.
    let object = json!({ "id": id, "customer": "cus_x", "metadata": { "tidegate_workspace": elsewhere } });
    assert_eq!(shop.notify(&event("evt_1", "payment_intent.succeeded", &object)).await.status, 204);
    shop.until_state("succeeded").await;
    assert_eq!(shop.get("/invoices").await["items"][0]["status"], "paid");
    let path = format!("/api/v1/workspaces/{elsewhere}/payments");
    assert_eq!(shop.app.get(&path).bearer(&bob.token).send().await.expect(200)["items"], json!([]));
}

async fn in_this_order(order: Vec<usize>) {
    let shop = Customer::with_stripe().await;
    shop.enter(Card::NeedsCustomer).await;
    shop.buy_starter().await;
    shop.until_state("requires_action").await;
    let id = text(&shop.app.stripe().intents()[0]["id"]);
    shop.app.stripe().finish(&id, true);
    let kinds = ["requires_action", "processing", "payment_failed", "succeeded"];
    for index in order {
        let body = event(&format!("evt_{index}"), &format!("payment_intent.{}", kinds[index]), &json!({ "id": id }));
        assert_eq!(shop.notify(&body).await.status, 204);
    }
    shop.until_state("succeeded").await;
    shop.app.until_quiet().await;
    let subscription = shop.get("/subscription").await;
    assert_eq!((&subscription["status"], &subscription["open_invoices"]), (&json!("active"), &json!(0)));
    let cash = "select coalesce(sum(amount), 0)::bigint from ledger_entry where account = 'cash'".to_owned();
    assert_eq!(shop.app.database.count(cash).await, 1900);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, max_shrink_iters: 10, ..ProptestConfig::default() })]

    #[test]
    fn notifications_in_any_order_and_twice_end_in_the_same_state(
        mut order in Just(vec![0_usize, 1, 2, 3]).prop_shuffle(),
        again in prop::collection::vec(0_usize..4, 0..4),
    ) {
        order.extend(again);
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
        runtime.block_on(in_this_order(order));
    }
}

#[tokio::test]
async fn an_installation_with_bank_transfers_has_no_payment_methods() {
    let app = TestApp::spawn().await;
    let ada = app.person("Ada").await;
    let workspace = app.workspace(&ada, "Acme").await;
    let path = format!("/api/v1/workspaces/{workspace}/payment-method");
    let refused = app.post(&path).bearer(&ada.token).send().await.expect_problem(409, "conflict");
    assert!(text(&refused["detail"]).contains("bank transfers"), "{refused}");
    let shown = app.get(&path).bearer(&ada.token).send().await.expect(200);
    assert_eq!(shown, json!({ "provider": "manual", "method": null }));
    app.post(WEBHOOK).body("application/json", "{}").send().await.expect_problem(404, "not-found");
}
