//! Subscriptions, invoices and the ledger over HTTP.

use reqwest::Method;
use serde_json::{Value, json};

use crate::shop::Shop;
use crate::support::{Answer, text};

impl Shop {
    async fn act(&self, what: &str, body: Option<Value>) -> Answer {
        self.send(Method::POST, &format!("/subscription/{what}"), body).await
    }

    async fn pay(&self, invoice: &str, body: Value) -> Answer {
        self.operate(invoice, "payment", body).await
    }

    /// The newest invoice.
    async fn newest(&self) -> Value {
        self.get("/invoices").await["items"][0].clone()
    }
}

fn starter() -> Value {
    json!({ "plan": "starter", "interval": "month", "currency": "EUR", "timezone": "Europe/Berlin" })
}

#[tokio::test]
async fn a_subscription_is_bought_paid_upgraded_and_cancelled() {
    let shop = Shop::new(&[]).await;
    let none = shop.get("/subscription").await;
    assert_eq!((&none["status"], &none["plan"]), (&json!("none"), &json!("free")));

    let bought = shop.buy(starter()).await.expect(201);
    assert_eq!(bought["status"], "active");
    let again = shop.buy(starter()).await.expect(200);
    assert_eq!(again, bought);
    let first = shop.newest().await;
    let amounts = ["subtotal", "tax", "total", "amount_due"].map(|name| first[name].as_i64().unwrap());
    assert_eq!(amounts, [1900, 361, 2261, 2261]);
    assert_eq!((&first["status"], &first["period_end"]), (&json!("open"), &bought["period_end"]));
    // The plan counts at once.
    let usage = shop.get("/usage").await;
    assert_eq!((&usage[0]["limit"], &usage[1]["limit"]), (&json!(1000), &Value::Null));

    let professional = json!({ "plan": "professional", "interval": "month" });
    let refused = shop.act("change", Some(professional.clone())).await.expect(402);
    assert_eq!(refused["code"], "invoice-open");
    let id = text(&first["id"]);
    let wrong = shop.pay(&id, json!({ "amount": 2260, "currency": "EUR" })).await.expect(422);
    assert_eq!(wrong["errors"][0]["pointer"], "/amount");
    shop.pay(&id, json!({ "amount": 2261, "currency": "USD" })).await.expect(422);
    let paid = shop.pay(&id, json!({ "amount": 2261, "currency": "EUR" })).await.expect(200);
    assert_eq!((&paid["status"], &paid["amount_due"]), (&json!("paid"), &json!(2261)));
    let twice = shop.pay(&id, json!({ "amount": 2261, "currency": "EUR" })).await.expect(409);
    assert_eq!(twice["code"], "conflict");

    let upgraded = shop.act("change", Some(professional)).await.expect(200);
    assert_eq!(upgraded["plan"], "professional");
    let second = shop.newest().await;
    let lines = second["lines"].as_array().unwrap();
    let sum: i64 = lines.iter().map(|line| line["amount"].as_i64().unwrap() + line["tax"].as_i64().unwrap()).sum();
    assert_eq!((lines.len(), Some(sum)), (2, second["total"].as_i64()));
    assert!(lines[0]["amount"].as_i64().unwrap() < 0, "the rest of Starter is credited: {lines:?}");

    let cancelled = shop.act("cancel", Some(json!({ "at": "period_end" }))).await.expect(200);
    assert_eq!(cancelled["pending"]["kind"], "cancel");
    assert_eq!(shop.act("resume", None).await.expect(200)["pending"], Value::Null);
    shop.act("cancel", Some(json!({ "at": "now" }))).await.expect(200);
    assert_eq!(shop.get("/usage").await[1]["limit"], 1000, "the default plan counts");
    shop.act("resume", None).await.expect(409);

    for transaction in shop.get("/ledger").await["items"].as_array().unwrap() {
        let entries = transaction["entries"].as_array().unwrap();
        assert_eq!(entries.iter().map(|entry| entry["amount"].as_i64().unwrap()).sum::<i64>(), 0, "{transaction}");
    }
}

#[tokio::test]
async fn a_refused_request_changes_nothing_and_names_the_field() {
    let shop = Shop::new(&[]).await;
    let before = shop.app.contents().await;
    for (change, status, pointer) in [
        (json!({ "plan": "gold" }), 422, "/plan"),
        (json!({ "plan": "unlimited", "currency": "USD" }), 422, "/interval"),
        (json!({ "plan": "unlimited", "interval": "month", "currency": "EUR" }), 422, "/interval"),
        (json!({ "interval": "quarter" }), 422, "/interval"),
        (json!({ "interval": "week" }), 422, "/interval"),
        (json!({ "currency": "XAU" }), 422, "/currency"),
        (json!({ "currency": "eur" }), 422, "/currency"),
        (json!({ "timezone": "Europe/Atlantis" }), 422, "/timezone"),
        (json!({ "price": 0 }), 422, "/price"),
    ] {
        let mut body = starter();
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let answer = shop.buy(body).await.expect(status);
        assert_eq!(answer["errors"][0]["pointer"], pointer, "{answer}");
    }
    for what in ["pause", "resume"] {
        shop.act(what, None).await.expect(404);
    }
    shop.act("cancel", Some(json!({ "at": "now" }))).await.expect(404);
    assert_eq!(shop.app.contents().await, before);

    shop.buy(starter()).await.expect(201);
    let before = shop.app.contents().await;
    let other = json!({ "plan": "professional", "interval": "month", "currency": "EUR" });
    assert_eq!(shop.buy(other).await.expect(409)["code"], "conflict");
    shop.act("change", Some(json!({ "plan": "starter", "interval": "month" }))).await.expect(409);
    shop.act("pause", None).await.expect(402);
    let invoice = text(&shop.newest().await["id"]);
    for amount in [0, -2261] {
        let answer = shop.pay(&invoice, json!({ "amount": amount, "currency": "EUR" })).await.expect(422);
        assert_eq!(answer["errors"][0]["pointer"], "/amount");
    }
    for (body, pointer) in [
        (json!({ "amount": 2261, "currency": "EUR", "surprise": 1 }), "/surprise"),
        (json!({ "amount": "2261", "currency": "EUR" }), "/amount"),
        (json!({ "amount": 2261.5, "currency": "EUR" }), "/amount"),
        (json!({ "amount": 9_223_372_036_854_775_808_u64, "currency": "EUR" }), "/amount"),
        (json!({ "amount": 2261, "currency": "XAU" }), "/currency"),
        (json!({ "amount": 2261 }), ""),
    ] {
        let answer = shop.pay(&invoice, body).await.expect(422);
        assert_eq!(answer["errors"][0]["pointer"], pointer, "{answer}");
    }
    assert_eq!(shop.app.contents().await, before);
}

#[tokio::test]
async fn a_plan_that_is_too_small_for_what_is_used_is_refused() {
    let shop = Shop::new(&[]).await;
    for name in ["Bea", "Cay", "Dan"] {
        let person = shop.app.person(name).await;
        shop.app.join(&shop.workspace, &person, tidegate_tenancy::Role::MEMBER).await;
    }
    let before = shop.app.contents().await;
    let refused = shop.buy(starter()).await.expect(409);
    assert_eq!(refused["code"], "plan-too-small");
    assert!(text(&refused["detail"]).contains("members is 4 and the plan allows 3"), "{refused}");
    assert_eq!(shop.app.contents().await, before);
    let mut professional = starter();
    professional["plan"] = json!("professional");
    shop.buy(professional).await.expect(201);
}

#[tokio::test]
async fn one_subscription_is_bought_and_one_payment_counts_however_many_are_sent_at_once() {
    let shop = Shop::new(&[]).await;
    let mut statuses: Vec<_> = futures::future::join_all((0..8).map(|_| shop.buy(starter())))
        .await
        .into_iter()
        .map(|answer| answer.status.as_u16())
        .collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 200, 200, 200, 200, 200, 200, 201]);
    assert_eq!(shop.get("/invoices").await["items"].as_array().unwrap().len(), 1);
    let invoice = text(&shop.newest().await["id"]);
    let payment = json!({ "amount": 2261, "currency": "EUR" });
    let mut statuses: Vec<_> = futures::future::join_all((0..8).map(|_| shop.pay(&invoice, payment.clone())))
        .await
        .into_iter()
        .map(|answer| answer.status.as_u16())
        .collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409, 409, 409, 409, 409, 409, 409]);
    let ledger = shop.get("/ledger").await;
    assert_eq!(ledger["items"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_trial_is_for_the_first_subscription_alone() {
    let shop = Shop::new(&[]).await;
    let mut trial = starter();
    trial["trial"] = json!(true);
    let started = shop.buy(trial.clone()).await.expect(201);
    assert_eq!((&started["status"], &started["period_start"]), (&json!("trialing"), &Value::Null));
    assert_eq!(shop.get("/invoices").await["items"], json!([]));
    shop.act("cancel", Some(json!({ "at": "now" }))).await.expect(200);
    let refused = shop.buy(trial).await.expect(422);
    assert_eq!(refused["errors"][0]["pointer"], "/trial");
}

#[tokio::test]
async fn invoices_of_another_workspace_are_not_there() {
    let shop = Shop::new(&[]).await;
    shop.buy(starter()).await.expect(201);
    let invoice = text(&shop.newest().await["id"]);
    let bob = shop.app.person("Bob").await;
    let elsewhere = shop.app.workspace(&bob, "Elsewhere").await;
    let path = format!("/api/v1/workspaces/{elsewhere}/invoices/{invoice}");
    shop.app.get(&path).bearer(&bob.token).send().await.expect(404);
    let path = format!("/api/v1/monitoring/workspaces/{elsewhere}/invoices/{invoice}/payment");
    let body = json!({ "amount": 2261, "currency": "EUR" });
    shop.app.post(&path).bearer(&shop.operator.token).json(&body).send().await.expect(404);
    assert_eq!(shop.newest().await["status"], "open");
}
